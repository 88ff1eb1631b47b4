//! What is behind all clones of a bus.

use std::sync::{Arc, Weak};

use crate::{
    BusLimits,
    far::Far,
    messenger::Switch,
    queue::Queues,
    share::{Disk, Shares},
};

/// What is behind all clones of a bus.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) shares: Arc<Shares>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) switch: Arc<Switch>,
}

impl Hub {
    /// A hub in the memory of this process, with a file for durable shares if there is to be one.
    pub(crate) fn near(limits: &BusLimits, disk: Option<Arc<dyn Disk>>) -> Self {
        Self {
            shares: Arc::new(Shares::new(limits, None, disk)),
            queues: Arc::new(Queues::new(limits, None)),
            switch: Arc::new(Switch::new(limits.listeners)),
        }
    }

    /// A hub that is kept elsewhere. The backend passes messages of other processes to the switch.
    pub(crate) fn far<E>(
        limits: &BusLimits,
        connect: impl FnOnce(Weak<Switch>) -> Result<Arc<dyn Far>, E>,
    ) -> Result<Self, E> {
        let switch = Arc::new(Switch::new(limits.listeners));
        let far = connect(Arc::downgrade(&switch))?;
        switch.reach(Arc::clone(&far));
        Ok(Self {
            shares: Arc::new(Shares::new(limits, Some(Arc::clone(&far)), None)),
            queues: Arc::new(Queues::new(limits, Some(far))),
            switch,
        })
    }
}
