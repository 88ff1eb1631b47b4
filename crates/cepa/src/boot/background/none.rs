//! What an app does beside requests: nothing, without the feature `cluster`.

use std::{sync::Arc, time::Duration};

use cepa_core::Onion;

use super::{Boot, LifecycleError};
use crate::{ConfigError, config::Config};

pub(crate) struct Background;

impl Background {
    pub(super) fn new(_: &str) -> Self {
        Self
    }

    pub(super) fn check(&self, config: &Config) -> Result<(), ConfigError> {
        config.check_names("schedules", "schedule", std::iter::empty())?;
        config.check_names("jobs", "key", std::iter::empty())
    }

    pub(super) async fn open(_: &mut Boot) -> Result<(), LifecycleError> {
        Ok(())
    }

    pub(super) fn begin(&mut self, _: &Arc<Onion>, _: Duration) -> Begun {
        Begun
    }

    pub(super) async fn close(&self) {}
}

pub(super) struct Begun;

impl Begun {
    pub(super) fn end(&self) {}

    pub(super) async fn ended(self) {}
}
