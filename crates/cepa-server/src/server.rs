//! The server: binds listeners, runs worker threads, and drains them.

use std::{fmt, io, num::NonZeroUsize, path::PathBuf, sync::Arc, thread::JoinHandle};

use cepa_core::Onion;
use http::HeaderValue;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::{
    door::Door,
    front::{FrontServers, Protocol},
    gauges::Gauges,
    limits::{Limits, OutOfRange},
    listen::{self, Address, BindOptions, Endpoint, ListenError, Socket},
    moved::{Adopter, MovedConnection},
    proxy_protocol::ProxyProtocol,
    stage::Stopper,
    tls::{Tls, TlsConfig, TlsError, TlsFolder},
    tora,
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
    /// The folder of the certificates that are got by ACME or made by the server itself, default `data/tls` below the
    /// folder that the program works in. It is made if it is needed, for its owner only.
    pub tls_dir: PathBuf,
    /// What connections and requests may cost.
    pub limits: Limits,
}

impl Default for ServerConfig {
    fn default() -> Self {
        let listen = vec![ListenConfig::from(Address::Tcp(([127, 0, 0, 1], 3000).into()))];
        let tls_dir = "data/tls".into();
        Self { listen, workers: 0, server_header: None, tls_dir, limits: Limits::default() }
    }
}

impl ServerConfig {
    pub(crate) fn server_header(&self) -> Result<Option<HeaderValue>, ServerError> {
        let text = self.server_header.as_ref();
        let value =
            text.map(|text| HeaderValue::from_str(text).map_err(|_| ServerError::ServerHeader(text.clone())));
        value.transpose()
    }
}

/// One listener; in a configuration an address, or a table of these fields.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ListenConfig {
    /// `127.0.0.1:3000`, `[::1]:3000`, `unix:/run/app.sock`, `fd:3` or `fd:NAME`.
    pub address: Address,
    /// The protocol that is spoken there: `http` (the default), `fastcgi`, `scgi` or `tora`.
    #[serde(default)]
    pub door: Protocol,
    /// The front servers that are believed what they say of their clients by FastCGI, SCGI or tora: address, scheme, port.
    /// Who comes to a tora listener from elsewhere is a direct client.
    /// Addresses, blocks, `loopback`, `private` or `unix`; default `["loopback", "unix"]`.
    #[serde(default)]
    pub front: FrontServers,
    /// The hosts that direct clients of tora may ask for, default `[]`: any. A Flash player is told that it may connect to
    /// these, and to no others.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Proxies that announce their clients by the PROXY protocol, default none.
    #[serde(default)]
    pub proxy_protocol: Option<ProxyProtocol>,
    /// Certificates, for a listener that speaks TLS, which is with HTTP only.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Backlog, file mode and the like.
    #[serde(default)]
    pub options: BindOptions,
}

impl From<Address> for ListenConfig {
    fn from(address: Address) -> Self {
        let (door, front, hosts, options) = Default::default();
        Self { address, door, front, hosts, proxy_protocol: None, tls: None, options }
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

impl ServerConfig {
    /// Checks what can be checked without binding, and says how many worker threads there are to be.
    fn check(&self) -> Result<usize, ServerError> {
        self.limits.check()?;
        if self.listen.is_empty() {
            return Err(ServerError::NoListener);
        }
        match self.workers {
            0 => Ok(std::thread::available_parallelism().map_or(1, NonZeroUsize::get)),
            count if count <= MOST_WORKERS => Ok(count),
            count => Err(ServerError::Workers(count)),
        }
    }
}

/// The most worker threads of one process.
const MOST_WORKERS: usize = 1024;

/// Why a server does not start.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// Certificates or keys cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// A listener that speaks another protocol than HTTP has certificates.
    #[error("{0} has `tls`, which only the door `http` speaks")]
    TlsDoor(Address),
    /// A listener that speaks another protocol than tora has hosts.
    #[error("{0} has `hosts`, which only the door `tora` asks for")]
    HostsDoor(Address),
    /// A limit is outside of its range.
    #[error("limits.{0}")]
    Limits(#[from] OutOfRange),
    /// The text for the `Server` header cannot stand in one.
    #[error("server_header {0:?} holds characters that a header cannot hold")]
    ServerHeader(String),
    /// Nothing is listened on.
    #[error("listen is empty: name at least one address")]
    NoListener,
    /// There are more workers than make sense.
    #[error("workers is {0}: it must be from 0 to {MOST_WORKERS}")]
    Workers(usize),
    /// A worker thread cannot be made.
    #[error("a worker thread cannot be started: {0}")]
    Thread(#[source] io::Error),
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
    gauges: Option<Arc<Gauges>>,
    /// For each worker, if the server adopts.
    arrivals: Vec<UnboundedReceiver<MovedConnection>>,
}

impl Server {
    /// Binds all listeners; connections wait in their backlogs from here on.
    ///
    /// # Errors
    /// The first listener, certificate or limit that cannot be used.
    pub fn bind(config: ServerConfig, onion: Arc<Onion>) -> Result<Self, ServerError> {
        let count = config.check()?;
        Self::over(config, count, onion, |listen| listen::bind(&listen.address, count, &listen.options))
    }

    /// A server over sockets that were [bound](listen::bind) elsewhere: `sockets` gives those of each listener.
    ///
    /// Each socket is accepted from by one worker thread; where there are fewer than threads, they share.
    ///
    /// # Errors
    /// As [`bind`](Self::bind); a listener without a socket is one that cannot be used.
    pub fn with_sockets(
        config: ServerConfig,
        onion: Arc<Onion>,
        mut sockets: impl FnMut(&ListenConfig) -> Vec<Socket>,
    ) -> Result<Self, ServerError> {
        let count = config.check()?;
        Self::over(config, count, onion, |listen| {
            let mut sockets = sockets(listen);
            if sockets.is_empty() {
                return Err(ListenError::NotHandedOver { address: listen.address.clone() });
            }
            let bound = sockets.len();
            for at in bound..count {
                let shared = sockets[at % bound].shared()?;
                sockets.push(shared);
            }
            Ok(sockets)
        })
    }

    fn over(
        config: ServerConfig,
        count: usize,
        onion: Arc<Onion>,
        mut sockets: impl FnMut(&ListenConfig) -> Result<Vec<Socket>, ListenError>,
    ) -> Result<Self, ServerError> {
        let server_header = config.server_header()?;
        let tls_folder = TlsFolder::new(config.tls_dir);
        let mut workers: Vec<Vec<Listener>> = (0..count).map(|_| Vec::new()).collect();
        let (mut endpoints, mut all_tls) = (Vec::new(), Vec::new());
        for listen in config.listen {
            if listen.tls.is_some() && listen.door != Protocol::Http {
                return Err(ServerError::TlsDoor(listen.address));
            }
            if !listen.hosts.is_empty() && listen.door != Protocol::Tora {
                return Err(ServerError::HostsDoor(listen.address));
            }
            let tls = listen.tls.as_ref().map(|tls| Tls::load(tls, &tls_folder)).transpose()?;
            let sockets = sockets(&listen)?;
            let endpoint = sockets.first().map(|socket| socket.local_addr().clone());
            let port = endpoint.as_ref().and_then(Endpoint::port).unwrap_or(0);
            let door = match (listen.door, &tls) {
                (Protocol::Http, None) => Door::Http,
                (Protocol::Http, Some(tls)) => Door::Https(tls.clone()),
                (Protocol::FastCgi, _) => Door::FastCgi(listen.front),
                (Protocol::Scgi, _) => Door::Scgi(listen.front),
                (Protocol::Tora, _) => {
                    Door::Tora(listen.front, tora::Hosts { names: listen.hosts.into(), port })
                }
            };
            let door = match listen.proxy_protocol {
                None => door,
                Some(config) => Door::Announced(Arc::new((config, door))),
            };
            endpoints.extend(endpoint);
            for (at, socket) in sockets.into_iter().enumerate() {
                workers[at % count].push(Listener { socket, door: door.clone() });
            }
            all_tls.extend(tls);
        }
        let limits = Arc::new(config.limits);
        let (gauges, arrivals) = (None, Vec::new());
        Ok(Self { onion, limits, server_header, workers, endpoints, tls: all_tls, gauges, arrivals })
    }

    /// What the worker threads will say of themselves, once a second.
    pub fn gauges(&mut self) -> Arc<Gauges> {
        let count = self.workers.len();
        Arc::clone(self.gauges.get_or_insert_with(|| Arc::new(Gauges::new(count))))
    }

    /// Has the server serve connections of another one on; those that come before it has started wait. The last call
    /// counts.
    ///
    /// Its drain lasts until all clones of the adopter are dropped, at the longest `limits.drain`.
    pub fn adopts(&mut self) -> Adopter {
        let (adopter, arrivals) = Adopter::new(self.workers.len());
        self.arrivals = arrivals;
        adopter
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
        let stopper = Stopper::new();
        let most = self.limits.connections_per_worker(self.workers.len());
        let mut threads = Vec::new();
        let mut arrivals = self.arrivals.into_iter();
        for (at, listeners) in self.workers.into_iter().enumerate() {
            let floor = worker::Ground {
                onion: Arc::clone(&self.onion),
                limits: Arc::clone(&self.limits),
                server: self.server_header.clone(),
                connections: most,
                listeners,
                stage: stopper.watch(),
                // One worker looks after the files of all certificates.
                watched: if at == 0 { self.tls.clone() } else { Vec::new() },
                gauges: self.gauges.clone().map(|gauges| (gauges, at)),
                adopted: arrivals.next(),
            };
            let one_for_all = OneForAll(stopper.clone());
            let thread = std::thread::Builder::new().name(format!("worker-{at}"));
            let started = thread.spawn(move || {
                let _one_for_all = one_for_all;
                worker::run(floor)
            });
            threads.push(started.map_err(ServerError::Thread)?);
        }
        Ok(Running { threads, stopper, endpoints: self.endpoints })
    }
}

/// Drains the server when a worker ends, however it does: the others must not serve on as if nothing had happened.
struct OneForAll(Stopper);

impl Drop for OneForAll {
    fn drop(&mut self) {
        self.0.drain();
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
    /// What a worker failed with: its runtime could not be made, a listener broke, or it panicked. The others have
    /// drained then: they do not serve on as if nothing had happened.
    pub fn join(self) -> io::Result<()> {
        let mut result = Ok(());
        for thread in self.threads {
            let ended = thread.join().unwrap_or_else(|_| Err(io::Error::other("a worker thread panicked")));
            result = result.and(ended);
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

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::App;

    fn bind(config: ServerConfig) -> Result<Server, ServerError> {
        Server::bind(config, App::new().build().unwrap())
    }

    #[test]
    fn what_cannot_serve_is_refused() {
        let any_port = || vec![Address::Tcp(([127, 0, 0, 1], 0).into()).into()];
        let faults = [
            (ServerConfig { listen: Vec::new(), ..ServerConfig::default() }, "listen is empty"),
            (
                ServerConfig { listen: any_port(), workers: 5000, ..ServerConfig::default() },
                "workers is 5000",
            ),
            (
                ServerConfig {
                    listen: any_port(),
                    server_header: Some("a\nb".to_owned()),
                    ..ServerConfig::default()
                },
                "server_header",
            ),
            (
                ServerConfig {
                    listen: any_port(),
                    limits: Limits { headers: 0, ..Limits::default() },
                    ..ServerConfig::default()
                },
                "limits.headers",
            ),
            (
                ServerConfig {
                    listen: vec![ListenConfig {
                        door: Protocol::FastCgi,
                        tls: Some(TlsConfig::new(Vec::new())),
                        ..ListenConfig::from(Address::Tcp(([127, 0, 0, 1], 0).into()))
                    }],
                    ..ServerConfig::default()
                },
                "which only the door `http` speaks",
            ),
        ];
        for (config, fault) in faults {
            let error = bind(config).unwrap_err().to_string();
            assert!(error.contains(fault), "{error}");
        }
    }

    #[test]
    fn the_end_of_one_worker_is_the_end_of_all() {
        let listen = vec![Address::Tcp(([127, 0, 0, 1], 0).into()).into()];
        let running =
            bind(ServerConfig { listen, workers: 2, ..ServerConfig::default() }).unwrap().start().unwrap();
        drop(OneForAll(running.stopper()));
        running.join().unwrap();
    }
}
