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
                tracing::error!(app = &*key.app, share = &*key.name, %error, "a share was not kept")
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
