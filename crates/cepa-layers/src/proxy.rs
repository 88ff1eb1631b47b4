//! A reverse proxy: requests that other servers answer.
//!
//! With the feature `client`.
//!
//! As a layer it answers whatever reaches it, so it is given a [condition](crate::When); mounted, it answers what is
//! below its prefix, which the other servers then do not see. It belongs inside of the layers that decide who may ask,
//! and outside of those that read the body.
//!
//! ```
//! use cepa_core::App;
//! use cepa_layers::{When, proxy, proxy::Options};
//!
//! let api = proxy(Options { upstreams: vec!["http://10.0.0.5:8080".into()], ..Options::default() })?;
//! let old = proxy(Options { upstreams: vec!["unix:/run/old.sock".into()], ..Options::default() })?;
//!
//! // `/api/users` is asked for as `/users`, `/old/users` as it is.
//! let app = App::new().mount("/api", api).with(old.only("/old"));
//! # Ok::<(), cepa_layers::proxy::InvalidOptions>(())
//! ```
//!
//! - Bodies stream both ways, no faster than they are taken at the other end. An answer that breaks off breaks off for
//!   the client too.
//! - Nothing of a request's framing is sent on: each message is read by one set of rules and written anew by another, so
//!   that two servers cannot disagree where it ends (request smuggling). Headers that speak of a connection end here.
//! - What headers say of the client is believed from the proxies that the app [trusts](cepa_core::App::trust), and
//!   replaced otherwise.
//! - A request goes to the upstream with the fewest requests at hand among those that are well. It is sent to another
//!   one if none of it was sent, or if it has no body and may be repeated.
//! - WebSockets go through; other protocols only if `upgrades` names them.
//!
//! An upstream that cannot be reached or does not speak HTTP is a 502, one that takes too long a 504, and a 503 with
//! `Retry-After` says that all have as many requests as they may. A client that does not send the rest of its body in the
//! time that the upstream has is a 408.

mod forward;
mod health;
mod path;
mod request;
mod response;
mod tunnel;
mod upstream;

use std::{borrow::Cow, path::PathBuf, sync::Arc, time::Duration};

use cepa_core::{Ctx, Handler, LocalBoxFuture, Middleware, Next, Result, units};
use http::{HeaderValue, Method};
use serde::Deserialize;

use self::upstream::Upstreams;
pub use self::{health::Health, upstream::InvalidUpstream};
use crate::outbound::{DialOptions, Dialer};
pub use crate::outbound::{Failure, Http, Stage};

/// Whom requests are sent on to, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The servers that answer, one at least: `http://host:port`, `https://host` or `unix:/path`. After a host there
    /// may be a path, which is put before that of each request.
    pub upstreams: Vec<String>,
    /// The part that is taken off the front of a path before it is sent on, such as `/api`; default none. A path that
    /// does not begin with it is sent on as it is.
    pub strip: String,
    /// What the upstream gets as `Host`: `keep`, the client's (the default), or `upstream`, its own name, which most
    /// that are asked by TLS want.
    pub host: HostPolicy,
    /// How the upstream learns of the client: `x-forwarded` (the default), `forwarded` (RFC 7239), `both` or `none`.
    pub forwarded: Forwarded,
    /// The name under which this proxy adds itself to `Via` (RFC 9110, section 7.6.3); default none, which adds
    /// nothing.
    pub via: String,
    /// The protocols that a connection may be switched to, default `websocket`.
    pub upgrades: Vec<String>,
    /// Whether a `Location` that names the upstream, or a path of its own, is rewritten to what the client can ask for,
    /// default true.
    pub rewrite_location: bool,
    /// The version of HTTP: `auto` (the default), `1.1` or `2`.
    pub http: Http,
    /// Time to resolve a name and to connect, TLS included, default 5 s.
    #[serde(with = "units::duration")]
    pub connect: Duration,
    /// Time from the last byte of the request to the head of the answer, default 60 s.
    #[serde(with = "units::duration")]
    pub head: Duration,
    /// Longest pause within an answer, default 60 s.
    #[serde(with = "units::duration")]
    pub pause: Duration,
    /// Time a switched connection may be silent both ways, default 10 minutes.
    #[serde(with = "units::duration")]
    pub tunnel: Duration,
    /// Time an unused connection is kept, default 30 s. It should be less than the upstream's own.
    #[serde(with = "units::duration")]
    pub idle: Duration,
    /// Most requests at hand with one upstream, over all workers, switched connections included; default 1,024.
    pub requests: usize,
    /// How many other upstreams are tried, where that is safe; default 2.
    pub retries: usize,
    /// Failures in a row after which an upstream rests, default 3.
    pub fails: u32,
    /// How long it rests, default 10 s. If all rest they are tried nevertheless.
    #[serde(with = "units::duration")]
    pub rest: Duration,
    /// Asks the upstreams whether they are well; default not.
    pub health: Option<Health>,
    /// A PEM file of certificates that are believed beside the system's; default none.
    pub ca_file: Option<PathBuf>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            upstreams: Vec::new(),
            strip: String::new(),
            host: HostPolicy::Keep,
            forwarded: Forwarded::XForwarded,
            via: String::new(),
            upgrades: vec!["websocket".to_owned()],
            rewrite_location: true,
            http: Http::Auto,
            connect: Duration::from_secs(5),
            head: Duration::from_secs(60),
            pause: Duration::from_secs(60),
            tunnel: Duration::from_secs(600),
            idle: Duration::from_secs(30),
            requests: 1024,
            retries: 2,
            fails: 3,
            rest: Duration::from_secs(10),
            health: None,
            ca_file: None,
        }
    }
}

/// What an upstream gets as `Host`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostPolicy {
    /// The host that the client asked for.
    #[default]
    Keep,
    /// The upstream's own name.
    Upstream,
}

/// How an upstream learns of the client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Forwarded {
    /// By `X-Forwarded-For`, `-Proto` and `-Host`.
    #[default]
    XForwarded,
    /// By `Forwarded` (RFC 7239).
    Forwarded,
    /// By both.
    Both,
    /// Not at all.
    None,
}

/// Why no proxy can be made of some options.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    /// An upstream.
    #[error(transparent)]
    Upstream(#[from] InvalidUpstream),
    /// There is none.
    #[error("`upstreams` is empty: name one server at least")]
    NoUpstream,
    /// The prefix.
    #[error("`strip` {0:?} does not begin with a slash, or ends with one")]
    Strip(String),
    /// The name in `Via`.
    #[error("`via` {0:?} is no name: it may hold letters, digits, `-`, `.`, `_` and `:`")]
    Via(String),
    /// A protocol.
    #[error("`upgrades` has {0:?}, which is no protocol that is passed on")]
    Upgrade(String),
    /// The certificates.
    #[error(transparent)]
    Certificates(#[from] Failure),
    /// A number that would let nothing happen.
    #[error("`{0}` is 0, so that nothing could be sent on")]
    Zero(&'static str),
    /// The path of the health check.
    #[error("`health.path` {0:?} is no path")]
    HealthPath(String),
}

/// A reverse proxy, as a layer and as a handler; see [the module](self).
///
/// # Errors
/// What is wrong with the options.
pub fn proxy(options: Options) -> Result<Proxy, InvalidOptions> {
    let upstreams = Upstreams::new(&options)?;
    let strip = options.strip.as_str();
    if !strip.is_empty() && (!strip.starts_with('/') || strip.ends_with('/')) {
        return Err(InvalidOptions::Strip(strip.to_owned()));
    }
    let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._:".contains(&byte);
    if !options.via.bytes().all(is_name) {
        return Err(InvalidOptions::Via(options.via));
    }
    for protocol in &options.upgrades {
        // A switch to HTTP/2 would carry requests past this proxy and all it checks.
        let is_http =
            protocol.eq_ignore_ascii_case("h2c") || protocol.to_ascii_lowercase().starts_with("http");
        if is_http || protocol.is_empty() || !protocol.bytes().all(|byte| is_name(byte) || byte == b'/') {
            return Err(InvalidOptions::Upgrade(protocol.clone()));
        }
    }
    for (name, time) in [
        ("connect", options.connect),
        ("head", options.head),
        ("pause", options.pause),
        ("tunnel", options.tunnel),
    ] {
        if time.is_zero() {
            return Err(InvalidOptions::Zero(name));
        }
    }
    if options.requests == 0 {
        return Err(InvalidOptions::Zero("requests"));
    }
    if let Some(health) = options.health.as_ref().filter(|health| !health.is_valid()) {
        return Err(InvalidOptions::HealthPath(health.path.clone()));
    }
    let dialer = Dialer::new(DialOptions {
        http: options.http,
        connect: options.connect,
        idle: options.idle,
        // Each request at hand has one at most, and the others are kept no longer than `idle`.
        connections: usize::MAX,
        ca_file: options.ca_file.clone(),
        to_proxy: false,
    })?;
    let via = match options.via.as_str() {
        "" => None,
        name => HeaderValue::from_str(&format!("1.1 {name}")).ok(),
    };
    Ok(Proxy(Arc::new(Inner { options, upstreams, dialer, via })))
}

/// See [`proxy()`]; a clone is the same proxy.
#[derive(Clone, Debug)]
pub struct Proxy(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    upstreams: Upstreams,
    dialer: Dialer,
    via: Option<HeaderValue>,
}

/// Passes by what is for this server, whatever stands behind it: CONNECT and `OPTIONS *`.
impl Middleware for Proxy {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if *ctx.method() == Method::CONNECT || ctx.path() == "*" {
            return next.run(ctx).boxed();
        }
        Box::pin(self.forward(ctx))
    }

    fn name(&self) -> Cow<'static, str> {
        "proxy".into()
    }
}

impl Handler<()> for Proxy {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(self.forward(ctx))
    }

    fn name(&self) -> Cow<'static, str> {
        "proxy".into()
    }
}
