//! A session as a store keeps it.

use std::{fmt, time::SystemTime};

/// What a store is to keep.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// The text.
    pub json: Vec<u8>,
    /// When it may be forgotten.
    pub expires: SystemTime,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Record").field("expires", &self.expires).finish_non_exhaustive()
    }
}
