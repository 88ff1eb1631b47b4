//! The counters of an app: for each thread its own, written by it alone, added up by whoever reads.

use std::{
    pin::Pin,
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll},
    time::Duration,
};

use pin_project_lite::pin_project;

use super::{
    Statistics,
    began::Began,
    slot::{slot, slots},
    times::{BUCKETS, bucket},
};

/// The counters of one app, by the numbers of threads.
pub(crate) struct Tally(Box<[Cells]>);

/// What one thread has counted, on a line of the cache that no other thread writes to.
#[repr(align(64))]
struct Cells {
    hits: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
    waiting: AtomicU64,
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

    /// Runs what answers a request, and knows of it while it waits.
    #[inline]
    pub(crate) fn watch<F>(&self, run: F) -> Watched<'_, F> {
        Watched { run, tally: self, waits: None }
    }

    /// Notes an answer: whether it is the server's own failure, and the bytes of its body as far as they are known.
    #[inline]
    pub(crate) fn end(&self, began: Began, is_error: bool, bytes: u64) {
        let cells = &self.0[slot()];
        if cells.is_shared {
            return cells.end_shared(began, is_error, bytes);
        }
        // The only writer needs no locked instruction.
        cells.hits.store(cells.hits.load(Relaxed).wrapping_add(1), Relaxed);
        cells.bytes.store(cells.bytes.load(Relaxed).wrapping_add(bytes), Relaxed);
        if is_error {
            cells.errors.fetch_add(1, Relaxed);
        }
        if let Some(time) = began.elapsed() {
            cells.timed(time);
        }
    }

    /// Counts bytes of a body whose length nobody knew before.
    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.0[slot()].bytes.fetch_add(bytes, Relaxed);
    }

    /// What all threads have counted. Of requests that run now, some may be in one figure and not yet in another.
    pub(crate) fn read(&self) -> Statistics {
        let mut all = Statistics { loads: 1, ..Statistics::default() };
        for cells in &self.0 {
            all.hits += cells.hits.load(Relaxed);
            all.cut += cells.cut.load(Relaxed);
            all.errors += cells.errors.load(Relaxed);
            all.bytes += cells.bytes.load(Relaxed);
            all.instances += cells.waiting.load(Relaxed);
            let Some(times) = cells.times.get() else { continue };
            all.time.sum += times.sum.load(Relaxed);
            all.time.max = all.time.max.max(times.max.load(Relaxed));
            for (at, count) in times.buckets.iter().enumerate() {
                all.time.gather(at, count.load(Relaxed));
            }
        }
        all
    }
}

impl Cells {
    const fn new(is_shared: bool) -> Self {
        Self {
            hits: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            errors: AtomicU64::new(0),
            waiting: AtomicU64::new(0),
            cut: AtomicU64::new(0),
            times: OnceLock::new(),
            is_shared,
        }
    }

    #[cold]
    fn end_shared(&self, began: Began, is_error: bool, bytes: u64) {
        self.hits.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
        self.errors.fetch_add(is_error.into(), Relaxed);
        if let Some(time) = began.elapsed() {
            self.timed(time);
        }
    }

    #[cold]
    fn timed(&self, time: Duration) {
        let nanos = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let times = self.times.get_or_init(|| Box::new(TimeCells::new()));
        times.buckets[bucket(nanos)].fetch_add(1, Relaxed);
        times.sum.fetch_add(nanos, Relaxed);
        times.max.fetch_max(nanos, Relaxed);
    }
}

impl TimeCells {
    const fn new() -> Self {
        let buckets = [const { AtomicU64::new(0) }; BUCKETS];
        Self { sum: AtomicU64::new(0), max: AtomicU64::new(0), buckets }
    }
}

pin_project! {
    /// What answers a request.
    pub(crate) struct Watched<'t, F> {
        #[pin]
        run: F,
        tally: &'t Tally,
        // Once it has not answered at once.
        waits: Option<Waits<'t>>,
    }
}

impl<F: Future> Future for Watched<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let polled = this.run.poll(cx);
        match (&polled, &mut *this.waits) {
            (Poll::Pending, waits @ None) => *waits = Some(Waits::begin(this.tally)),
            (Poll::Ready(_), Some(waits)) => waits.has_ended = true,
            _ => {}
        }
        polled
    }
}

/// A request that waits. Dropped before its end, it was cut.
struct Waits<'t> {
    cells: &'t Cells,
    has_ended: bool,
}

impl<'t> Waits<'t> {
    #[cold]
    fn begin(tally: &'t Tally) -> Self {
        let cells = &tally.0[slot()];
        cells.waiting.fetch_add(1, Relaxed);
        Self { cells, has_ended: false }
    }
}

impl Drop for Waits<'_> {
    fn drop(&mut self) {
        self.cells.waiting.fetch_sub(1, Relaxed);
        if !self.has_ended {
            self.cells.cut.fetch_add(1, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{pending, ready},
        pin::pin,
        task::Waker,
        thread,
    };

    use super::*;

    #[test]
    fn counts_are_those_of_all_threads() {
        let tally = Tally::new();
        let mut cx = Context::from_waker(Waker::noop());
        thread::scope(|scope| {
            for _ in 0..slots() + 3 {
                scope.spawn(|| {
                    let mut cx = Context::from_waker(Waker::noop());
                    for at in 0..500 {
                        let began = Began::now();
                        if at % 5 == 0 {
                            assert!(pin!(tally.watch(pending::<()>())).poll(&mut cx).is_pending());
                            continue;
                        }
                        assert!(pin!(tally.watch(ready(()))).poll(&mut cx).is_ready());
                        tally.end(began, at % 5 == 1, if at % 5 == 1 { 10 } else { 1 });
                    }
                });
            }
        });
        let threads = slots() as u64 + 3;
        let mut open = Box::pin(tally.watch(pending::<()>()));
        assert!(open.as_mut().poll(&mut cx).is_pending());
        assert!(open.as_mut().poll(&mut cx).is_pending());
        let all = tally.read();
        assert_eq!(
            (all.loads, all.hits, all.cut, all.errors, all.bytes, all.instances, all.time.count()),
            (1, 400 * threads, 100 * threads, 100 * threads, (300 + 1000) * threads, 1, 400 * threads)
        );
        drop(open);
        assert_eq!((tally.read().instances, tally.read().cut), (0, 100 * threads + 1));
    }

    #[test]
    fn what_waits_and_is_answered_was_not_cut() {
        let tally = Tally::new();
        let (mut cx, mut times) = (Context::from_waker(Waker::noop()), 0);
        let run = std::future::poll_fn(move |_| {
            times += 1;
            if times == 3 { Poll::Ready(()) } else { Poll::Pending }
        });
        let mut run = Box::pin(tally.watch(run));
        while run.as_mut().poll(&mut cx).is_pending() {
            assert_eq!(tally.read().instances, 1);
        }
        drop(run);
        tally.end(Began::now(), false, 0);
        let all = tally.read();
        assert_eq!((all.hits, all.instances, all.cut), (1, 0, 0));
    }
}
