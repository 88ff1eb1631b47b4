//! How long things took, in buckets of a fixed number: an eighth of an octave's width in error, whatever the range.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Nanoseconds, as a power of two, at which the buckets begin: what is shorter is all one.
const FIRST: u32 = 8;
/// The octaves that have buckets of their own: up to 2^42 ns, which is 73 minutes.
const OCTAVES: u32 = 34;
/// Buckets of an octave, as a power of two.
const PARTS: u32 = 2;

/// How many buckets there are.
pub(super) const BUCKETS: usize = 1 + (OCTAVES << PARTS) as usize;

/// The bucket of a time.
pub(super) fn bucket(nanos: u64) -> usize {
    let octave = nanos.max(1).ilog2();
    if octave < FIRST {
        return 0;
    }
    let part = (nanos >> (octave - PARTS)) & ((1 << PARTS) - 1);
    let at = 1 + (u64::from(octave - FIRST) << PARTS) + part;
    at.min(BUCKETS as u64 - 1) as usize
}

/// The longest time of a bucket, in nanoseconds; of the last one there is none.
fn longest(bucket: usize) -> u64 {
    let Some(at) = bucket.checked_sub(1) else { return (1 << FIRST) - 1 };
    if bucket + 1 >= BUCKETS {
        return u64::MAX;
    }
    let (octave, part) = ((at >> PARTS) as u32 + FIRST, at as u64 & ((1 << PARTS) - 1));
    ((part + (1 << PARTS) + 1) << (octave - PARTS)) - 1
}

/// Times that were measured, by their percentiles.
///
/// A percentile is known to a quarter of an octave: what is told is at most 25 % more than what was measured, never less,
/// and never more than the longest time, which is exact.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Times {
    /// How many were measured.
    pub(super) count: u64,
    /// Nanoseconds of all together.
    pub(super) sum: u64,
    /// Nanoseconds of the longest.
    pub(super) max: u64,
    /// The buckets that have something in them, in order.
    pub(super) buckets: Vec<(u16, u64)>,
}

impl Times {
    /// How many were measured.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The mean; zero when nothing was measured.
    pub fn mean(&self) -> Duration {
        Duration::from_nanos(self.sum.checked_div(self.count).unwrap_or_default())
    }

    /// The longest.
    pub fn max(&self) -> Duration {
        Duration::from_nanos(self.max)
    }

    /// The time that so many of a hundred did not pass, zero when nothing was measured.
    ///
    /// ```
    /// # use cepa_core::statistics::Times;
    /// assert!(Times::default().percentile(99.0).is_zero());
    /// ```
    pub fn percentile(&self, of_hundred: f64) -> Duration {
        // As many as are not passed, rounded up; with the bounds, a cast of any number is within the count.
        let share = (self.count as f64 * of_hundred.clamp(0.0, 100.0) / 100.0).ceil() as u64;
        let mut seen = 0;
        for (bucket, count) in &self.buckets {
            seen += count;
            if seen >= share.max(1) {
                return Duration::from_nanos(longest(usize::from(*bucket)).min(self.max));
            }
        }
        self.max()
    }

    /// Adds what was measured elsewhere.
    pub fn merge(&mut self, other: &Self) {
        self.count = self.count.saturating_add(other.count);
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
        for &(bucket, count) in &other.buckets {
            self.add(bucket, count);
        }
    }

    fn add(&mut self, bucket: u16, count: u64) {
        match self.buckets.binary_search_by_key(&bucket, |(at, _)| *at) {
            Ok(at) => self.buckets[at].1 = self.buckets[at].1.saturating_add(count),
            Err(at) => self.buckets.insert(at, (bucket, count)),
        }
    }

    /// Adds so many of a bucket.
    pub(super) fn gather(&mut self, bucket: usize, count: u64) {
        if count > 0 {
            self.count += count;
            self.add(bucket as u16, count);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn times(all: &[u64]) -> Times {
        let mut times = Times::default();
        for &nanos in all {
            times.gather(bucket(nanos), 1);
            times.sum += nanos;
            times.max = times.max.max(nanos);
        }
        times
    }

    #[test]
    fn buckets_join_without_a_gap() {
        for at in 0..BUCKETS {
            assert_eq!(bucket(longest(at)), at, "the longest of {at}");
            if at + 1 < BUCKETS {
                assert_eq!(bucket(longest(at) + 1), at + 1, "one more than the longest of {at}");
            }
        }
        assert_eq!((bucket(0), bucket(u64::MAX)), (0, BUCKETS - 1));
    }

    #[test]
    fn percentiles_are_of_what_was_measured() {
        let all: Vec<u64> = (1..=1000).map(|ms| ms * 1_000_000).collect();
        let times = times(&all);
        for (of_hundred, ms) in [(0.0, 1.0), (50.0, 500.0), (90.0, 900.0), (99.0, 990.0), (100.0, 1000.0)] {
            let told = times.percentile(of_hundred).as_secs_f64() * 1e3;
            assert!((ms..=ms * 1.25).contains(&told), "{of_hundred}: {told}");
        }
        assert_eq!(times.percentile(100.0), Duration::from_secs(1), "the longest is exact");
        assert_eq!(times.mean(), Duration::from_micros(500_500));
        assert_eq!((times.count(), times.percentile(f64::NAN)), (1000, times.percentile(0.0)));
    }

    proptest! {
        #[test]
        fn merging_is_measuring_together(a in prop::collection::vec(any::<u32>(), 0..50), b in prop::collection::vec(any::<u32>(), 0..50)) {
            let wide = |all: &[u32]| all.iter().map(|n| u64::from(*n) << 8).collect::<Vec<_>>();
            let mut merged = times(&wide(&a));
            merged.merge(&times(&wide(&b)));
            let together: Vec<u32> = a.into_iter().chain(b).collect();
            prop_assert_eq!(merged, times(&wide(&together)));
        }

        #[test]
        fn a_percentile_is_at_most_a_quarter_more(mut all in prop::collection::vec(256u64..1 << 41, 1..100), of in 1.0..100.0f64) {
            let told = times(&all).percentile(of).as_nanos() as f64;
            all.sort_unstable();
            let real = all[((all.len() as f64 * of / 100.0).ceil() as usize).max(1) - 1] as f64;
            prop_assert!(told >= real && told <= real * 1.25 + 1.0, "{} for {}", told, real);
        }
    }
}
