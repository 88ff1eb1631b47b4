//! Who waits for whom: waits that could never end are refused.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    sync::{
        Arc, LazyLock, Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;

use super::{
    ShareError,
    slot::{Hold, Holder, Place, Slot},
};
use crate::locked;

/// One line of work that locks shares, such as a request; [`Live::party`](crate::Live::party) is that of a ctx.
///
/// It waits for one lock at a time: what runs side by side takes a party each. A [`Guard`](super::Guard) that is handed
/// to other work still counts as held by the party that locked it.
#[derive(Debug)]
pub struct Party {
    id: u64,
    label: Cow<'static, str>,
}

/// Some parties of which each waits for what the next one holds, and the last for what the first does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cycle(Vec<Wait>);

/// One wait of a [`Cycle`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wait {
    /// Who waits.
    pub party: Arc<str>,
    /// The name of the share it waits for.
    pub share: Arc<str>,
}

/// The label of whoever locks for one write.
pub(super) const A_WRITE: &str = "a write";

/// All waits of a process, by party. Taken only by those who find a share locked.
#[derive(Debug, Default)]
pub(crate) struct Graph(Mutex<HashMap<u64, Arc<Slot>>>);

impl Party {
    /// A writer that holds one lock for one moment, and is never waited for in a cycle.
    pub(super) const WRITER: Self = Self { id: 0, label: Cow::Borrowed(A_WRITE) };
    const LONGEST_LABEL: usize = 128;

    /// A party; the label names it in errors and to whoever looks after the server. Its first 128 bytes are kept.
    pub fn new(label: impl Into<Cow<'static, str>>) -> Self {
        static LAST: AtomicU64 = AtomicU64::new(1);
        let mut label = label.into();
        if label.len() > Self::LONGEST_LABEL {
            label = label[..label.floor_char_boundary(Self::LONGEST_LABEL)].to_owned().into();
        }
        Self { id: LAST.fetch_add(1, Ordering::Relaxed), label }
    }

    /// No other party of this process has it.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn holder(&self) -> Holder {
        static WRITER: LazyLock<Arc<str>> = LazyLock::new(|| A_WRITE.into());
        let label = if self.id == 0 { Arc::clone(&WRITER) } else { (*self.label).into() };
        Holder { party: self.id, label }
    }
}

/// What came of asking for a lock that was not free a moment ago.
pub(super) enum Turn<'a> {
    Now(Hold),
    Later(Granted<'a>),
}

impl Graph {
    /// A place in the queue for a slot's lock, unless waiting there could never end.
    ///
    /// Every wait is entered under the graph's lock, so that of those that make a cycle the last one sees it. A lock that
    /// is handed on meanwhile makes none: whoever gets it does not wait.
    pub(super) fn wait<'a>(
        &'a self,
        slot: &Arc<Slot>,
        party: &Party,
        limit: usize,
    ) -> Result<Turn<'a>, ShareError> {
        let mut waits = locked(&self.0);
        if let Some(cycle) = find_cycle(&waits, slot, party) {
            return Err(ShareError::Deadlock(cycle));
        }
        match slot.enqueue(party, limit)? {
            Place::Granted(hold) => Ok(Turn::Now(hold)),
            Place::Queued { number, granted } => {
                waits.insert(party.id, Arc::clone(slot));
                Ok(Turn::Later(Granted {
                    graph: self,
                    slot: Arc::clone(slot),
                    party: party.id,
                    number,
                    granted,
                }))
            }
        }
    }
}

fn find_cycle(waits: &HashMap<u64, Arc<Slot>>, slot: &Arc<Slot>, party: &Party) -> Option<Cycle> {
    let mut cycle = vec![Wait { party: (*party.label).into(), share: Arc::clone(slot.name()) }];
    let mut at = slot;
    // Each party waits once: a longer way than that is none.
    for _ in 0..=waits.len() {
        let holder = at.holder()?;
        if holder.party == party.id {
            return Some(Cycle(cycle));
        }
        // It was given what it waited for, and has not run since to say so.
        let next = waits.get(&holder.party).filter(|next| !Arc::ptr_eq(next, at))?;
        cycle.push(Wait { party: holder.label, share: Arc::clone(next.name()) });
        at = next;
    }
    None
}

/// A place in the queue for a slot's lock. When it is dropped the place is given up, and a lock that was granted just
/// then goes to the next.
pub(super) struct Granted<'a> {
    graph: &'a Graph,
    slot: Arc<Slot>,
    party: u64,
    number: u64,
    granted: oneshot::Receiver<Hold>,
}

impl Granted<'_> {
    pub(super) async fn granted(mut self) -> Hold {
        (&mut self.granted)
            .await
            .expect("a waiter leaves the queue only with the lock, or because it was dropped")
    }
}

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        locked(&self.graph.0).remove(&self.party);
        self.slot.leave(self.number);
    }
}

impl Cycle {
    pub(crate) fn new(waits: Vec<Wait>) -> Self {
        Self(waits)
    }

    /// The waits, beginning with that which was refused.
    pub fn waits(&self) -> &[Wait] {
        &self.0
    }
}

impl fmt::Display for Cycle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let count = self.0.len();
        for (at, wait) in self.0.iter().enumerate() {
            let next = &self.0[(at + 1) % count].party;
            let link = if at == 0 { "" } else { ", " };
            write!(f, "{link}{:?} waits for share {:?} which {next:?} holds", wait.party, wait.share)?;
        }
        Ok(())
    }
}
