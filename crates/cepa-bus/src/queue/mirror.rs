//! The mirror of a queue that is kept elsewhere: what it knows besides its messages.

mod filling;

use std::{collections::BTreeSet, sync::Arc};

use super::EventId;

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

/// A place, and whether it is known that nothing is missing before it.
pub(super) type Found = (u64, bool);

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
