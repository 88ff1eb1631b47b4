//! Shares in the memory of this process: looked at, locked and replaced, whatever their type.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use super::{
    Disk, Held, Kept, Party, ShareError, Shares,
    deadlock::{A_WRITE, Turn},
    slot::{Hold, OnDisk, Slot, Stored},
};
use crate::{far::When, version};

impl Shares {
    /// The value, if there is one.
    pub(crate) async fn look(&self, slot: &Arc<Slot>) -> Result<Option<Stored>, ShareError> {
        let present = slot.load();
        match &self.disk {
            Some(disk) if present.is_none() && slot.on_disk() == OnDisk::Unknown => {
                let kept = disk.load(slot.key()).await?;
                let kept = kept.map(|kept| Ok::<_, ShareError>(Stored::kept(slot.read(&kept.json)?, &kept)));
                Ok(slot.found(kept.transpose()?))
            }
            _ => Ok(present),
        }
    }

    /// The lock, once all that asked before are done.
    pub(crate) async fn hold(
        &self,
        slot: &Arc<Slot>,
        party: &Party,
        wait: Duration,
    ) -> Result<Hold, ShareError> {
        if let Some(hold) = slot.try_hold(party) {
            return Ok(hold);
        }
        let waiting = match self.graph.wait(slot, party, self.lock_waiters)? {
            Turn::Now(hold) => return Ok(hold),
            Turn::Later(waiting) => waiting,
        };
        tokio::time::timeout(wait, waiting.granted())
            .await
            .map_err(|_| ShareError::Timeout { share: Arc::clone(slot.name()), holder: slot.holder_label() })
    }

    /// The lock for one write.
    pub(crate) async fn hold_to_write(&self, slot: &Arc<Slot>, wait: Duration) -> Result<Hold, ShareError> {
        match slot.try_hold(&Party::WRITER) {
            Some(hold) => Ok(hold),
            None => self.hold(slot, &Party::new(A_WRITE), wait).await,
        }
    }

    /// Replaces the value that is held, or takes it out, and answers the version of what was written.
    pub(crate) async fn store(
        &self,
        hold: &Hold,
        value: Option<Held>,
        ttl: Option<Duration>,
        durable: bool,
    ) -> Result<u64, ShareError> {
        let (slot, version) = (hold.slot(), version::next());
        match &self.disk {
            None if durable => return Err(ShareError::NoStore(Arc::clone(slot.name()))),
            Some(disk) if durable || slot.on_disk() != OnDisk::No => {
                self.save(&**disk, slot, version, value, ttl, durable).await?;
            }
            _ => slot.store(hold, value.map(|value| Stored::new(value, version, ttl))),
        }
        Ok(version)
    }

    /// Replaces a value in memory once it is on disk, or gone from there.
    async fn save(
        &self,
        disk: &dyn Disk,
        slot: &Arc<Slot>,
        version: u64,
        value: Option<Held>,
        ttl: Option<Duration>,
        durable: bool,
    ) -> Result<(), ShareError> {
        let kept = match &value {
            Some(value) if durable => {
                let expires = ttl.and_then(|ttl| SystemTime::now().checked_add(ttl));
                Some(Kept { version, expires, json: slot.write(value)? })
            }
            _ => None,
        };
        let on_disk = if kept.is_some() { OnDisk::Yes } else { OnDisk::No };
        let stored = value.map(|value| Stored::new(value, version, ttl));
        let saved = Arc::clone(slot);
        disk.save(slot.key(), kept, Box::new(move || saved.saved(stored, on_disk))).await?;
        Ok(())
    }

    /// Replaces the value, or takes it out, once nobody holds the lock; the error is what is there instead.
    pub(crate) async fn write(
        &self,
        slot: &Arc<Slot>,
        when: When,
        value: Option<Held>,
        (ttl, durable): (Option<Duration>, bool),
        wait: Duration,
    ) -> Result<Result<u64, Option<Stored>>, ShareError> {
        let is_disk_apart = !durable && (self.disk.is_none() || slot.on_disk() == OnDisk::No);
        if let (When::Absent, Some(value), true) = (when, &value, is_disk_apart) {
            // Waits for nobody.
            let made = Stored::new(Arc::clone(value), version::next(), ttl);
            let version = made.version;
            let present = slot.store_if_absent(made);
            return Ok(if present.version == version { Ok(version) } else { Err(Some(present)) });
        }
        let hold = self.hold_to_write(slot, wait).await?;
        let present = if when == When::Always { None } else { self.look(slot).await? };
        let is_as_asked = match when {
            When::Always => true,
            When::Absent => present.is_none(),
            When::Version(version) => present.as_ref().is_some_and(|present| present.version == version),
        };
        if !is_as_asked {
            return Ok(Err(present));
        }
        Ok(Ok(self.store(&hold, value, ttl, durable).await?))
    }
}
