//! Why a request to a program or to another server failed.

use std::{io, time::Duration};

use cepa_core::Error;

/// Why nothing became of a request. It is the cause of the [`Error`] that answers it, and no client ever reads it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// Nobody could be connected to, or no program started.
    #[error("{to} cannot be reached")]
    Connect {
        /// Where to, or which program.
        to: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Nothing has moved for too long.
    #[error("nothing has come for {0:?}")]
    Timeout(Duration),
    /// As many requests are at hand as may be.
    #[error("{0} requests are at hand, which is the limit")]
    Busy(usize),
    /// The other end has closed, or failed, before its answer was whole.
    #[error("the answer broke off")]
    Broken(#[source] io::Error),
    /// What came is no answer.
    #[error("the answer is none: {0}")]
    Answer(&'static str),
    /// The answer is longer than the limit.
    #[error("the answer has more than {0} bytes")]
    TooLong(u64),
    /// Answers send on to each other without an end.
    #[error("more than {0} local redirects")]
    Redirects(u32),
}

impl Failure {
    /// The status that a client deserves whose request failed by this.
    pub fn status(&self) -> u16 {
        match self {
            Self::Timeout(_) => 504,
            Self::Busy(_) => 503,
            _ => 502,
        }
    }

    /// The error of a handler.
    pub(crate) fn into_error(self) -> Error {
        Error::status_only(self.status()).with_cause(self)
    }
}
