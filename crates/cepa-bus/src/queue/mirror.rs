//! The mirror of a queue that is kept elsewhere: how a backend fills it, and what it is told of subscribers here.

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use super::{
    Channel, EventId,
    message::Draft,
    state::{Found, State},
};
use crate::locked;

/// Numbers that no queue comes to, and with which no sum overflows.
const MOST: u64 = 1 << 48;

/// What a mirror knows besides its messages.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    is_following: bool,
    /// Whether the backend can be heard.
    is_live: bool,
    /// Where those begin who came before the backend had answered; 0 if it has not yet.
    start: u64,
    changes: Changes,
}

/// What the backend has not been told.
#[derive(Debug, Default)]
struct Changes {
    any: bool,
    /// More names have changed than were noted down.
    all: bool,
    names: BTreeSet<Arc<str>>,
}

/// What a backend says when a queue is followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Followed {
    /// The messages that come now begin after this one.
    pub(crate) after: EventId,
    /// The number that the next message had when the queue was followed.
    pub(crate) now: u64,
    /// How often the queue was stopped in this life.
    pub(crate) stops: u64,
}

/// Who is subscribed in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Report {
    /// The number of subscribers.
    pub(crate) count: usize,
    /// Whether these are all names, in place of all that were told before; if not, only those that have changed.
    pub(crate) all: bool,
    /// Names with the number of their subscribers, which may be 0.
    pub(crate) names: Vec<(Arc<str>, usize)>,
}

impl Mirror {
    /// Names that are noted down before all are told instead.
    const NOTED: usize = 4096;

    pub(super) fn is_found(&self) -> bool {
        self.start > 0
    }

    pub(super) fn start(&self) -> Option<u64> {
        self.is_found().then_some(self.start)
    }

    /// Where a reader begins that has seen a message of this life which is yet to come here: at its place, whatever comes
    /// before it is not for that reader. One that has seen any other begins at the first. It is not known while the backend
    /// is away.
    pub(super) fn place_ahead(&self, place: Option<u64>, first: u64) -> Option<Found> {
        let ahead = place.filter(|place| *place <= MOST);
        self.is_live.then(|| ahead.map_or((first, false), |place| (place, true)))
    }
}

impl State {
    /// Notes that subscribers have come or gone, and answers whether the backend is to be told so.
    pub(super) fn has_changed(&mut self, who: Option<&Arc<str>>) -> bool {
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
    pub(super) fn has_come(self: &Arc<Self>, state: &mut State) {
        let last = state.last_known();
        if let (Some(far), Some(mirror)) = (&self.far, &mut state.mirror)
            && !std::mem::replace(&mut mirror.is_following, true)
        {
            far.follow(self, last);
        }
    }

    pub(super) fn tell(self: &Arc<Self>, is_news: bool) {
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
