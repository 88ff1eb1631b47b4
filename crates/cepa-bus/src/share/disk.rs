//! What durable shares are written to.

use std::{fmt, time::SystemTime};

use bytes::Bytes;

use crate::{BackendError, far::Reply, names::Key};

/// A durable value as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kept {
    pub(crate) version: u64,
    pub(crate) expires: Option<SystemTime>,
    /// The value as JSON.
    pub(crate) json: Bytes,
}

/// Where durable shares are written.
pub(crate) trait Disk: fmt::Debug + Send + Sync + 'static {
    /// What is kept for a share.
    fn load<'a>(&'a self, share: &'a Key) -> Reply<'a, Option<Kept>>;

    /// Keeps a value in place of the one before, or none. It survives whatever happens once this has answered; of several
    /// for one share the last one is kept.
    fn save<'a>(&'a self, share: &'a Key, kept: Option<Kept>) -> Reply<'a, ()>;

    /// The greatest version that is kept.
    fn last_version(&self) -> Result<u64, BackendError>;
}
