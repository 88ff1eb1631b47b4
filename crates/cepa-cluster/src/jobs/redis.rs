//! Jobs in Redis, for workers on many machines: the thread that has the connection, and the script that does what is asked.
//!
//! What Redis has promised is as safe as its own data: `appendonly yes` with `appendfsync always` is what the file does.

mod step;

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, ErrorKind, RedisError, RedisResult, ServerErrorKind, aio::MultiplexedConnection,
};
use cepa_bus::RedisAddress;
use tokio::{
    runtime::LocalRuntime,
    sync::{Mutex, oneshot, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at},
};
use tracing::{info, warn};

use super::{
    keeper::{Keeper, Kept, Letter, Lost},
    store::{Answer, Ask},
};

/// How long something has to be done; a connection that was lost is made anew meanwhile.
const PATIENCE: Duration = Duration::from_secs(10);
/// Time without an answer after which a connection is of no more use.
const SILENCE: Duration = Duration::from_secs(5);
/// Between two attempts to connect.
const PAUSE: Duration = Duration::from_millis(100);
/// What is under way at once.
const WAITING: usize = 1_024;
/// How often workers look for what others have added, or another machine.
const LOOK: Duration = Duration::from_secs(1);

/// Jobs in this server, by keys with this prefix.
pub(super) fn open(url: &str, prefix: &str) -> Result<Keeper, Lost> {
    let address = RedisAddress::parse(url).map_err(|error| Lost::Broken(format!("jobs.store: {error}")))?;
    let prefix = prefix.to_owned();
    let broken = |error: std::io::Error| Lost::Broken(error.to_string());
    let (ready, is_ready) = std::sync::mpsc::sync_channel(1);
    let keeper = Keeper::start("jobs-redis", move |kept| {
        match LocalRuntime::new() {
            Ok(runtime) => {
                // It is waited for.
                let _ = ready.send(Ok(()));
                let closing = runtime.block_on(keep(kept, Link::new(address, prefix)));
                drop(runtime);
                // Whoever asked may have gone.
                let _ = closing.map(|sender| sender.send(()));
            }
            Err(error) => drop(ready.send(Err(error))),
        }
    });
    let keeper = keeper.map_err(broken)?;
    let started = is_ready.recv().unwrap_or_else(|_| Err(std::io::ErrorKind::Other.into()));
    started.map(|()| keeper).map_err(broken)
}

/// Answers until nobody asks any more, or somebody closes it and waits to hear so.
async fn keep(Kept { mut letters, news }: Kept, link: Link) -> Option<oneshot::Sender<()>> {
    let (link, news) = (Rc::new(link), Rc::new(news));
    let mut looks = interval(LOOK);
    looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut tasks = JoinSet::new();
    let closing = loop {
        tokio::select! {
            letter = letters.recv(), if tasks.len() < WAITING => match letter {
                Some(Letter::Ask(ask, reply)) => {
                    tasks.spawn_local(answer(Rc::clone(&link), Rc::clone(&news), ask, reply));
                }
                Some(Letter::Close(sender)) => break Some(sender),
                None => break None,
            },
            Some(_) = tasks.join_next() => {}
            _ = looks.tick() => tell(&news),
        }
    };
    drop(letters);
    while tasks.join_next().await.is_some() {}
    closing
}

async fn answer(
    link: Rc<Link>,
    news: Rc<watch::Sender<u64>>,
    ask: Ask,
    reply: oneshot::Sender<Result<Answer, Lost>>,
) {
    let answer = link.ask(&ask).await;
    if ask.makes_due() {
        tell(&news);
    }
    // Whoever asked may have gone; it is done all the same.
    let _ = reply.send(answer);
}

fn tell(news: &watch::Sender<u64>) {
    news.send_modify(|number| *number = number.wrapping_add(1));
}

/// The connection, made again whenever it is lost.
struct Link {
    address: RedisAddress,
    prefix: String,
    /// Locked while one is made, so that all wait for one.
    connection: Mutex<Option<(u64, MultiplexedConnection)>>,
    made: Cell<u64>,
    /// What the last attempt has met.
    why: RefCell<String>,
    is_lost: Cell<bool>,
}

impl Link {
    fn new(address: RedisAddress, prefix: String) -> Self {
        let (connection, made, why) = (Mutex::new(None), Cell::new(0), RefCell::default());
        Self { address, prefix, connection, made, why, is_lost: Cell::new(false) }
    }

    async fn ask(&self, ask: &Ask) -> Result<Answer, Lost> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Ok((number, connection)) = timeout_at(deadline, self.connection()).await else {
                return Err(Lost::Away(self.why.borrow().clone()));
            };
            let lost = match self.call(ask, connection).await {
                Ok(parts) => {
                    let nonsense =
                        || Lost::Broken("Redis has answered something that is no answer".to_owned());
                    return step::answer(ask, parts).ok_or_else(nonsense);
                }
                Err(lost @ (Lost::Broken(_) | Lost::Closed)) => return Err(lost),
                Err(lost) => lost,
            };
            self.discard(number, &lost.to_string()).await;
            let may_go_on = lost != Lost::Unanswered || ask.may_be_repeated();
            if !may_go_on || Instant::now() >= deadline {
                return Err(lost);
            }
            sleep(PAUSE).await;
        }
    }

    async fn call(&self, ask: &Ask, mut connection: MultiplexedConnection) -> Result<Vec<String>, Lost> {
        let step = step::step(&self.prefix, ask);
        match timeout(SILENCE, step.invoke_async(&mut connection)).await {
            Err(_) => Err(Lost::Unanswered),
            Ok(answer) => answer.map_err(|error| lost(&error)),
        }
    }

    /// The connection that there is, or a new one, however long that takes.
    async fn connection(&self) -> (u64, MultiplexedConnection) {
        let mut present = self.connection.lock().await;
        loop {
            if let Some((number, connection)) = &*present {
                return (*number, connection.clone());
            }
            match timeout(SILENCE, self.connect())
                .await
                .unwrap_or_else(|_| Err("it does not answer".to_owned()))
            {
                Ok(connection) => {
                    if self.is_lost.take() {
                        info!(target: "cepa::jobs", "Redis is there again");
                    }
                    self.made.set(self.made.get() + 1);
                    *present = Some((self.made.get(), connection));
                }
                Err(why) => {
                    if !self.is_lost.replace(true) {
                        warn!(target: "cepa::jobs", why, "Redis is out of reach");
                    }
                    self.why.replace(format!("Redis: {why}"));
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn connect(&self) -> Result<MultiplexedConnection, String> {
        let client = self.address.client()?;
        // The time for all of it bounds each part.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connected = async {
            let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
            if self.made.get() == 0 {
                look_at_safety(&mut connection).await;
            }
            RedisResult::Ok(connection)
        };
        connected.await.map_err(|error| error.to_string())
    }

    /// Takes a connection away, unless it was replaced already.
    async fn discard(&self, number: u64, why: &str) {
        let mut present = self.connection.lock().await;
        if present.take_if(|(present, _)| *present == number).is_some() && !self.is_lost.replace(true) {
            warn!(target: "cepa::jobs", why, "the connection to Redis is lost");
        }
    }
}

/// Says so in the log if Redis forgets jobs when it ends.
async fn look_at_safety(connection: &mut MultiplexedConnection) {
    let about: RedisResult<String> = ::redis::cmd("INFO").arg("persistence").query_async(connection).await;
    // Who may not ask for that is not told.
    let Ok(about) = about else { return };
    if !about.lines().any(|line| line.trim_end() == "aof_enabled:1") {
        warn!(target: "cepa::jobs", "Redis is without appendonly: jobs that it was given last are lost when it ends");
    }
}

fn lost(error: &RedisError) -> Lost {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly, TryAgain};
    match error.kind() {
        // It has said that nothing was done.
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly | TryAgain) => {
            Lost::Away(format!("Redis: {error}"))
        }
        ErrorKind::Server(_) | ErrorKind::Extension if !error.is_unrecoverable_error() => {
            Lost::Broken(format!("Redis: {error}"))
        }
        _ => Lost::Unanswered,
    }
}
