//! Who has published what, so that a message that is sent again after a break is not published again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::time::Instant;

use super::wire::Fault;
use crate::{EventId, locked};

/// All processes that publish.
#[derive(Debug, Default)]
pub(super) struct Publishers(Mutex<HashMap<u64, Known>>);

#[derive(Debug)]
struct Known {
    publisher: Arc<Mutex<Publisher>>,
    /// When it last came.
    came: Instant,
}

/// The last messages of one process.
#[derive(Debug, Default)]
pub(super) struct Publisher {
    /// The number of the last message.
    last: u64,
    /// What came of the last ones; the last one's is the last.
    outcomes: VecDeque<Result<EventId, Fault>>,
    window: usize,
}

impl Publishers {
    /// Most that are known. Beyond that, those that came last stay.
    const MOST: usize = 4096;
    /// A process that was away for so long is another one.
    const IDLE: Duration = Duration::from_secs(600);
    /// Most messages that a process may have under way.
    const WINDOW: usize = 65_536;

    /// A process has come, or come back, with at most so many messages under way.
    pub(super) fn welcome(&self, id: u64, window: usize) -> Arc<Mutex<Publisher>> {
        let now = Instant::now();
        let mut all = locked(&self.0);
        let is_here = |known: &Known| Arc::strong_count(&known.publisher) > 1;
        all.retain(|_, known| is_here(known) || now.duration_since(known.came) < Self::IDLE);
        if all.len() >= Self::MOST
            && !all.contains_key(&id)
            && let Some(oldest) =
                all.iter().min_by_key(|(_, known)| (is_here(known), known.came)).map(|(id, _)| *id)
        {
            all.remove(&oldest);
        }
        let known = all.entry(id).or_insert_with(|| Known { publisher: Arc::default(), came: now });
        known.came = now;
        locked(&known.publisher).window = window.clamp(1, Self::WINDOW);
        Arc::clone(&known.publisher)
    }
}

impl Publisher {
    /// Publishes a message, unless that was done already; answers what came of it.
    pub(super) fn publish(
        &mut self,
        number: u64,
        publish: impl FnOnce() -> Result<EventId, Fault>,
    ) -> Result<EventId, Fault> {
        if let Some(ago) = self.last.checked_sub(number) {
            let last = self.outcomes.len().checked_sub(1);
            let at = last.zip(usize::try_from(ago).ok()).and_then(|(last, ago)| last.checked_sub(ago));
            let outcome = at.and_then(|at| self.outcomes.get(at)).cloned();
            return outcome.unwrap_or(Err(Fault::Refused { why: "it was answered long ago".into() }));
        }
        if number != self.last + 1 {
            // Some were given up; what came of those nobody asks.
            self.outcomes.clear();
        }
        let outcome = publish();
        self.last = number;
        self.outcomes.push_back(outcome.clone());
        if self.outcomes.len() > self.window {
            self.outcomes.pop_front();
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(number: u64) -> EventId {
        EventId { life: 1, number }
    }

    #[test]
    fn what_is_sent_again_is_answered_again_and_not_published() {
        let publishers = Publishers::default();
        {
            let publisher = publishers.welcome(7, 3);
            for n in 1..=5 {
                assert_eq!(locked(&publisher).publish(n, || Ok(id(n * 10))), Ok(id(n * 10)));
            }
        }
        let publisher = publishers.welcome(7, 3);
        let mut publisher = locked(&publisher);
        for n in 3..=5 {
            assert_eq!(publisher.publish(n, || panic!("again")), Ok(id(n * 10)));
        }
        assert!(publisher.publish(2, || panic!("again")).is_err());
        assert!(publisher.publish(0, || panic!("again")).is_err());
        assert_eq!(publisher.publish(9, || Ok(id(9))), Ok(id(9)), "some were given up");
        assert!(publisher.publish(8, || panic!("again")).is_err());
        assert_eq!(publisher.publish(u64::MAX, || Err(Fault::Full)), Err(Fault::Full));
        assert_eq!(publisher.publish(u64::MAX, || panic!("again")), Err(Fault::Full));
    }

    #[tokio::test(start_paused = true)]
    async fn those_long_gone_are_forgotten_and_their_number_is_bounded() {
        let publishers = Publishers::default();
        let here = publishers.welcome(6, 3);
        locked(&publishers.welcome(7, 3)).publish(1, || Ok(id(1))).unwrap();
        tokio::time::advance(Publishers::IDLE).await;
        for n in 100..6000 {
            publishers.welcome(n, 3);
        }
        assert_eq!(locked(&publishers.0).len(), Publishers::MOST);
        assert!(Arc::ptr_eq(&here, &publishers.welcome(6, 3)), "one that is here stays");
        assert_eq!(locked(&publishers.welcome(7, 3)).publish(1, || Ok(id(2))), Ok(id(2)));
    }
}
