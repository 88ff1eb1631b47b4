//! The app: layers, routes and settings, built into an onion that doors call.

mod check;
mod explain;
mod handling;
mod onion;
mod order;
mod settings;

use std::{
    fmt,
    panic::Location,
    sync::{Arc, OnceLock},
};

pub use self::{
    explain::{RouteInfo, Step, StepKind},
    handling::Handling,
    onion::{AppHandler, Onion},
    settings::{Proxies, Settings},
};
use crate::{
    Handler, Hosts, Middleware,
    cookie::Keys,
    forwarded::Trust,
    router::{BuildError, Endpoint, Layer, Router, What},
    state::Provided,
    test::Client,
    tower::AppService,
};

/// A tree of layers and routes.
///
/// - The layers of an app run for every request that enters it, in the order they were added, also
///   when no route matches.
/// - Inside of them the most specific route answers. A path that is known with other methods is
///   answered 405 with `Allow`, a method that no route knows 501, `OPTIONS` with `Allow`, and
///   anything else by the [`fallback`](App::fallback), which without one is a 404.
/// - Settings of an app hold for what is mounted below it, unless that has its own.
///
/// ```
/// use cepa_core::{App, Ctx, Next};
///
/// let app = App::new()
///     .with(async |ctx: &mut Ctx, next: Next<'_>| {
///         ctx.set("x-powered-by", "onion")?;
///         next.run(ctx).await
///     })
///     .get("/", async |_: &mut Ctx| "Hello, onion")
///     .get("/users/{id}", async |ctx: &mut Ctx| format!("user {}", ctx.param("id").unwrap_or_default()));
///
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// assert_eq!(client.get("/users/7").await.text(), "user 7");
/// # });
/// ```
#[derive(Default)]
pub struct App {
    pub(crate) router: Router,
    pub(crate) fallback: Option<Endpoint>,
    pub(crate) settings: Settings,
    pub(crate) provided: Provided,
    pub(crate) later: Option<Arc<OnceLock<Provided>>>,
    pub(crate) hosts: Option<Arc<Hosts>>,
    pub(crate) resumes: Vec<(String, Endpoint)>,
}

impl App {
    /// An app without layers and routes: every request is a 404.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer, inside of those added before.
    #[must_use]
    #[track_caller]
    pub fn with(mut self, layer: impl Middleware) -> Self {
        self.router.layers.push(Layer { layer: Arc::new(layer), place: Location::caller() });
        self
    }

    /// Adds a layer around those added before: for what has to come first whatever an app does.
    ///
    /// ```
    /// use cepa_core::{App, Ctx, Next};
    ///
    /// async fn inner(ctx: &mut Ctx, _: Next<'_>) -> cepa_core::Result {
    ///     ctx.set_body("inner")
    /// }
    ///
    /// async fn outer(ctx: &mut Ctx, next: Next<'_>) -> cepa_core::Result {
    ///     if ctx.path() == "/health" { ctx.set_body("outer") } else { next.run(ctx).await }
    /// }
    ///
    /// # cepa_core::test::block_on(async {
    /// let client = App::new().with(inner).around(outer).test();
    /// assert_eq!(client.get("/health").await.text(), "outer");
    /// assert_eq!(client.get("/").await.text(), "inner");
    /// # });
    /// ```
    #[must_use]
    #[track_caller]
    pub fn around(mut self, layer: impl Middleware) -> Self {
        let layer = Layer { layer: Arc::new(layer), place: Location::caller() };
        self.router.layers.insert(0, layer);
        self
    }

    /// Answers what no route answers, in place of the 404.
    ///
    /// Apps mounted below without a fallback of their own use this one.
    #[must_use]
    #[track_caller]
    pub fn fallback<R: 'static>(mut self, handler: impl Handler<R>) -> Self {
        self.fallback = Some(Endpoint::new(handler));
        self
    }

    /// Compares the literal parts of the app's paths without regard to ASCII case. A mounted app has a
    /// choice of its own.
    #[must_use]
    pub fn ignore_case(mut self) -> Self {
        self.router = self.router.ignore_case();
        self
    }

    /// Lets the app's paths match with one trailing slash more or less. A mounted app has a choice of its
    /// own.
    #[must_use]
    pub fn lenient_slash(mut self) -> Self {
        self.router = self.router.lenient_slash();
        self
    }

    /// Provides a value to all requests: [`Ctx::provided`](crate::Ctx::provided).
    #[must_use]
    pub fn provide<T: Send + Sync + 'static>(mut self, value: T) -> Self {
        self.provided.insert(value);
        self
    }

    /// Provides values that are not there yet when the app is built: a client that has to connect first.
    ///
    /// They are found behind those that the app and the apps around it [provide](Self::provide). Fill the cell before
    /// the first request: until then, what it will hold is missing.
    #[must_use]
    pub fn provide_later(mut self, values: Arc<OnceLock<Provided>>) -> Self {
        self.later = Some(values);
        self
    }

    /// Tells the app of the hosts among which a handler or layer of it chooses: [`Ctx::call`](crate::Ctx::call) finds them,
    /// and so does who asks for [statistics](Onion::statistics) of each.
    #[must_use]
    pub fn hosts(mut self, hosts: Arc<Hosts>) -> Self {
        self.hosts = Some(hosts);
        self
    }

    /// Goes on with connections that another process has parted with, as a worker that leaves does with those that wait:
    /// a stream of events, a WebSocket.
    ///
    /// Whoever parks a connection names the handler that is to go on with it, and gives it a [state](crate::Ctx::resumed). The
    /// handler answers as the one before it did, with a stream in place of a stream, a WebSocket in place of one; no head
    /// is sent. No layer runs, because the request has passed them already. If there is no handler of that name, or it
    /// answers anything else, the connection ends as it would have.
    ///
    /// It holds for an app that is served by itself, not for one that is mounted in another or is that of one of its
    /// [hosts](Self::hosts), of which two could mean something else by a name. The last of a name counts.
    #[must_use]
    #[track_caller]
    pub fn resume<R: 'static>(mut self, name: &str, handler: impl Handler<R>) -> Self {
        self.resumes.push((name.to_owned(), Endpoint::new(handler)));
        self
    }

    /// Sets the keys that cookies are signed and encrypted with, the newest first.
    #[must_use]
    pub fn keys(mut self, keys: Keys) -> Self {
        self.settings.keys = Some(Arc::new(keys));
        self
    }

    /// Sets the peers whose `X-Forwarded-*` headers are believed; nobody by default.
    #[must_use]
    pub fn trust(self, trust: Trust) -> Self {
        self.proxies(Proxies::XForwarded(trust))
    }

    /// [`trust`](Self::trust) with a choice of the header that is read.
    #[must_use]
    pub fn proxies(mut self, proxies: Proxies) -> Self {
        self.settings.proxies = Some(Arc::new(proxies));
        self
    }

    /// Sets how many labels at the end of a host name are no subdomains; 2 by default.
    #[must_use]
    pub fn subdomain_offset(mut self, labels: usize) -> Self {
        self.settings.subdomain_offset = Some(labels);
        self
    }

    #[track_caller]
    pub(crate) fn push(mut self, path: &str, what: What) -> Self {
        self.router = self.router.push(path, what);
        self
    }

    /// Resolves layers and routes into what doors call.
    ///
    /// # Errors
    /// Every fault found, with its place in the source: paths that do not parse, conflicting routes, names used
    /// twice, layers in a [wrong place](crate::Order) or without [what they need](Middleware::check).
    pub fn build(self) -> Result<Arc<Onion>, BuildError> {
        Onion::build(self)
    }

    /// The app as a `tower::Service`.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn into_service(self) -> Result<AppService, BuildError> {
        self.build().map(AppService)
    }

    /// The app as a handler, for layers that choose among apps themselves: it answers in place, with the path as it is.
    ///
    /// Nothing of the app around it is inherited, neither settings nor what is provided; for that see
    /// [`mount`](Self::mount).
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn into_handler(self) -> Result<AppHandler, BuildError> {
        self.build().map(AppHandler)
    }

    /// A client that calls the app in memory, without a socket.
    ///
    /// # Panics
    /// When the app does not build: the client is for tests.
    #[track_caller]
    pub fn test(self) -> Client {
        match self.build() {
            Ok(onion) => Client::new(onion),
            Err(error) => panic!("{error}"),
        }
    }
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").field("router", &self.router).field("settings", &self.settings).finish()
    }
}
