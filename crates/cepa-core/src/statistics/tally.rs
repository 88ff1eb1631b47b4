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

use super::{
    Statistics,
    began::Began,
    slot::{ask, known, slots},
    times::{BUCKETS, bucket},
};

/// The counters of one app, by the numbers of threads.
pub(crate) struct Tally {
    own: Box<[Cells]>,
    /// Of threads without a number.
    shared: Cells,
}

/// What one thread has counted, on a line of the cache that no other thread writes to.
#[repr(align(64))]
#[derive(Default)]
struct Cells {
    hits: AtomicU64,
    bytes: AtomicU64,
    errors: AtomicU64,
    waiting: AtomicU64,
    cut: AtomicU64,
    times: OnceLock<Box<TimeCells>>,
}

/// The times of the requests that a thread has timed.
struct TimeCells {
    sum: AtomicU64,
    max: AtomicU64,
    buckets: [AtomicU64; BUCKETS],
}

impl Tally {
    pub(crate) fn new() -> Self {
        Self { own: (0..slots()).map(|_| Cells::default()).collect(), shared: Cells::default() }
    }

    /// Notes an answer: whether it is the server's own failure, and the bytes of its body as far as they are known.
    #[inline]
    pub(crate) fn end(&self, began: Began, is_error: bool, bytes: u64) {
        let Some(cells) = self.own.get(known()) else { return self.end_first(began, is_error, bytes) };
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

    /// [`end`](Self::end) of the first request of a thread, or of one that has no number.
    #[cold]
    fn end_first(&self, began: Began, is_error: bool, bytes: u64) {
        let cells = self.cells();
        cells.hits.fetch_add(1, Relaxed);
        cells.bytes.fetch_add(bytes, Relaxed);
        cells.errors.fetch_add(is_error.into(), Relaxed);
        if let Some(time) = began.elapsed() {
            cells.timed(time);
        }
    }

    /// Those of this thread.
    fn cells(&self) -> &Cells {
        ask().and_then(|slot| self.own.get(slot)).unwrap_or(&self.shared)
    }

    /// Runs what answers a request, and knows of it while it waits.
    #[inline]
    pub(crate) fn watch<F>(&self, run: F) -> Watched<'_, F> {
        Watched { run, tally: self, waits: None }
    }

    /// Counts bytes of a body whose length nobody knew before.
    pub(crate) fn add_bytes(&self, bytes: u64) {
        self.cells().bytes.fetch_add(bytes, Relaxed);
    }

    /// What all threads have counted. Of requests that run now, some may be in one figure and not yet in another.
    pub(crate) fn read(&self) -> Statistics {
        let mut all = Statistics { loads: 1, ..Statistics::default() };
        for cells in self.own.iter().chain([&self.shared]) {
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
    #[cold]
    fn cut(&self) {
        self.waiting.fetch_sub(1, Relaxed);
        self.cut.fetch_add(1, Relaxed);
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

/// What answers a request, and an app that knows of it while it waits.
///
/// Most answer at once, and are then as good as not watched. Dropped while it waits, it was cut.
pub(crate) struct Watched<'t, F> {
    run: F,
    tally: &'t Tally,
    waits: Option<&'t Cells>,
}

impl<F: Future + Unpin> Future for Watched<'_, F> {
    type Output = F::Output;

    #[inline]
    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let polled = Pin::new(&mut self.run).poll(cx);
        if polled.is_pending() {
            self.begin();
        } else if self.waits.is_some() {
            self.end();
        }
        polled
    }
}

impl<F> Watched<'_, F> {
    #[cold]
    fn begin(&mut self) {
        if self.waits.is_none() {
            let cells = self.tally.cells();
            cells.waiting.fetch_add(1, Relaxed);
            self.waits = Some(cells);
        }
    }

    #[cold]
    fn end(&mut self) {
        if let Some(cells) = self.waits.take() {
            cells.waiting.fetch_sub(1, Relaxed);
        }
    }
}

impl<F> Drop for Watched<'_, F> {
    #[inline]
    fn drop(&mut self) {
        if let Some(cells) = self.waits {
            cells.cut();
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
