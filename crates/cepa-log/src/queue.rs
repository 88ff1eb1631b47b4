//! The queue between those who log and the thread that writes: bytes and lines, bounded, counted when full.

use std::{
    sync::{
        Condvar, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

/// How long the writer lets lines gather after it has written some: at a high rate, many lines make one write, and
/// who logs does not have to wake anybody.
const GATHER: Duration = Duration::from_millis(5);
/// Bytes of a buffer that is kept for the next lines.
const KEPT: usize = 256 << 10;

/// Lines, one behind the other.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) bytes: String,
    pub(crate) lines: Vec<Line>,
}

/// Where a line ends, and what its file is chosen by.
#[derive(Debug)]
pub(crate) struct Line {
    /// The end of the line in the bytes, which is the start of the next.
    pub(crate) end: usize,
    /// The second since 1970 at which it was logged.
    pub(crate) second: i64,
    /// Which of many files it goes to.
    pub(crate) key: Option<Box<str>>,
}

impl Batch {
    pub(crate) fn push(&mut self, text: &str, second: i64, key: Option<Box<str>>) {
        self.bytes.push_str(text);
        self.lines.push(Line { end: self.bytes.len(), second, key });
    }

    /// Makes room for the next lines.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(KEPT);
        self.lines.clear();
        self.lines.shrink_to(KEPT / 128);
    }
}

/// What the writer is to do.
#[derive(Debug, Default)]
pub(crate) struct Work {
    /// Lines that did not fit since the last time.
    pub(crate) lost: u64,
    pub(crate) reopen: bool,
    /// What [`Queue::done`] is to be told.
    pub(crate) ticket: u64,
    pub(crate) closed: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Queue {
    /// Bytes that it takes, with what is kept beside the text of each line.
    capacity: usize,
    state: Mutex<State>,
    /// There is something to do.
    wake: Condvar,
    /// Something is done.
    done: Condvar,
    /// All lines that were ever lost.
    lost: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    batch: Batch,
    /// Bytes that the batch takes up.
    cost: usize,
    work: Work,
    /// The last ticket that is done.
    done: u64,
    /// Whether the writer waits for a first line.
    idle: bool,
}

impl State {
    fn is_urgent(&self) -> bool {
        self.work.reopen || self.work.closed || self.work.ticket > self.done
    }
}

/// The bytes that a line takes up in a queue: the shortest ones are many.
fn cost(text: &str, key: Option<&str>) -> usize {
    text.len() + key.map_or(0, str::len) + size_of::<Line>()
}

impl Queue {
    pub(crate) fn new(capacity: usize) -> Self {
        let (wake, done) = (Condvar::new(), Condvar::new());
        Self { capacity, state: Mutex::default(), wake, done, lost: AtomicU64::new(0) }
    }

    /// Adds a line, or counts it as lost if there is no room.
    pub(crate) fn push(&self, text: &str, second: i64, key: Option<Box<str>>) {
        let mut state = self.lock();
        let before = state.cost;
        let cost = cost(text, key.as_deref());
        if cost > self.capacity.saturating_sub(before) {
            state.work.lost += 1;
            drop(state);
            return self.count_lost(1);
        }
        state.batch.push(text, second, key);
        state.cost += cost;
        // While lines gather, the writer is woken once, when a quarter is full.
        let quarter = self.capacity / 4;
        let wakes = state.idle || (before < quarter && state.cost >= quarter);
        state.idle = false;
        drop(state);
        if wakes {
            self.wake.notify_one();
        }
    }

    /// Counts lines as lost that were taken and could not be written.
    pub(crate) fn count_lost(&self, count: u64) {
        self.lost.fetch_add(count, Ordering::Relaxed);
    }

    /// How many lines were lost.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    /// Asks the writer to open its files anew.
    pub(crate) fn reopen(&self) {
        self.lock().work.reopen = true;
        self.wake.notify_one();
    }

    /// Asks the writer to end when all is written.
    pub(crate) fn close(&self) {
        self.lock().work.closed = true;
        self.wake.notify_one();
    }

    /// Asks for all that is there to be written, and gives what to wait for.
    pub(crate) fn ask_to_flush(&self) -> u64 {
        let mut state = self.lock();
        state.work.ticket += 1;
        let ticket = state.work.ticket;
        drop(state);
        self.wake.notify_one();
        ticket
    }

    /// Waits until all is written that was there when the ticket was given; false if it takes too long.
    pub(crate) fn wait(&self, ticket: u64, until: Instant) -> bool {
        let patience = until.saturating_duration_since(Instant::now());
        let waited = self.done.wait_timeout_while(self.lock(), patience, |state| state.done < ticket);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// For the writer: lets lines gather, then waits until there is something to do, at most so long, and takes it.
    pub(crate) fn take(&self, batch: &mut Batch, patience: Option<Duration>) -> Work {
        batch.clear();
        let gathering = |state: &mut State| !state.is_urgent() && state.cost < self.capacity / 4;
        let waited = self.wake.wait_timeout_while(self.lock(), GATHER, gathering);
        let mut state = waited.unwrap_or_else(PoisonError::into_inner).0;
        let idle = |state: &mut State| {
            state.idle = state.batch.lines.is_empty() && state.work.lost == 0 && !state.is_urgent();
            state.idle
        };
        state = match patience {
            Some(patience) => {
                let waited = self.wake.wait_timeout_while(state, patience, idle);
                waited.unwrap_or_else(PoisonError::into_inner).0
            }
            None => self.wake.wait_while(state, idle).unwrap_or_else(PoisonError::into_inner),
        };
        state.idle = false;
        std::mem::swap(&mut state.batch, batch);
        state.cost = 0;
        let Work { ticket, closed, .. } = state.work;
        std::mem::replace(&mut state.work, Work { ticket, closed, ..Work::default() })
    }

    /// For the writer: says that the work up to a ticket is done.
    pub(crate) fn done(&self, ticket: u64) {
        self.lock().done = ticket;
        self.done.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that is done under the lock can leave the state half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_counted() {
        // Room for two lines of five bytes, and for what is kept beside them.
        let queue = Queue::new(2 * cost("1234\n", None));
        for text in ["1234\n", "5678\n", "9\n", "\n", ""] {
            queue.push(text, 0, None);
        }
        queue.push(&"larger than the queue\n".repeat(10), 0, None);
        let mut batch = Batch::default();
        let work = queue.take(&mut batch, None);
        assert_eq!((batch.bytes.as_str(), work.lost, queue.lost()), ("1234\n5678\n", 4, 4));
        assert_eq!(batch.lines.iter().map(|line| line.end).collect::<Vec<_>>(), [5, 10]);
        queue.push("again\n", 0, None);
        let work = queue.take(&mut batch, None);
        assert_eq!((batch.bytes.as_str(), work.lost, queue.lost()), ("again\n", 0, 4));
    }

    #[test]
    fn who_waits_learns_that_all_is_written_or_that_it_takes_too_long() {
        let queue = Queue::new(100);
        queue.push("a\n", 0, None);
        let ticket = queue.ask_to_flush();
        assert!(!queue.wait(ticket, Instant::now()));
        let work = queue.take(&mut Batch::default(), None);
        assert_eq!((work.ticket, work.closed), (1, false));
        queue.done(work.ticket);
        assert!(queue.wait(ticket, Instant::now()));
        queue.close();
        assert!(queue.take(&mut Batch::default(), None).closed);
    }

    #[test]
    fn an_idle_writer_is_woken_by_the_first_line() {
        let queue = Queue::new(100);
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                let mut batch = Batch::default();
                queue.take(&mut batch, None);
                batch.bytes
            });
            while !queue.lock().idle {
                std::thread::yield_now();
            }
            queue.push("a\n", 0, None);
            assert_eq!(writer.join().unwrap(), "a\n");
        });
        let patience = Some(Duration::from_millis(1));
        assert_eq!(queue.take(&mut Batch::default(), patience).lost, 0);
    }
}
