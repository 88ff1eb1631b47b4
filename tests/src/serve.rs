//! Serves an app for a test.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
};

use cepa_core::App;
use cepa_server::{
    Running, Server, ServerConfig,
    listen::{Address, Endpoint},
};

/// An app being served; it ends when this is dropped.
#[derive(Debug)]
pub struct Served {
    address: SocketAddr,
    running: Option<Running>,
}

/// Serves an app with one worker, on a loopback port that the system chooses.
///
/// # Errors
/// When the app does not build or the server does not start.
pub fn serve(app: App) -> io::Result<Served> {
    let any_port = Address::Tcp((Ipv4Addr::LOCALHOST, 0).into());
    let config = ServerConfig { listen: vec![any_port.into()], workers: 1, ..ServerConfig::default() };
    let onion = app.build().map_err(io::Error::other)?;
    let running = Server::bind(config, onion).and_then(Server::start).map_err(io::Error::other)?;
    match running.endpoints() {
        [Endpoint::Tcp(address)] => Ok(Served { address: *address, running: Some(running) }),
        other => Err(io::Error::other(format!("listening on {other:?} instead of one TCP port"))),
    }
}

impl Served {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        let ended = self.running.take().map_or(Ok(()), Running::stop);
        // A second panic would hide the first.
        if !std::thread::panicking() {
            ended.expect("the workers end without a panic");
        }
    }
}
