//! What the agent answers to what a process asks, and the locks that the process holds.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use bytes::Bytes;

use super::{
    outbox::Outbox,
    service::AgentClient,
    wire::{Answer, Ask, Down, Fault, WireError},
};
use crate::{
    NameError, Party, QueueError, QueueOptions, ShareError,
    far::{FarHold, FarValue, Load, Put, Versioned, When, Written},
    hub::Hub,
    locked,
    names::Key,
    queue::Channel,
    share::{CounterCell, Entry, Json, MapCell, NearHold, Slot, Stored},
    version,
};

/// Where one process asks.
pub(super) struct Desk {
    hub: Arc<Hub>,
    outbox: Arc<Outbox>,
    /// The process, as what the agent does beside the bus sees it.
    client: Option<Box<dyn AgentClient>>,
    held: Mutex<Held>,
}

/// The locks that a process holds.
#[derive(Debug, Default)]
struct Held {
    locks: HashMap<u64, Lock>,
    parties: HashMap<u64, Weak<Party>>,
    sweep_at: usize,
    is_closed: bool,
}

#[derive(Debug)]
enum Lock {
    Free(NearHold, Arc<Party>),
    /// It is being written.
    Busy,
    /// It is being written, and to be released then.
    Released,
}

impl Desk {
    /// Bytes of a part of the entries of a map.
    const PART: usize = 256 << 10;

    pub(super) fn new(hub: Arc<Hub>, outbox: Arc<Outbox>, client: Option<Box<dyn AgentClient>>) -> Self {
        Self { hub, outbox, client, held: Mutex::default() }
    }

    pub(super) fn answer(&self, id: u64, answer: Result<Answer, Fault>) {
        if let Err(WireError::TooLong) = self.outbox.push(&Down::Answer { id, answer }) {
            let fault = Down::Answer { id, answer: Err(Fault::TooLong { most: super::wire::FRAME }) };
            self.outbox.push(&fault).expect("a fault fits into a frame");
        }
    }

    pub(super) async fn ask(&self, id: u64, ask: Ask) -> Result<Answer, Fault> {
        match ask {
            Ask::Load { share, known } => {
                let present = self.hub.shares.look(&self.slot(&share)?).await?;
                Ok(Answer::Loaded { load: loaded(present.as_ref(), known) })
            }
            Ask::Write { share, when, value, wait } => self.write(&share, when, value, wait).await,
            Ask::Hold { share, party, label, wait, known } => {
                self.hold(&share, self.party(party, &label), wait, known).await
            }
            Ask::Store { token, value, and_release } => self.store(token, value, and_release).await,
            Ask::Count { counter, change } => {
                let cell =
                    self.hub.shares.counters.open(&counter.app, &counter.name, |_| CounterCell::default())?;
                Ok(Answer::Number { number: cell.change(change) })
            }
            Ask::Entry { map, entry } => {
                Ok(Answer::Entry { entry: self.map(&map)?.get(&entry).as_ref().map(versioned) })
            }
            Ask::Put { map, entry, when, json } => {
                let new = json.map(|json| Entry { value: Arc::new(Json(json)), version: version::next() });
                let put = self.map(&map)?.put(&entry, when, new)?;
                let put = match put {
                    Ok(before) => Put::Done(before.as_ref().map(versioned)),
                    Err(present) => Put::Not(present.as_ref().map(versioned)),
                };
                Ok(Answer::Put { put })
            }
            Ask::Len { map } => Ok(Answer::Count { count: self.map(&map)?.len() }),
            Ask::Entries { map } => {
                let cell = self.map(&map)?;
                Ok(Answer::Entries { entries: self.entries(id, &cell).await })
            }
            Ask::Clear { map } => {
                self.map(&map)?.clear();
                Ok(Answer::Done)
            }
            Ask::Stop { queue } => {
                self.queue(&queue)?.stop();
                Ok(Answer::Done)
            }
            Ask::Subscribers { queue } => Ok(Answer::Count { count: self.queue(&queue)?.count() }),
            Ask::Present { queue } => Ok(Answer::Present { names: self.queue(&queue)?.present() }),
            Ask::Tell { .. } => Err(Fault::Malformed),
            Ask::Serve { question } => match &self.client {
                Some(client) => match client.ask(question).await {
                    Ok(answer) => Ok(Answer::Served { answer }),
                    Err(why) => Err(Fault::Refused { why }),
                },
                None => Err(Fault::Refused { why: "this agent keeps a bus, and nothing else".into() }),
            },
        }
    }

    fn slot(&self, share: &Key) -> Result<Arc<Slot>, Fault> {
        let slot = self.hub.shares.slots.open(&share.app, &share.name, Slot::new::<Json>)?;
        slot.check_type::<Json>()?;
        Ok(slot)
    }

    fn map(&self, map: &Key) -> Result<Arc<MapCell>, Fault> {
        let shares = &self.hub.shares;
        let cell =
            shares.maps.open(&map.app, &map.name, |key| MapCell::new::<Json>(key, shares.map_entries))?;
        cell.check_type::<Json>()?;
        Ok(cell)
    }

    fn queue(&self, queue: &Key) -> Result<Arc<Channel>, Fault> {
        Ok(self.hub.queues.open(&queue.app, &queue.name, QueueOptions::default())?)
    }

    async fn write(
        &self,
        share: &Key,
        when: When,
        value: Option<FarValue>,
        wait: Duration,
    ) -> Result<Answer, Fault> {
        let slot = self.slot(share)?;
        let (value, keep) = held(value);
        let written = match self.hub.shares.write(&slot, when, value, keep, wait).await? {
            Ok(version) => Written::Done(version),
            Err(present) => Written::Not(present.map(|present| Versioned {
                version: present.version,
                json: if when == When::Absent { json(&present) } else { Bytes::new() },
            })),
        };
        Ok(Answer::Written { written })
    }

    async fn hold(
        &self,
        share: &Key,
        party: Arc<Party>,
        wait: Duration,
        known: Option<u64>,
    ) -> Result<Answer, Fault> {
        let slot = self.slot(share)?;
        let hold = self.hub.shares.hold(&slot, &party, wait).await?;
        let value = loaded(self.hub.shares.look(&slot).await?.as_ref(), known);
        // A version by another name: never given twice.
        let token = version::next();
        let mut all = locked(&self.held);
        if all.is_closed {
            return Err(Fault::LockLost);
        }
        all.locks.insert(token, Lock::Free(hold, party));
        Ok(Answer::Held { hold: FarHold { token, value } })
    }

    async fn store(&self, token: u64, value: Option<FarValue>, and_release: bool) -> Result<Answer, Fault> {
        let lock = locked(&self.held).locks.get_mut(&token).map(|lock| std::mem::replace(lock, Lock::Busy));
        let Some(Lock::Free(hold, party)) = lock else { return Err(Fault::LockLost) };
        let (value, (ttl, durable)) = held(value);
        let stored = self.hub.shares.store(&hold, value, ttl, durable).await;
        let mut all = locked(&self.held);
        let is_over = matches!(all.locks.get(&token), Some(Lock::Released) | None);
        if is_over || (and_release && stored.is_ok()) {
            all.locks.remove(&token);
        } else {
            all.locks.insert(token, Lock::Free(hold, party));
        }
        drop(all);
        Ok(Answer::Version { version: stored? })
    }

    pub(super) fn release(&self, token: u64) {
        let mut all = locked(&self.held);
        let released = match all.locks.get_mut(&token) {
            Some(lock @ (Lock::Busy | Lock::Released)) => {
                *lock = Lock::Released;
                None
            }
            _ => all.locks.remove(&token),
        };
        // Handing the lock on wakes somebody.
        drop(all);
        drop(released);
    }

    /// Lets go of all locks.
    pub(super) fn close(&self) {
        let mut all = locked(&self.held);
        all.is_closed = true;
        let locks = std::mem::take(&mut all.locks);
        drop(all);
        drop(locks);
    }

    /// A party of the process, the same for all its locks.
    fn party(&self, id: u64, label: &str) -> Arc<Party> {
        let mut all = locked(&self.held);
        if let Some(party) = all.parties.get(&id).and_then(Weak::upgrade) {
            return party;
        }
        if all.parties.len() >= all.sweep_at {
            all.parties.retain(|_, party| party.strong_count() > 0);
            all.sweep_at = (all.parties.len() * 2).max(64);
        }
        let party = Arc::new(Party::new(label.to_owned()));
        all.parties.insert(id, Arc::downgrade(&party));
        party
    }

    /// Sends the entries of a map in parts, and answers the last one.
    async fn entries(&self, id: u64, map: &MapCell) -> Vec<(Box<str>, Bytes)> {
        let (mut part, mut bytes) = (Vec::new(), 0);
        for (key, value) in map.entries() {
            let Ok(value) = value.downcast::<Json>() else { continue };
            let more = key.len() + value.0.len();
            if bytes + more > Self::PART && !part.is_empty() {
                self.outbox.room().await;
                let entries = std::mem::take(&mut part);
                // One entry was short enough to come here, and the others are in parts that are.
                let _ = self.outbox.push(&Down::Part { id, entries });
                bytes = 0;
            }
            bytes += more;
            part.push((key, value.0.clone()));
        }
        part
    }
}

/// A value as it is kept in memory.
type Kept = (Option<Arc<dyn std::any::Any + Send + Sync>>, (Option<Duration>, bool));

fn held(value: Option<FarValue>) -> Kept {
    match value {
        Some(value) => (Some(Arc::new(Json(value.json))), (value.ttl, value.durable)),
        None => (None, (None, false)),
    }
}

fn json(stored: &Stored) -> Bytes {
    stored.value.downcast_ref::<Json>().map(|json| json.0.clone()).unwrap_or_default()
}

fn versioned(entry: &Entry) -> Versioned {
    let json = entry.value.downcast_ref::<Json>().map(|json| json.0.clone()).unwrap_or_default();
    Versioned { version: entry.version, json }
}

fn loaded(present: Option<&Stored>, known: Option<u64>) -> Load {
    match present {
        None => Load::Nothing,
        Some(present) if known == Some(present.version) => Load::Same,
        Some(present) => Load::Value(Versioned { version: present.version, json: json(present) }),
    }
}

impl From<NameError> for Fault {
    fn from(error: NameError) -> Self {
        match error {
            NameError::TooMany(most) => Self::TooManyNames { most },
            NameError::Malformed | NameError::Room => Self::Malformed,
        }
    }
}

impl From<ShareError> for Fault {
    fn from(error: ShareError) -> Self {
        match error {
            ShareError::Name(error) => error.into(),
            ShareError::Timeout { holder, .. } => Self::Timeout { holder },
            ShareError::Deadlock(cycle) => {
                let waits = cycle.waits().iter();
                Self::Deadlock { waits: waits.map(|wait| (wait.party.clone(), wait.share.clone())).collect() }
            }
            ShareError::TooManyWaiting(_) => Self::TooManyWaiting,
            ShareError::LockLost(_) => Self::LockLost,
            ShareError::Full(_) => Self::Full,
            error => Self::Refused { why: error.to_string().into() },
        }
    }
}

impl From<QueueError> for Fault {
    fn from(error: QueueError) -> Self {
        match error {
            QueueError::Name(error) => error.into(),
            QueueError::TooLong { limit, .. } => Self::TooLong { most: limit },
            QueueError::EventType => Self::EventType,
            error => Self::Refused { why: error.to_string().into() },
        }
    }
}
