//! The server: binds listeners, runs worker threads, and drains them.

use std::{fmt, io, num::NonZeroUsize, sync::Arc, thread::JoinHandle, time::Duration};

use cepa_core::Onion;
use http::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::sync::watch;

use crate::{
    limits::{Limits, OutOfRange},
    listen::{self, Address, BindOptions, Endpoint, ListenError},
    tls::{Tls, TlsConfig, TlsError},
    worker::{self, Listener},
};

/// How a server listens and what it allows.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// Where to listen, default `127.0.0.1:3000`: addresses, or tables with an address and its options.
    pub listen: Vec<ListenConfig>,
    /// Worker threads, default 0: one for each processor.
    pub workers: usize,
    /// The `Server` header of every response that has none, default none.
    pub server_header: Option<String>,
    /// What connections and requests may cost.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let listen = vec![ListenConfig::from(Address::Tcp(([127, 0, 0, 1], 3000).into()))];
        Self { listen, workers: 0, server_header: None, limits: Limits::default() }
    }
}

/// One listener; in a configuration an address, or a table of these fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ListenConfig {
    /// `127.0.0.1:3000`, `[::1]:3000`, `unix:/run/app.sock`, `fd:3` or `fd:NAME`.
    pub address: Address,
    /// Certificates, for a listener that speaks TLS.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Backlog, file mode and the like.
    #[serde(default)]
    pub options: BindOptions,
}

impl From<Address> for ListenConfig {
    fn from(address: Address) -> Self {
        Self { address, tls: None, options: BindOptions::default() }
    }
}

impl Serialize for ListenConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl<'de> Deserialize<'de> for ListenConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AddressOrTable)
    }
}

/// Not `#[serde(untagged)]`, whose only message is that nothing fits.
struct AddressOrTable;

impl<'de> de::Visitor<'de> for AddressOrTable {
    type Value = ListenConfig;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an address such as \"127.0.0.1:3000\", or a table with one")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<ListenConfig, E> {
        text.parse::<Address>().map(Into::into).map_err(E::custom)
    }

    fn visit_map<A: de::MapAccess<'de>>(self, table: A) -> Result<ListenConfig, A::Error> {
        // The derived function: `remote = "Self"` makes it an inherent one and leaves the trait to us.
        ListenConfig::deserialize(de::value::MapAccessDeserializer::new(table))
    }
}

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificates or keys cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A limit is outside of its range.
    #[error("limits.{0}")]
    Limits(#[from] OutOfRange),
    /// The text for the `Server` header cannot stand in one.
    #[error("server_header {0:?} holds characters that a header cannot hold")]
    ServerHeader(String),
    /// A worker thread cannot be made.
    #[error("a worker thread cannot be started: {0}")]
    Thread(#[source] io::Error),
}

/// How far the end of a server has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Accepting and serving.
    Serving,
    /// No longer accepting; open connections finish, idle ones are closed.
    Draining,
    /// Whatever is still open is cut.
    Cut,
}

/// A server whose listeners are bound.
#[derive(Debug)]
pub struct Server {
    onion: Arc<Onion>,
    limits: Arc<Limits>,
    server_header: Option<HeaderValue>,
    /// What each worker listens on.
    workers: Vec<Vec<Listener>>,
    endpoints: Vec<Endpoint>,
    tls: Vec<Tls>,
}

impl Server {
    /// Binds all listeners; connections wait in their backlogs from here on.
    ///
    /// # Errors
    /// The first listener, certificate or limit that cannot be used.
    pub fn bind(config: ServerConfig, onion: Arc<Onion>) -> Result<Self, ServerError> {
        config.limits.check()?;
        let server_header = config
            .server_header
            .map(|text| HeaderValue::from_str(&text).map_err(|_| ServerError::ServerHeader(text)));
        let count = match config.workers {
            0 => std::thread::available_parallelism().map_or(1, NonZeroUsize::get),
            count => count,
        };
        let mut workers: Vec<Vec<Listener>> = (0..count).map(|_| Vec::new()).collect();
        let (mut endpoints, mut all_tls) = (Vec::new(), Vec::new());
        for listen in config.listen {
            let tls = listen.tls.as_ref().map(Tls::load).transpose()?;
            let sockets = listen::bind(&listen.address, count, &listen.options)?;
            endpoints.extend(sockets.first().map(|socket| socket.local_addr().clone()));
            for (worker, socket) in workers.iter_mut().zip(sockets) {
                worker.push(Listener { socket, tls: tls.clone() });
            }
            all_tls.extend(tls);
        }
        let server_header = server_header.transpose()?;
        Ok(Self { onion, limits: Arc::new(config.limits), server_header, workers, endpoints, tls: all_tls })
    }

    /// Where the listeners listen, in the order of the config.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// How many worker threads there will be.
    pub fn workers(&self) -> usize {
        self.workers.len()
    }

    /// Starts the worker threads.
    ///
    /// # Errors
    /// When a thread or its runtime cannot be made.
    pub fn start(self) -> Result<Running, ServerError> {
        let (stage, _) = watch::channel(Stage::Serving);
        let most = self.limits.connections_per_worker(self.workers.len());
        let mut threads = Vec::new();
        for (at, listeners) in self.workers.into_iter().enumerate() {
            let floor = worker::Ground {
                onion: Arc::clone(&self.onion),
                limits: Arc::clone(&self.limits),
                server: self.server_header.clone(),
                connections: most,
                listeners,
                stage: stage.subscribe(),
                // One worker looks after the files of all certificates.
                watched: if at == 0 { self.tls.clone() } else { Vec::new() },
            };
            let thread = std::thread::Builder::new().name(format!("worker-{at}"));
            threads.push(thread.spawn(move || worker::run(floor)).map_err(ServerError::Thread)?);
        }
        let stopper = Stopper { stage: Arc::new(stage) };
        Ok(Running { threads, stopper, endpoints: self.endpoints })
    }
}

/// A server at work.
#[derive(Debug)]
pub struct Running {
    threads: Vec<JoinHandle<io::Result<()>>>,
    stopper: Stopper,
    endpoints: Vec<Endpoint>,
}

impl Running {
    /// Where the listeners listen, in the order of the config.
    pub fn endpoints(&self) -> &[Endpoint] {
        &self.endpoints
    }

    /// What ends the server from anywhere.
    pub fn stopper(&self) -> Stopper {
        self.stopper.clone()
    }

    /// Waits until all workers have ended.
    ///
    /// # Errors
    /// What a worker failed with: its runtime could not be made, or it panicked.
    pub fn join(self) -> io::Result<()> {
        let mut result = Ok(());
        for thread in self.threads {
            let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("a worker thread panicked")));
            if ended.is_err() {
                // The others must not serve on as if nothing had happened.
                self.stopper.drain();
                result = ended;
            }
        }
        result
    }

    /// Drains the server and waits until it has ended.
    ///
    /// # Errors
    /// As [`join`](Self::join).
    pub fn stop(self) -> io::Result<()> {
        self.stopper.drain();
        self.join()
    }
}

/// Ends a server. Clones end the same server.
#[derive(Clone, Debug)]
pub struct Stopper {
    stage: Arc<watch::Sender<Stage>>,
}

impl Stopper {
    /// Stops accepting, lets open connections finish for `limits.drain`, then cuts them.
    pub fn drain(&self) {
        self.advance(Stage::Draining);
    }

    /// Cuts everything now.
    pub fn cut(&self) {
        self.advance(Stage::Cut);
    }

    fn advance(&self, to: Stage) {
        self.stage.send_if_modified(|stage| {
            let later = *stage < to;
            *stage = to.max(*stage);
            later
        });
    }
}

/// How often the files of certificates are looked at.
pub(crate) const TLS_WATCH: Duration = Duration::from_secs(10);
