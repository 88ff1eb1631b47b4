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

/// So many requests of a thread are all timed; after them, about one of 16.
const ALL_TIMED: u64 = 4096;

/// The counters of one app.
pub(crate) struct Tally(Box<[OnceLock<Box<Cells>>]>);

/// What one thread has counted.
struct Cells {
    begun: AtomicU64,
    hits: AtomicU64,
    cut: AtomicU64,
    errors: AtomicU64,
    bytes: AtomicU64,
    /// The number of the request that is timed next.
    next: AtomicU64,
    sum: AtomicU64,
    max: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
    /// Whether threads without a number write here, several at a time.
    is_shared: bool,
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self((0..slots()).map(|_| OnceLock::new()).collect())
    }

    /// Notes that a request begins.
    #[inline]
    pub(crate) fn begin(&self) -> Visit<'_> {
        let cells = self.cells();
        let number = cells.add(&cells.begun, 1);
        let started = if number >= cells.next.load(Relaxed) { Some(cells.time(number)) } else { None };
        Visit { cells, started }
    }

    /// Those of this thread.
    #[inline]
    fn cells(&self) -> &Cells {
        let slot = slot();
        match self.0[slot].get() {
            Some(cells) => cells,
            None => self.first(slot),
        }
    }

    #[cold]
    fn first(&self, slot: usize) -> &Cells {
        self.0[slot].get_or_init(|| Box::new(Cells::new(slot + 1 == slots())))
    }

    /// Counts bytes of a body whose length nobody knew before.
    pub(crate) fn add_bytes(&self, bytes: u64) {
        let cells = self.cells();
        cells.add(&cells.bytes, bytes);
    }

    /// What all threads have counted. Of requests that run now, some may be in one figure and not yet in another.
    pub(crate) fn read(&self) -> Statistics {
        let mut all = Statistics { loads: 1, ..Statistics::default() };
        let mut begun = 0;
        for cells in self.0.iter().filter_map(OnceLock::get) {
            all.hits += cells.hits.load(Relaxed);
            all.cut += cells.cut.load(Relaxed);
            all.errors += cells.errors.load(Relaxed);
            all.bytes += cells.bytes.load(Relaxed);
            begun += cells.begun.load(Relaxed);
            all.time.sum += cells.sum.load(Relaxed);
            all.time.max = all.time.max.max(cells.max.load(Relaxed));
            for (at, count) in cells.buckets.iter().enumerate() {
                all.time.gather(at, count.load(Relaxed));
            }
        }
        all.instances = begun.saturating_sub(all.hits + all.cut);
        all
    }
}

impl Cells {
    fn new(is_shared: bool) -> Self {
        let zero = || AtomicU64::new(0);
        Self {
            begun: zero(),
            hits: zero(),
            cut: zero(),
            errors: zero(),
            bytes: zero(),
            next: zero(),
            sum: zero(),
            max: zero(),
            buckets: [const { AtomicU64::new(0) }; BUCKETS],
            is_shared,
        }
    }

    /// Adds, and gives what was there. The only writer needs no locked instruction for that.
    #[inline]
    fn add(&self, to: &AtomicU64, count: u64) -> u64 {
        if self.is_shared {
            return to.fetch_add(count, Relaxed);
        }
        let before = to.load(Relaxed);
        to.store(before.wrapping_add(count), Relaxed);
        before
    }

    /// The time now, and which request is timed next: at a distance that is as good as random, so that nothing that
    /// clients do in turns is seen always or never.
    #[cold]
    fn time(&self, number: u64) -> Instant {
        let distance = match number < ALL_TIMED {
            true => 1,
            false => 1 + (mixed(number) >> 59),
        };
        self.next.store(number + distance, Relaxed);
        Instant::now()
    }

    #[cold]
    fn timed(&self, started: Instant) {
        let nanos = u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.add(&self.buckets[bucket(nanos)], 1);
        self.add(&self.sum, nanos);
        self.max.fetch_max(nanos, Relaxed);
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
        assert!((9_000..11_000).contains(&further), "one of 16 or so: {further}");
        assert!(tally.read().time.max() >= tally.read().time.percentile(50.0));
    }
}
