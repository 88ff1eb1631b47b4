//! A bus that is kept in Redis, for all machines that use it.
//!
//! In reading order: [`address`] says where it is, [`keys`] what things are called there, [`scripts`] what is done there in one
//! step. The [`link`] is a thread by itself that has the [`connection`]; handles send it [`jobs`], which are done in order.
//! What is asked: [`shares`] with their [`locks`], counters and [`maps`], [`queues`] with the [`outbox`] of what is published and the [`mirrors`] of
//! what is followed, and the [`messenger`]. A connection is a [session](sessions) there, which has leases on what it holds;
//! what has changed here is told as [`news`].
//!
//! What may be lost with Redis' own data, and what it promises, stands in the guide and in the page of decisions on
//! backends of the bus.

mod address;
mod answer;
mod connection;
mod jobs;
mod keys;
mod link;
mod locks;
mod maps;
mod messenger;
mod mirrors;
mod news;
mod outbox;
mod permit;
mod queues;
mod room;
mod scripts;
mod sessions;
mod shares;

use std::{
    fmt,
    fs::File,
    hash::{BuildHasher as _, RandomState},
    io::{self, Read as _},
    sync::{Arc, Weak, atomic::AtomicBool, mpsc},
    thread,
    time::Duration,
};

use ::redis::{Cmd, Value};
use tokio::{
    runtime::LocalRuntime,
    sync::{
        mpsc::{UnboundedSender, unbounded_channel},
        oneshot,
    },
};

pub use self::address::{RedisAddress, RedisUrlError};
use self::{
    answer::Answer,
    connection::Session,
    jobs::{Call, Event, Job},
    keys::Keys,
    link::Link,
    news::News,
    permit::{Permit, Room},
};
use crate::{
    BackendError, BusConfig, BusLimits, ConnectError, Role, WhileLost,
    far::{Far, Reply},
    messenger::Switch,
};

/// Most bytes of one value.
const VALUE_MOST: usize = 64 << 20;
/// Most bytes of one message: Redis cuts off who has not read 32 MiB of them.
const MESSAGE_MOST: usize = 8 << 20;
/// Most calls under way, and most bytes of them.
const CALLS: usize = 65_536;
const CALL_BYTES: usize = 256 << 20;
/// So long Redis remembers the last batch of a process that is not heard of.
const BATCH_MEMORY: Duration = Duration::from_secs(60 * 60 * 24);

/// Bounds of times that are configured.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60 * 60 * 24 * 366);

/// A bus that is kept in Redis.
pub(crate) struct Redis {
    settings: Arc<Settings>,
    news: Arc<News>,
    link: UnboundedSender<Event>,
    calls: Room,
    /// Messages that wait to be sent, or to be answered.
    buffer: Room,
    /// Whether there is a connection.
    is_up: Arc<AtomicBool>,
}

/// What the parts of it know.
struct Settings {
    address: RedisAddress,
    keys: Keys,
    limits: BusLimits,
    while_lost: WhileLost,
    wait: Duration,
    silence: Duration,
    is_worker: bool,
    /// The id of the process and the name of the machine.
    process: String,
    /// A random name of what this process publishes.
    publisher: String,
}

impl Redis {
    /// Begins to connect to the server of this URL, and goes on whenever the connection is lost.
    pub(crate) fn connect(
        config: &BusConfig,
        url: &str,
        role: Role,
        switch: Weak<Switch>,
    ) -> Result<Arc<Self>, ConnectError> {
        let address = RedisAddress::parse(url)?;
        let limits =
            BusLimits { queue_idle: config.limits.queue_idle.clamp(SHORTEST, LONGEST), ..config.limits };
        let settings = Arc::new(Settings {
            keys: Keys::new(&config.prefix, address.database()),
            address,
            limits,
            while_lost: config.while_lost,
            wait: config.wait.min(LONGEST),
            silence: config.silence.clamp(SHORTEST, LONGEST),
            is_worker: role == Role::Worker,
            process: process(std::process::id()),
            publisher: format!("{:016x}", random()),
        });
        let (link, inbox) = unbounded_channel();
        let news = Arc::<News>::default();
        let is_up = Arc::<AtomicBool>::default();
        let parts = (Arc::clone(&settings), (Arc::clone(&news), Arc::clone(&is_up)), (link.clone(), inbox));
        let (started, has_started) = mpsc::sync_channel(1);
        let run = move || {
            let runtime = LocalRuntime::new();
            let (runtime, result) =
                runtime.map_or_else(|error| (None, Err(error)), |runtime| (Some(runtime), Ok(())));
            // It is waited for.
            let _ = started.send(result);
            if let Some(runtime) = runtime {
                let (settings, shared, channel) = parts;
                runtime.block_on(Link::new(settings, shared, switch, channel).run());
            }
        };
        thread::Builder::new().name("cepa-bus-redis".to_owned()).spawn(run).map_err(ConnectError::Thread)?;
        let gone = |_| Err(io::ErrorKind::Other.into());
        has_started.recv().unwrap_or_else(gone).map_err(ConnectError::Thread)?;
        let calls = Room::new(CALLS, CALL_BYTES);
        let buffer = Room::new(config.buffer_messages.clamp(1, 65_536), config.buffer_bytes);
        Ok(Arc::new(Self { settings, news, link, calls, buffer, is_up }))
    }

    /// Has the link do something, after all that was sent to it before.
    fn send(&self, job: Job) {
        // It ends when this is dropped.
        let _ = self.link.send(Event::Job(job));
    }

    fn permit(&self, bytes: usize) -> Result<Permit, BackendError> {
        self.calls.permit(bytes)
    }

    /// Has the link do something that is answered.
    async fn ask<T, E: From<BackendError>>(
        &self,
        job: impl FnOnce(oneshot::Sender<Result<T, E>>) -> Job,
    ) -> Result<T, E> {
        let (reply, answer) = oneshot::channel();
        self.send(job(reply));
        answer.await.unwrap_or_else(|_| Err(BackendError::Unanswered.into()))
    }

    /// Calls Redis with something of so many bytes.
    async fn call(
        &self,
        bytes: usize,
        make: impl FnOnce(&Session) -> Cmd + Send + 'static,
    ) -> Result<Answer, BackendError> {
        self.answer_to(bytes, false, Box::new(make)).await
    }

    /// Asks Redis for something that changes nothing: again, where the connection was lost before the answer came.
    async fn look(&self, command: Cmd) -> Result<Answer, BackendError> {
        let again = command.clone();
        match self.call(0, move |_| command).await {
            Err(BackendError::Unanswered) => self.call(0, move |_| again).await,
            answer => answer,
        }
    }

    /// Calls Redis when it knows what has changed in this process.
    async fn call_after_news(
        &self,
        bytes: usize,
        make: impl FnOnce(&Session) -> Cmd + Send + 'static,
    ) -> Result<Answer, BackendError> {
        self.answer_to(bytes, true, Box::new(make)).await
    }

    async fn answer_to(
        &self,
        bytes: usize,
        after_news: bool,
        make: Box<dyn FnOnce(&Session) -> Cmd + Send>,
    ) -> Result<Answer, BackendError> {
        let permit = self.permit(bytes)?;
        let call = |reply| Job::Call(Call { make, after_news, reply: Some(reply), permit });
        let value: Value = self.ask(call).await?;
        Ok(Answer::new(value))
    }
}

impl Far for Redis {
    fn ready(&self) -> Reply<'_, ()> {
        Box::pin(self.ask(Job::Ready))
    }

    fn is_worker(&self) -> bool {
        self.settings.is_worker
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        // If nobody hears it, it has ended.
        let _ = self.link.send(Event::End);
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The address may have a password.
        f.debug_struct("Redis").field("keys", &self.settings.keys).finish_non_exhaustive()
    }
}

/// A random number, by the keys of a new hasher.
fn random() -> u64 {
    RandomState::new().hash_one(())
}

/// A process by its id, which is another one on each machine.
fn process(id: u32) -> String {
    let mut machine = String::new();
    // Without a name all machines are one.
    if let Ok(file) = File::open("/proc/sys/kernel/hostname") {
        let _ = file.take(64).read_to_string(&mut machine);
    }
    format!("{id} {}", machine.trim_end())
}
