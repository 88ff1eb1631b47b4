//! Keeps sessions in Redis, for as many processes and machines as like.

mod link;

use std::{
    cell::Cell,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use cepa_core::{LocalBoxFuture, units::duration};
use redis::{Client, RedisResult, Script, Value, aio::MultiplexedConnection};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use self::link::Numbered;
use super::{
    change::{TooLarge, Write},
    data::as_millis,
    record::Record,
    store::{SessionId, Store, StoreError},
};

/// The length of what stands before the text of a session: random letters, others after each write, by which a writer
/// sees whether the text is still the one it has read.
const VERSION: usize = 16;

/// Writes if the version is still that one; else answers what is there now.
const REPLACE: &str = "\
if redis.call('GETRANGE', KEYS[1], 0, 15) ~= ARGV[1] then return redis.call('GET', KEYS[1]) end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1";

/// No timeout is longer: an hour.
const LONGEST: Duration = Duration::from_secs(60 * 60);

/// How Redis is reached.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RedisOptions {
    /// Where it is, default `redis://127.0.0.1:6379`: `redis://[user][:password@]host[:port][/database]`, or
    /// `unix:///path[?db=..&user=..&pass=..]`. The connection is not encrypted.
    pub url: String,
    /// What the keys begin with, default `cepa:session:`. Apps that share a database need one each.
    pub prefix: String,
    /// How long an operation may take, connecting included, default `2s`: 503.
    #[serde(with = "duration")]
    pub timeout: Duration,
}

impl Default for RedisOptions {
    fn default() -> Self {
        Self {
            url: "redis://127.0.0.1:6379".to_owned(),
            prefix: "cepa:session:".to_owned(),
            timeout: Duration::from_secs(2),
        }
    }
}

impl fmt::Debug for RedisOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The URL may hold a password.
        let Self { prefix, timeout, .. } = self;
        f.debug_struct("RedisOptions")
            .field("prefix", prefix)
            .field("timeout", timeout)
            .finish_non_exhaustive()
    }
}

/// Options that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RedisOptionsError {
    /// The URL is none, or of a kind that is not supported, such as `rediss`.
    #[error("the url of redis cannot be used: {0}")]
    Url(#[source] redis::RedisError),
    /// No time at all, or more than an hour.
    #[error("the timeout of redis is {0:?}, and must be more than nothing and at most an hour")]
    Timeout(Duration),
}

/// Why an operation has failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("redis has not answered within {0:?}")]
    Timeout(Duration),
    #[error("redis: {0}")]
    Redis(#[from] redis::RedisError),
    #[error("{0}")]
    TooLarge(#[from] TooLarge),
    #[error(transparent)]
    Random(#[from] getrandom::Error),
}

/// A store in [Redis](https://redis.io) 2.6.12 or later, or what speaks its protocol; not a cluster.
///
/// - Each worker thread has one connection, made when it is first needed and made anew when it is lost. Redis need not
///   be there when the app starts; as long as it is not, requests with a session are answered 503, each within
///   [`timeout`](RedisOptions::timeout).
/// - Changes are written only over the text that they were made to (compare and set, by a script), and made again where
///   another worker was faster, so that none is lost. After a 503 it is not known whether a change was written.
/// - Sessions expire by themselves (`PX`). With `maxmemory` choose the policy `volatile-ttl` or `volatile-lru`.
/// - Keys hold hashes of the ids, so that who reads them cannot take over a session.
///
/// A clone is the same store.
///
/// ```
/// use cepa_core::{App, Ctx, cookie::Keys};
/// use cepa_layers::session::{Redis, RedisOptions, session};
///
/// let options = RedisOptions { url: "redis://10.0.0.5/1".to_owned(), ..Default::default() };
/// let app = App::new()
///     .keys(Keys::random()?)
///     .with(session(Default::default())?.store(Redis::new(options)?))
///     .get("/", async |_: &mut Ctx| "Hello");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Redis(Arc<Inner>);

struct Inner {
    client: Client,
    replace: Script,
    options: RedisOptions,
}

impl Redis {
    /// A store; nothing is connected yet.
    ///
    /// # Errors
    /// A URL that is none, or asks for TLS; a timeout that is none.
    pub fn new(options: RedisOptions) -> Result<Self, RedisOptionsError> {
        if options.timeout.is_zero() || options.timeout > LONGEST {
            return Err(RedisOptionsError::Timeout(options.timeout));
        }
        let client = Client::open(options.url.as_str()).map_err(RedisOptionsError::Url)?;
        Ok(Self(Arc::new(Inner { client, replace: Script::new(REPLACE), options })))
    }

    /// Does something on the connection of this thread, in bounded time; on a new one where that turns out to be gone,
    /// as long as `may_repeat` says that nothing is done twice by it.
    async fn run<T>(
        &self,
        may_repeat: &Cell<bool>,
        work: impl AsyncFn(&mut MultiplexedConnection) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        let link = link::of_this_thread(&self.0);
        let made = link.made();
        let used = Cell::new(made);
        let tries = async {
            loop {
                let Numbered { mut connection, number } = link.connection(&self.0.client).await?;
                used.set(number);
                let result = work(&mut connection).await;
                match &result {
                    Err(Failure::Redis(error)) if link::is_lost(error) => link.discard(number),
                    _ => return result,
                }
                // One that is newer than this request was not lost while nobody looked: Redis is in trouble.
                if number > made || !may_repeat.get() {
                    return result;
                }
            }
        };
        let timeout = self.0.options.timeout;
        let result = tokio::time::timeout(timeout, tries).await.unwrap_or_else(|_| {
            // Whoever does not answer may be gone without a word.
            link.discard(used.get());
            Err(Failure::Timeout(timeout))
        });
        Ok(result?)
    }

    /// Writes what [`Write::apply`] makes of what is there, again until nobody has written in between.
    async fn replace(
        &self,
        connection: &mut MultiplexedConnection,
        key: &Key,
        write: &Write,
        may_repeat: &Cell<bool>,
    ) -> Result<bool, Failure> {
        let is_new = write.new.is_some();
        let mut present: Option<Vec<u8>> =
            if is_new { None } else { get(&key.name).query_async(connection).await? };
        loop {
            let (version, json) = match &present {
                Some(value) => value.split_at(VERSION.min(value.len())),
                None => Default::default(),
            };
            let Some(record) = write.apply(present.is_some().then_some(json))? else { return Ok(false) };
            let value = versioned(&record)?;
            let mut call = self.0.replace.prepare_invoke();
            call.key(&key.name).arg(version).arg(value).arg(time_left(&record));
            // Where the answer is lost it is not known whether it was done; but a new session may be written twice.
            may_repeat.set(is_new);
            match call.invoke_async(connection).await? {
                Value::Int(_) => return Ok(true),
                Value::BulkString(value) => present = Some(value),
                _ => present = None,
            }
        }
    }

    fn key(&self, id: &SessionId) -> Key {
        let hash: [u8; 32] = Sha256::digest(id.as_str()).into();
        Key { name: format!("{}{}", self.0.options.prefix, BASE64.encode(hash)), hash }
    }
}

/// A session in the database.
struct Key {
    name: String,
    hash: [u8; 32],
}

fn get(key: &str) -> redis::Cmd {
    let mut command = redis::cmd("GET");
    command.arg(key);
    command
}

/// A new version, then the text.
fn versioned(record: &Record) -> Result<Vec<u8>, Failure> {
    let mut random = [0; VERSION / 4 * 3];
    getrandom::fill(&mut random)?;
    let mut value = BASE64.encode(random).into_bytes();
    value.extend_from_slice(&record.json);
    Ok(value)
}

fn without_version(mut value: Vec<u8>) -> Vec<u8> {
    value.drain(..VERSION.min(value.len()));
    value
}

/// In milliseconds, by this machine's clock alone; Redis takes none but positive ones.
fn time_left(record: &Record) -> u64 {
    as_millis(record.expires.duration_since(SystemTime::now()).unwrap_or_default()).max(1)
}

impl Store for Redis {
    fn load<'a>(&'a self, id: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let command = get(&self.key(id).name);
            let load = async |connection: &mut MultiplexedConnection| {
                let value: Option<Vec<u8>> = command.query_async(connection).await?;
                Ok(value.map(without_version))
            };
            self.run(&Cell::new(true), load).await
        })
    }

    fn save<'a>(&'a self, id: &'a SessionId, write: Write) -> LocalBoxFuture<'a, Result<bool, StoreError>> {
        Box::pin(async move {
            let key = self.key(id);
            let may_repeat = Cell::new(true);
            // One at a time of this thread, so that a client with many requests at once makes no more writers compete
            // than there are threads.
            let link = link::of_this_thread(&self.0);
            let save = async |connection: &mut MultiplexedConnection| {
                let _turn = link.turn(&key.hash).await;
                self.replace(connection, &key, &write, &may_repeat).await
            };
            self.run(&may_repeat, save).await
        })
    }

    fn remove<'a>(&'a self, id: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        Box::pin(async move {
            let key = self.key(id).name;
            let mut both = redis::pipe();
            both.atomic().cmd("GET").arg(&key).cmd("DEL").arg(&key).ignore();
            let remove = async |connection: &mut MultiplexedConnection| {
                let answer: RedisResult<(Option<Vec<u8>>,)> = both.query_async(connection).await;
                Ok(answer?.0.map(without_version))
            };
            // Not twice: the second time would say that there was nothing.
            self.run(&Cell::new(false), remove).await
        })
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Redis").field(&self.0.options).finish()
    }
}

#[cfg(test)]
mod tests;
