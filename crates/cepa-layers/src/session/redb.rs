//! Keeps sessions in a file: they survive a restart, and only their hashes are in it as keys.

use std::{fmt, path::Path, sync::Arc, time::SystemTime};

use cepa_core::LocalBoxFuture;
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, Table, TableDefinition,
};
use sha2::{Digest as _, Sha256};
use tokio::sync::Semaphore;

use super::{
    change::Write,
    data::since_1970,
    store::{SessionId, Store, StoreError},
};

type Key = [u8; 32];

/// When a session ends, in milliseconds since 1970, and its text.
const SESSIONS: TableDefinition<'_, Key, (u64, &[u8])> = TableDefinition::new("sessions");
/// The same by the time they end.
const ENDS: TableDefinition<'_, (u64, Key), ()> = TableDefinition::new("ends");
/// Sessions that one write sweeps out, so that none takes long.
const SWEPT: usize = 16;
/// Sessions that are read at the same time.
const READERS: usize = 8;
/// Sessions that are written at the same time: the file has one writer, and a second would only hold up a thread.
const WRITERS: usize = 1;

/// A store in a [redb](https://docs.rs/redb) file, for one process.
///
/// Every save is on disk before the response goes out, which takes as long as the disk takes to say so; it is waited
/// for on a thread of its own. One session is saved at a time and eight are read; the requests of others wait, and one
/// that is given up by then leaves nothing to do. When the store is full, those that would end first make room. The
/// file holds hashes of the ids, so that who reads it cannot take over a session. A clone is the same store.
#[derive(Clone)]
pub struct Redb {
    database: Arc<Database>,
    most: u64,
    readers: Arc<Semaphore>,
    writers: Arc<Semaphore>,
}

/// Why a session file was not opened.
#[derive(Debug, thiserror::Error)]
#[error("the session file {path:?} cannot be used: {cause}")]
pub struct RedbError {
    path: std::path::PathBuf,
    #[source]
    cause: redb::Error,
}

impl Redb {
    /// Opens the file, or makes it; keeps at most `sessions` of them.
    ///
    /// # Errors
    /// The file cannot be opened, is in use by another process, or is no such file.
    pub fn open(path: &Path, sessions: u64) -> Result<Self, RedbError> {
        let open = || -> Result<Database, redb::Error> {
            let database = Database::create(path)?;
            let write = database.begin_write()?;
            write.open_table(SESSIONS)?;
            write.open_table(ENDS)?;
            write.commit()?;
            Ok(database)
        };
        let database = open().map_err(|cause| RedbError { path: path.to_owned(), cause })?;
        Ok(Self {
            database: Arc::new(database),
            most: sessions.max(1),
            readers: Arc::new(Semaphore::new(READERS)),
            writers: Arc::new(Semaphore::new(WRITERS)),
        })
    }

    /// Runs where waiting for the disk holds up nobody, as soon as there is a place.
    async fn blocking<T: Send + 'static>(
        &self,
        places: &Arc<Semaphore>,
        work: impl FnOnce(&Self) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(places).acquire_owned().await?;
        let store = self.clone();
        let job = move || {
            // Kept until the work is done, also where nobody waits for it any more.
            let _place = place;
            work(&store)
        };
        tokio::task::spawn_blocking(job).await?
    }

    fn load_now(&self, key: Key, now: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let sessions = self.database.begin_read()?.open_table(SESSIONS)?;
        Ok(sessions.get(key)?.and_then(|entry| living(entry.value(), now)))
    }

    fn save_now(&self, key: Key, write: &Write, now: u64) -> Result<bool, StoreError> {
        let transaction = self.database.begin_write()?;
        let is_kept = {
            let mut sessions = transaction.open_table(SESSIONS)?;
            let mut ends = transaction.open_table(ENDS)?;
            let present = remove(&mut sessions, &mut ends, key)?;
            let present = present.and_then(|(end, json)| living((end, &json), now));
            let record = write.apply(present.as_deref())?;
            if let Some(record) = &record {
                make_room(&mut sessions, &mut ends, self.most, now)?;
                let end = since_1970(record.expires);
                sessions.insert(key, (end, &*record.json))?;
                ends.insert((end, key), ())?;
            }
            record.is_some()
        };
        transaction.commit()?;
        Ok(is_kept)
    }

    fn remove_now(&self, key: Key, now: u64) -> Result<Option<Vec<u8>>, StoreError> {
        let transaction = self.database.begin_write()?;
        let removed = {
            let mut sessions = transaction.open_table(SESSIONS)?;
            remove(&mut sessions, &mut transaction.open_table(ENDS)?, key)?
        };
        transaction.commit()?;
        Ok(removed.and_then(|(end, json)| living((end, &json), now)))
    }
}

type Sessions<'t> = Table<'t, Key, (u64, &'static [u8])>;
type Ends<'t> = Table<'t, (u64, Key), ()>;

fn remove(
    sessions: &mut Sessions<'_>,
    ends: &mut Ends<'_>,
    key: Key,
) -> Result<Option<(u64, Vec<u8>)>, redb::Error> {
    let removed = sessions.remove(key)?.map(|entry| {
        let (end, json) = entry.value();
        (end, json.to_vec())
    });
    if let Some((end, _)) = removed {
        ends.remove((end, key))?;
    }
    Ok(removed)
}

/// Sweeps out some that have ended, and one that ends first if the table is full.
fn make_room(
    sessions: &mut Sessions<'_>,
    ends: &mut Ends<'_>,
    most: u64,
    now: u64,
) -> Result<(), redb::Error> {
    for _ in 0..SWEPT {
        let first = ends.first()?.map(|(first, _)| first.value());
        let Some((end, key)) =
            first.filter(|(end, _)| *end <= now || sessions.len().is_ok_and(|len| len >= most))
        else {
            return Ok(());
        };
        ends.remove((end, key))?;
        sessions.remove(key)?;
    }
    Ok(())
}

fn living((end, json): (u64, &[u8]), now: u64) -> Option<Vec<u8>> {
    (end > now).then(|| json.to_vec())
}

fn key(id: &SessionId) -> Key {
    Sha256::digest(id.as_str()).into()
}

fn now() -> u64 {
    since_1970(SystemTime::now())
}

impl Store for Redb {
    fn load<'a>(&'a self, id: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let key = key(id);
            self.blocking(&self.readers, move |store| store.load_now(key, now())).await
        })
    }

    fn save<'a>(&'a self, id: &'a SessionId, write: Write) -> LocalBoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let key = key(id);
            self.blocking(&self.writers, move |store| store.save_now(key, &write, now())).await
        })
    }

    fn remove<'a>(&'a self, id: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let key = key(id);
            self.blocking(&self.writers, move |store| store.remove_now(key, now())).await
        })
    }
}

impl fmt::Debug for Redb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redb").field("most", &self.most).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Ids, data::Life},
        *,
    };
    use serde_json::json;
    use std::task::{Context, Waker};

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

    #[test]
    fn sessions_survive_a_restart_and_end_in_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("sessions.redb");
        let id = key(&SessionId::random(Ids::Random).unwrap());
        assert!(Redb::open(&path, 9).unwrap().save_now(id, &write(1_000, 0), 0).unwrap());
        let store = Redb::open(&path, 9).unwrap();
        assert!(store.load_now(id, 10_999).unwrap().is_some());
        assert!(store.load_now(id, 11_000).unwrap().is_none());
        assert!(store.remove_now(id, 0).unwrap().is_some());
        assert!(store.load_now(id, 0).unwrap().is_none());
        let again = Write { new: None, ..write(1_000, 0) };
        assert!(!store.save_now(id, &again, 0).unwrap(), "what was removed stays so");
    }

    #[test]
    fn the_first_to_end_make_room() {
        let folder = tempfile::tempdir().unwrap();
        let store = Redb::open(&folder.path().join("sessions.redb"), 3).unwrap();
        let keys: Vec<Key> = (0..6).map(|n| [n; 32]).collect();
        for (at, key) in (0..).zip(&keys) {
            store.save_now(*key, &write(1_000, at), at).unwrap();
        }
        let kept: Vec<bool> = keys.iter().map(|key| store.load_now(*key, 9).unwrap().is_some()).collect();
        assert_eq!(kept, [false, false, false, true, true, true]);
    }

    #[tokio::test]
    async fn requests_that_are_given_up_leave_no_more_work_than_there_are_places() {
        let folder = tempfile::tempdir().unwrap();
        let store = Redb::open(&folder.path().join("sessions.redb"), 3).unwrap();
        let id = SessionId::random(Ids::Random).unwrap();
        let slow_disk = store.database.begin_write().unwrap();
        for _ in 0..100 {
            let mut save = store.save(&id, write(1_000, now()));
            let mut ctx = Context::from_waker(Waker::noop());
            assert!(save.as_mut().poll(&mut ctx).is_pending());
        }
        // Each job has the store.
        assert_eq!(Arc::strong_count(&store.database), 1 + WRITERS);
        assert!(store.load(&id).await.unwrap().is_none(), "who reads need not wait for those who write");
        drop(slow_disk);
        assert!(store.save(&id, write(1_000, now())).await.unwrap());
        assert!(store.load(&id).await.unwrap().is_some());
    }

    #[test]
    fn a_file_that_is_none_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = Redb::open(folder.path(), 3).unwrap_err();
        assert!(error.to_string().contains("cannot be used"), "{error}");
    }
}
