//! Why a bus that is kept elsewhere could not be connected to, or used.

use std::{path::PathBuf, sync::Arc};

use crate::Backend;

/// Why a bus that is kept elsewhere could not be used.
///
/// The memory of the process itself never gives any of these.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BackendError {
    /// It is out of reach; nothing was done. The text says what the last attempt met.
    #[error("the bus is out of reach: {0}")]
    Away(Arc<str>),
    /// The connection was lost before the answer came: nobody knows whether it was done.
    #[error("the connection to the bus was lost before it answered; it may have done what was asked")]
    Unanswered,
    /// More is under way, or waits to be sent, than may be; nothing was done.
    #[error("more is under way to the bus than may be")]
    Busy,
    /// What was to be sent is longer than it may be.
    #[error("more than {0} bytes are not sent to the bus")]
    TooLong(usize),
    /// The bus did not do it, for a reason of its own.
    #[error("the bus did not do it: {0}")]
    Refused(Arc<str>),
}

/// Why a bus could not be connected to, see [`Bus::connect`](crate::Bus::connect).
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The program was built without what it takes.
    #[error("the bus is to be kept by {0}, which this program was built without")]
    NotBuilt(Backend),
    /// The address of the Redis server cannot be used.
    #[cfg(feature = "redis")]
    #[error("the address of Redis cannot be used: {0}")]
    Redis(#[from] crate::RedisUrlError),
    /// Durable shares are to be kept, and the program was built without what it takes.
    #[error(
        "the bus has a store for durable shares, which this program was built without (feature `durable`)"
    )]
    NotDurable,
    /// The file for durable shares cannot be used.
    #[error("the store of the bus, {path:?}, cannot be used: {why}")]
    Store {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        why: Arc<str>,
    },
    /// A thread that the bus needs cannot be made.
    #[error("a thread that the bus needs cannot be made")]
    Thread(#[source] std::io::Error),
}
