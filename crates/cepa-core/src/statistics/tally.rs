//! The counters of an app: for each thread its own, written by it alone, added up by whoever reads.

use std::{
    mem,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Instant,
};

use super::{
    Statistics,
    slot::{slot, slots},
    times::{BUCKETS, bucket},
};

/// So many requests of a thread are all timed; after them, about one of 64.
const ALL_TIMED: u64 = 4096;

/// The counters of one app, by the numbers of threads.
pub(crate) struct Tally(Box<[Cells]>);

/// What one thread has counted, on a line of the cache that no other thread writes to.
#[repr(align(64))]
struct Cells {
    /// How many requests begin until one is timed, that one included.
    left: AtomicU64,
    /// The number of that one. So many have begun, but for those left.
    next: AtomicU64,
    hits: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
    cut: AtomicU64,
    times: OnceLock<Box<TimeCells>>,
    /// Whether threads without a number write here, several at a time.
    is_shared: bool,
}

/// The times of the requests that a thread has timed.
struct TimeCells {
    sum: AtomicU64,
    max: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self((1..=slots()).map(|number| Cells::new(number == slots())).collect())
    }

    /// Notes that a request begins.
    #[inline]
    pub(crate) fn begin(&self) -> Visit<'_> {
        let cells = &self.0[slot()];
        let left = cells.add(&cells.left, u64::MAX).wrapping_sub(1);
        // Below nothing, where another thread that writes here has not said yet which is timed next.
        let started = if left.cast_signed() <= 0 { Some(cells.time()) } else { None };
        Visit { cells, started }
    }

    /// Counts bytes of a body whose length nobody knew before.
    pub(crate) fn add_bytes(&self, bytes: u64) {
        let cells = &self.0[slot()];
        cells.add(&cells.bytes, bytes);
    }

    /// What all threads have counted. Of requests that run now, some may be in one figure and not yet in another.
    pub(crate) fn read(&self) -> Statistics {
        let mut all = Statistics { loads: 1, ..Statistics::default() };
        let mut begun = 0u64;
        for cells in &self.0 {
            all.hits += cells.hits.load(Relaxed);
            all.cut += cells.cut.load(Relaxed);
            all.errors += cells.errors.load(Relaxed);
            all.bytes += cells.bytes.load(Relaxed);
            begun = begun.wrapping_add(cells.next.load(Relaxed).wrapping_sub(cells.left.load(Relaxed)));
            let Some(times) = cells.times.get() else { continue };
            all.time.sum += times.sum.load(Relaxed);
            all.time.max = all.time.max.max(times.max.load(Relaxed));
            for (at, count) in times.buckets.iter().enumerate() {
                all.time.gather(at, count.load(Relaxed));
            }
        }
        all.instances = begun.saturating_sub(all.hits + all.cut);
        all
    }
}

impl Cells {
    const fn new(is_shared: bool) -> Self {
        Self {
            left: AtomicU64::new(1),
            next: AtomicU64::new(1),
            hits: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            times: OnceLock::new(),
            is_shared,
        }
    }

    /// Adds, and gives what was there. The only writer needs no locked instruction for that.
    #[inline(always)]
    fn add(&self, to: &AtomicU64, count: u64) -> u64 {
        if self.is_shared {
            return to.fetch_add(count, Relaxed);
        }
        let before = to.load(Relaxed);
        to.store(before.wrapping_add(count), Relaxed);
        before
    }

    /// The time now. Which request is timed next is at a distance that is as good as random, so that nothing that clients do
    /// in turns is seen always or never.
    #[cold]
    fn time(&self) -> Instant {
        let number = self.next.load(Relaxed);
        let distance = match number < ALL_TIMED {
            true => 1,
            false => 1 + (mixed(number) >> 57),
        };
        self.add(&self.next, distance);
        self.add(&self.left, distance);
        Instant::now()
    }

    #[cold]
    fn timed(&self, started: Instant) {
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let times = self.times.get_or_init(|| Box::new(TimeCells::new()));
        self.add(&times.buckets[bucket(nanos)], 1);
        self.add(&times.sum, nanos);
        times.max.fetch_max(nanos, Relaxed);
    }
}

impl TimeCells {
    const fn new() -> Self {
        let buckets = [const { AtomicU64::new(0) }; BUCKETS];
        Self { sum: AtomicU64::new(0), max: AtomicU64::new(0), buckets }
    }
}

/// A number that looks random, made of one that counts up (the end of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

/// A request that has begun. Dropped without an [`end`](Self::end), it was cut.
pub(crate) struct Visit<'t> {
    cells: &'t Cells,
    started: Option<Instant>,
}

impl Visit<'_> {
    /// Notes the answer: whether it is the server's own failure, and the bytes of its body as far as they are known.
    #[inline]
    pub(crate) fn end(self, is_error: bool, bytes: u64) {
        let cells = self.cells;
        cells.add(&cells.hits, 1);
        cells.add(&cells.bytes, bytes);
        if is_error {
            cells.add(&cells.errors, 1);
        }
        if let Some(started) = self.started {
            cells.timed(started);
        }
        mem::forget(self);
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.cells.add(&self.cells.cut, 1);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn counts_are_those_of_all_threads() {
        let tally = Tally::new();
        thread::scope(|scope| {
            for _ in 0..slots() + 3 {
                scope.spawn(|| {
                    for at in 0..500 {
                        let visit = tally.begin();
                        match at % 5 {
                            0 => drop(visit),
                            1 => visit.end(true, 10),
                            _ => visit.end(false, 1),
                        }
                    }
                });
            }
        });
        let threads = slots() as u64 + 3;
        let open = tally.begin();
        let all = tally.read();
        assert_eq!(
            (all.loads, all.hits, all.cut, all.errors, all.bytes, all.instances),
            (1, 400 * threads, 100 * threads, 100 * threads, (300 + 1000) * threads, 1)
        );
        open.end(false, 0);
        assert_eq!(tally.read().instances, 0);
    }

    #[test]
    fn many_requests_are_timed_by_some_of_them() {
        let tally = Tally::new();
        for _ in 0..ALL_TIMED {
            tally.begin().end(false, 0);
        }
        assert_eq!(tally.read().time.count(), ALL_TIMED);
        for _ in 0..160_000 {
            tally.begin().end(false, 0);
        }
        let further = tally.read().time.count() - ALL_TIMED;
        assert!((2_250..2_750).contains(&further), "one of 64 or so: {further}");
        assert!(tally.read().time.max() >= tally.read().time.percentile(50.0));
    }
}
