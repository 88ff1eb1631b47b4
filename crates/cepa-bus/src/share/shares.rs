//! All shares, counters and maps of a bus, and who waits for whom among those who lock them.

use std::sync::Arc;

use super::{CounterCell, Disk, MapCell, deadlock::Graph, slot::Slot};
use crate::{BusLimits, far::Far, names::Names};

/// All shares, counters and maps of a bus.
#[derive(Debug)]
pub(crate) struct Shares {
    pub(crate) slots: Names<Slot>,
    pub(crate) counters: Names<CounterCell>,
    pub(crate) maps: Names<MapCell>,
    pub(crate) map_entries: usize,
    pub(super) graph: Graph,
    pub(super) lock_waiters: usize,
    /// Where they are kept instead; the slots are copies then.
    pub(crate) far: Option<Arc<dyn Far>>,
    /// What durable shares are written to.
    pub(super) disk: Option<Arc<dyn Disk>>,
}

impl Shares {
    pub(crate) fn new(limits: &BusLimits, far: Option<Arc<dyn Far>>, disk: Option<Arc<dyn Disk>>) -> Self {
        Self {
            slots: Names::new(limits.names),
            counters: Names::new(limits.names),
            maps: Names::new(limits.names),
            map_entries: limits.map_entries,
            graph: Graph::default(),
            lock_waiters: limits.lock_waiters,
            far,
            disk,
        }
    }
}
