//! What is behind all clones of a bus.

use std::sync::Arc;

use crate::{BusLimits, messenger::Switch, queue::Queues, share::Shares};

/// What is behind all clones of a bus.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) shares: Arc<Shares>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) switch: Arc<Switch>,
}

impl Hub {
    pub(crate) fn new(limits: &BusLimits) -> Self {
        Self {
            shares: Arc::new(Shares::new(limits)),
            queues: Arc::new(Queues::new(limits)),
            switch: Arc::new(Switch::new(limits.listeners)),
        }
    }
}
