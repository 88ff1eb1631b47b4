//! Why the agent has not answered, or not as it should.

use super::wire::{FRAME, Fault, WireError};
use crate::BackendError;

/// Why there is no answer, or a bad one.
#[derive(Clone, Debug)]
pub(super) enum Trouble {
    Backend(BackendError),
    Fault(Fault),
}

impl From<BackendError> for Trouble {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

impl From<WireError> for Trouble {
    fn from(_: WireError) -> Self {
        Self::Backend(BackendError::TooLong(FRAME))
    }
}
