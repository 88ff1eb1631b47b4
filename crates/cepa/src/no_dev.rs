//! In the place of `dev` where the feature is off: no program was started by it.

use std::{convert::Infallible, sync::Arc};

use cepa_core::{BuildError, Onion};
use cepa_server::{ServerConfig, Stopper};

/// What there is none of.
pub(crate) struct Served(Infallible);

pub(crate) fn served() -> Option<&'static Served> {
    None
}

impl Served {
    pub(crate) fn listen(&self, _: &mut ServerConfig) {
        match self.0 {}
    }

    pub(crate) fn around(&self, _: Arc<Onion>) -> Result<Arc<Onion>, BuildError> {
        match self.0 {}
    }

    pub(crate) fn stops(&self, _: Stopper) {
        match self.0 {}
    }

    pub(crate) fn ready(&self) {
        match self.0 {}
    }

    pub(crate) fn failed(&self, _: &str) {
        match self.0 {}
    }
}
