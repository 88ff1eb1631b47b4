//! Requests that a FastCGI server answers, such as php-fpm.
//!
//! With the feature `fastcgi`.
//!
//! Mounted, it answers what is below its prefix; as a layer it passes by what no script answers, so that files and routes
//! may follow.
//!
//! ```
//! use cepa_core::App;
//! use cepa_layers::{fastcgi_pass, fastcgi_pass::Options};
//!
//! # let root: std::path::PathBuf = concat!(env!("CARGO_MANIFEST_DIR"), "/src").into();
//! // `/blog/post.php/7` runs `post.php` with the PATH_INFO `/7`.
//! let php = Options { upstream: "unix:/run/php/php-fpm.sock".into(), root: Some(root), ..Options::default() };
//! let app = App::new().mount("/blog", fastcgi_pass(php)?);
//! # Ok::<(), fastcgi_pass::InvalidOptions>(())
//! ```
//!
//! - Bodies stream both ways, no faster than they are taken at the other end. One whose length the client does not say is
//!   read first, up to `unsized_body`: most servers read nothing of such a body.
//! - A script that is not there is a 404 and asked of nobody: `/upload/cat.jpg/x.php` must not run a picture.
//! - What the other server writes to its standard error is logged.
//!
//! A server that cannot be reached, closes early or speaks no FastCGI is a 502, one that is silent too long a 504; a 503
//! says that as many requests are at hand as may be.

mod records;

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use bytes::Bytes;
use cepa_core::{Body, Ctx, Error, Handler, LocalBoxFuture, Middleware, Next, Result, percent, units};
use serde::Deserialize;
use tokio::sync::Semaphore;

use self::records::Records;
pub use crate::gateway::{Failure, InvalidUpstream};
use crate::{
    files::RootError,
    gateway::{Asked, Exchange, Frames, Pool, Scripts, Stream, Upstream, Variables, answer, variables},
};

/// Whom requests are sent on to, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The server: `127.0.0.1:9000` (the default) or `unix:/run/php/php-fpm.sock`.
    pub upstream: String,
    /// The folder of the scripts; default none, for a server that is an app by itself: it gets the whole path below the
    /// mount as `PATH_INFO`.
    pub root: Option<PathBuf>,
    /// Where that folder is for the other server, if it is elsewhere, as in a container; default `root`.
    pub remote_root: Option<PathBuf>,
    /// Whether a script must be there to be asked for, default true; false where the folder is on another machine.
    pub check: bool,
    /// How the names of scripts end, default `[".php"]`.
    pub suffixes: Vec<String>,
    /// The script that stands for its folder, default `index.php`; empty: none.
    pub index: String,
    /// The script that answers what no other does, such as `/index.php` for most frameworks; default none.
    pub front_controller: Option<String>,
    /// Further variables, by name; one that has the name of another takes its place.
    pub variables: BTreeMap<String, String>,
    /// Most requests at hand over all workers, default 64. More than the other server has processes only wait there.
    pub requests: usize,
    /// Most unused connections that each worker keeps, default 0. Each holds one process of php-fpm, used or not, so that
    /// the kept ones of all workers must be fewer than those.
    pub keep: usize,
    /// Time to connect, default 5 s.
    #[serde(with = "units::duration")]
    pub connect: Duration,
    /// Time from the last byte of the request to the head of the answer, default 60 s.
    #[serde(with = "units::duration")]
    pub head: Duration,
    /// Longest pause within an answer, default 60 s.
    #[serde(with = "units::duration")]
    pub pause: Duration,
    /// Time an unused connection is kept, default 30 s.
    #[serde(with = "units::duration")]
    pub idle: Duration,
    /// Most bytes of a body whose length the client does not say, default 1 MiB: 413.
    #[serde(with = "units::size")]
    pub unsized_body: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            upstream: "127.0.0.1:9000".to_owned(),
            root: None,
            remote_root: None,
            check: true,
            suffixes: vec![".php".to_owned()],
            index: "index.php".to_owned(),
            front_controller: None,
            variables: BTreeMap::new(),
            requests: 64,
            keep: 0,
            connect: Duration::from_secs(5),
            head: Duration::from_secs(60),
            pause: Duration::from_secs(60),
            idle: Duration::from_secs(30),
            unsized_body: 1 << 20,
        }
    }
}

/// Why nothing can be passed on with some options.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    /// The server.
    #[error(transparent)]
    Upstream(#[from] InvalidUpstream),
    /// The folder of the scripts.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A number or a time that must be above 0.
    #[error("`{0}` must be above 0")]
    Zero(&'static str),
    /// The front controller has no slash in front.
    #[error("`front_controller` is {0:?}: it is a path below `root` and begins with a slash")]
    FrontController(String),
}

/// A handler, and a layer, that has a FastCGI server answer.
///
/// # Errors
/// What is wrong with the options.
pub fn fastcgi_pass(options: Options) -> Result<Pass, InvalidOptions> {
    Pass::new(options, Protocol::FastCgi)
}

/// How the other server is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocol {
    FastCgi,
    Scgi,
}

/// See [`fastcgi_pass()`] and [`scgi_pass()`](crate::scgi_pass()); a clone is the same.
#[derive(Clone, Debug)]
pub struct Pass(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    protocol: Protocol,
    upstream: Upstream,
    scripts: Option<Scripts>,
    pool: Pool,
    at_hand: Arc<Semaphore>,
}

impl Pass {
    pub(crate) fn new(options: Options, protocol: Protocol) -> Result<Self, InvalidOptions> {
        for (name, zero) in [
            ("requests", options.requests == 0),
            ("connect", options.connect.is_zero()),
            ("head", options.head.is_zero()),
            ("pause", options.pause.is_zero()),
        ] {
            if zero {
                return Err(InvalidOptions::Zero(name));
            }
        }
        if let Some(front) = options.front_controller.as_ref().filter(|front| !front.starts_with('/')) {
            return Err(InvalidOptions::FrontController(front.clone()));
        }
        let upstream = options.upstream.parse()?;
        let scripts = options.root.clone().map(|root| {
            let (suffixes, index) = (options.suffixes.clone(), options.index.clone());
            Scripts::new(
                Some(root).filter(|_| options.check),
                suffixes,
                index,
                options.front_controller.clone(),
            )
        });
        let scripts = scripts.transpose()?;
        let keep = if protocol == Protocol::FastCgi { options.keep } else { 0 };
        let (pool, at_hand) = (Pool::new(keep, options.idle), Arc::new(Semaphore::new(options.requests)));
        Ok(Self(Arc::new(Inner { options, protocol, upstream, scripts, pool, at_hand })))
    }
}

impl Inner {
    /// Whether there was somebody to answer.
    async fn pass(&self, ctx: &mut Ctx) -> Result<bool> {
        let mount = ctx.mount_path().to_owned();
        let (script, info) = match &self.scripts {
            None => (mount, percent::decode(ctx.path()).into_owned()),
            Some(scripts) => match scripts.find(ctx).await? {
                Some(script) => (format!("{mount}{}", escaped(&script.name)), script.info.into_bytes()),
                None => return Ok(false),
            },
        };
        let permit = Arc::clone(&self.at_hand).try_acquire_owned();
        let permit = permit.map_err(|_| Failure::Busy(self.options.requests).into_error())?;
        let mut body = ctx.request.take_body();
        if body.len().is_none() {
            body = Body::from(body.bytes(self.options.unsized_body).await?);
        }
        let asked = Asked { script: &script, info: &info, length: body.len(), authorization: true };
        let mut variables = variables(ctx, &asked);
        self.add(&script, ctx.mount_path().len(), &info, &mut variables);
        match self.protocol {
            Protocol::FastCgi => {
                self.exchange(ctx, |keep| Records::begin(&variables, keep), body, permit).await?;
            }
            Protocol::Scgi => {
                self.exchange(
                    ctx,
                    |_| (crate::scgi_pass::Raw, crate::scgi_pass::begin(&variables)),
                    body,
                    permit,
                )
                .await?;
            }
        }
        Ok(true)
    }

    /// Adds where the script is, and what the options say.
    fn add(&self, script: &str, mount: usize, info: &[u8], variables: &mut Variables) {
        if let Some(root) = self.options.remote_root.as_ref().or(self.options.root.as_ref()) {
            let root = root.as_os_str().as_encoded_bytes();
            let root = root.strip_suffix(b"/").unwrap_or(root);
            let name = percent::decode(&script[mount..]);
            variables.push(("DOCUMENT_ROOT".to_owned(), root.to_vec()));
            variables.push(("SCRIPT_FILENAME".to_owned(), [root, &name].concat()));
            if !info.is_empty() {
                variables.push(("PATH_TRANSLATED".to_owned(), [root, info].concat()));
            }
            // Without it php-cgi takes a request for an attack on itself.
            variables.push(("REDIRECT_STATUS".to_owned(), b"200".to_vec()));
        }
        for (name, value) in &self.options.variables {
            variables.retain(|(known, _)| known != name);
            variables.push((name.clone(), value.clone().into_bytes()));
        }
    }

    async fn exchange<F: Frames + 'static>(
        &self,
        ctx: &mut Ctx,
        begin: impl Fn(bool) -> (F, Vec<u8>),
        body: Body,
        permit: tokio::sync::OwnedSemaphorePermit,
    ) -> Result {
        let options = &self.options;
        // One that the other end closes right now: the request is sent once more, if it may be.
        let again = ctx.request.is_idempotent() && body.is_empty();
        let (mut body, mut kept) = (Some(body), self.pool.take());
        let mut permit = Some(permit);
        loop {
            let was_kept = kept.is_some();
            let stream: Stream = match kept.take() {
                Some(stream) => stream,
                None => self.upstream.connect(options.connect).await.map_err(Failure::into_error)?,
            };
            let (frames, out) = begin(self.pool.keeps());
            let (back, sent) = (self.pool.back(), body.take().unwrap_or_default());
            let mut exchange =
                Exchange::new(stream, frames, out, sent, options.head, move |stream, keeps| {
                    if keeps {
                        back(stream);
                    }
                });
            match exchange.head(options.pause).await {
                Ok(head) => {
                    return answer(ctx, head, Body::new(Held { body: exchange, _permit: permit.take() }))
                        .await;
                }
                Err(_) if was_kept && again && exchange.is_fresh() => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// A body that holds its place among the requests at hand.
struct Held<B> {
    body: B,
    _permit: Option<tokio::sync::OwnedSemaphorePermit>,
}

impl<B: http_body::Body<Data = Bytes, Error = Error> + Unpin> http_body::Body for Held<B> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<http_body::Frame<Bytes>>>> {
        std::pin::Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

/// A decoded path as it stands in a URL.
fn escaped(path: &str) -> String {
    let mut out = String::new();
    percent::push_component(&mut out, path, true);
    out
}

impl Middleware for Pass {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move { if self.0.pass(ctx).await? { Ok(()) } else { next.run(ctx).await } })
    }

    fn name(&self) -> Cow<'static, str> {
        self.0.protocol.name().into()
    }
}

impl Handler<()> for Pass {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move { if self.0.pass(ctx).await? { Ok(()) } else { Err(Error::status_only(404)) } })
    }

    fn name(&self) -> Cow<'static, str> {
        self.0.protocol.name().into()
    }
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::FastCgi => "fastcgi_pass",
            Self::Scgi => "scgi_pass",
        }
    }
}

#[cfg(test)]
mod tests;
