//! One share, here or elsewhere: looked at, locked and replaced.

use std::{marker::PhantomData, sync::Arc, time::Duration};

use super::{
    Held, Party, ShareError, Shares, Snapshot, Value,
    deadlock::A_WRITE,
    slot::{self, Slot, Stored},
};
use crate::{
    BackendError,
    far::{Far, FarValue, Load, Versioned, When, Written},
};

/// One share, with how long and how well values written by this handle are kept.
///
/// Without a backend the slot is the share itself, else the copy of it that this process saw last.
pub(crate) struct ShareCell<T> {
    shares: Arc<Shares>,
    slot: Arc<Slot>,
    pub(super) ttl: Option<Duration>,
    pub(super) durable: bool,
    value: PhantomData<fn() -> T>,
}

/// What came of replacing a value.
pub(super) enum Outcome<T> {
    /// It has this version now.
    Done(u64),
    /// Nothing was to be there, and this is.
    Other(Snapshot<T>),
    /// It has another version, or none, which is 0.
    Not(u64),
}

/// The lock of a share; dropping it gives it back.
#[derive(Debug)]
pub(super) enum Hold {
    Near(slot::Hold),
    Far(Lock),
}

/// The lock of a share that is kept elsewhere.
#[derive(Debug)]
pub(super) struct Lock {
    far: Arc<dyn Far>,
    slot: Arc<Slot>,
    token: u64,
    is_over: bool,
}

impl<T: Value> ShareCell<T> {
    pub(super) fn new(shares: Arc<Shares>, slot: Arc<Slot>) -> Result<Self, ShareError> {
        slot.check_type::<T>()?;
        Ok(Self { shares, slot, ttl: None, durable: false, value: PhantomData })
    }

    pub(super) fn name(&self) -> &Arc<str> {
        self.slot.name()
    }

    /// The value, if there is one.
    pub(super) async fn load(&self) -> Result<Option<Snapshot<T>>, ShareError> {
        let Some(far) = &self.shares.far else {
            return Ok(self.shares.look(&self.slot).await?.map(snapshot));
        };
        let known = self.slot.load();
        let loaded = far.load(self.slot.key(), known.as_ref().map(|known| known.version)).await?;
        self.loaded(loaded, known)
    }

    /// Replaces the value, or takes it out, once nobody holds the lock.
    pub(super) async fn write(
        &self,
        when: When,
        value: Option<Arc<T>>,
        wait: Duration,
    ) -> Result<Outcome<T>, ShareError> {
        let Some(far) = &self.shares.far else {
            let value = value.map(|value| value as Held);
            let written = self.shares.write(&self.slot, when, value, (self.ttl, self.durable), wait).await?;
            return Ok(match written {
                Ok(version) => Outcome::Done(version),
                Err(Some(present)) if when == When::Absent => Outcome::Other(snapshot(present)),
                Err(present) => Outcome::Not(present.map_or(0, |present| present.version)),
            });
        };
        let sent = value.as_deref().map(|value| self.encode(value)).transpose()?;
        Ok(match far.write(self.slot.key(), when, sent, wait).await? {
            Written::Done(version) => {
                self.remember(value, version);
                Outcome::Done(version)
            }
            Written::Not(Some(present)) if when == When::Absent => Outcome::Other(self.decode(&present)?),
            Written::Not(present) => Outcome::Not(present.map_or(0, |present| present.version)),
        })
    }

    /// The lock for one write, and the value.
    pub(super) async fn hold_to_write(
        &self,
        wait: Duration,
    ) -> Result<(Hold, Option<Snapshot<T>>), ShareError> {
        if self.shares.far.is_some() {
            return self.hold(&Party::new(A_WRITE), wait).await;
        }
        let hold = self.shares.hold_to_write(&self.slot, wait).await?;
        Ok((Hold::Near(hold), self.shares.look(&self.slot).await?.map(snapshot)))
    }

    /// The lock, and the value.
    pub(super) async fn hold(
        &self,
        party: &Party,
        wait: Duration,
    ) -> Result<(Hold, Option<Snapshot<T>>), ShareError> {
        let Some(far) = &self.shares.far else {
            let hold = self.shares.hold(&self.slot, party, wait).await?;
            return Ok((Hold::Near(hold), self.shares.look(&self.slot).await?.map(snapshot)));
        };
        let known = self.slot.load();
        let held = far.hold(self.slot.key(), party, wait, known.as_ref().map(|known| known.version)).await?;
        let (far, slot) = (Arc::clone(far), Arc::clone(&self.slot));
        let lock = Lock { far, slot, token: held.token, is_over: false };
        Ok((Hold::Far(lock), self.loaded(held.value, known)?))
    }

    /// Replaces the value that is held, or takes it out, and answers the version of what was written.
    pub(super) async fn store(&self, hold: &Hold, value: Option<Arc<T>>) -> Result<u64, ShareError> {
        match hold {
            Hold::Near(hold) => {
                self.shares.store(hold, value.map(|value| value as Held), self.ttl, self.durable).await
            }
            Hold::Far(lock) => self.send(lock, value, false).await,
        }
    }

    /// [`store`](Self::store), and the lock is given back.
    pub(super) async fn finish(&self, hold: Hold, value: Option<Arc<T>>) -> Result<u64, ShareError> {
        match hold {
            Hold::Near(_) => self.store(&hold, value).await,
            Hold::Far(mut lock) => {
                let version = self.send(&lock, value, true).await?;
                lock.is_over = true;
                Ok(version)
            }
        }
    }

    async fn send(&self, lock: &Lock, value: Option<Arc<T>>, and_release: bool) -> Result<u64, ShareError> {
        let sent = value.as_deref().map(|value| self.encode(value)).transpose()?;
        let version = lock.far.store(self.slot.key(), lock.token, sent, and_release).await?;
        self.remember(value, version);
        Ok(version)
    }

    fn loaded(&self, loaded: Load, known: Option<Stored>) -> Result<Option<Snapshot<T>>, ShareError> {
        match (loaded, known) {
            (Load::Nothing, _) => Ok(None),
            (Load::Same, Some(known)) => Ok(Some(snapshot(known))),
            (Load::Same, None) => {
                Err(BackendError::Refused("it says that a value is the same that was never sent".into())
                    .into())
            }
            (Load::Value(value), _) => self.decode(&value).map(Some),
        }
    }

    fn decode(&self, value: &Versioned) -> Result<Snapshot<T>, ShareError> {
        let read: T = serde_json::from_slice(&value.json).map_err(|error| self.slot.json_error(&error))?;
        let read = Arc::new(read);
        self.remember(Some(Arc::clone(&read)), value.version);
        Ok(Snapshot { value: read, version: value.version })
    }

    fn encode(&self, value: &T) -> Result<FarValue, ShareError> {
        let json = serde_json::to_vec(value).map_err(|error| self.slot.json_error(&error))?;
        Ok(FarValue { json: json.into(), ttl: self.ttl, durable: self.durable })
    }

    /// Keeps the copy that this process saw last. Whether it is still what is there, the backend says each time.
    fn remember(&self, value: Option<Arc<T>>, version: u64) {
        self.slot.remember(value.map(|value| Stored::new(value, version, None)));
    }
}

fn snapshot<T: Value>(stored: Stored) -> Snapshot<T> {
    let value = stored.value.downcast().expect("the type was checked when the share was opened");
    Snapshot { value, version: stored.version }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.is_over {
            self.far.release(self.slot.key(), self.token);
        }
    }
}

impl<T> Clone for ShareCell<T> {
    fn clone(&self) -> Self {
        let (shares, slot) = (Arc::clone(&self.shares), Arc::clone(&self.slot));
        Self { shares, slot, ttl: self.ttl, durable: self.durable, value: PhantomData }
    }
}
