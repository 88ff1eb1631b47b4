//! What the link is told.

use ::redis::{Cmd, Value};
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    Permit,
    connection::{Connection, Session},
    locks::{Locking, Writing},
    mirrors::{Follow, Step},
    outbox::Publication,
};
use crate::BackendError;

/// What happens.
pub(super) enum Event {
    /// A handle asks for something.
    Job(Job),
    /// A connection is there.
    Connected { number: u64, connection: Box<Connection> },
    /// None could be made.
    Failed { number: u64, why: Box<str> },
    /// A connection is of no more use.
    Lost { number: u64, why: Box<str> },
    /// Something has come through a channel.
    Message { number: u64, channel: Vec<u8>, message: Bytes },
    /// A mirror has an answer.
    Mirror(Step),
    /// A batch has an answer.
    Published { batch: u64, answer: Result<Value, BackendError> },
    /// All handles are gone.
    End,
}

/// What a handle asks for.
pub(super) enum Job {
    Ready(Reply<()>),
    Call(Call),
    Lock(Locking),
    Write(Writing),
    Publish(Publication),
    Follow(Follow),
    /// There is [news](super::news).
    News,
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, BackendError>>;

/// One call, and who waits for the answer.
pub(super) struct Call {
    pub(super) make: Box<dyn FnOnce(&Session) -> Cmd + Send>,
    /// Whether Redis is to know before what has changed in this process.
    pub(super) after_news: bool,
    /// Nobody, if it is to be done in any case.
    pub(super) reply: Option<Reply<Value>>,
    pub(super) permit: Permit,
}

impl Job {
    /// Answers that nothing was done.
    pub(super) fn fail(self, error: &BackendError) {
        match self {
            Self::Ready(reply) => drop(reply.send(Err(error.clone()))),
            Self::Call(call) => drop(call.reply.map(|reply| reply.send(Err(error.clone())))),
            Self::Lock(locking) => locking.fail(error),
            Self::Write(writing) => writing.fail(error),
            Self::Publish(publication) => publication.fail(error),
            Self::Follow(_) | Self::News => {}
        }
    }
}
