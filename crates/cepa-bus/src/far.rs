//! The seam between the faces of the bus and what keeps it outside of this process.
//!
//! Without a [`Far`] everything is in the memory of the process, as values. With one, values travel as JSON and the faces
//! ask it: [`FarShares`] for each operation, [`FarQueues`] to publish and to fill the *mirrors* that subscribers read,
//! [`FarMessenger`] to reach other processes. A backend is the three together.
//!
//! What holds for all methods:
//!
//! - Those that answer a [`Reply`] begin when that is first polled, never block the thread, and may be dropped at any time:
//!   what waits in the backend is given up then, what was sent may be done all the same.
//! - Those that answer nothing are heard in the order in which they are called, before anything that the same thread
//!   asks for afterwards. They never wait. While the backend is out of reach they are kept, or made good by what the
//!   backend does when it is back, as said with each.
//! - While the backend is out of reach a call fails within a bounded time, [`Away`](BackendError::Away) if nothing was
//!   done and [`Unanswered`](BackendError::Unanswered) if nobody knows.
//! - Whatever a backend gets or keeps is bounded before memory is taken for it.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;

use crate::{BackendError, EventId, Party, QueueError, QueueOptions, ShareError, names::Key, queue::Channel};

/// An answer that may take a while.
pub(crate) type Reply<'a, T, E = BackendError> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// What keeps a bus outside of this process. When the last handle is dropped, its connections end.
pub(crate) trait Far:
    FarShares + FarQueues + FarMessenger + fmt::Debug + Send + Sync + 'static
{
    /// Answers once the backend is within reach.
    fn ready(&self) -> Reply<'_, ()>;

    /// Whether this process is a worker, not the agent.
    fn is_worker(&self) -> bool;

    /// Asks for something that the agent does beside the bus.
    fn serve(&self, _question: Bytes) -> Reply<'_, Bytes> {
        Box::pin(async { Err(BackendError::Refused("no agent keeps this bus".into())) })
    }
}

/// A value on its way to the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FarValue {
    /// The value as JSON.
    pub(crate) json: Bytes,
    /// It is gone so long after it was written.
    pub(crate) ttl: Option<Duration>,
    /// It is on disk before the write is answered, and outlives the backend's process.
    pub(crate) durable: bool,
}

/// A value as it is in the backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Versioned {
    /// Greater than all versions that this name ever had, over all lives of the backend.
    pub(crate) version: u64,
    /// The value as JSON.
    pub(crate) json: Bytes,
}

/// What came of looking at a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Load {
    /// It has the version that was said to be known.
    Same,
    /// Another.
    Value(Versioned),
    /// There is none, or its time is over.
    Nothing,
}

/// When a value is replaced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
    /// Whatever is there.
    Always,
    /// If this version is there.
    Version(u64),
    /// If nothing is there.
    Absent,
}

/// What came of replacing a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Written {
    /// It was done, and this is the new version.
    Done(u64),
    /// It was not, because this is there.
    Not(Option<Versioned>),
}

/// The lock of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FarHold {
    /// Never given twice: with a token of a lock that was lost nothing is written.
    pub(crate) token: u64,
    /// The value, at the moment at which the lock was given.
    pub(crate) value: Load,
}

/// What is done to a counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    /// Answers the number.
    Get,
    /// Adds, wrapping around, and answers the sum.
    Add(i64),
    /// Replaces, and answers the number before.
    Set(i64),
    /// Replaces the first by the second if it is there, and answers the number before.
    Swap(i64, i64),
}

/// What came of replacing an entry of a map.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Put {
    /// It was done, and this was there before.
    Done(Option<Versioned>),
    /// It was not, because this is there.
    Not(Option<Versioned>),
}

/// Shares, counters and maps, kept elsewhere. Names of the three kinds are apart.
///
/// A name springs into being by what is written under it, and is forgotten when there is nothing. One too many is
/// [`ShareError::Name`]. What is not [durable](FarValue::durable) may be gone after the backend was.
pub(crate) trait FarShares {
    /// The value of a share, unless it is the one with the version `known`. Waits for no lock.
    fn load<'a>(&'a self, share: &'a Key, known: Option<u64>) -> Reply<'a, Load, ShareError>;

    /// Replaces the value of a share, or takes it out, in one step.
    ///
    /// Waits, at most so long, until nobody holds its lock, in the same order as those who want the lock; but for
    /// [`When::Absent`] where something is there, which waits for nobody. What was not done says what is there, without
    /// the value itself where `when` is a version.
    ///
    /// # Errors
    /// [`ShareError::Timeout`] with the label of the holder, [`ShareError::TooManyWaiting`].
    fn write<'a>(
        &'a self,
        share: &'a Key,
        when: When,
        value: Option<FarValue>,
        wait: Duration,
    ) -> Reply<'a, Written, ShareError>;

    /// Locks a share for a party of this process, waiting at most so long until all that asked before are done.
    ///
    /// A lock ends when it is [released](Self::release), by whatever ends the connection of its holder, or after a time
    /// within which the backend has not heard of the process. A reply that is dropped leaves no lock behind.
    ///
    /// # Errors
    /// [`ShareError::Deadlock`] when those waited for wait, in whatever processes and however many there are between, for
    /// what this party holds; found at once where the backend can, else within the wait.
    /// [`ShareError::Timeout`], [`ShareError::TooManyWaiting`].
    fn hold<'a>(
        &'a self,
        share: &'a Key,
        party: &'a Party,
        wait: Duration,
        known: Option<u64>,
    ) -> Reply<'a, FarHold, ShareError>;

    /// Replaces the value of a share that is held, or takes it out; then gives the lock back, if so wished. Answers the
    /// new version.
    ///
    /// # Errors
    /// [`ShareError::LockLost`] if the lock is no longer this token's: nothing was written.
    fn store<'a>(
        &'a self,
        share: &'a Key,
        token: u64,
        value: Option<FarValue>,
        and_release: bool,
    ) -> Reply<'a, u64, ShareError>;

    /// Gives a lock back. One that was lost since is none of its concern.
    fn release(&self, share: &Key, token: u64);

    /// Does something to a counter, in one step. One that nobody has touched is zero.
    fn count<'a>(&'a self, counter: &'a Key, change: Change) -> Reply<'a, i64, ShareError>;

    /// An entry of a map.
    fn entry<'a>(&'a self, map: &'a Key, entry: &'a str) -> Reply<'a, Option<Versioned>, ShareError>;

    /// Replaces an entry of a map, or takes it out, in one step.
    ///
    /// # Errors
    /// [`ShareError::Full`] for a new entry in a map that has as many as it may.
    fn put<'a>(
        &'a self,
        map: &'a Key,
        entry: &'a str,
        when: When,
        json: Option<Bytes>,
    ) -> Reply<'a, Put, ShareError>;

    /// The number of entries of a map.
    fn len<'a>(&'a self, map: &'a Key) -> Reply<'a, usize, ShareError>;

    /// All entries of a map, in no order. Those that change meanwhile are there before or after, not twice.
    fn entries<'a>(&'a self, map: &'a Key) -> Reply<'a, Vec<(Box<str>, Bytes)>, ShareError>;

    /// Takes all entries out of a map.
    fn clear<'a>(&'a self, map: &'a Key) -> Reply<'a, (), ShareError>;
}

/// Queues, kept elsewhere; this process has a mirror of each that it has subscribers to.
///
/// The backend numbers the messages of a queue from 1 on, in one order for all processes, and gives the queue a
/// [life](EventId): another random number, not 0, whenever it may have forgotten what it had. It keeps the last messages,
/// as many as the [options](QueueOptions) say of whoever published or followed first.
///
/// A mirror ([`Channel`]) is filled by calling, from one thread at a time:
///
/// - [`Channel::followed`] when the queue is followed, again after each break: after which message those begin that are
///   now given, and which number was the next when the queue was followed. After a break it begins after the mirror's
///   [last message](Channel::last_known), if that is of the same life and what follows is kept, else with the oldest one
///   kept. The mirror tells subscribers what is missing between.
/// - [`Channel::receive`] with each message, in order.
/// - [`Channel::stopped`] when somebody has stopped the queue, between the messages between which it happened.
/// - [`Channel::lost`] when the backend is out of reach.
pub(crate) trait FarQueues {
    /// Publishes a message, and answers its id.
    ///
    /// Messages of one thread are in its order, and none is there twice, whatever happens between; while the backend is out
    /// of reach they are kept for it, bounded, or refused, as the configuration says. A reply that is dropped takes back
    /// nothing.
    fn publish<'a>(
        &'a self,
        queue: &'a Key,
        options: QueueOptions,
        event: Option<&'a str>,
        json: Bytes,
    ) -> Reply<'a, EventId, QueueError>;

    /// Has the mirror filled from now on, in place of an earlier one of this name, until
    /// [`Channel::unfollow_if_idle`] says that nobody reads it. Keep it weakly.
    ///
    /// `last` is its last message. Called under the lock of the mirror, so that what this process publishes once it has a
    /// subscriber reaches that: it must not call the mirror.
    fn follow(&self, mirror: &Arc<Channel>, last: Option<EventId>);

    /// Subscribers have come or gone. [`Channel::report`] says what has changed, and is asked soon, but not each time,
    /// and before this process asks [who is there](Self::present).
    fn changed(&self, mirror: &Arc<Channel>);

    /// Stops the queue in all processes, between two messages.
    fn stop<'a>(&'a self, queue: &'a Key) -> Reply<'a, (), QueueError>;

    /// The number of subscribers in all processes. Those of a process that has ended are gone.
    fn subscribers<'a>(&'a self, queue: &'a Key) -> Reply<'a, usize, QueueError>;

    /// The names of subscribers in all processes, each with the number of its subscribers, in their order.
    fn present<'a>(&'a self, queue: &'a Key) -> Reply<'a, Vec<(Arc<str>, usize)>, QueueError>;
}

/// Whom a message is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum To {
    /// All listeners in other processes.
    Others,
    /// All listeners in other processes that are workers.
    OtherWorkers,
    /// All listeners in the agent.
    Agent,
    /// One listener in one of the workers, this process not excepted.
    Random,
    /// All listeners in the process with this id.
    Process(u32),
}

/// Messages to listeners in other processes, at most once. What comes from there is passed to the
/// [`Switch`](crate::messenger::Switch) of this process.
pub(crate) trait FarMessenger {
    /// So many listen here for an action now. After a break, [`Switch::tell_actions`](crate::messenger::Switch::tell_actions) says
    /// all. Called under the lock of the switch: it must not call that.
    fn listening(&self, action: &Key, count: usize);

    /// Passes a message on, and answers to how many listeners, as far as their processes have said that they are there.
    fn tell<'a>(&'a self, action: &'a Key, to: To, json: Bytes) -> Reply<'a, usize>;
}
