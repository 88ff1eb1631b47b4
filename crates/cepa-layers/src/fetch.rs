//! An HTTP client for apps, which does not reach what it should not.
//!
//! With the feature `client`.
//!
//! A [`Client`] is made once, provided to the app, and asked through the ctx:
//!
//! ```
//! use cepa_core::{App, Ctx, Result};
//! use cepa_layers::fetch::{Client, Fetch, Options};
//!
//! #[derive(serde::Deserialize)]
//! struct Release {
//!     name: String,
//! }
//!
//! async fn latest(ctx: &mut Ctx) -> Result<String> {
//!     let answer = ctx.fetch("https://api.example.com/releases/latest").header("accept", "application/json").await?;
//!     let release: Release = answer.ok()?.json().await?;
//!     Ok(release.name)
//! }
//!
//! let app = App::new().provide(Client::new(Options::default())?).get("/latest", latest);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! - HTTP/1.1 and HTTP/2, TLS by rustls with the certificates of the system. Each worker keeps its own connections.
//! - By default only [public](is_public) addresses are reached: an app that fetches what its users name cannot be made
//!   to look into its own network (SSRF). The address is checked after the name was resolved and is the one that is
//!   connected to; each redirect is checked anew. See [`Guard`].
//! - What fails becomes an [`Error`](cepa_core::Error) with status 502, 503 or 504, whose cause is a [`Failure`].
//! - It runs on the workers of Cepa, or on another local runtime of tokio.

mod address;
mod answer;
mod call;
mod guard;
pub(crate) mod url;

use std::{path::PathBuf, sync::Arc, time::Duration};

use cepa_core::{Ctx, Result, units};
use http::{HeaderValue, Method};
use serde::Deserialize;

pub use self::{
    address::is_public,
    answer::Answer,
    call::Call,
    guard::{Guard, InvalidGuard},
};
use crate::outbound::{DialOptions, Dialer};
pub use crate::{
    hosts::InvalidHostName,
    outbound::{Failure, Http, Stage},
};

/// How a client asks, and whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether only public addresses are reached, default true.
    pub public_only: bool,
    /// Blocks of addresses that are reached although not public, or although denied, such as `10.1.0.0/16`; default
    /// none.
    pub allow: Vec<String>,
    /// Blocks of addresses that are not reached although public; default none.
    pub deny: Vec<String>,
    /// Hosts that are reached at any address: `api.internal`, `*.internal`; default none.
    pub allow_hosts: Vec<String>,
    /// The only hosts that are asked, if there are any; default none, which is all.
    pub only_hosts: Vec<String>,
    /// Time to resolve a name and to connect, TLS included, default 5 s.
    #[serde(with = "units::duration")]
    pub connect: Duration,
    /// Time from the last byte of the request to the head of the answer, default 30 s.
    #[serde(with = "units::duration")]
    pub head: Duration,
    /// Time for all of a request, redirects and the body of the answer included, default 60 s.
    #[serde(with = "units::duration")]
    pub total: Duration,
    /// Most bytes of an answer, default 10 MiB.
    #[serde(with = "units::size")]
    pub body: u64,
    /// How many redirects are followed, default 5.
    pub redirects: usize,
    /// Most open connections of one worker, default 256. If all are open, one that is unused is closed for a new one; if
    /// all are used, a request that needs one more fails with 503.
    pub connections: usize,
    /// Time an unused connection is kept, default 30 s.
    #[serde(with = "units::duration")]
    pub idle: Duration,
    /// The version of HTTP: `auto` (the default), `1.1` or `2`.
    pub http: Http,
    /// A PEM file of certificates that are believed beside the system's; default none.
    pub ca_file: Option<PathBuf>,
    /// What is sent as `User-Agent`, default `cepa` with its version; empty sends none.
    pub user_agent: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            public_only: true,
            allow: Vec::new(),
            deny: Vec::new(),
            allow_hosts: Vec::new(),
            only_hosts: Vec::new(),
            connect: Duration::from_secs(5),
            head: Duration::from_secs(30),
            total: Duration::from_secs(60),
            body: 10 << 20,
            redirects: 5,
            connections: 256,
            idle: Duration::from_secs(30),
            http: Http::Auto,
            ca_file: None,
            user_agent: concat!("cepa/", env!("CARGO_PKG_VERSION")).to_owned(),
        }
    }
}

/// Why no client can be made of some options.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    /// The guard's.
    #[error(transparent)]
    Guard(#[from] InvalidGuard),
    /// The certificates.
    #[error(transparent)]
    Certificates(#[from] Failure),
    /// The name of the client.
    #[error("`user_agent` {0:?} cannot be sent in a header")]
    UserAgent(String),
    /// A limit that would let nothing happen.
    #[error("`{0}` is 0, so that no request could be made")]
    Zero(&'static str),
}

/// An HTTP client; a clone is the same client.
#[derive(Clone, Debug)]
pub struct Client(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    guard: Guard,
    dialer: Dialer,
    user_agent: Option<HeaderValue>,
}

impl Client {
    /// A client with these options.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(options: Options) -> Result<Self, InvalidOptions> {
        for (name, time) in [("connect", options.connect), ("head", options.head), ("total", options.total)] {
            if time.is_zero() {
                return Err(InvalidOptions::Zero(name));
            }
        }
        if options.connections == 0 {
            return Err(InvalidOptions::Zero("connections"));
        }
        let guard = Guard::new(&options)?;
        let user_agent = HeaderValue::from_str(&options.user_agent)
            .map_err(|_| InvalidOptions::UserAgent(options.user_agent.clone()))?;
        let dialer = Dialer::new(DialOptions {
            http: options.http,
            connect: options.connect,
            idle: options.idle,
            connections: options.connections,
            ca_file: options.ca_file.clone(),
            to_proxy: false,
        })?;
        let user_agent = Some(user_agent).filter(|agent| !agent.is_empty());
        Ok(Self(Arc::new(Inner { options, guard, dialer, user_agent })))
    }

    /// Asks with any method; `.await` sends it.
    pub fn request(&self, method: Method, url: &str) -> Call {
        Call::new(Ok(self.clone()), method, url)
    }

    /// Asks with GET.
    pub fn get(&self, url: &str) -> Call {
        self.request(Method::GET, url)
    }

    /// Asks with POST.
    pub fn post(&self, url: &str) -> Call {
        self.request(Method::POST, url)
    }

    /// Asks with PUT.
    pub fn put(&self, url: &str) -> Call {
        self.request(Method::PUT, url)
    }

    /// Asks with PATCH.
    pub fn patch(&self, url: &str) -> Call {
        self.request(Method::PATCH, url)
    }

    /// Asks with DELETE.
    pub fn delete(&self, url: &str) -> Call {
        self.request(Method::DELETE, url)
    }

    /// Whom it asks.
    pub fn guard(&self) -> &Guard {
        &self.0.guard
    }
}

/// Asking other servers from a handler or a layer.
pub trait Fetch {
    /// Asks with GET, or as the [`Call`] is told, through the [`Client`] that the app
    /// [provides](cepa_core::App::provide).
    ///
    /// # Errors
    /// When it is awaited: 500 if no client is provided, and as [`Call`].
    fn fetch(&self, url: &str) -> Call;
}

impl Fetch for Ctx {
    fn fetch(&self, url: &str) -> Call {
        Call::new(self.provided::<Client>().cloned(), Method::GET, url)
    }
}
