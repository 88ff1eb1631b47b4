//! One share in memory: its value, and who may write it.

use std::{
    any::{TypeId, type_name},
    collections::VecDeque,
    io::{self, Write},
    sync::{Arc, Mutex},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use tokio::{sync::oneshot, time::Instant};

use super::{Held, Kept, Party, ShareError, Value};
use crate::{
    locked,
    names::{Key, Named},
};

/// One share. This is what a backend keeps for it; the methods are all that [`Share`](super::Share) asks of one.
#[derive(Debug)]
pub(crate) struct Slot {
    key: Key,
    type_id: TypeId,
    type_name: &'static str,
    measure: fn(&Held) -> Option<u64>,
    write: fn(&Held) -> Result<Vec<u8>, serde_json::Error>,
    read: fn(&[u8]) -> Result<Held, serde_json::Error>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    stored: Option<Stored>,
    on_disk: OnDisk,
    /// When the value was copied from elsewhere, if it was.
    copied: Option<Instant>,
    holder: Option<Holder>,
    waiters: VecDeque<Waiter>,
    last_waiter: u64,
}

/// Whether there is a value on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum OnDisk {
    /// Nobody has looked yet.
    #[default]
    Unknown,
    Yes,
    No,
}

#[derive(Clone, Debug)]
pub(crate) struct Stored {
    pub(crate) value: Held,
    pub(crate) version: u64,
    expires: Option<Instant>,
}

#[derive(Clone, Debug)]
pub(super) struct Holder {
    pub(super) party: u64,
    pub(super) label: Arc<str>,
}

/// In the order in which they came; `number` grows.
#[derive(Debug)]
struct Waiter {
    number: u64,
    holder: Holder,
    grant: oneshot::Sender<Hold>,
}

/// The lock of a slot, given to whoever waits next when it is dropped.
#[derive(Debug)]
pub(crate) struct Hold(Option<Arc<Slot>>);

impl Hold {
    pub(super) fn slot(&self) -> &Arc<Slot> {
        self.0.as_ref().expect("it is taken out when the hold is dropped")
    }
}

/// What whoever looks after the server may know of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShareInfo {
    /// The app whose namespace it is in.
    pub app: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The type of the value.
    pub type_name: &'static str,
    /// The version of the value; `None` if there is none.
    pub version: Option<u64>,
    /// Bytes of the value written as JSON; `None` if there is no value, or it cannot be written.
    pub bytes: Option<u64>,
    /// Who holds the lock.
    pub owner: Option<Arc<str>>,
    /// How many wait for the lock.
    pub waiting: usize,
    /// How long the value has yet.
    pub expires_in: Option<Duration>,
}

impl Stored {
    pub(crate) fn new(value: Held, version: u64, ttl: Option<Duration>) -> Self {
        // A time that cannot be counted to is never.
        let expires = ttl.and_then(|ttl| Instant::now().checked_add(ttl));
        Self { value, version, expires }
    }

    /// A value as it was found on disk.
    pub(super) fn kept(value: Held, kept: &Kept) -> Self {
        let left = kept.expires.map(|expires| expires.duration_since(SystemTime::now()).unwrap_or_default());
        let expires = left.and_then(|left| Instant::now().checked_add(left));
        Self { value, version: kept.version, expires }
    }

    fn is_live(&self) -> bool {
        self.expires.is_none_or(|expires| Instant::now() < expires)
    }
}

impl Slot {
    pub(crate) fn new<T: Value>(key: Key) -> Self {
        Self {
            key,
            type_id: TypeId::of::<T>(),
            type_name: type_name::<T>(),
            measure: |held| written_length(held.downcast_ref::<T>()?),
            write: |held| {
                serde_json::to_vec(held.downcast_ref::<T>().expect("a slot has values of its type"))
            },
            read: |json| Ok(Arc::new(serde_json::from_slice::<T>(json)?)),
            state: Mutex::default(),
        }
    }

    pub(crate) fn check_type<T: Value>(&self) -> Result<(), ShareError> {
        if self.type_id == TypeId::of::<T>() {
            return Ok(());
        }
        let name = Arc::clone(&self.key.name);
        Err(ShareError::Type { name, holds: self.type_name, asked: type_name::<T>() })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.key.name
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    pub(super) fn load(&self) -> Option<Stored> {
        locked(&self.state).stored.as_ref().filter(|stored| stored.is_live()).cloned()
    }

    /// Stores a first value, and answers what is there afterwards.
    pub(super) fn store_if_absent(&self, made: Stored) -> Stored {
        let mut state = locked(&self.state);
        if let Some(present) = state.stored.as_ref().filter(|stored| stored.is_live()) {
            return present.clone();
        }
        let expired = state.stored.replace(made.clone());
        // The value's drop is the app's code: not under the lock.
        drop(state);
        drop(expired);
        made
    }

    pub(super) fn store(&self, _: &Hold, stored: Option<Stored>) {
        let before = std::mem::replace(&mut locked(&self.state).stored, stored);
        drop(before);
    }

    pub(super) fn on_disk(&self) -> OnDisk {
        locked(&self.state).on_disk
    }

    /// What was found on disk, unless a value came first.
    pub(super) fn found(&self, kept: Option<Stored>) -> Option<Stored> {
        let mut state = locked(&self.state);
        if state.on_disk == OnDisk::Unknown {
            state.on_disk = if kept.is_some() { OnDisk::Yes } else { OnDisk::No };
            if state.stored.is_none() {
                state.stored = kept;
            }
        }
        state.stored.clone()
    }

    /// What is on disk now.
    pub(super) fn saved(&self, stored: Option<Stored>, on_disk: OnDisk) {
        let mut state = locked(&self.state);
        state.on_disk = on_disk;
        let before = std::mem::replace(&mut state.stored, stored);
        drop(state);
        drop(before);
    }

    pub(super) fn write(&self, value: &Held) -> Result<Bytes, ShareError> {
        (self.write)(value).map(Bytes::from).map_err(|error| self.json_error(&error))
    }

    pub(super) fn read(&self, json: &[u8]) -> Result<Held, ShareError> {
        (self.read)(json).map_err(|error| self.json_error(&error))
    }

    pub(super) fn json_error(&self, error: &serde_json::Error) -> ShareError {
        ShareError::Json { name: Arc::clone(self.name()), error: error.to_string().into() }
    }

    /// Keeps a copy of what is elsewhere.
    pub(super) fn remember(&self, stored: Option<Stored>) {
        let mut state = locked(&self.state);
        state.copied = Some(Instant::now());
        let before = std::mem::replace(&mut state.stored, stored);
        drop(state);
        drop(before);
    }

    /// The lock, if nobody has it and nobody waits for it.
    pub(super) fn try_hold(self: &Arc<Self>, party: &Party) -> Option<Hold> {
        let mut state = locked(&self.state);
        if state.holder.is_some() {
            return None;
        }
        state.holder = Some(party.holder());
        drop(state);
        Some(Hold(Some(Arc::clone(self))))
    }

    /// The lock, or a place in the queue for it.
    pub(super) fn enqueue(self: &Arc<Self>, party: &Party, limit: usize) -> Result<Place, ShareError> {
        let mut state = locked(&self.state);
        if state.holder.is_none() {
            state.holder = Some(party.holder());
            drop(state);
            return Ok(Place::Granted(Hold(Some(Arc::clone(self)))));
        }
        if state.waiters.len() >= limit {
            return Err(ShareError::TooManyWaiting(Arc::clone(self.name())));
        }
        let (grant, granted) = oneshot::channel();
        state.last_waiter += 1;
        let number = state.last_waiter;
        state.waiters.push_back(Waiter { number, holder: party.holder(), grant });
        Ok(Place::Queued { number, granted })
    }

    /// Takes a waiter out of the queue that waits no longer.
    pub(super) fn leave(&self, number: u64) {
        let mut state = locked(&self.state);
        let left = match state.waiters.binary_search_by_key(&number, |waiter| waiter.number) {
            Ok(at) => state.waiters.remove(at),
            Err(_) => None,
        };
        drop(state);
        drop(left);
    }

    pub(super) fn holder(&self) -> Option<Holder> {
        locked(&self.state).holder.clone()
    }

    pub(super) fn holder_label(&self) -> Arc<str> {
        self.holder().map_or_else(|| "nobody any more".into(), |holder| holder.label)
    }

    /// Hands the lock to the first that still waits.
    fn release(self: Arc<Self>) {
        let mut hold = Hold(Some(self));
        while let Some(slot) = &hold.0 {
            let mut state = locked(&slot.state);
            let Some(waiter) = state.waiters.pop_front() else {
                state.holder = None;
                drop(state);
                hold.0 = None;
                return;
            };
            state.holder = Some(waiter.holder);
            drop(state);
            match waiter.grant.send(hold) {
                Ok(()) => return,
                // It went away just now.
                Err(back) => hold = back,
            }
        }
    }

    pub(crate) fn info(&self) -> ShareInfo {
        let stored = self.load();
        let state = locked(&self.state);
        let (owner, waiting) =
            (state.holder.as_ref().map(|holder| Arc::clone(&holder.label)), state.waiters.len());
        drop(state);
        ShareInfo {
            app: Arc::clone(&self.key.app),
            name: Arc::clone(&self.key.name),
            type_name: self.type_name,
            version: stored.as_ref().map(|stored| stored.version),
            bytes: stored.as_ref().and_then(|stored| (self.measure)(&stored.value)),
            owner,
            waiting,
            expires_in: stored.and_then(|stored| stored.expires).map(|at| at.duration_since(Instant::now())),
        }
    }
}

impl Named for Slot {
    fn is_spent(&self) -> bool {
        let state = locked(&self.state);
        state.holder.is_none() && !state.stored.as_ref().is_some_and(Stored::is_live)
    }

    /// A copy can be had again.
    fn idle_since(&self) -> Option<Instant> {
        locked(&self.state).copied
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        if let Some(slot) = self.0.take() {
            slot.release();
        }
    }
}

/// What came of asking for a lock.
pub(super) enum Place {
    Granted(Hold),
    Queued { number: u64, granted: oneshot::Receiver<Hold> },
}

/// The length of a value as JSON, without writing it anywhere.
fn written_length<T: serde::Serialize>(value: &T) -> Option<u64> {
    struct Count(u64);

    impl Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let mut count = Count(0);
    serde_json::to_writer(&mut count, value).ok()?;
    Some(count.0)
}
