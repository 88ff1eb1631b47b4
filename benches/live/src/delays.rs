//! How long messages took, in buckets of a tenth of a power of two.

use std::{collections::BTreeMap, fmt, str::FromStr};

/// Delays in nanoseconds, each known to 7 %.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Delays(BTreeMap<u32, u64>);

impl Delays {
    const STEPS: f64 = 10.0;

    pub fn add(&mut self, nanoseconds: u64) {
        let bucket = ((nanoseconds.max(1) as f64).log2() * Self::STEPS).ceil();
        *self.0.entry(bucket as u32).or_default() += 1;
    }

    pub fn merge(&mut self, other: &Self) {
        for (bucket, count) in &other.0 {
            *self.0.entry(*bucket).or_default() += count;
        }
    }

    pub fn count(&self) -> u64 {
        self.0.values().sum()
    }

    /// The delay that this part of all, from 0 to 1, is not above; in milliseconds.
    pub fn quantile(&self, part: f64) -> f64 {
        let rank = (self.count() as f64 * part).ceil().max(1.0) as u64;
        let mut seen = 0;
        let bucket = self.0.iter().find(|(_, count)| {
            seen += **count;
            seen >= rank
        });
        bucket.map_or(0.0, |(bucket, _)| (f64::from(*bucket) / Self::STEPS).exp2() / 1e6)
    }
}

impl fmt::Display for Delays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (bucket, count)) in self.0.iter().enumerate() {
            write!(f, "{}{bucket}:{count}", if at == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

impl FromStr for Delays {
    type Err = Box<dyn std::error::Error>;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let pair = |pair: &str| -> Result<(u32, u64), Self::Err> {
            let (bucket, count) = pair.split_once(':').ok_or("a bucket has a count")?;
            Ok((bucket.parse()?, count.parse()?))
        };
        text.split(',').map(pair).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_near_what_went_in_and_survive_being_written() {
        let mut delays = Delays::default();
        (1..=1000u64).for_each(|ms| delays.add(ms * 1_000_000));
        let delays: Delays = delays.to_string().parse().unwrap();
        for (part, ms) in [(0.5, 500.0), (0.99, 990.0), (1.0, 1000.0)] {
            let found = delays.quantile(part);
            assert!((ms..ms * 1.08).contains(&found), "{part}: {found}");
        }
        let mut twice = delays.clone();
        twice.merge(&delays);
        assert_eq!(twice.count(), 2000);
    }
}
