//! Who of all machines runs: a share that says up to which time was run, and who runs now.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use cepa_bus::{Bus, Share, ShareError};
use serde::{Deserialize, Serialize};

/// How long a claim holds without being renewed.
pub(super) const LEASE: Duration = Duration::from_secs(30);

/// What all machines know of a schedule, in milliseconds since 1970.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Turn {
    /// The latest time of the schedule that somebody took.
    planned: u64,
    /// Until when whoever took it holds the lock; 0 if nobody does.
    held: u64,
}

/// The lock of a schedule.
#[derive(Debug)]
pub(super) struct Lock(Share<Turn>);

/// What came of asking for a turn.
#[derive(Debug)]
pub(super) enum Asked {
    Mine(Claim),
    /// Somebody took this time before.
    Taken,
    /// The run before is still under way somewhere.
    Busy,
}

/// A turn that was taken.
#[derive(Debug)]
pub(super) struct Claim {
    share: Share<Turn>,
    planned: u64,
    version: u64,
    /// Larger than that of every claim before.
    pub(super) fence: u64,
    held: u64,
}

impl Lock {
    pub(super) fn new(bus: &Bus, name: &str) -> Result<Self, ShareError> {
        Ok(Self(bus.share(&format!("cepa.schedule.{name}"), Turn::default)?))
    }

    /// Takes the turn of a time. `now` is by the clock of this machine.
    pub(super) async fn ask(
        &self,
        planned: SystemTime,
        now: SystemTime,
        overlapping: bool,
    ) -> Result<Asked, ShareError> {
        let planned = millis(planned);
        loop {
            let turn = self.0.read().await?;
            if turn.planned >= planned {
                return Ok(Asked::Taken);
            }
            if turn.held > millis(now) && !overlapping {
                return Ok(Asked::Busy);
            }
            let held = millis(now + LEASE);
            match self.0.compare_and_set(turn.version(), Turn { planned, held }).await {
                Ok(version) => {
                    let share = self.0.clone();
                    return Ok(Asked::Mine(Claim { share, planned, version, fence: version, held }));
                }
                // Somebody was quicker: another time of the same schedule, or this one.
                Err(ShareError::Conflict { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

impl Claim {
    /// Holds the lock for longer. `Ok(false)` if it is another's by now.
    pub(super) async fn renew(&mut self, now: SystemTime) -> Result<bool, ShareError> {
        self.set(millis(now + LEASE)).await
    }

    /// Whether it holds at this time without being renewed.
    pub(super) fn holds(&self, now: SystemTime) -> bool {
        self.held > millis(now)
    }

    /// Gives the lock back.
    pub(super) async fn release(mut self) -> Result<bool, ShareError> {
        self.set(0).await
    }

    async fn set(&mut self, held: u64) -> Result<bool, ShareError> {
        match self.share.compare_and_set(self.version, Turn { planned: self.planned, held }).await {
            Ok(version) => {
                (self.version, self.held) = (version, held);
                Ok(true)
            }
            Err(ShareError::Conflict { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_time_is_taken_once_and_a_lost_lock_is_noticed() {
        let bus = Bus::new();
        let (here, there) = (Lock::new(&bus, "a").unwrap(), Lock::new(&bus, "a").unwrap());
        let Asked::Mine(mut first) = here.ask(at(100), at(100), false).await.unwrap() else { panic!() };
        assert!(matches!(there.ask(at(100), at(101), false).await.unwrap(), Asked::Taken));
        assert!(matches!(there.ask(at(90), at(101), false).await.unwrap(), Asked::Taken));
        assert!(matches!(there.ask(at(110), at(110), false).await.unwrap(), Asked::Busy));
        assert!(first.renew(at(120)).await.unwrap());
        assert!(matches!(there.ask(at(140), at(140), false).await.unwrap(), Asked::Busy));
        // It hangs, and its lease ends.
        assert!(!first.holds(at(150)));
        let Asked::Mine(second) = there.ask(at(150), at(151), false).await.unwrap() else { panic!() };
        assert!(second.fence > first.fence);
        assert!(!first.renew(at(152)).await.unwrap());
        assert!(!first.release().await.unwrap());
        assert!(second.release().await.unwrap());
        assert!(matches!(here.ask(at(160), at(160), false).await.unwrap(), Asked::Mine(_)));
        assert!(matches!(there.ask(at(170), at(170), true).await.unwrap(), Asked::Mine(_)));
    }

    #[tokio::test]
    async fn of_many_that_ask_at_once_one_runs() {
        let bus = Bus::new();
        let asking = (0..50).map(|_| {
            let lock = Lock::new(&bus, "a").unwrap();
            tokio::spawn(async move { matches!(lock.ask(at(7), at(7), true).await.unwrap(), Asked::Mine(_)) })
        });
        let mut mine = 0;
        for asked in asking.collect::<Vec<_>>() {
            mine += u32::from(asked.await.unwrap());
        }
        assert_eq!(mine, 1);
    }
}
