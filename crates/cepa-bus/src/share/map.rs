//! Values by key common to all workers.

use std::{
    any::{TypeId, type_name},
    collections::HashMap,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex},
};

use bytes::Bytes;

use super::{Held, ShareError, Value};
use crate::{
    far::{Far, Put, Versioned, When},
    locked,
    names::{Key, Named},
    version,
};

/// Values by key, each read and changed by itself, see [`Bus::map`](crate::Bus::map).
///
/// Where a [`Share`](super::Share) of a map would be copied whole for each change, this copies one value. Keys are texts
/// of at most 1,024 bytes.
///
/// # Errors
/// [`Backend`](ShareError::Backend) and [`Json`](ShareError::Json) where the bus is kept elsewhere; in memory those that are
/// said at each method.
pub struct ShareMap<V> {
    cell: Arc<MapCell>,
    far: Option<Arc<dyn Far>>,
    values: PhantomData<fn() -> V>,
}

#[derive(Debug)]
pub(crate) struct MapCell {
    key: Key,
    type_id: TypeId,
    type_name: &'static str,
    limit: usize,
    entries: Mutex<HashMap<Box<str>, Entry>>,
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) value: Held,
    pub(crate) version: u64,
}

impl MapCell {
    const LONGEST_KEY: usize = 1024;

    pub(crate) fn new<V: Value>(key: Key, limit: usize) -> Self {
        Self {
            key,
            type_id: TypeId::of::<V>(),
            type_name: type_name::<V>(),
            limit,
            entries: Mutex::default(),
        }
    }

    pub(crate) fn check_type<V: Value>(&self) -> Result<(), ShareError> {
        if self.type_id == TypeId::of::<V>() {
            return Ok(());
        }
        let name = Arc::clone(&self.key.name);
        Err(ShareError::Type { name, holds: self.type_name, asked: type_name::<V>() })
    }

    pub(crate) fn get(&self, key: &str) -> Option<Entry> {
        locked(&self.entries).get(key).cloned()
    }

    /// Replaces an entry, or takes it out, and answers the one before; the error is what is there instead.
    pub(crate) fn put(
        &self,
        key: &str,
        when: When,
        entry: Option<Entry>,
    ) -> Result<Result<Option<Entry>, Option<Entry>>, ShareError> {
        let mut entries = locked(&self.entries);
        let present = entries.get(key);
        let is_as_asked = match when {
            When::Always => true,
            When::Absent => present.is_none(),
            When::Version(version) => present.is_some_and(|present| present.version == version),
        };
        if !is_as_asked {
            return Ok(Err(present.cloned()));
        }
        let has_room = present.is_some() || (entries.len() < self.limit && key.len() <= Self::LONGEST_KEY);
        Ok(Ok(match entry {
            Some(_) if !has_room => return Err(ShareError::Full(Arc::clone(&self.key.name))),
            Some(entry) => entries.insert(key.into(), entry),
            None => entries.remove(key),
        }))
    }

    pub(crate) fn len(&self) -> usize {
        locked(&self.entries).len()
    }

    pub(crate) fn entries(&self) -> Vec<(Box<str>, Held)> {
        let entries = locked(&self.entries);
        entries.iter().map(|(key, entry)| (key.clone(), Arc::clone(&entry.value))).collect()
    }

    pub(crate) fn clear(&self) {
        let entries = std::mem::take(&mut *locked(&self.entries));
        drop(entries);
    }
}

impl Named for MapCell {
    fn is_spent(&self) -> bool {
        locked(&self.entries).is_empty()
    }
}

impl<V: Value> ShareMap<V> {
    pub(crate) fn new(cell: Arc<MapCell>, far: Option<Arc<dyn Far>>) -> Result<Self, ShareError> {
        cell.check_type::<V>()?;
        Ok(Self { cell, far, values: PhantomData })
    }

    /// The value of a key.
    pub async fn get(&self, key: &str) -> Result<Option<Arc<V>>, ShareError> {
        match &self.far {
            None => Ok(self.cell.get(key).map(|entry| typed(entry.value))),
            Some(far) => self.read(far.entry(&self.cell.key, key).await?.as_ref()),
        }
    }

    /// Gives a key a value, and answers the one before.
    ///
    /// # Errors
    /// [`Full`](ShareError::Full) when the map has as many entries as it may, or the key is too long.
    pub async fn insert(&self, key: &str, value: V) -> Result<Option<Arc<V>>, ShareError> {
        self.replace(key, Some(value)).await
    }

    /// Takes a key out, and answers its value.
    pub async fn remove(&self, key: &str) -> Result<Option<Arc<V>>, ShareError> {
        self.replace(key, None).await
    }

    async fn replace(&self, key: &str, value: Option<V>) -> Result<Option<Arc<V>>, ShareError> {
        match &self.far {
            None => {
                let before = self.cell.put(key, When::Always, value.map(near))?;
                Ok(before.unwrap_or_default().map(|entry| typed(entry.value)))
            }
            Some(far) => {
                let json = value.map(|value| self.written(&value)).transpose()?;
                match far.put(&self.cell.key, key, When::Always, json).await? {
                    Put::Done(before) | Put::Not(before) => self.read(before.as_ref()),
                }
            }
        }
    }

    /// Changes the value of a key, from `None` if it has none, to `None` if it shall have none.
    ///
    /// Nobody sees it half done, and none of several changes at once is lost: the closure runs again if another came
    /// first, and must not do anything besides.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn update(&self, key: &str, change: impl Fn(Option<V>) -> Option<V>) -> Result<(), ShareError> {
        match &self.far {
            None => self.update_near(key, change),
            Some(far) => self.update_far(&**far, key, change).await,
        }
    }

    fn update_near(&self, key: &str, change: impl Fn(Option<V>) -> Option<V>) -> Result<(), ShareError> {
        let mut present = self.cell.get(key);
        loop {
            let when = present.as_ref().map_or(When::Absent, |entry| When::Version(entry.version));
            // The app's code: not under the lock.
            let after = change(present.map(|entry| V::clone(&typed::<V>(entry.value))));
            match self.cell.put(key, when, after.map(near))? {
                Ok(_) => return Ok(()),
                Err(other) => present = other,
            }
        }
    }

    async fn update_far(
        &self,
        far: &dyn Far,
        key: &str,
        change: impl Fn(Option<V>) -> Option<V>,
    ) -> Result<(), ShareError> {
        let mut present = far.entry(&self.cell.key, key).await?;
        loop {
            let when = present.as_ref().map_or(When::Absent, |entry| When::Version(entry.version));
            let after = change(present.map(|entry| self.parsed(&entry.json)).transpose()?);
            let json = after.map(|value| self.written(&value)).transpose()?;
            match far.put(&self.cell.key, key, when, json).await? {
                Put::Done(_) => return Ok(()),
                Put::Not(other) => present = other,
            }
        }
    }

    /// The number of entries.
    pub async fn len(&self) -> Result<usize, ShareError> {
        match &self.far {
            None => Ok(self.cell.len()),
            Some(far) => far.len(&self.cell.key).await,
        }
    }

    /// Whether there are none.
    pub async fn is_empty(&self) -> Result<bool, ShareError> {
        Ok(self.len().await? == 0)
    }

    /// All entries as they are now, in no order.
    pub async fn entries(&self) -> Result<Vec<(Box<str>, Arc<V>)>, ShareError> {
        let Some(far) = &self.far else {
            return Ok(self.cell.entries().into_iter().map(|(key, value)| (key, typed(value))).collect());
        };
        let entries = far.entries(&self.cell.key).await?;
        entries.into_iter().map(|(key, json)| Ok((key, Arc::new(self.parsed(&json)?)))).collect()
    }

    /// Takes all entries out.
    pub async fn clear(&self) -> Result<(), ShareError> {
        match &self.far {
            None => {
                self.cell.clear();
                Ok(())
            }
            Some(far) => far.clear(&self.cell.key).await,
        }
    }

    fn read(&self, entry: Option<&Versioned>) -> Result<Option<Arc<V>>, ShareError> {
        entry.map(|entry| self.parsed(&entry.json).map(Arc::new)).transpose()
    }

    fn parsed(&self, json: &[u8]) -> Result<V, ShareError> {
        serde_json::from_slice(json).map_err(|error| self.json_error(&error))
    }

    fn written(&self, value: &V) -> Result<Bytes, ShareError> {
        serde_json::to_vec(value).map(Bytes::from).map_err(|error| self.json_error(&error))
    }

    fn json_error(&self, error: &serde_json::Error) -> ShareError {
        ShareError::Json { name: Arc::clone(&self.cell.key.name), error: error.to_string().into() }
    }
}

/// An entry as it is kept in memory.
pub(crate) fn near<V: Value>(value: V) -> Entry {
    Entry { value: Arc::new(value), version: version::next() }
}

fn typed<V: Value>(value: Held) -> Arc<V> {
    value.downcast().expect("the type was checked when the map was opened")
}

impl<V> Clone for ShareMap<V> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell), far: self.far.clone(), values: PhantomData }
    }
}

impl<V> fmt::Debug for ShareMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareMap({:?})", self.cell.key.name)
    }
}
