//! Deadlines counted in the ticks of the floor, which are seconds.

use std::time::Duration;

use crate::floor::Floor;

/// Seconds until more than `limit` has passed since a tick, 0 when it has.
pub(super) fn remaining(limit: Duration, since: u32, now: u32) -> Option<u32> {
    let limit = Floor::limit(limit)?.as_secs().max(1).min(u64::from(u32::MAX - 1)) as u32;
    Some((limit + 1).saturating_sub(now.wrapping_sub(since)))
}

/// What to set a timer to that is to fire when [`remaining`] has come to 0: it fires in the tick after.
pub(super) fn before(seconds: u32) -> Duration {
    Duration::from_secs(seconds.saturating_sub(1).into())
}
