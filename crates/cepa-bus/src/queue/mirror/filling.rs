//! How a backend fills a mirror, and what it is told of subscribers here.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{Followed, MOST, Mirror, Report};
use crate::{
    locked,
    queue::{Channel, EventId, message::Draft, state::State},
};

impl State {
    /// Notes that subscribers have come or gone, and answers whether the backend is to be told so.
    pub(in crate::queue) fn has_changed(&mut self, who: Option<&Arc<str>>) -> bool {
        let Some(mirror) = &mut self.mirror else { return false };
        let changes = &mut mirror.changes;
        if let Some(who) = who.filter(|_| !changes.all) {
            changes.names.insert(Arc::clone(who));
            if changes.names.len() > Mirror::NOTED {
                (changes.all, changes.names) = (true, BTreeSet::new());
            }
        }
        !std::mem::replace(&mut changes.any, true)
    }
}

impl Channel {
    /// Has the queue followed, if it is not.
    pub(in crate::queue) fn has_come(self: &Arc<Self>, state: &mut State) {
        let last = state.last_known();
        if let (Some(far), Some(mirror)) = (&self.far, &mut state.mirror)
            && !std::mem::replace(&mut mirror.is_following, true)
        {
            far.follow(self, last);
        }
    }

    pub(in crate::queue) fn tell(self: &Arc<Self>, is_news: bool) {
        if let Some(far) = self.far.as_ref().filter(|_| is_news) {
            far.changed(self);
        }
    }

    /// The last message that the mirror has had.
    pub(crate) fn last_known(&self) -> Option<EventId> {
        locked(&self.state).last_known()
    }

    /// The backend follows the queue for this mirror now.
    pub(crate) fn followed(&self, followed: Followed) {
        let Followed { after, now, stops } = followed;
        if after.life == 0 || after.number > MOST || now > MOST {
            tracing::error!(queue = &**self.name(), ?followed, "the bus tells nonsense of a queue");
            return;
        }
        let mut state = locked(&self.state);
        if after.life == state.life {
            let place = state.from + after.number;
            if place > state.next {
                self.skip_to(&mut state, place);
            }
            if state.stops < stops && state.mirror.as_ref().is_some_and(Mirror::is_found) {
                state.end_all();
            }
        } else {
            // A place that no message has, so that all who were there before have missed something.
            state.from = if state.life == 0 { 1 } else { state.next + 1 };
            state.life = after.life;
            let place = state.from + after.number;
            self.skip_to(&mut state, place);
        }
        let head = (state.from + now.saturating_sub(1)).max(state.next);
        if let Some(mirror) = &mut state.mirror {
            mirror.is_live = true;
            if mirror.start == 0 {
                mirror.start = head;
            }
        }
        state.stops = stops;
        drop(state);
        self.wake();
    }

    /// A message, next after the one before; one that was there already is passed over.
    pub(crate) fn receive(&self, id: EventId, event: Option<&str>, json: &[u8]) {
        let Ok(draft) = Draft::received(event, json) else {
            tracing::error!(queue = &**self.name(), %id, "the bus gave a message that is none");
            return;
        };
        let mut state = locked(&self.state);
        let place = state.from.checked_add(id.number).map_or(0, |place| place - 1);
        if id.life != state.life || place < state.next {
            return;
        }
        if place > state.next {
            self.skip_to(&mut state, place);
        }
        self.push(&mut state, draft.with_id(id));
        drop(state);
        self.wake();
    }

    /// Somebody has stopped the queue, and how often that has happened in this life.
    pub(crate) fn stopped(&self, stops: u64) {
        let mut state = locked(&self.state);
        state.end_all();
        state.stops = stops;
        drop(state);
        self.wake();
    }

    /// The backend is out of reach.
    pub(crate) fn lost(&self) {
        if let Some(mirror) = &mut locked(&self.state).mirror {
            mirror.is_live = false;
        }
    }

    /// Ends following, if nobody has read here for so long.
    pub(crate) fn unfollow_if_idle(&self, idle: Duration) -> bool {
        let mut state = locked(&self.state);
        let is_idle = state.in_use() == 0 && state.used.elapsed() >= idle;
        if let Some(mirror) = state.mirror.as_mut().filter(|_| is_idle) {
            (mirror.is_following, mirror.is_live, mirror.start) = (false, false, 0);
        }
        is_idle
    }

    /// What has changed since the last report, or everything.
    pub(crate) fn report(&self, all: bool) -> Report {
        let mut state = locked(&self.state);
        let changes =
            state.mirror.as_mut().map(|mirror| std::mem::take(&mut mirror.changes)).unwrap_or_default();
        let all = all || changes.all;
        let present = state.present();
        let names = if all {
            present.iter().map(|(who, count)| (Arc::clone(who), *count)).collect()
        } else {
            let count = |who: &Arc<str>| present.get(who).copied().unwrap_or(0);
            changes.names.into_iter().map(|who| (Arc::clone(&who), count(&who))).collect()
        };
        Report { count: state.count(), all, names }
    }
}

impl State {
    fn last_known(&self) -> Option<EventId> {
        (self.life != 0).then(|| self.id(self.next - 1))
    }
}
