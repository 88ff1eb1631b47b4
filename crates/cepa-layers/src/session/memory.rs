//! Keeps sessions in the memory of the process, for all its workers: bounded, and forgotten with the process.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use cepa_core::{LocalBoxFuture, units::size};
use serde::Deserialize;

use super::{
    change::{TooLarge, Write},
    data::since_1970,
    store::{SessionId, Store, StoreError},
};

/// Locks that sessions are shared out among.
const SHARDS: usize = 64;
/// What a session takes beside its text: entries in a map and in a tree, and the id.
const OVERHEAD: usize = 200;

/// How much a [`Memory`] keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Capacity {
    /// Most sessions, default 100,000.
    pub sessions: usize,
    /// Most bytes, about, default 256 MiB.
    #[serde(with = "size")]
    pub bytes: usize,
}

impl Default for Capacity {
    fn default() -> Self {
        Self { sessions: 100_000, bytes: 256 << 20 }
    }
}

/// A store in the memory of the process, shared by all its workers.
///
/// When it is full, those that would end first make room: with sessions that are renewed, those that were idle for
/// longest. A clone is the same store.
///
/// ```
/// use cepa_core::{App, Ctx, cookie::Keys};
/// use cepa_layers::session::{Memory, session};
///
/// let app = App::new()
///     .keys(Keys::random()?)
///     .with(session(Default::default())?.store(Memory::default()))
///     .get("/", async |_: &mut Ctx| "Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Memory(Arc<Inner>);

struct Inner {
    shards: Box<[Mutex<Shard>]>,
    hasher: RandomState,
}

#[derive(Default)]
struct Shard {
    sessions: HashMap<SessionId, Entry>,
    /// The same by the time they end, the first to end first.
    ends: BTreeSet<(u64, SessionId)>,
    bytes: usize,
    most_sessions: usize,
    most_bytes: usize,
}

struct Entry {
    json: Vec<u8>,
    end: u64,
}

impl Memory {
    /// An empty store; each of its 64 parts keeps at least one session.
    pub fn new(capacity: Capacity) -> Self {
        let shard = || Shard {
            most_sessions: capacity.sessions.div_ceil(SHARDS).max(1),
            most_bytes: capacity.bytes.div_ceil(SHARDS),
            ..Shard::default()
        };
        let shards = (0..SHARDS).map(|_| Mutex::new(shard())).collect();
        Self(Arc::new(Inner { shards, hasher: RandomState::new() }))
    }

    /// How many sessions it holds, those included that have ended and were not yet swept out.
    pub fn len(&self) -> usize {
        self.0.shards.iter().map(|shard| lock(shard).sessions.len()).sum()
    }

    /// Whether it holds no session.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, id: &SessionId) -> MutexGuard<'_, Shard> {
        let at = self.0.hasher.hash_one(id) as usize % SHARDS;
        lock(&self.0.shards[at])
    }
}

/// A panic of an app's update leaves a shard as it was, since nothing is changed before it has answered.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Default for Memory {
    fn default() -> Self {
        Self::new(Capacity::default())
    }
}

impl fmt::Debug for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memory").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Store for Memory {
    fn load<'a>(&'a self, id: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move { Ok(self.shard(id).load(id, now()).map(<[u8]>::to_vec)) })
    }

    fn save<'a>(&'a self, id: &'a SessionId, write: Write) -> LocalBoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move { Ok(self.shard(id).save(id, &write, now())?) })
    }

    fn remove<'a>(&'a self, id: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let now = now();
            let removed = self.shard(id).remove(id);
            Ok(removed.filter(|entry| entry.end > now).map(|entry| entry.json))
        })
    }
}

fn now() -> u64 {
    since_1970(SystemTime::now())
}

impl Shard {
    fn load(&self, id: &SessionId, now: u64) -> Option<&[u8]> {
        self.sessions.get(id).filter(|entry| entry.end > now).map(|entry| &*entry.json)
    }

    fn save(&mut self, id: &SessionId, write: &Write, now: u64) -> Result<bool, TooLarge> {
        let Some(record) = write.apply(self.load(id, now))? else { return Ok(false) };
        self.remove(id);
        let end = since_1970(record.expires);
        self.make_room(record.json.len() + OVERHEAD, now);
        self.bytes += record.json.len() + OVERHEAD;
        self.ends.insert((end, id.clone()));
        self.sessions.insert(id.clone(), Entry { json: record.json, end });
        Ok(true)
    }

    fn remove(&mut self, id: &SessionId) -> Option<Entry> {
        let (id, entry) = self.sessions.remove_entry(id)?;
        self.bytes -= entry.json.len() + OVERHEAD;
        self.ends.remove(&(entry.end, id));
        Some(entry)
    }

    /// Sweeps out what has ended, and then what ends first until so many bytes fit.
    fn make_room(&mut self, bytes: usize, now: u64) {
        while let Some((end, id)) = self.ends.first() {
            let is_full = self.sessions.len() >= self.most_sessions || self.bytes + bytes > self.most_bytes;
            if *end > now && !is_full {
                return;
            }
            let id = id.clone();
            self.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Ids, data::Life},
        *,
    };
    use serde_json::json;

    fn write(life: u64, now: u64) -> Write {
        let new = [("a".to_owned(), json!(1))].into_iter().collect();
        let default_life = Life::For(life);
        Write {
            new: Some(new),
            changes: Vec::new(),
            life: None,
            default_life,
            now,
            created: None,
            max_bytes: usize::MAX,
        }
    }

    fn ids(count: usize) -> Vec<SessionId> {
        (0..count).map(|_| SessionId::random(Ids::Random).unwrap()).collect()
    }

    #[test]
    fn what_has_ended_is_not_there_and_is_swept_out() {
        let mut shard = Shard { most_sessions: 10, most_bytes: 10_000, ..Shard::default() };
        let ids = ids(2);
        assert!(shard.save(&ids[0], &write(1_000, 0), 0).unwrap());
        // The margin beyond the life of the cookie.
        assert!(shard.load(&ids[0], 10_999).is_some());
        assert!(shard.load(&ids[0], 11_000).is_none());
        assert_eq!(shard.sessions.len(), 1);
        assert!(shard.save(&ids[1], &write(1_000, 11_000), 11_000).unwrap());
        assert_eq!((shard.sessions.len(), shard.ends.len()), (1, 1));
        shard.remove(&ids[1]);
        assert_eq!((shard.bytes, shard.ends.len()), (0, 0));
    }

    #[test]
    fn the_first_to_end_make_room() {
        for (most_sessions, most_bytes) in [(3, usize::MAX), (usize::MAX, 3 * (OVERHEAD + 50))] {
            let mut shard = Shard { most_sessions, most_bytes, ..Shard::default() };
            let ids = ids(50);
            for (at, id) in ids.iter().enumerate() {
                assert!(shard.save(id, &write(1_000, at as u64), at as u64).unwrap());
                // The first one is used all the time.
                assert!(shard.save(&ids[0], &write(1_000, at as u64 + 1), at as u64 + 1).unwrap());
                assert!(shard.sessions.len() <= 3 && shard.ends.len() == shard.sessions.len());
            }
            assert!(shard.load(&ids[0], 60).is_some() && shard.load(&ids[49], 60).is_some());
            assert!(shard.load(&ids[1], 60).is_none());
        }
    }
}
