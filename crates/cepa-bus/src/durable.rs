//! Durable shares in a [redb](https://docs.rs/redb) file.

use std::{
    fmt,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::Bytes;
use redb::{
    Database, ReadableDatabase as _, ReadableTable as _, ReadableTableMetadata as _, TableDefinition,
};
use tokio::sync::oneshot;

use crate::{
    BackendError, ConnectError,
    far::Reply,
    names::Key,
    share::{Disk, Kept},
};

/// By app and name: the version, when it ends in milliseconds since 1970 (0: never), the JSON.
const SHARES: TableDefinition<'_, (&str, &str), (u64, u64, &[u8])> = TableDefinition::new("shares");
/// Writes that are on disk by one commit.
const GROUP: usize = 1024;
/// Writes that wait for the disk. More are refused.
const WAITING: usize = 65_536;

/// A file, and the thread that reads and writes it.
pub(crate) struct File {
    path: PathBuf,
    orders: mpsc::Sender<Order>,
    waiting: Arc<AtomicUsize>,
}

enum Order {
    Load(Key, oneshot::Sender<Result<Option<Kept>, BackendError>>),
    Save(Save),
}

struct Save {
    key: Key,
    kept: Option<Kept>,
    then: Box<dyn FnOnce() + Send>,
    reply: oneshot::Sender<Result<(), BackendError>>,
}

impl File {
    /// Opens or makes the file, for at most so many shares, and answers the greatest version in it.
    pub(crate) fn open(path: &Path, most: usize) -> Result<(Self, u64), ConnectError> {
        let (database, last) = open(path)
            .map_err(|error| ConnectError::Store { path: path.to_owned(), why: error.to_string().into() })?;
        let (orders, receiver) = mpsc::channel();
        let waiting = Arc::<AtomicUsize>::default();
        let done = Arc::clone(&waiting);
        let run = move || run(&database, most as u64, &receiver, &done);
        std::thread::Builder::new().name("cepa-store".into()).spawn(run).map_err(ConnectError::Thread)?;
        Ok((Self { path: path.to_owned(), orders, waiting }, last))
    }

    fn order<T: Send + 'static>(
        &self,
        order: impl FnOnce(oneshot::Sender<Result<T, BackendError>>) -> Order,
    ) -> Reply<'static, T> {
        let (reply, answer) = oneshot::channel();
        if self.waiting.fetch_add(1, Relaxed) >= WAITING {
            self.waiting.fetch_sub(1, Relaxed);
            return Box::pin(async { Err(BackendError::Busy) });
        }
        // Where the thread is gone, so is the other end of the reply.
        let _ = self.orders.send(order(reply));
        Box::pin(async move { answer.await.unwrap_or(Err(BackendError::Unanswered)) })
    }
}

impl Disk for File {
    fn load(&self, share: &Key) -> Reply<'static, Option<Kept>> {
        self.order(|reply| Order::Load(share.clone(), reply))
    }

    fn save(&self, share: &Key, kept: Option<Kept>, then: Box<dyn FnOnce() + Send>) -> Reply<'static, ()> {
        self.order(|reply| Order::Save(Save { key: share.clone(), kept, then, reply }))
    }
}

impl fmt::Debug for File {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "File({:?})", self.path)
    }
}

fn millis(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX))
}

/// Opens the file and takes out what is over.
fn open(path: &Path) -> Result<(Database, u64), redb::Error> {
    let database = Database::create(path)?;
    let now = millis(SystemTime::now());
    let mut last = 0;
    let write = database.begin_write()?;
    {
        let mut shares = write.open_table(SHARES)?;
        shares.retain(|_, (version, expires, _)| {
            last = last.max(version);
            expires == 0 || expires > now
        })?;
    }
    write.commit()?;
    Ok((database, last))
}

fn run(database: &Database, most: u64, orders: &mpsc::Receiver<Order>, waiting: &AtomicUsize) {
    while let Ok(first) = orders.recv() {
        let mut saves = Vec::new();
        let mut next = Some(first);
        while let Some(order) = next {
            match order {
                Order::Save(save) => saves.push(save),
                Order::Load(key, reply) => {
                    // It sees what was asked for before.
                    save_all(database, most, std::mem::take(&mut saves), waiting);
                    waiting.fetch_sub(1, Relaxed);
                    let _ = reply.send(load(database, &key).map_err(|error| refused(&error)));
                }
            }
            next = if saves.len() < GROUP { orders.try_recv().ok() } else { None };
        }
        save_all(database, most, saves, waiting);
    }
}

fn refused(error: &redb::Error) -> BackendError {
    BackendError::Refused(format!("the store of durable shares: {error}").into())
}

fn load(database: &Database, key: &Key) -> Result<Option<Kept>, redb::Error> {
    let shares = database.begin_read()?.open_table(SHARES)?;
    let Some(kept) = shares.get((&*key.app, &*key.name))? else { return Ok(None) };
    let (version, expires, json) = kept.value();
    if expires != 0 && expires <= millis(SystemTime::now()) {
        return Ok(None);
    }
    let expires = (expires != 0).then(|| UNIX_EPOCH + Duration::from_millis(expires));
    Ok(Some(Kept { version, expires, json: Bytes::copy_from_slice(json) }))
}

/// One commit for all, then what was to happen after each.
fn save_all(database: &Database, most: u64, saves: Vec<Save>, waiting: &AtomicUsize) {
    if saves.is_empty() {
        return;
    }
    waiting.fetch_sub(saves.len(), Relaxed);
    let done = commit(database, most, &saves);
    for (at, Save { key, then, reply, .. }) in saves.into_iter().enumerate() {
        let outcome = match &done {
            Err(error) => Err(refused(error)),
            Ok(full) if full.contains(&at) => {
                Err(BackendError::Refused(format!("{most} durable shares are kept already").into()))
            }
            Ok(_) => Ok(()),
        };
        match &outcome {
            Ok(()) => then(),
            Err(error) => {
                tracing::error!(app = &*key.app, share = &*key.name, %error, "a share was not kept");
            }
        }
        let _ = reply.send(outcome);
    }
}

/// Writes all, and answers which found no room.
fn commit(database: &Database, most: u64, saves: &[Save]) -> Result<Vec<usize>, redb::Error> {
    let mut full = Vec::new();
    let write = database.begin_write()?;
    {
        let mut shares = write.open_table(SHARES)?;
        for (at, Save { key, kept, .. }) in saves.iter().enumerate() {
            let name = (&*key.app, &*key.name);
            match kept {
                None => drop(shares.remove(name)?),
                Some(_) if shares.len()? >= most && shares.get(name)?.is_none() => full.push(at),
                Some(kept) => {
                    let expires = kept.expires.map_or(0, |time| millis(time).max(1));
                    shares.insert(name, (kept.version, expires, &*kept.json))?;
                }
            }
        }
    }
    write.commit()?;
    Ok(full)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bus, BusConfig, BusLimits, ShareError};

    const LONG: Duration = Duration::from_secs(3600);

    fn bus(path: &Path, names: usize) -> Result<Bus, ConnectError> {
        let limits = BusLimits { names, ..BusLimits::default() };
        Bus::connect(&BusConfig { store: Some(path.to_owned()), limits, ..BusConfig::default() })
    }

    /// The file is closed by its thread, a moment after the last handle is dropped.
    async fn again(path: &Path) -> Bus {
        loop {
            match bus(path, 100) {
                Ok(bus) => return bus,
                Err(ConnectError::Store { why, .. }) if why.contains("already open") => {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    #[tokio::test]
    async fn what_is_durable_is_there_again_and_the_rest_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let number = |bus: &Bus, name: &str| bus.share(name, || 0u64).unwrap();
        let first = bus(&path, 100).unwrap();
        let version = number(&first, "a").durable().set(1).await.unwrap();
        number(&first, "short").durable().ttl(Duration::from_millis(1)).set(1).await.unwrap();
        number(&first, "long").durable().ttl(LONG).set(2).await.unwrap();
        number(&first, "volatile").set(3).await.unwrap();
        number(&first, "freed").durable().set(4).await.unwrap();
        number(&first, "freed").free().await.unwrap();
        let made = first.share("made", || 7u64).unwrap().durable();
        assert_eq!(*made.read().await.unwrap(), 7);
        number(&first, "given up").durable().set(5).await.unwrap();
        number(&first, "given up").set(6).await.unwrap();
        let there = first.namespace("there").unwrap();
        there
            .share("a", || "text".to_owned())
            .unwrap()
            .durable()
            .update(|text| text.push('!'))
            .await
            .unwrap();
        assert!(matches!(bus(&path, 100), Err(ConnectError::Store { .. })), "one process at a time");
        drop((first, made, there));

        let second = again(&path).await;
        assert_eq!(number(&second, "a").read().await.unwrap().version(), version, "whatever handle asks");
        let mut found = Vec::new();
        for name in ["a", "short", "long", "volatile", "freed", "made", "given up"] {
            found.push(*number(&second, name).read().await.unwrap());
        }
        assert_eq!(found, [1, 0, 2, 0, 0, 7, 0]);
        let there = second.namespace("there").unwrap().share("a", String::new).unwrap();
        assert_eq!(*there.read().await.unwrap(), "text!");
        assert!(number(&second, "a").set(2).await.unwrap() > version);
        assert!(second.shares().iter().any(|share| share.expires_in.is_some_and(|left| left > LONG / 2)));
        let error = second.namespace("there").unwrap().share("a", || 0u64);
        assert!(error.is_err());
    }

    #[tokio::test]
    async fn a_full_store_refuses_and_what_is_there_can_be_changed() {
        let folder = tempfile::tempdir().unwrap();
        let bus = bus(&folder.path().join("store"), 3).unwrap();
        let share = |n: u64| bus.share(&n.to_string(), || 0u64).unwrap().durable();
        for n in 0..3 {
            share(n).set(1).await.unwrap();
        }
        share(0).set(2).await.unwrap();
        assert!(bus.share("3", || 0u64).is_err(), "the names of the bus end first");
        share(1).free().await.unwrap();
        share(5).set(1).await.unwrap();
    }

    #[tokio::test]
    async fn without_a_store_nothing_is_durable() {
        let share = Bus::new().share("x", || 0u64).unwrap().durable();
        assert_eq!(share.set(1).await, Err(ShareError::NoStore("x".into())));
        assert_eq!(share.clone().read().await.unwrap_err(), ShareError::NoStore("x".into()));
    }

    #[tokio::test]
    async fn a_write_that_nobody_waits_for_is_done_all_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        let first = bus(&path, 100).unwrap();
        let share = first.share("x", || 0u64).unwrap().durable();
        for n in 1..50 {
            drop(tokio::time::timeout(Duration::from_micros(n * 20), share.set(n)).await);
        }
        // In the order of the store, after those.
        let n = share.update(|n| *n).await.unwrap();
        drop((first, share));
        assert_eq!(*again(&path).await.share("x", || 0u64).unwrap().read().await.unwrap(), n);
    }

    #[test]
    fn a_file_that_is_none_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store");
        std::fs::write(&path, "this is no store").unwrap();
        let error = bus(&path, 100).unwrap_err().to_string();
        assert!(
            error.starts_with("the store of the bus, \"/") && error.contains("cannot be used"),
            "{error}"
        );
        assert!(bus(&folder.path().join("no/such/folder"), 100).is_err());
    }
}
