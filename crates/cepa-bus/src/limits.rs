//! How much a bus may hold.

use std::time::Duration;

use serde::Deserialize;

/// How much a [`Bus`](crate::Bus) may hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusLimits {
    /// Names of each kind (shares, counters, maps, queues), of all apps together. Default 8,192.
    pub names: usize,
    /// Entries of one [`ShareMap`](crate::ShareMap). Default 1,000,000.
    pub map_entries: usize,
    /// Those that wait for the lock of one share. Default 10,000.
    pub lock_waiters: usize,
    /// Subscribers of one queue. Default 4,000,000.
    pub subscribers: usize,
    /// Bytes of messages that all queues together keep, besides the last one of each. Queues without subscribers and
    /// handles lose theirs first, then the one that is published to its oldest. Default 256 MiB.
    #[serde(with = "cepa_core::units::size")]
    pub queue_bytes: usize,
    /// So long after it was last used, a queue without subscribers and handles is forgotten. Default 1 hour.
    #[serde(with = "cepa_core::units::duration")]
    pub queue_idle: Duration,
    /// Listeners of a [`Messenger`](crate::Messenger), of all apps together. Default 65,536.
    pub listeners: usize,
}

impl Default for BusLimits {
    fn default() -> Self {
        Self {
            names: 8_192,
            map_entries: 1_000_000,
            lock_waiters: 10_000,
            subscribers: 4_000_000,
            queue_bytes: 256 << 20,
            queue_idle: Duration::from_secs(3600),
            listeners: 65_536,
        }
    }
}
