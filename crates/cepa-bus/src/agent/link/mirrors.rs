//! Which queues a process follows, and what it tells of their subscribers.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use super::{Follow, Link};
use crate::{
    EventId,
    agent::wire::Up,
    locked,
    queue::{Channel, Report},
};

/// Names in one report.
const NAMES: usize = 1000;
/// A queue that nobody here has read for so long is not followed any more.
const IDLE: Duration = Duration::from_secs(60);

impl Link {
    pub(in crate::agent) fn follow(&self, mirror: &Arc<Channel>, last: Option<EventId>) {
        let mut state = locked(&self.state);
        let number = state.next_id();
        let (key, options) = (mirror.key().clone(), mirror.options());
        let follow = Follow { number, mirror: Arc::downgrade(mirror), options };
        state.mirrors.insert(number, Arc::downgrade(mirror));
        let before = state.follows.insert(key.clone(), follow);
        if let Some(before) = &before {
            state.mirrors.remove(&before.number);
        }
        if state.is_there {
            if let Some(before) = &before {
                self.push(&Up::Unfollow { follow: before.number });
            }
            self.push(&Up::Follow { follow: number, queue: key, options, last });
        }
        drop(state);
        drop(before);
    }

    pub(in crate::agent) fn changed(&self, mirror: &Arc<Channel>) {
        locked(&self.state).changed.push(Arc::downgrade(mirror));
        self.has_changed.notify_one();
    }

    /// Tells who is subscribed, where that has changed.
    pub(in crate::agent) fn report(&self) {
        let changed = {
            let mut state = locked(&self.state);
            if !state.is_there {
                // All is told when it is.
                return;
            }
            std::mem::take(&mut state.changed)
        };
        for mirror in changed.iter().filter_map(Weak::upgrade) {
            self.send_report(&mirror, false);
        }
    }

    pub(super) fn send_report(&self, mirror: &Arc<Channel>, all: bool) {
        let Report { count, mut all, names } = mirror.report(all);
        let mut names = names.into_iter();
        loop {
            let part: Vec<_> = names.by_ref().take(NAMES).collect();
            let is_last = part.len() < NAMES;
            self.say(&Up::Report { queue: mirror.key().clone(), count, all, names: part });
            if is_last {
                return;
            }
            all = false;
        }
    }

    /// Ends following what nobody reads here.
    pub(in crate::agent) fn unfollow_idle(&self) {
        let follows: Vec<_> = {
            let state = locked(&self.state);
            state
                .follows
                .iter()
                .map(|(key, follow)| (key.clone(), follow.number, follow.mirror.clone()))
                .collect()
        };
        for (key, number, mirror) in follows {
            if mirror.upgrade().is_some_and(|mirror| !mirror.unfollow_if_idle(IDLE)) {
                continue;
            }
            let mut state = locked(&self.state);
            // Another may have come since.
            let gone = state.follows.get(&key).is_some_and(|follow| follow.number == number);
            let gone = gone.then(|| (state.follows.remove(&key), state.mirrors.remove(&number)));
            if gone.is_some() && state.is_there {
                self.push(&Up::Unfollow { follow: number });
            }
        }
    }

    pub(in crate::agent) fn mirror(&self, follow: u64) -> Option<Arc<Channel>> {
        let mirror = locked(&self.state).mirrors.get(&follow).cloned();
        mirror.and_then(|mirror| mirror.upgrade())
    }
}
