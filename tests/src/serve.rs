//! Serves an app for a test.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    path::Path,
};

use cepa_core::App;
use cepa_server::{
    FrontServers, ListenConfig, Protocol, Running, Server, ServerConfig, Stopper,
    limits::Limits,
    listen::{Address, Endpoint},
    proxy_protocol::ProxyProtocol,
    tls::TlsConfig,
};

/// An app being served; it ends when this is dropped.
#[derive(Debug)]
pub struct Served {
    addresses: Vec<SocketAddr>,
    running: Option<Running>,
}

/// How an app is to be served: with one worker on a loopback port that the system chooses, unless said otherwise.
#[derive(Debug)]
pub struct Serving {
    app: App,
    config: ServerConfig,
}

/// Serves an app with one worker, on a loopback port that the system chooses.
///
/// # Errors
/// When the app does not build or the server does not start.
pub fn serve(app: App) -> io::Result<Served> {
    Serving::new(app).start()
}

impl Serving {
    /// Serves `app`.
    pub fn new(app: App) -> Self {
        let any_port = Address::Tcp((Ipv4Addr::LOCALHOST, 0).into());
        let config = ServerConfig { listen: vec![any_port.into()], workers: 1, ..ServerConfig::default() };
        Self { app, config }
    }

    /// With limits changed so.
    #[must_use]
    pub fn limits(mut self, change: impl FnOnce(&mut Limits)) -> Self {
        change(&mut self.config.limits);
        self
    }

    /// With so many workers.
    #[must_use]
    pub fn workers(mut self, workers: usize) -> Self {
        self.config.workers = workers;
        self
    }

    /// With TLS on all listeners.
    #[must_use]
    pub fn tls(mut self, tls: &TlsConfig) -> Self {
        for listen in &mut self.config.listen {
            listen.tls = Some(tls.clone());
        }
        self
    }

    /// Through this door.
    #[must_use]
    pub fn door(mut self, door: Protocol) -> Self {
        for listen in &mut self.config.listen {
            listen.door = door;
        }
        self
    }

    /// On one more port, through this door.
    #[must_use]
    pub fn and_door(mut self, door: Protocol) -> Self {
        let any_port = Address::Tcp((Ipv4Addr::LOCALHOST, 0).into());
        self.config.listen.push(ListenConfig { door, ..ListenConfig::from(any_port) });
        self
    }

    /// Believes these front servers and no others.
    #[must_use]
    pub fn front(mut self, front: &FrontServers) -> Self {
        for listen in &mut self.config.listen {
            listen.front = front.clone();
        }
        self
    }

    /// Behind proxies that announce their clients.
    #[must_use]
    pub fn announced(mut self, proxy: &ProxyProtocol) -> Self {
        for listen in &mut self.config.listen {
            listen.proxy_protocol = Some(proxy.clone());
        }
        self
    }

    /// To direct clients of tora only, who may ask for these hosts.
    #[must_use]
    pub fn direct(mut self, hosts: &[&str]) -> Self {
        for listen in &mut self.config.listen {
            listen.door = Protocol::Tora;
            listen.front = FrontServers::new(Vec::new()).expect("nobody is trusted");
            listen.hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        }
        self
    }

    /// On a Unix socket instead of a port.
    #[must_use]
    pub fn unix(mut self, path: &Path) -> Self {
        self.config.listen = vec![ListenConfig::from(Address::Unix(path.into()))];
        self
    }

    /// Starts the server.
    ///
    /// # Errors
    /// When the app does not build or the server does not start.
    pub fn start(self) -> io::Result<Served> {
        let onion = self.app.build().map_err(io::Error::other)?;
        let running = Server::bind(self.config, onion).and_then(Server::start).map_err(io::Error::other)?;
        let addresses = running.endpoints().iter().filter_map(|endpoint| match endpoint {
            Endpoint::Tcp(address) => Some(*address),
            Endpoint::Unix(_) => None,
        });
        Ok(Served { addresses: addresses.collect(), running: Some(running) })
    }
}

impl Served {
    /// The port it listens on.
    ///
    /// # Panics
    /// On a server with Unix sockets only.
    pub fn address(&self) -> SocketAddr {
        *self.addresses.first().expect("the test serves on a port")
    }

    /// All ports it listens on, in the order in which they were asked for.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// What ends the server.
    ///
    /// # Panics
    /// Never: the server runs as long as this lives.
    pub fn stopper(&self) -> Stopper {
        self.running.as_ref().expect("it runs until this is dropped").stopper()
    }

    /// Waits until the server has ended.
    ///
    /// # Errors
    /// When a worker has failed.
    pub fn join(mut self) -> io::Result<()> {
        self.running.take().map_or(Ok(()), Running::join)
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let Some(running) = self.running.take() else { return };
        // What a test leaves open is not waited for.
        running.stopper().cut();
        let ended = running.join();
        // A second panic would hide the first.
        if !std::thread::panicking() {
            ended.expect("the workers end without a panic");
        }
    }
}
