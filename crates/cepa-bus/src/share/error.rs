//! Why a share could not be used.

use std::sync::Arc;

use super::Cycle;
use crate::{BackendError, NameError};

/// Why a share could not be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShareError {
    /// The name cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// The name is in use for another type.
    #[error("{name:?} holds a {holds}, not a {asked}")]
    Type {
        /// The name.
        name: Arc<str>,
        /// The type that is there.
        holds: &'static str,
        /// The type that was asked for.
        asked: &'static str,
    },
    /// Somebody held the lock all the time.
    #[error("share {share:?} was not to be had in time; it is locked by {holder:?}")]
    Timeout {
        /// The name of the share.
        share: Arc<str>,
        /// Who holds the lock.
        holder: Arc<str>,
    },
    /// The wait could never have ended.
    #[error("deadlock: {0}")]
    Deadlock(Cycle),
    /// As many wait for the lock as may.
    #[error("too many wait for the lock of share {0:?}")]
    TooManyWaiting(Arc<str>),
    /// The value was written since it was read.
    #[error("share {share:?} has version {current}, not {expected}")]
    Conflict {
        /// The name of the share.
        share: Arc<str>,
        /// The version that was expected.
        expected: u64,
        /// The version that is there.
        current: u64,
    },
    /// The lock that a guard stands for is gone, because the connection to the bus was lost meanwhile: others may have
    /// written. Nothing was written.
    #[error("the lock of share {0:?} was lost")]
    LockLost(Arc<str>),
    /// The share is [durable](crate::Share::durable), and the bus has no file to keep it in.
    #[error("share {0:?} is to be durable, but the bus has no file for it: set bus.store")]
    NoStore(Arc<str>),
    /// The value cannot be written as JSON, or what is there is not JSON of the type.
    #[error("the value of {name:?} cannot be written or read: {error}")]
    Json {
        /// The name.
        name: Arc<str>,
        /// What is wrong with it.
        error: Arc<str>,
    },
    /// The bus is kept elsewhere, and could not be used.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The map has as many entries as it may.
    #[error("map {0:?} is full")]
    Full(Arc<str>),
}
