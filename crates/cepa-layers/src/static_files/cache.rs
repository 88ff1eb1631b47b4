//! Remembers for a while what the disk has said of paths that are asked for again and again.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    mem,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::entry::Found;

/// How long the disk's word counts.
const FRESH: Duration = Duration::from_secs(1);

/// Each has its lock, so that threads seldom wait for each other.
const SHARDS: usize = 16;

/// What an entry costs beside its key and its contents, roughly.
const OVERHEAD: usize = 256;

/// What is remembered of a path.
#[derive(Debug)]
pub(super) enum Cached {
    Fresh(Found),
    /// What was so, to be looked at again; `None`: nothing is known.
    Stale(Option<Found>),
}

/// Bounded memory of what was found. Path for path the disk is asked once a second by one request; those that come
/// meanwhile get what was known.
#[derive(Debug)]
pub(super) struct Cache {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    /// Bytes that a generation of a shard may hold.
    most: usize,
}

/// Two generations: what is not asked for while the young one fills goes with the old one.
#[derive(Debug, Default)]
struct Shard {
    young: HashMap<Box<str>, Slot>,
    old: HashMap<Box<str>, Slot>,
    /// Bytes in the young generation.
    weight: usize,
}

#[derive(Debug)]
struct Slot {
    found: Found,
    weight: usize,
    checked: Instant,
}

impl Cache {
    pub(super) fn new(bytes: u64) -> Self {
        let most = usize::try_from(bytes).unwrap_or(usize::MAX) / SHARDS / 2;
        Self { shards: Default::default(), hasher: RandomState::new(), most }
    }

    pub(super) fn get(&self, path: &str) -> Cached {
        if self.most == 0 {
            return Cached::Stale(None);
        }
        let mut shard = self.shard(path);
        if let Some((path, slot)) = shard.old.remove_entry(path) {
            shard.put(path, slot, self.most);
        }
        let Some(slot) = shard.young.get_mut(path) else { return Cached::Stale(None) };
        let found = slot.found.clone();
        let now = Instant::now();
        if now.duration_since(slot.checked) < FRESH {
            return Cached::Fresh(found);
        }
        slot.checked = now;
        Cached::Stale(Some(found))
    }

    pub(super) fn put(&self, path: &str, found: Found) {
        let weight = found.weight().map(|weight| weight + path.len() + OVERHEAD);
        let mut shard = self.shard(path);
        shard.remove(path);
        if let Some(weight) = weight.filter(|weight| *weight <= self.most) {
            shard.put(path.into(), Slot { found, weight, checked: Instant::now() }, self.most);
        }
    }

    /// Makes everything as old as the disk's word counts.
    #[cfg(test)]
    pub(super) fn age(&self) {
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap();
            shard.young.values_mut().for_each(|slot| slot.checked -= FRESH);
        }
    }

    fn shard(&self, path: &str) -> MutexGuard<'_, Shard> {
        let at = self.hasher.hash_one(path) as usize % SHARDS;
        // Nothing panics while the lock is held, so a poisoned shard is still whole.
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    fn put(&mut self, path: Box<str>, slot: Slot, most: usize) {
        if self.weight + slot.weight > most {
            self.old = mem::take(&mut self.young);
            self.weight = 0;
        }
        self.weight += slot.weight;
        self.young.insert(path, slot);
    }

    fn remove(&mut self, path: &str) {
        self.old.remove(path);
        if let Some(slot) = self.young.remove(path) {
            self.weight -= slot.weight;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_again_stays_and_the_memory_is_bounded() {
        let cache = Cache::new(1 << 20);
        cache.put("hot", Found::Directory);
        for n in 0..100_000 {
            let path = format!("no such file {n}");
            cache.put(&path, Found::Nothing);
            assert!(matches!(cache.get("hot"), Cached::Fresh(Found::Directory)), "{n}");
        }
        assert!(matches!(cache.get("no such file 0"), Cached::Stale(None)));
        let shards = cache.shards.iter().map(|shard| shard.lock().unwrap());
        let kept: usize = shards.map(|shard| shard.young.len() + shard.old.len()).sum();
        assert!(kept * OVERHEAD <= 1 << 20, "{kept}");
    }

    #[test]
    fn one_request_a_second_asks_the_disk() {
        let cache = Cache::new(1 << 20);
        cache.put("a", Found::Nothing);
        cache.age();
        assert!(matches!(cache.get("a"), Cached::Stale(Some(_))));
        assert!(matches!(cache.get("a"), Cached::Fresh(_)));
        let none = Cache::new(0);
        none.put("a", Found::Nothing);
        assert!(matches!(none.get("a"), Cached::Stale(None)));
    }
}
