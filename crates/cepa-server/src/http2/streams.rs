//! What the streams of one connection share, and how many of them are at work.

use std::{
    cell::Cell,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use super::wire::Gauge;
use crate::{ends::Ends, floor::Floor};

/// One per connection; lives until the last of its exchanges has ended.
pub(super) struct Streams {
    pub(super) floor: Rc<Floor>,
    pub(super) ends: Rc<Ends>,
    pub(super) gauge: Rc<Gauge>,
    /// Handlers at work, those of streams that the client has reset included.
    handlers: Cell<u32>,
    /// Exchanges that wait for something.
    exchanges: Cell<u32>,
    /// The tick in which a request came or an exchange ended.
    busy: Cell<u32>,
    /// Who waits for the last exchange to end.
    emptied: Cell<Option<Waker>>,
}

impl Streams {
    pub(super) fn new(floor: Rc<Floor>, ends: Rc<Ends>, gauge: Rc<Gauge>) -> Rc<Self> {
        let busy = Cell::new(floor.timers.now_tick());
        let (handlers, exchanges, emptied) = (Cell::default(), Cell::default(), Cell::default());
        Rc::new(Self { floor, ends, gauge, handlers, exchanges, busy, emptied })
    }

    /// Counts a handler as being at work, unless as many are as streams are allowed.
    pub(super) fn enter(self: &Rc<Self>) -> Option<Work> {
        self.busy.set(self.floor.timers.now_tick());
        let handlers = self.handlers.get();
        (handlers < self.floor.limits.http2.streams).then(|| {
            self.handlers.set(handlers + 1);
            Work(Rc::clone(self))
        })
    }

    /// Counts an exchange as waiting.
    pub(super) fn wait(self: &Rc<Self>) -> Wait {
        self.exchanges.set(self.exchanges.get() + 1);
        Wait(Rc::clone(self))
    }

    /// The tick since which nothing is done; `None` while something is.
    pub(super) fn idle_since(&self) -> Option<u32> {
        (self.exchanges.get() == 0).then(|| self.busy.get())
    }

    /// Ready when no exchange waits.
    pub(super) fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.exchanges.get() == 0 {
            return Poll::Ready(());
        }
        self.emptied.set(Some(cx.waker().clone()));
        Poll::Pending
    }
}

/// A handler at work, counted until it is dropped.
pub(super) struct Work(Rc<Streams>);

impl Drop for Work {
    fn drop(&mut self) {
        self.0.handlers.set(self.0.handlers.get() - 1);
    }
}

/// An exchange that waits, counted until it is dropped.
pub(super) struct Wait(Rc<Streams>);

impl Drop for Wait {
    fn drop(&mut self) {
        let left = self.0.exchanges.get() - 1;
        self.0.exchanges.set(left);
        self.0.busy.set(self.0.floor.timers.now_tick());
        if left == 0
            && let Some(waiting) = self.0.emptied.take()
        {
            waiting.wake();
        }
    }
}
