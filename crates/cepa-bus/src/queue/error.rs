//! Why a queue could not be used.

use std::sync::Arc;

use crate::{BackendError, NameError};

/// Why a queue could not be used.
#[derive(Debug, thiserror::Error)]
pub enum QueueError {
    /// The name cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The message cannot be written.
    #[error("a message cannot be written as JSON")]
    Write(#[source] serde_json::Error),
    /// The message is too long.
    #[error("a message of queue {queue:?} has more than {limit} bytes")]
    TooLong {
        /// The name of the queue.
        queue: Arc<str>,
        /// Most bytes of a message.
        limit: usize,
    },
    /// The type of an event is malformed.
    #[error("the type of an event has 1 to 64 bytes and no control characters")]
    EventType,
    /// The queue has as many subscribers as it may.
    #[error("queue {0:?} has as many subscribers as it may")]
    TooManySubscribers(Arc<str>),
    /// The bus is kept elsewhere, and could not be used.
    #[error(transparent)]
    Backend(#[from] BackendError),
}
