//! A forward proxy: clients that are told to use this server ask others through it.
//!
//! With the feature `client`.
//!
//! A request for a URL with a host (`GET http://example.com/ HTTP/1.1`) is sent there; `CONNECT example.com:443` becomes a
//! tunnel, through which a client speaks TLS with the other end. All other requests pass by to the app. It belongs outside
//! of all layers that are about the app's own requests, and inside of [`logger`](crate::logger()) and of what asks for a
//! name: [`basic_auth`](crate::basic_auth()) with `for_proxy`.
//!
//! ```
//! use cepa_core::{App, Ctx};
//! use cepa_layers::forward_proxy::{Options, forward_proxy};
//!
//! let proxy = forward_proxy(Options {
//!     clients: "loopback, 10.0.0.0/8".parse().unwrap(),
//!     only_hosts: vec![".example.com".into()],
//!     ..Options::default()
//! })?;
//! let app = App::new().with(proxy).get("/", async |_: &mut Ctx| "not through the proxy");
//! # Ok::<(), cepa_layers::forward_proxy::InvalidOptions>(())
//! ```
//!
//! - **Who may use it** is said by `clients`: by default this machine alone. An address counts as the connection has it,
//!   whatever headers say.
//! - **Where it leads** is said as for [`fetch`](mod@crate::fetch): by default to public addresses only, so that nobody reaches
//!   through it what stands behind it; requests go to port 80, tunnels to port 443.
//! - Headers that speak of a connection end here, `Via` is added (RFC 9110, section 7.6), and nothing is said of the client.
//!   Bodies stream both ways.
//! - A request that has come through this proxy already is refused by 508: each proxy of a chain needs its own name in `via`.
//!
//! Who may not use it, or not for that, gets 403; a server that cannot be reached is a 502, one that takes too long a 504,
//! and more tunnels or connections than there may be a 503. HTTP/2 has no proxy requests here: its CONNECT is a 501.

mod connect;
mod forward;
mod upstream;

use std::{borrow::Cow, path::PathBuf, sync::Arc, time::Duration};

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Peer, Result, forwarded::Trust, units};
use http::{HeaderValue, Method};
use serde::Deserialize;
use tokio::sync::Semaphore;

use self::upstream::Parent;
pub use self::upstream::Upstream;
pub use crate::outbound::{Failure, Stage};
use crate::{
    auth::is_for_proxy,
    fetch::{self, Guard, InvalidGuard},
    outbound::{DialOptions, Dialer, Http, Origin},
};

/// Who may use the proxy, for what, and how long.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Who may use it: addresses, blocks, `loopback`, `private` or `unix`; default `["loopback", "unix"]`.
    pub clients: Trust,
    /// The ports that tunnels lead to, default `[443]`.
    pub connect_ports: Vec<u16>,
    /// The ports that requests are sent to, default `[80]`.
    pub ports: Vec<u16>,
    /// Whether only public addresses are reached, default true.
    pub public_only: bool,
    /// Blocks of addresses that are reached although not public, or although denied; default none.
    pub allow: Vec<String>,
    /// Blocks of addresses that are not reached although public; default none.
    pub deny: Vec<String>,
    /// Hosts that are reached at any address: `app.internal`, `*.internal`; default none.
    pub allow_hosts: Vec<String>,
    /// The only hosts that are reached, if there are any; default none, which is all.
    pub only_hosts: Vec<String>,
    /// The name under which this proxy adds itself to `Via`, and by which it knows a request that has come through it
    /// already; default `cepa`.
    pub via: String,
    /// Another proxy that is asked for everything; default none. It finds the addresses of names, so that those cannot be
    /// checked here.
    pub upstream: Option<Upstream>,
    /// Time to resolve a name and to connect, default 10 s.
    #[serde(with = "units::duration")]
    pub connect: Duration,
    /// Time from the last byte of a request to the head of the answer, default 60 s.
    #[serde(with = "units::duration")]
    pub head: Duration,
    /// Longest pause within an answer, default 60 s.
    #[serde(with = "units::duration")]
    pub pause: Duration,
    /// Time a tunnel may be silent both ways, default 10 minutes.
    #[serde(with = "units::duration")]
    pub tunnel: Duration,
    /// Tunnels that are open or being opened, over all workers, default 1,024.
    pub tunnels: usize,
    /// Most open connections of one worker for requests, default 256. If all are open, one that is unused is closed for a
    /// new one.
    pub connections: usize,
    /// Time an unused connection is kept, default 30 s.
    #[serde(with = "units::duration")]
    pub idle: Duration,
    /// A PEM file of certificates that are believed beside the system's, for an upstream by TLS; default none.
    pub ca_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            clients: "loopback, unix".parse().expect("these are names that a trust knows"),
            connect_ports: vec![443],
            ports: vec![80],
            public_only: true,
            allow: Vec::new(),
            deny: Vec::new(),
            allow_hosts: Vec::new(),
            only_hosts: Vec::new(),
            via: "cepa".to_owned(),
            upstream: None,
            connect: Duration::from_secs(10),
            head: Duration::from_secs(60),
            pause: Duration::from_secs(60),
            tunnel: Duration::from_secs(600),
            tunnels: 1024,
            connections: 256,
            idle: Duration::from_secs(30),
            ca_file: None,
        }
    }
}

/// Why no proxy can be made of some options.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    /// The hosts and addresses.
    #[error(transparent)]
    Guard(#[from] InvalidGuard),
    /// The name in `Via`.
    #[error("`via` {0:?} is no name: it may hold letters, digits, `-`, `.` and `_`, one at least")]
    Via(String),
    /// The other proxy.
    #[error("`upstream`: {0}")]
    Upstream(String),
    /// The certificates.
    #[error(transparent)]
    Certificates(#[from] Failure),
    /// A number that would let nothing happen.
    #[error("`{0}` is 0, so that nothing could be sent on")]
    Zero(&'static str),
}

/// A forward proxy; see [the module](self).
///
/// # Errors
/// What is wrong with the options.
pub fn forward_proxy(options: Options) -> Result<ForwardProxy, InvalidOptions> {
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    let via = HeaderValue::from_str(&format!("1.1 {}", options.via)).ok();
    let via = via.filter(|_| !options.via.is_empty() && options.via.bytes().all(is_name));
    let via = via.ok_or_else(|| InvalidOptions::Via(options.via.clone()))?;
    for (name, number) in [
        ("connect", options.connect.as_nanos()),
        ("head", options.head.as_nanos()),
        ("pause", options.pause.as_nanos()),
        ("tunnel", options.tunnel.as_nanos()),
        ("tunnels", options.tunnels as u128),
        ("connections", options.connections as u128),
    ] {
        if number == 0 {
            return Err(InvalidOptions::Zero(name));
        }
    }
    let guard = Guard::new(&fetch::Options {
        public_only: options.public_only,
        allow: options.allow.clone(),
        deny: options.deny.clone(),
        allow_hosts: options.allow_hosts.clone(),
        only_hosts: options.only_hosts.clone(),
        ..fetch::Options::default()
    })?;
    let parent = options.upstream.as_ref().map(Parent::new).transpose()?;
    let dialer = Dialer::new(DialOptions {
        http: Http::One,
        connect: options.connect,
        idle: options.idle,
        connections: options.connections,
        ca_file: options.ca_file.clone(),
        to_proxy: parent.is_some(),
    })?;
    let tunnels = Arc::new(Semaphore::new(options.tunnels.min(Semaphore::MAX_PERMITS)));
    Ok(ForwardProxy(Arc::new(Inner { options, guard, dialer, parent, via, tunnels })))
}

/// See [`forward_proxy()`]; a clone is the same proxy.
#[derive(Clone, Debug)]
pub struct ForwardProxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    guard: Guard,
    dialer: Dialer,
    parent: Option<Parent>,
    via: HeaderValue,
    tunnels: Arc<Semaphore>,
}

impl Middleware for ForwardProxy {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if !is_for_proxy(ctx) {
            return next.run(ctx).boxed();
        }
        Box::pin(async move {
            let inner = &*self.0;
            let peer = ctx.connection().peer();
            if matches!(peer, Peer::None) || !inner.options.clients.trusts_peer(peer.ip()) {
                return Err(Error::new(403, "this proxy is not for you"));
            }
            match *ctx.method() {
                Method::CONNECT => inner.connect(ctx).await,
                _ => inner.forward(ctx).await,
            }
        })
    }

    fn name(&self) -> Cow<'static, str> {
        "forward_proxy".into()
    }
}

impl Inner {
    /// Checks where a request or a tunnel leads, as far as that can be known without resolving a name.
    fn check(&self, origin: &Origin, ports: &[u16]) -> Result {
        let refused = |cause: Failure| Err(refusal(cause));
        let host = origin.host();
        if !origin.port().is_some_and(|port| ports.contains(&port)) {
            return Err(Error::new(403, "this proxy does not lead to that port"));
        }
        if !self.guard.allows_host(host) {
            return refused(Failure::Host { host: host.to_owned() });
        }
        match host.parse() {
            Ok(address) if !self.guard.allows(host, address) => {
                refused(Failure::Address { host: host.to_owned(), address })
            }
            _ => Ok(()),
        }
    }
}

/// The error of a request that cannot be answered: where nobody may go is the client's fault.
fn refusal(failure: Failure) -> Error {
    match failure {
        Failure::Host { .. } | Failure::Address { .. } => {
            Error::new(403, "this proxy does not lead there").with_cause(failure)
        }
        failure => failure.into_error(),
    }
}
