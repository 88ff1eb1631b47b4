//! A place in a queue.

use std::{
    fmt,
    future::poll_fn,
    marker::PhantomData,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    task::{Context, Poll, ready},
};

use cepa_core::Parked;
use serde::{Deserialize, Serialize};

use super::{
    EventId, Message, QueueError,
    channel::{Channel, Read},
};
use crate::{
    NameError,
    live::{Kind, Place},
    names,
};

/// What a subscriber gets.
#[derive(Clone, Debug)]
pub enum Delivery<T> {
    /// A message.
    Message(Message<T>),
    /// So many messages are gone that were not read in time; `None` where nobody knows how many, because the queue was
    /// made anew since. What is kept comes next.
    Missed(Option<u64>),
}

/// What happens to a subscriber that is further behind than its [buffer](Subscriber::buffer).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Overflow {
    /// It misses the oldest messages, and is [told](Delivery::Missed).
    #[default]
    DropOldest,
    /// It misses the newest messages, and is told where they would have come. It keeps what it has not read in a buffer of
    /// its own, which publishing fills: for few subscribers, not for a crowd.
    DropNewest,
    /// It ends.
    Disconnect,
}

/// Why a subscriber has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// It was dropped: of its own accord, or because its client has gone.
    Left,
    /// It was too far behind.
    Behind,
    /// The queue has [stopped](super::Queue::stop) it.
    Queue,
    /// It goes on in another process, with its connection.
    Moved,
}

/// One who reads a queue, see [`Queue::subscribe`](super::Queue::subscribe). Dropping it ends the subscription.
///
/// It holds no messages, only its place among them, unless it is to [drop the newest](Overflow::DropNewest).
pub struct Subscriber<T> {
    channel: Arc<Channel>,
    /// The place of the message to be read next, or `UNKNOWN`.
    place: u64,
    seat: u32,
    buffer: u32,
    overflow: Overflow,
    /// Whether messages of an earlier life of the queue were missed, and it was not told yet.
    is_lost: bool,
    /// Whether it begins at the first message there is: nothing before that was missed.
    is_from_start: bool,
    stopped: Option<Stopped>,
    extra: Option<Box<Extra>>,
    messages: PhantomData<fn() -> T>,
}

/// The queue is kept elsewhere, and has not answered yet.
const UNKNOWN: u64 = 0;

/// What only some have.
#[derive(Default)]
struct Extra {
    who: Option<Arc<str>>,
    /// The message it comes after, while its place is not known.
    last: Option<EventId>,
    on_stop: Option<Box<dyn FnOnce(Stopped) + Send>>,
    /// What goes on with it in another process.
    resumed_by: Option<Parked>,
}

impl<T> Subscriber<T> {
    pub(super) fn new(channel: Arc<Channel>, last: Option<EventId>) -> Result<Self, QueueError> {
        let (seat, found) = channel.sit(last)?;
        let extra = (found.is_none() && last.is_some()).then(|| Box::new(Extra { last, ..Extra::default() }));
        let (place, is_known) = found.unwrap_or((UNKNOWN, true));
        Ok(Self {
            channel,
            place,
            seat,
            buffer: u32::MAX,
            overflow: Overflow::default(),
            is_lost: !is_known,
            is_from_start: false,
            stopped: None,
            extra,
            messages: PhantomData,
        })
    }

    /// One that begins at the first message there is.
    pub(super) fn from_start(channel: Arc<Channel>) -> Result<Self, QueueError> {
        let mut subscriber = Self::new(channel, Some(EventId::OF_NOBODY))?;
        (subscriber.is_lost, subscriber.is_from_start) = (false, true);
        Ok(subscriber)
    }

    /// Sets how many messages it may be behind. At most, and by default, as many as the queue keeps.
    #[must_use]
    pub fn buffer(mut self, messages: u32) -> Self {
        self.buffer = messages.max(1);
        self.fit();
        self
    }

    /// Sets what happens when it is further behind than that.
    #[must_use]
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self.fit();
        self
    }

    fn fit(&self) {
        match self.overflow {
            Overflow::DropNewest if self.place == UNKNOWN => {}
            Overflow::DropNewest => self.channel.keep_own(self.seat, self.place, self.buffer),
            _ => self.channel.drop_own(self.seat),
        }
    }

    /// Gives it a name to be [present](super::Queue::present) under. Several may have the same.
    ///
    /// # Errors
    /// A name that is empty, longer than 256 bytes, or has control characters.
    pub fn named(mut self, who: &str) -> Result<Self, NameError> {
        names::check(who)?;
        let who = Arc::<str>::from(who);
        let extra = self.extra.get_or_insert_default();
        self.channel.rename(extra.who.as_ref(), &who);
        extra.who = Some(who);
        Ok(self)
    }

    /// Sets what runs when it has ended, for whatever reason: once, on the thread that drops it.
    #[must_use]
    pub fn on_stop(mut self, run: impl FnOnce(Stopped) + Send + 'static) -> Self {
        self.extra.get_or_insert_default().on_stop = Some(Box::new(run));
        self
    }

    /// Names the handler that goes on with the stream of events or the long poll that is made of this subscriber, in a process
    /// that takes over ([`App::resume`](cepa_core::App::resume)), and the state that it gets.
    ///
    /// It answers with such a stream or poll of a subscriber that begins [after](crate::Live::last_event_id) the last
    /// message that this one has read. One of which this is not said goes on by itself, unless it has something to run when
    /// it [stops](Self::on_stop), where the app [resumes](crate::resume) subscribers.
    ///
    /// # Errors
    /// A state that cannot be written as JSON.
    pub fn resumed_by(mut self, handler: &str, state: &impl Serialize) -> cepa_core::Result<Self> {
        self.extra.get_or_insert_default().resumed_by = Some(Parked::new(handler, state)?);
        Ok(self)
    }

    /// Waits until the bus has been told of it, and of its [name](Self::named): in the memory of one process not at all, and not
    /// longer than for one answer. A bus that is out of reach is told when it is there again.
    ///
    /// A handler that goes on with a connection of another process awaits this before it answers: until then the subscriber
    /// there is not forgotten, and nobody who asks who is [present](super::Queue::present) finds neither.
    pub async fn joined(&self) {
        let Some(far) = &self.channel.far else { return };
        if let Err(error) = far.subscribers(self.channel.key()).await {
            tracing::debug!(%error, queue = &**self.channel.name(), "the bus will be told later who is here");
        }
    }

    /// Leaves for another process, if it can: what goes on with it there. It is asked when it has read what is there for it.
    pub(crate) fn park(&mut self, kind: Kind) -> Option<Parked> {
        // What is in the memory of this process stays there.
        let is_far = self.channel.far.is_some();
        let is_known = self.place != UNKNOWN
            || !self.is_from_start && self.extra.as_ref().is_some_and(|extra| extra.last.is_some());
        if !is_far || !is_known || self.stopped.is_some() || self.is_lost {
            return None;
        }
        let last = self.last().to_string();
        let (channel, buffer, overflow) = (&self.channel, self.buffer, self.overflow);
        let parked = match self.extra.as_deref_mut() {
            Some(Extra { resumed_by: resumed_by @ Some(_), .. }) => resumed_by.take(),
            Some(Extra { on_stop: Some(_), .. }) => None,
            extra => {
                let who = extra.and_then(|extra| extra.who.as_deref());
                Place::new(channel, who, (buffer, overflow), kind).park()
            }
        };
        self.stopped = parked.as_ref().map(|_| Stopped::Moved);
        parked.map(|parked| parked.with_header("last-event-id", last))
    }

    /// The next message; `None` once it has ended. Nothing is lost when the wait is given up.
    pub async fn next(&mut self) -> Option<Delivery<T>> {
        poll_fn(|cx| self.poll_next(cx)).await
    }

    /// [`next`](Self::next) for futures written by hand.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Delivery<T>>> {
        if self.stopped.is_some() {
            return Poll::Ready(None);
        }
        ready!(self.poll_place(cx));
        if std::mem::take(&mut self.is_lost) {
            return Poll::Ready(Some(Delivery::Missed(None)));
        }
        let read = ready!(self.channel.poll_read(self.seat, self.place, self.buffer.into(), cx));
        Poll::Ready(match read {
            Read::Message(frame) => {
                self.place += 1;
                Some(Delivery::Message(Message::new(frame)))
            }
            Read::Behind(first, missed) if self.overflow != Overflow::Disconnect => {
                self.place = first;
                Some(Delivery::Missed(missed))
            }
            Read::Behind(..) => self.end(Stopped::Behind),
            Read::End => self.end(Stopped::Queue),
        })
    }

    /// Waits until its place is known, which in memory it is at once.
    pub(crate) fn poll_place(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.place == UNKNOWN {
            let last = self.extra.as_ref().and_then(|extra| extra.last);
            let (place, is_known) = ready!(self.channel.poll_place(self.seat, last, cx));
            (self.place, self.is_lost) = (place, !is_known && !self.is_from_start);
            self.fit();
        }
        Poll::Ready(())
    }

    fn end(&mut self, why: Stopped) -> Option<Delivery<T>> {
        self.stopped = Some(why);
        None
    }

    /// Why it has ended, if it has.
    pub fn stopped(&self) -> Option<Stopped> {
        self.stopped
    }

    /// The id of the last message read, or of what came before the first: to go on from later.
    ///
    /// Where the bus is kept elsewhere and has not answered yet, the id that it was to begin after, or one with which the
    /// one who comes back is told that something may be missing.
    pub fn last(&self) -> EventId {
        match self.place.checked_sub(1) {
            Some(before) => self.channel.id(before),
            None => self.extra.as_ref().and_then(|extra| extra.last).unwrap_or(EventId::OF_NOBODY),
        }
    }

    /// Whether what comes next is that messages of an earlier life of the queue are gone.
    pub(crate) fn has_missed(&self) -> bool {
        self.is_lost
    }

    /// Ends the subscription, as dropping it does.
    pub fn stop(self) {}

    /// Ends the subscription because another process goes on with it, after the [last](Self::last) message read, for a
    /// connection that has left by other means than [`resumed_by`](Self::resumed_by): what runs when it stops is told so.
    pub fn moved(mut self) {
        self.stopped = Some(Stopped::Moved);
    }
}

impl<T> Drop for Subscriber<T> {
    fn drop(&mut self) {
        let extra = self.extra.take().map(|extra| *extra).unwrap_or_default();
        self.channel.leave(self.seat, extra.who.as_ref());
        let Some(on_stop) = extra.on_stop else { return };
        let why = self.stopped.unwrap_or(Stopped::Left);
        // A second panic while a first one unwinds would end the process.
        if catch_unwind(AssertUnwindSafe(|| on_stop(why))).is_err() {
            tracing::error!(queue = &**self.channel.name(), "what runs when a subscriber stops has panicked");
        }
    }
}

impl<T> fmt::Debug for Subscriber<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subscriber({:?}, place {})", self.channel.name(), self.place)
    }
}
