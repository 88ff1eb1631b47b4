//! Deadlines of connections: a lazy timer wheel per worker thread, coarse, and almost free on the hot path.
//!
//! A server moves deadlines with every request and hardly ever lets one pass. So moving one *later* is a store
//! into the connection's node; the wheel finds out when the bucket in which the node sits comes round, and then
//! seats it anew. Only a move to *before* that bucket touches the wheel at once. No operation but the first
//! registrations allocates, and none makes a syscall.
//!
//! Time is counted in ticks of one second. A deadline set to `d` fires **never early**, and up to one second
//! after `d` rounded up to whole seconds; a thread that is kept busy makes it later by as much as it was busy,
//! never earlier, because the wheel counts the ticks it has lived through and does not read a clock.
//!
//! ```
//! use std::{future::poll_fn, rc::Rc, time::Duration};
//! use cepa_server::timer::Timers;
//!
//! # tokio::runtime::LocalRuntime::new().unwrap().block_on(async {
//! # tokio::time::pause();
//! let timers = Timers::new();
//! tokio::task::spawn_local(Rc::clone(&timers).run());
//!
//! let entry = poll_fn(|cx| std::task::Poll::Ready(timers.register(cx.waker().clone()))).await;
//! entry.set(Duration::from_secs(75));
//! poll_fn(|cx| entry.poll_expired(cx)).await;
//! # });
//! ```

mod node;
#[cfg(test)]
mod tests;

use node::{EXPIRED, NIL, Nodes, UNSEATED, UNSET};
use std::{
    cell::Cell,
    fmt,
    future::poll_fn,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

/// The length of a tick.
pub const TICK: Duration = Duration::from_secs(1);

/// Buckets of the wheel: deadlines farther away sit in the farthest one and are seated anew when it comes round.
const RING: u32 = 128;

/// The timer wheel of one thread.
///
/// It takes 32 bytes per entry, in pages of 256 entries that are reused and not given back before the wheel goes.
pub struct Timers {
    /// Ticks lived through.
    now: Cell<u32>,
    /// Entries registered.
    len: Cell<u32>,
    /// The first node of each bucket; a node of tick `t` sits in bucket `t % RING`.
    buckets: [Cell<u32>; RING as usize],
    nodes: Nodes,
    /// How often the wheel began to turn after it had stood still.
    starts: Cell<u32>,
    /// The driving task, while it waits for the first entry.
    driver: Cell<Option<Waker>>,
}

impl Timers {
    /// An empty wheel; it stands still until [`run`](Self::run) or [`tick`](Self::tick) turns it.
    #[must_use]
    pub fn new() -> Rc<Self> {
        Rc::new(Self {
            now: Cell::new(0),
            len: Cell::new(0),
            buckets: [const { Cell::new(NIL) }; RING as usize],
            nodes: Nodes::default(),
            starts: Cell::new(0),
            driver: Cell::new(None),
        })
    }

    /// A place in the wheel without a deadline yet; `waker` is woken when one passes, and by
    /// [`wake_all`](Self::wake_all).
    #[must_use]
    pub fn register(self: &Rc<Self>, waker: Waker) -> Entry {
        let index = self.nodes.claim(waker);
        self.len.set(self.len.get() + 1);
        if let Some(driver) = self.driver.take() {
            self.starts.set(self.starts.get().wrapping_add(1));
            driver.wake();
        }
        Entry { timers: Rc::clone(self), index }
    }

    /// The tick that the wheel is in: a clock of whole seconds that stands while nothing is registered.
    #[must_use]
    pub fn now_tick(&self) -> u32 {
        self.now.get()
    }

    /// A number that is another one after each tick and after each time the wheel stood still: while something is
    /// registered, what was true at the start of a period is at most a tick old in it.
    #[must_use]
    pub fn period(&self) -> u64 {
        u64::from(self.starts.get()) << 32 | u64::from(self.now.get())
    }

    /// The number of registered entries.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len.get() as usize
    }

    /// Whether nothing is registered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len.get() == 0
    }

    /// Turns the wheel once a [`TICK`] while entries exist, and sleeps without a timer while none do.
    ///
    /// Runs for ever; spawn it once per thread, inside a tokio runtime with its time driver on.
    pub async fn run(self: Rc<Self>) {
        loop {
            poll_fn(|cx| self.poll_used(cx)).await;
            // A sleep and not an interval: ticks that follow each other faster to catch up would fire early.
            tokio::time::sleep(TICK).await;
            self.tick();
        }
    }

    /// Turns the wheel by one tick and wakes the entries whose deadline has come.
    pub fn tick(&self) {
        let now = self.now.get() + 1;
        self.now.set(now);
        let bucket = &self.buckets[(now % RING) as usize];
        // One node at a time, because a waker may run code that changes the list. The loop ends: nothing is ever
        // seated in the bucket of the present tick.
        while bucket.get() != NIL {
            let index = bucket.get();
            self.unseat(index);
            let deadline = self.nodes.with(index, |node| node.deadline.get());
            if deadline == UNSET || deadline == EXPIRED {
                continue;
            }
            if deadline > now {
                self.seat(index, deadline);
                continue;
            }
            self.nodes.with(index, |node| node.deadline.set(EXPIRED));
            self.wake(index);
        }
    }

    /// Wakes every registered entry, expired or not: each connection looks up and sees, say, that it must drain.
    pub fn wake_all(&self) {
        for index in 0..self.nodes.capacity() {
            self.wake(index);
        }
    }

    fn poll_used(&self, cx: &mut Context<'_>) -> Poll<()> {
        if !self.is_empty() {
            return Poll::Ready(());
        }
        self.driver.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    /// Wakes the entry at `index`, if there is one, with nothing borrowed.
    fn wake(&self, index: u32) {
        let Some(kept) = self.nodes.with(index, |node| node.waker.take()) else { return };
        let waker = kept.clone();
        self.nodes.with(index, |node| node.waker.set(Some(kept)));
        waker.wake();
    }

    /// The tick that is at least `after` away from any moment within the present tick.
    fn deadline(&self, after: Duration) -> u32 {
        let whole = u32::try_from(after.as_secs()).unwrap_or(u32::MAX);
        let seconds = whole.saturating_add(u32::from(after.subsec_nanos() > 0));
        self.now.get().saturating_add(1).saturating_add(seconds).min(EXPIRED - 1)
    }

    /// Puts an unseated node into the bucket of `deadline`, or of the farthest tick there is.
    fn seat(&self, index: u32, deadline: u32) {
        let seat = deadline.min(self.now.get() + RING - 1);
        let bucket = &self.buckets[(seat % RING) as usize];
        let next = bucket.replace(index);
        self.nodes.with(index, |node| {
            node.seat.set(seat);
            node.prev.set(NIL);
            node.next.set(next);
        });
        if next != NIL {
            self.nodes.with(next, |node| node.prev.set(index));
        }
    }

    /// Takes a seated node out of its bucket.
    fn unseat(&self, index: u32) {
        let (seat, prev, next) = self.nodes.with(index, |node| {
            (node.seat.replace(UNSEATED), node.prev.replace(NIL), node.next.replace(NIL))
        });
        match prev {
            NIL => self.buckets[(seat % RING) as usize].set(next),
            _ => self.nodes.with(prev, |node| node.next.set(next)),
        }
        if next != NIL {
            self.nodes.with(next, |node| node.prev.set(prev));
        }
    }

    #[cold]
    fn move_earlier(&self, index: u32, seat: u32, deadline: u32) {
        if seat != UNSEATED {
            self.unseat(index);
        }
        self.seat(index, deadline);
    }
}

impl fmt::Debug for Timers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Timers").field("now", &self.now).field("len", &self.len).finish_non_exhaustive()
    }
}

/// One connection's place in the wheel: at most one deadline at a time. Dropping it gives the place back.
pub struct Entry {
    timers: Rc<Timers>,
    index: u32,
}

impl Entry {
    /// Sets the deadline to `after` from now, in place of any earlier one, passed or not.
    ///
    /// `after` is rounded up to whole seconds; see the [module](self) for how exactly it is kept.
    pub fn set(&self, after: Duration) {
        let deadline = self.timers.deadline(after);
        let seat = self.timers.nodes.with(self.index, |node| {
            node.deadline.set(deadline);
            node.seat.get()
        });
        // UNSEATED is greater than every deadline.
        if deadline < seat {
            self.timers.move_earlier(self.index, seat, deadline);
        }
    }

    /// Takes the deadline away, passed or not.
    pub fn clear(&self) {
        self.timers.nodes.with(self.index, |node| node.deadline.set(UNSET));
    }

    /// Whether the deadline has passed; stays so until [`set`](Self::set) or [`clear`](Self::clear).
    #[must_use]
    pub fn expired(&self) -> bool {
        self.timers.nodes.with(self.index, |node| node.deadline.get() == EXPIRED)
    }

    /// Ready when the deadline has passed; otherwise the task of `cx` is the one to be woken from now on.
    pub fn poll_expired(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.expired() {
            return Poll::Ready(());
        }
        let waker = match self.timers.nodes.with(self.index, |node| node.waker.take()) {
            Some(kept) if kept.will_wake(cx.waker()) => kept,
            _ => cx.waker().clone(),
        };
        self.timers.nodes.with(self.index, |node| node.waker.set(Some(waker)));
        Poll::Pending
    }

    /// The wheel that this entry belongs to.
    #[must_use]
    pub fn timers(&self) -> &Rc<Timers> {
        &self.timers
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        if self.timers.nodes.with(self.index, |node| node.seat.get()) != UNSEATED {
            self.timers.unseat(self.index);
        }
        self.timers.len.set(self.timers.len.get() - 1);
        self.timers.nodes.release(self.index);
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry").field("index", &self.index).field("expired", &self.expired()).finish()
    }
}
