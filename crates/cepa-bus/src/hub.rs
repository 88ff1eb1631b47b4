//! What is behind all clones of a bus.

use std::sync::{Arc, Weak};

use crate::{BusLimits, ConnectError, far::Far, messenger::Switch, queue::Queues, share::Shares};

/// What is behind all clones of a bus.
#[derive(Debug)]
pub(crate) struct Hub {
    pub(crate) shares: Arc<Shares>,
    pub(crate) queues: Arc<Queues>,
    pub(crate) switch: Arc<Switch>,
}

impl Hub {
    /// A hub in the memory of this process.
    pub(crate) fn near(limits: &BusLimits) -> Self {
        Self::new(limits, Arc::new(Switch::new(limits.listeners)), None)
    }

    /// A hub that is kept elsewhere. The backend passes messages of other processes to the switch.
    pub(crate) fn far(
        limits: &BusLimits,
        connect: impl FnOnce(Weak<Switch>) -> Result<Arc<dyn Far>, ConnectError>,
    ) -> Result<Self, ConnectError> {
        let switch = Arc::new(Switch::new(limits.listeners));
        let far = connect(Arc::downgrade(&switch))?;
        switch.reach(Arc::clone(&far));
        Ok(Self::new(limits, switch, Some(far)))
    }

    fn new(limits: &BusLimits, switch: Arc<Switch>, far: Option<Arc<dyn Far>>) -> Self {
        Self {
            shares: Arc::new(Shares::new(limits, far.clone())),
            queues: Arc::new(Queues::new(limits, far)),
            switch,
        }
    }
}
