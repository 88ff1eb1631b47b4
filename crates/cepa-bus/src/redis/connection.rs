//! A connection to Redis, and the session that this process has there as long as it lasts.

use std::{
    collections::HashMap,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ErrorKind, Pipeline, PushInfo, PushKind, RedisResult, Value,
    aio::{MultiplexedConnection, SendError},
};
use tokio::{
    sync::mpsc::UnboundedSender,
    task::unconstrained,
    time::{Instant, timeout, timeout_at},
};

use super::{
    Settings,
    answer::{Answer, failure},
    jobs::Event,
    scripts,
};
use crate::BackendError;

/// A connection to Redis, which is two: one for what is asked, one for what comes by itself. As much may come that Redis cuts
/// the second one off, and answers must not wait behind it.
#[derive(Clone)]
pub(super) struct Connection {
    pub(super) session: Session,
    commands: MultiplexedConnection,
    messages: MultiplexedConnection,
    alarm: Alarm,
}

/// Who hears when a connection is of no more use.
#[derive(Clone)]
struct Alarm {
    number: u64,
    events: UnboundedSender<Event>,
    /// Time without an answer after which it is.
    silence: Duration,
}

/// What Redis knows of this process while a connection lasts.
#[derive(Clone, Debug)]
pub(super) struct Session {
    /// A random name.
    pub(super) name: Arc<str>,
    /// What queues of an earlier one had may be lost in part.
    pub(super) era: Arc<str>,
}

/// What is needed to connect.
pub(super) struct Attempt {
    pub(super) number: u64,
    pub(super) settings: Arc<Settings>,
    pub(super) events: UnboundedSender<Event>,
    /// The session before.
    pub(super) before: Option<Arc<str>>,
}

/// What a server says of itself.
struct Server {
    /// Which process it is.
    run: String,
    /// Whether it writes down all that it does before it says so, and nobody takes its place who has not read all that.
    forgets_nothing: bool,
}

impl Attempt {
    /// Connects and begins a session; the error is a text for whoever looks after the server.
    pub(super) async fn connect(self) -> Result<Connection, String> {
        let silence = self.settings.silence;
        let not_in_time = |_| format!("Redis has not answered within {silence:?}");
        timeout(silence, self.begin()).await.map_err(not_in_time)?
    }

    async fn begin(self) -> Result<Connection, String> {
        let client = self.settings.address.client()?;
        let (commands, server, messages) = self.open(&client).await.map_err(|error| error.to_string())?;
        let name: Arc<str> = format!("{:016x}", super::random()).into();
        let Self { number, settings, events, before } = self;
        let session = Session { name, era: "".into() };
        let alarm = Alarm { number, events, silence: settings.silence };
        let mut connection = Connection { session, commands, messages, alarm };
        let keys = &settings.keys;
        // It hears before anybody can know that it is there.
        let channel = [&*keys.sessions_channel(), &connection.session.name].concat();
        connection.subscribe(vec![channel.into_bytes().into()]).await.map_err(|error| error.to_string())?;
        let batch = keys.batch(&settings.publisher);
        let mut begin = scripts::call(&scripts::BEGIN, &[&keys.sessions, &keys.clock, &keys.era, &batch]);
        begin
            .arg(&*connection.session.name)
            .arg(millis(settings.silence))
            .arg(before.as_deref().unwrap_or(""));
        begin.arg(server.run).arg(u8::from(server.forgets_nothing)).arg(millis(super::BATCH_MEMORY));
        let era = connection.ask(begin).await.and_then(|era| Answer::new(era).text());
        connection.session.era = era.map_err(|error| error.to_string())?.into();
        Ok(connection)
    }

    async fn open(
        &self,
        client: &Client,
    ) -> RedisResult<(MultiplexedConnection, Server, MultiplexedConnection)> {
        let mut commands = client.get_multiplexed_async_connection_with_config(&self.config()).await?;
        let mut load = Pipeline::new();
        for script in scripts::all() {
            load.cmd("SCRIPT").arg("LOAD").arg(&*script.code).ignore();
        }
        load.exec_async(&mut commands).await?;
        let server = Server::ask(&mut commands).await?;
        let messages = client.get_multiplexed_async_connection_with_config(&self.config()).await?;
        Ok((commands, server, messages))
    }

    fn config(&self) -> AsyncConnectionConfig {
        let (number, events) = (self.number, self.events.clone());
        // The time for all of it bounds each part.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        config.set_pipeline_buffer_size(1024).set_push_sender(move |pushed: PushInfo| {
            match event(number, pushed) {
                Some(event) => events.send(event).map_err(|_| SendError),
                None => Ok(()),
            }
        })
    }
}

/// What has come by itself.
fn event(number: u64, pushed: PushInfo) -> Option<Event> {
    match pushed.kind {
        PushKind::Disconnection => {
            Some(Event::Lost { number, why: "Redis has closed the connection".into() })
        }
        PushKind::Message => {
            let mut parts = pushed.data.into_iter();
            match (parts.next(), parts.next()) {
                (Some(Value::BulkString(channel)), Some(Value::BulkString(message))) => {
                    Some(Event::Message { number, channel, message: message.into() })
                }
                _ => None,
            }
        }
        _ => None,
    }
}

impl Server {
    async fn ask(commands: &mut MultiplexedConnection) -> RedisResult<Self> {
        let mut about = String::new();
        for section in ["server", "persistence", "replication"] {
            about += &::redis::cmd("INFO").arg(section).query_async::<String>(commands).await?;
        }
        // Who may not ask for that is not told.
        let sync = ::redis::cmd("CONFIG").arg("GET").arg("appendfsync").query_async(commands).await;
        let sync: HashMap<String, String> = sync.unwrap_or_default();
        let is_synced = sync.values().any(|sync| sync == "always");
        let is = |name: &str, value: &str| field(&about, name) == Some(value);
        let is_first = field(&about, "master_replid2").is_none_or(|id| id.bytes().all(|byte| byte == b'0'));
        let run = field(&about, "run_id").filter(|run| !run.is_empty());
        // Without that nobody would see that it has forgotten something.
        let run = run.ok_or((ErrorKind::Client, "Redis does not say by INFO which run of it this is"))?;
        Ok(Self {
            run: run.to_owned(),
            forgets_nothing: is_synced && is("aof_enabled", "1") && is("role", "master") && is_first,
        })
    }
}

/// A field of what INFO answers.
fn field<'a>(about: &'a str, name: &str) -> Option<&'a str> {
    about.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim_end)
}

impl Connection {
    /// Asks for something. It has been handed to the connection when this returns, after all that was asked before.
    ///
    /// Where the connection turns out to be of no use this says so to the link, besides answering an error.
    pub(super) fn ask(&self, command: Cmd) -> impl Future<Output = Result<Value, BackendError>> + use<> {
        let mut commands = self.commands.clone();
        self.begun(async move { commands.send_packed_command(&command).await })
    }

    /// Hears what is published in these channels, from when this answers at the latest.
    pub(super) fn subscribe(
        &self,
        channels: Vec<Arc<[u8]>>,
    ) -> impl Future<Output = Result<Value, BackendError>> + use<> {
        let mut messages = self.messages.clone();
        self.begun(async move {
            let channels: Vec<&[u8]> = channels.iter().map(|channel| &**channel).collect();
            messages.subscribe(channels).await.map(|()| Value::Okay)
        })
    }

    pub(super) fn unsubscribe(
        &self,
        channel: Arc<[u8]>,
    ) -> impl Future<Output = Result<Value, BackendError>> + use<> {
        let mut messages = self.messages.clone();
        self.begun(async move { messages.unsubscribe(&*channel).await.map(|()| Value::Okay) })
    }

    /// Asks both connections for a sign of life.
    pub(super) fn beat(&self, beat: Cmd) -> impl Future<Output = Result<Value, BackendError>> + use<> {
        let mut messages = self.messages.clone();
        let ping = self.begun(async move { messages.send_packed_command(&::redis::cmd("PING")).await });
        let beat = self.ask(beat);
        async move {
            ping.await?;
            beat.await
        }
    }

    /// Where it says what happens.
    pub(super) fn events(&self) -> &UnboundedSender<Event> {
        &self.alarm.events
    }

    /// Says that the connection is of no more use.
    pub(super) fn give_up(&self, why: &str) {
        self.alarm.ring(why);
    }

    fn begun<F: Future<Output = RedisResult<Value>> + 'static>(
        &self,
        asked: F,
    ) -> impl Future<Output = Result<Value, BackendError>> + use<F> {
        let by = Instant::now() + self.alarm.silence;
        // The first poll hands it over, or takes the next place among those who wait for that; a budget must not put it off.
        let mut asked: Pin<Box<dyn Future<Output = _>>> = Box::pin(unconstrained(asked));
        let begun = asked.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        let alarm = self.alarm.clone();
        async move {
            let result = match begun {
                Poll::Ready(result) => result,
                Poll::Pending => match timeout_at(by, asked).await {
                    Ok(result) => result,
                    Err(_) => {
                        alarm.ring(&format!("Redis has not answered within {:?}", alarm.silence));
                        return Err(BackendError::Unanswered);
                    }
                },
            };
            result.and_then(Value::extract_error).map_err(|error| {
                let (error, is_lost) = failure(&error);
                if is_lost {
                    alarm.ring(&error.to_string());
                }
                error
            })
        }
    }
}

impl Alarm {
    fn ring(&self, why: &str) {
        // Nobody hears it when the bus is dropped.
        let _ = self.events.send(Event::Lost { number: self.number, why: why.into() });
    }
}

/// A time as Redis takes it: in milliseconds, at least one, and none that it would find too long.
pub(super) fn millis(time: Duration) -> u64 {
    const LONGEST: u64 = 1000 * 60 * 60 * 24 * 366 * 100;
    u64::try_from(time.as_millis()).unwrap_or(LONGEST).clamp(1, LONGEST)
}
