//! How much of a body may be read.

use bytes::Bytes;
use http_body::Frame;

use crate::{Error, Result};

/// The most bytes that may be read of a body, and how many were.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limit {
    most: u64,
    read: u64,
}

impl Limit {
    /// Any number of bytes.
    pub(crate) const NONE: Self = Self::new(u64::MAX);

    pub(crate) const fn new(most: u64) -> Self {
        Self { most, read: 0 }
    }

    /// The same limit for another body.
    pub(super) fn anew(self) -> Self {
        Self::new(self.most)
    }

    pub(super) fn smaller(self, other: Self) -> Self {
        if other.most < self.most { other } else { self }
    }

    pub(super) fn is_none(self) -> bool {
        self.most == u64::MAX
    }

    pub(super) fn set(&mut self, most: u64) {
        self.most = most;
    }

    /// Fails where more is to come than may be read.
    pub(super) fn check(self, to_come: Option<u64>) -> Result {
        match to_come {
            Some(length) if length > self.most.saturating_sub(self.read) => Err(Error::status_only(413)),
            _ => Ok(()),
        }
    }

    /// Counts the bytes of a frame that came; it becomes an error where they are too many.
    pub(super) fn pass(&mut self, frame: Option<Result<Frame<Bytes>>>) -> Option<Result<Frame<Bytes>>> {
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.read = self.read.saturating_add(data.len() as u64);
            if self.read > self.most {
                return Some(Err(Error::status_only(413)));
            }
        }
        frame
    }
}

impl Default for Limit {
    fn default() -> Self {
        Self::NONE
    }
}
