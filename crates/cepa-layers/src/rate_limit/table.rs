//! How far each client is ahead of an even flow, in memory that does not grow.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// A flow of requests, in nanoseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rate {
    /// Between two requests of an even flow.
    interval: u64,
    /// How far a client may be ahead.
    ahead: u64,
}

impl Rate {
    /// `None` when it is no flow, or one that cannot be counted in 64 bits.
    pub(super) fn new(limit: u32, per: Duration, burst: u32) -> Option<Self> {
        const YEAR: Duration = Duration::from_secs(365 * 86_400);
        let per = u64::try_from(per.as_nanos()).ok().filter(|_| per <= YEAR)?;
        let interval = per.checked_div(u64::from(limit)).filter(|interval| *interval > 0)?;
        // What is ahead is added to the time since the start, which stays below 2^62 for a century.
        let ahead = interval.checked_mul(u64::from(burst)).filter(|ahead| (1..1 << 62).contains(ahead))?;
        Some(Self { interval, ahead })
    }
}

/// What became of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    /// Requests that may follow at once.
    pub(super) remaining: u64,
    /// The time until the whole burst may come again.
    pub(super) reset: Duration,
    /// The time until the next request may come, when this one may not.
    pub(super) retry: Option<Duration>,
}

/// The clients. A key has its place in one of many sets of eight; a set that is full forgets who is least ahead, so
/// that who asks too often is not forgotten for who asks once.
pub(super) struct Table {
    rate: Rate,
    sets: Box<[Mutex<Set>]>,
}

const WAYS: usize = 8;

type Set = [Slot; WAYS];

/// A client: its next request would be due at this time, were they evenly spread.
#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    key: u128,
    due: u64,
}

impl Table {
    /// A table of at least so many clients.
    pub(super) fn new(rate: Rate, clients: usize) -> Self {
        let sets = (0..clients.div_ceil(WAYS)).map(|_| Mutex::default()).collect();
        Self { rate, sets }
    }

    /// Takes a request of a client, at a time from the start.
    pub(super) fn take(&self, key: u128, at: Duration) -> Verdict {
        let now = u64::try_from(at.as_nanos()).unwrap_or(u64::MAX >> 2);
        let set = &self.sets[(key % self.sets.len() as u128) as usize];
        let mut set = set.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = find(&mut set, key);
        let Rate { interval, ahead } = self.rate;
        let due = slot.due.max(now) + interval;
        let (due, retry) = match (due - now).checked_sub(ahead) {
            Some(early @ 1..) => (due - interval, Some(Duration::from_nanos(early))),
            _ => (due, None),
        };
        slot.due = due;
        Verdict {
            remaining: ahead.saturating_sub(due - now) / interval,
            reset: Duration::from_nanos(due - now),
            retry,
        }
    }
}

/// The slot of a key; where there is none, one that is taken from who is least ahead.
fn find(set: &mut Set, key: u128) -> &mut Slot {
    let known = set.iter().position(|slot| slot.key == key);
    let at = known.unwrap_or_else(|| {
        let least = (0..WAYS).min_by_key(|at| set[*at].due).unwrap_or(0);
        set[least] = Slot { key, due: 0 };
        least
    });
    &mut set[at]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn a_burst_and_then_an_even_flow() {
        let table = Table::new(Rate::new(6, seconds(60), 3).unwrap(), 100);
        for (at, remaining, retry) in [
            (0, 2, None),
            (0, 1, None),
            (0, 0, None),
            (0, 0, Some(10)),
            (9, 0, Some(1)),
            (10, 0, None),
            (11, 0, Some(9)),
            (40, 2, None),
            (100, 2, None),
        ] {
            let verdict = table.take(7, seconds(at));
            assert_eq!((verdict.remaining, verdict.retry), (remaining, retry.map(seconds)), "at {at}");
        }
    }

    #[test]
    fn a_full_table_forgets_who_is_least_ahead() {
        let table = Table::new(Rate::new(2, seconds(10), 2).unwrap(), 1);
        for _ in 0..3 {
            table.take(1, seconds(1));
        }
        for key in 2..1000 {
            assert_eq!(table.take(key, seconds(1)).retry, None);
        }
        assert!(table.take(1, seconds(1)).retry.is_some());
    }

    proptest! {
        /// In any time, no more pass than the burst and what the flow brings.
        #[test]
        fn never_too_many(
            limit in 1u32..50, per in 1u64..100, burst in 1u32..50,
            mut times in proptest::collection::vec(0u64..200_000, 1..300),
        ) {
            let rate = Rate::new(limit, seconds(per), burst).unwrap();
            let table = Table::new(rate, 1);
            times.sort_unstable();
            let passed: Vec<u64> = times
                .into_iter()
                .filter(|at| table.take(1, Duration::from_millis(*at)).retry.is_none())
                .collect();
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let flow = (to - from) * 1_000_000 / rate.interval;
                    prop_assert!((last - first) as u64 <= flow + u64::from(burst));
                }
            }
        }

        #[test]
        fn who_waits_as_told_is_let_in(limit in 1u32..50, burst in 1u32..50, calls in 1u32..100) {
            let table = Table::new(Rate::new(limit, seconds(7), burst).unwrap(), 8);
            let mut now = Duration::ZERO;
            for _ in 0..calls {
                if let Some(retry) = table.take(1, now).retry {
                    now += retry;
                    prop_assert_eq!(table.take(1, now).retry, None);
                }
            }
        }
    }
}
