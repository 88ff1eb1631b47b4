//! All shares, counters and maps of a bus, and who waits for whom among those who lock them.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use super::{CounterCell, MapCell, deadlock::Graph, slot::Slot};
use crate::{BusLimits, names::Names};

/// All shares, counters and maps of a bus.
#[derive(Debug)]
pub(crate) struct Shares {
    pub(crate) slots: Names<Slot>,
    pub(crate) counters: Names<CounterCell>,
    pub(crate) maps: Names<MapCell>,
    pub(crate) map_entries: usize,
    pub(super) graph: Graph,
    pub(super) lock_waiters: usize,
    /// Versions grow over all shares, so that a name that was freed and made anew never repeats one.
    versions: AtomicU64,
}

impl Shares {
    pub(crate) fn new(limits: &BusLimits) -> Self {
        Self {
            slots: Names::new(limits.names),
            counters: Names::new(limits.names),
            maps: Names::new(limits.names),
            map_entries: limits.map_entries,
            graph: Graph::default(),
            lock_waiters: limits.lock_waiters,
            versions: AtomicU64::new(1),
        }
    }

    pub(super) fn next_version(&self) -> u64 {
        self.versions.fetch_add(1, Relaxed)
    }
}
