//! What all connections of one worker thread stand on: the app, the limits, the timers, the drain.

use std::{
    cell::{Cell, OnceCell, Ref, RefCell},
    fmt,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use cepa_core::{LocalBoxFuture, Onion};
use http::HeaderValue;
use tokio::{sync::Notify, task::spawn_local};

use crate::{
    http1::{Stamp, date},
    leaving::Leaving,
    limits::Limits,
    moved::Heir,
    timer::Timers,
};

/// Bytes that are read from a socket at once.
pub(crate) const READ_BUFFER: usize = 32 * 1024;

/// The state of one worker thread, shared by its connections.
pub(crate) struct Floor {
    pub(crate) onion: Arc<Onion>,
    pub(crate) limits: Arc<Limits>,
    pub(crate) timers: Rc<Timers>,
    /// Sent as `Server` with every response that has none.
    pub(crate) server: Option<HeaderValue>,
    /// The end of heads, and the period of the timers in which it was written.
    stamp: RefCell<Stamp>,
    stamped: Cell<u64>,
    /// Connections open now.
    pub(crate) open: Cell<usize>,
    /// Work that was deferred and is not done.
    pub(crate) deferred: Cell<usize>,
    /// Requests that have begun.
    pub(crate) begun: Cell<u64>,
    draining: Cell<bool>,
    heir: OnceCell<Heir>,
    leaving: OnceCell<Rc<Leaving>>,
    /// Tells those who wait in [`begin_of_drain`](Self::begin_of_drain).
    drain: Notify,
    /// Who waits for the last connection to end, and the last work to be done.
    emptied: Cell<Option<Waker>>,
    buffers: Cell<Option<Buffers>>,
}

/// The memory that a connection works in while it works, and gives back before it waits.
pub(crate) struct Buffers {
    pub(crate) input: Box<[u8]>,
    pub(crate) output: Vec<u8>,
}

impl Floor {
    pub(crate) fn new(onion: Arc<Onion>, limits: Arc<Limits>, server: Option<HeaderValue>) -> Rc<Self> {
        let timers = Timers::new();
        let stamp = RefCell::new(Stamp::new(server.as_ref(), date::now_seconds()));
        Rc::new(Self {
            onion,
            limits,
            stamped: Cell::new(timers.period()),
            timers,
            server,
            stamp,
            open: Cell::new(0),
            deferred: Cell::new(0),
            begun: Cell::new(0),
            draining: Cell::new(false),
            heir: OnceCell::new(),
            leaving: OnceCell::new(),
            drain: Notify::new(),
            emptied: Cell::new(None),
            buffers: Cell::default(),
        })
    }

    /// What heads end with. The date in it is at most a tick behind, and as late as the timers of a busy thread:
    /// that saves every response a look at the clock.
    pub(crate) fn stamp(&self) -> Ref<'_, Stamp> {
        let period = self.timers.period();
        if self.stamped.replace(period) != period {
            self.stamp.borrow_mut().set_seconds(date::now_seconds());
        }
        self.stamp.borrow()
    }

    /// Whether connections should end as soon as they can.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.get()
    }

    /// Waits until connections should end as soon as they can.
    pub(crate) fn begin_of_drain(self: &Rc<Self>) -> LocalBoxFuture<'static, ()> {
        let floor = Rc::clone(self);
        Box::pin(async move {
            // Made first: what is told between the question and the wait is not missed.
            let told = floor.drain.notified();
            if !floor.is_draining() {
                told.await;
            }
        })
    }

    /// Who takes over connections that are idle, once this drains.
    pub(crate) fn heir(&self) -> Option<&Heir> {
        self.heir.get()
    }

    /// What has connections leave for the heir with an answer that is not at its end, if that takes them.
    pub(crate) fn leaving(&self) -> Option<&Rc<Leaving>> {
        self.leaving.get()
    }

    /// Tells all connections to end as soon as they can, or to leave for the heir. In the runtime of the thread.
    pub(crate) fn drain(&self, heir: Option<&Heir>) {
        if let Some(way) = heir.and_then(Heir::unfinished) {
            let leaving = self.leaving.get_or_init(Leaving::new);
            spawn_local(Rc::clone(leaving).run(way.clone()));
        }
        if let Some(heir) = heir {
            // This is called once.
            let _ = self.heir.set(heir.clone());
        }
        self.draining.set(true);
        self.drain.notify_waiters();
        self.timers.wake_all();
    }

    /// Ready when no connection is open, and no work is left that was deferred.
    pub(crate) fn poll_empty(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_empty() {
            return Poll::Ready(());
        }
        self.emptied.set(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn is_empty(&self) -> bool {
        self.open.get() == 0 && self.deferred.get() == 0
    }

    /// Tells who waits for it that this is empty now.
    pub(crate) fn wake_if_empty(&self) {
        if self.is_empty()
            && let Some(waiting) = self.emptied.take()
        {
            waiting.wake();
        }
    }

    /// Takes buffers. There is one pair per thread, unless an app's code makes another connection run
    /// inside of it.
    #[inline]
    pub(crate) fn take_buffers(&self) -> Buffers {
        self.buffers.take().unwrap_or_else(|| {
            let output = Vec::with_capacity(READ_BUFFER);
            Buffers { input: vec![0; READ_BUFFER].into_boxed_slice(), output }
        })
    }

    /// Gives buffers back, keeping no more memory than a pair starts with.
    #[inline]
    pub(crate) fn put_buffers(&self, mut buffers: Buffers) {
        buffers.output.clear();
        if buffers.output.capacity() > 4 * READ_BUFFER {
            buffers.output = Vec::with_capacity(READ_BUFFER);
        }
        self.buffers.set(Some(buffers));
    }

    /// How long a deadline lasts that a limit of `time` sets; zero is no limit.
    pub(crate) fn limit(time: Duration) -> Option<Duration> {
        (!time.is_zero()).then_some(time)
    }
}

impl fmt::Debug for Floor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Floor").field("open", &self.open).field("draining", &self.draining).finish()
    }
}

/// Counts a connection as open for as long as it lives.
pub(crate) struct Seat(Rc<Floor>);

impl Seat {
    /// A seat, unless `most` connections are open.
    pub(crate) fn take(floor: &Rc<Floor>, most: usize) -> Option<Self> {
        if floor.open.get() >= most {
            return None;
        }
        Some(Self::of_adopted(floor))
    }

    /// A seat for a connection that had one in another process.
    pub(crate) fn of_adopted(floor: &Rc<Floor>) -> Self {
        floor.open.set(floor.open.get() + 1);
        Self(Rc::clone(floor))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get() - 1);
        self.0.wake_if_empty();
    }
}
