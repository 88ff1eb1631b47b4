//! What durable shares are written to.

use std::{fmt, time::SystemTime};

use bytes::Bytes;

use crate::{far::Reply, names::Key};

/// A durable value as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) version: u64,
    pub(crate) expires: Option<SystemTime>,
    /// The value as JSON.
    pub(crate) json: Bytes,
}

/// Where durable shares are written. What is asked of it is done in the order in which it was asked for.
pub(crate) trait Disk: fmt::Debug + Send + Sync + 'static {
    /// What is kept for a share, unless its time is over.
    fn load(&self, share: &Key) -> Reply<'static, Option<Kept>>;

    /// Keeps a value in place of the one before, or none. It survives whatever happens once this has answered.
    ///
    /// It is asked for when this is called, not when the reply is polled, and done also if that is dropped; `then` runs once it
    /// is done, so that memory and disk agree whoever waits.
    fn save(&self, share: &Key, kept: Option<Kept>, then: Box<dyn FnOnce() + Send>) -> Reply<'static, ()>;
}
