//! When a request began, for those that are timed.

use std::{
    cell::Cell,
    num::NonZeroU64,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// So many requests of a thread are all timed; after them, about one of 128.
pub(super) const ALL_TIMED: u64 = 4096;

thread_local! {
    /// How many requests begin on this thread until one is timed, that one included.
    static LEFT: Cell<u64> = const { Cell::new(1) };
    /// How many have begun by then.
    static NUMBER: Cell<u64> = const { Cell::new(0) };
}

/// When a request began, in nanoseconds since the first was timed and never 0, if it is timed.
#[derive(Clone, Copy)]
pub(crate) struct Began(Option<NonZeroU64>);

impl Began {
    /// Now.
    #[inline]
    pub(crate) fn now() -> Self {
        let left = LEFT.get() - 1;
        LEFT.set(left);
        Self(if left == 0 { Some(timed()) } else { None })
    }

    /// How long ago it was, if it is timed.
    #[inline]
    pub(super) fn elapsed(self) -> Option<Duration> {
        self.0.map(since)
    }
}

#[cold]
fn timed() -> NonZeroU64 {
    let number = NUMBER.get();
    // At a distance that is as good as random, so that nothing that clients do in turns is seen always or never.
    let distance = match number < ALL_TIMED {
        true => 1,
        false => 1 + (mixed(number) >> 56),
    };
    NUMBER.set(number + distance);
    LEFT.set(distance);
    NonZeroU64::MIN.saturating_add(now())
}

#[cold]
fn since(began: NonZeroU64) -> Duration {
    Duration::from_nanos(now().saturating_sub(began.get() - 1))
}

/// Nanoseconds, which are enough for 584 years.
fn now() -> u64 {
    static FIRST: OnceLock<Instant> = OnceLock::new();
    u64::try_from(FIRST.get_or_init(Instant::now).elapsed().as_nanos()).unwrap_or(u64::MAX)
}

/// A number that looks random, made of one that counts up (the end of SplitMix64).
fn mixed(number: u64) -> u64 {
    let number = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_requests_are_timed_by_some_of_them() {
        let timed = |requests: u64| (0..requests).filter(|_| Began::now().elapsed().is_some()).count();
        let (first, further) =
            std::thread::spawn(move || (timed(ALL_TIMED), timed(160_000))).join().expect("it does not panic");
        assert_eq!(first as u64, ALL_TIMED);
        assert!((1_100..1_400).contains(&further), "one of 128 or so: {further}");
    }
}
