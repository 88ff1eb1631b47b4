//! Values by key common to all workers.

use std::{
    any::{TypeId, type_name},
    collections::HashMap,
    fmt,
    marker::PhantomData,
    sync::{Arc, Mutex},
};

use super::{Held, ShareError, Value};
use crate::{
    locked,
    names::{Key, Named},
};

/// Values by key, each read and changed by itself, see [`Bus::map`](crate::Bus::map).
///
/// Where a [`Share`](super::Share) of a map would be copied whole for each change, this copies one value. Keys are texts
/// of at most 1,024 bytes.
pub struct ShareMap<V> {
    cell: Arc<MapCell>,
    values: PhantomData<fn() -> V>,
}

#[derive(Debug)]
pub(crate) struct MapCell {
    key: Key,
    type_id: TypeId,
    type_name: &'static str,
    limit: usize,
    entries: Mutex<HashMap<Box<str>, Held>>,
}

impl MapCell {
    pub(crate) fn new<V: Value>(key: Key, limit: usize) -> Self {
        Self {
            key,
            type_id: TypeId::of::<V>(),
            type_name: type_name::<V>(),
            limit,
            entries: Mutex::default(),
        }
    }
}

impl Named for MapCell {
    fn is_spent(&self) -> bool {
        locked(&self.entries).is_empty()
    }
}

impl<V: Value> ShareMap<V> {
    const LONGEST_KEY: usize = 1024;

    pub(crate) fn new(cell: Arc<MapCell>) -> Result<Self, ShareError> {
        if cell.type_id != TypeId::of::<V>() {
            let name = Arc::clone(&cell.key.name);
            return Err(ShareError::Type { name, holds: cell.type_name, asked: type_name::<V>() });
        }
        Ok(Self { cell, values: PhantomData })
    }

    /// The value of a key.
    pub async fn get(&self, key: &str) -> Option<Arc<V>> {
        locked(&self.cell.entries).get(key).cloned().map(typed)
    }

    /// Gives a key a value, and answers the one before.
    ///
    /// # Errors
    /// [`Full`](ShareError::Full) when the map has as many entries as it may, or the key is too long.
    pub async fn insert(&self, key: &str, value: V) -> Result<Option<Arc<V>>, ShareError> {
        let value = Arc::new(value);
        let mut entries = locked(&self.cell.entries);
        self.check_room(&entries, key)?;
        Ok(entries.insert(key.into(), value).map(typed))
    }

    fn check_room(&self, entries: &HashMap<Box<str>, Held>, key: &str) -> Result<(), ShareError> {
        let has_room = entries.len() < self.cell.limit && key.len() <= Self::LONGEST_KEY;
        if has_room || entries.contains_key(key) {
            return Ok(());
        }
        Err(ShareError::Full(Arc::clone(&self.cell.key.name)))
    }

    /// Takes a key out, and answers its value.
    pub async fn remove(&self, key: &str) -> Option<Arc<V>> {
        locked(&self.cell.entries).remove(key).map(typed)
    }

    /// Changes the value of a key, from `None` if it has none, to `None` if it shall have none.
    ///
    /// Nobody sees it half done, and none of several changes at once is lost: the closure runs again if another came
    /// first, and must not do anything besides.
    ///
    /// # Errors
    /// As [`insert`](Self::insert).
    pub async fn update(&self, key: &str, change: impl Fn(Option<V>) -> Option<V>) -> Result<(), ShareError> {
        loop {
            let before = self.get(key).await;
            // The app's code: not under the lock.
            let after = change(before.as_deref().cloned()).map(|value| Arc::new(value) as Held);
            let mut entries = locked(&self.cell.entries);
            let is_same = match (&before, entries.get(key)) {
                (None, None) => true,
                (Some(before), Some(now)) => std::ptr::addr_eq(Arc::as_ptr(before), Arc::as_ptr(now)),
                _ => false,
            };
            if !is_same {
                drop(entries);
                continue;
            }
            if after.is_some() {
                self.check_room(&entries, key)?;
            }
            let replaced = match after {
                Some(value) => entries.insert(key.into(), value),
                None => entries.remove(key),
            };
            drop(entries);
            drop(replaced);
            return Ok(());
        }
    }

    /// The number of entries.
    pub async fn len(&self) -> usize {
        locked(&self.cell.entries).len()
    }

    /// Whether there are none.
    pub async fn is_empty(&self) -> bool {
        self.len().await == 0
    }

    /// All entries as they are now, in no order.
    pub async fn entries(&self) -> Vec<(Box<str>, Arc<V>)> {
        let entries = locked(&self.cell.entries);
        entries.iter().map(|(key, value)| (key.clone(), typed(Arc::clone(value)))).collect()
    }

    /// Takes all entries out.
    pub async fn clear(&self) {
        let entries = std::mem::take(&mut *locked(&self.cell.entries));
        drop(entries);
    }
}

fn typed<V: Value>(value: Held) -> Arc<V> {
    value.downcast().expect("the type was checked when the map was opened")
}

impl<V> Clone for ShareMap<V> {
    fn clone(&self) -> Self {
        Self { cell: Arc::clone(&self.cell), values: PhantomData }
    }
}

impl<V> fmt::Debug for ShareMap<V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ShareMap({:?})", self.cell.key.name)
    }
}
