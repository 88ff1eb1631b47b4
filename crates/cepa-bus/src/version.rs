//! Versions of values: each is greater than all before it, over all names of the process, so that a name that was freed and
//! made anew never repeats one.

use std::{
    sync::{
        LazyLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{SystemTime, UNIX_EPOCH},
};

/// Begins with the time in nanoseconds, so that versions after a restart are greater too.
static LAST: LazyLock<AtomicU64> = LazyLock::new(|| {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    AtomicU64::new(u64::try_from(now.as_nanos()).unwrap_or(1))
});

pub(crate) fn next() -> u64 {
    LAST.fetch_add(1, Relaxed) + 1
}

/// Those that follow are greater than this one, which was given by an earlier process.
#[cfg(feature = "durable")]
pub(crate) fn follow(last: u64) {
    LAST.fetch_max(last, Relaxed);
}
