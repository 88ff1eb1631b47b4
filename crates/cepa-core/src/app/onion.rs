//! The resolved app: what doors call for every request.

use std::{
    borrow::Cow,
    collections::HashMap,
    fmt,
    rc::Rc,
    sync::{Arc, OnceLock},
};

use http::{HeaderValue, Method, StatusCode, header::ALLOW};

use super::{Handling, check, order, settings::Settings};
use crate::{
    App, Body, Connection, Ctx, Handler, Hosts, LocalBoxFuture, Middleware, Next, Parked, Request, Result,
    Run, Statistics,
    hosts::Place,
    middleware::Core,
    response::TEXT,
    router::{BuildError, Endpoint, Fault, Found, Layer, Mount, Table, TableBuilder},
    state::Provided,
    statistics::Tally,
};

/// An [`App`] with its layers and routes resolved. It is shared by all threads; doors call
/// [`handle`](Onion::handle).
pub struct Onion {
    pub(crate) layers: Box<[Arc<dyn Middleware>]>,
    pub(crate) places: Vec<Layer>,
    pub(crate) table: Table,
    pub(crate) fallback: Option<Endpoint>,
    pub(crate) settings: Settings,
    pub(crate) hosts: Option<Arc<Hosts>>,
    pub(crate) tally: Tally,
    provided: Vec<Arc<Provided>>,
    later: Option<Arc<OnceLock<Provided>>>,
    /// What goes on with connections of other processes, by name.
    resumes: HashMap<String, Arc<Onion>>,
}

/// What a mounted app has from those around it.
#[derive(Default)]
struct Outer<'a> {
    settings: Settings,
    provided: &'a [Arc<Provided>],
    later: Option<&'a Arc<OnceLock<Provided>>>,
    hosts: Option<&'a Arc<Hosts>>,
    fallback: Option<&'a Endpoint>,
}

impl Onion {
    pub(super) fn build(app: App) -> Result<Arc<Self>, BuildError> {
        let mut faults = Vec::new();
        let onion = Self::resolve(app, &Outer::default(), &mut faults);
        check::check(&onion, &mut faults);
        order::check(&onion, &mut faults);
        if faults.is_empty() { Ok(Arc::new(onion)) } else { Err(BuildError(faults)) }
    }

    /// Resolves an app, and those mounted in it with what they inherit.
    fn resolve(app: App, outer: &Outer<'_>, faults: &mut Vec<Fault>) -> Self {
        let settings = app.settings.inherit(&outer.settings);
        let mut provided = vec![Arc::new(app.provided)];
        provided.extend_from_slice(outer.provided);
        let later = app.later.or_else(|| outer.later.cloned());
        let hosts = app.hosts.or_else(|| outer.hosts.cloned());
        let fallback = app.fallback.or_else(|| outer.fallback.cloned());
        let this = Outer {
            settings: settings.clone(),
            provided: &provided,
            later: later.as_ref(),
            hosts: hosts.as_ref(),
            fallback: fallback.as_ref(),
        };
        let mut mount =
            |mount: Mount, faults: &mut Vec<Fault>| mount.resolve(|app| Self::resolve(app, &this, faults));
        let resumes = app.resumes.into_iter().map(|(name, endpoint)| {
            let core = App { fallback: Some(endpoint), ..App::default() };
            (name, Arc::new(Self::resolve(core, &this, faults)))
        });
        let resumes = resumes.collect();
        let mut builder = TableBuilder::default();
        builder.add_app(app.router.entries, app.router.options, &mut mount);
        let (table, new_faults) = builder.finish();
        faults.extend(new_faults);
        let places = app.router.layers;
        let layers = places.iter().map(|layer| layer.layer.clone()).collect();
        let tally = Tally::new();
        Self { layers, places, table, fallback, settings, hosts, tally, provided, later, resumes }
    }

    /// A value that the app [provides](App::provide), or one around it, or that was provided
    /// [later](App::provide_later).
    pub fn provided<T: Send + Sync + 'static>(&self) -> Option<&T> {
        let at_once = self.provided.iter().find_map(|provided| provided.get());
        at_once.or_else(|| self.later.as_ref()?.get()?.get())
    }

    /// Takes a request through the layers to its handler and back: the one call between doors and
    /// apps.
    ///
    /// It always answers. An error that left the outermost layer becomes its answer, and with a 5xx
    /// status a log line; a panic becomes a 500.
    #[inline]
    pub fn handle(self: &Arc<Self>, request: Request) -> Handling {
        Handling::new(Arc::clone(self), request, Place::Here)
    }

    /// Has the handler of that name go on with a connection of another process, see [`App::resume`]; `None` if there is
    /// none, or what it would get is no request.
    pub fn resume(&self, parked: Parked, connection: Rc<dyn Connection>) -> Option<Handling> {
        let onion = self.resumes.get(&parked.handler)?;
        Some(onion.handle(parked.request(connection)?))
    }

    /// A ctx for work that no request asked for: the app's [provided](Self::provided) values and services are found in
    /// it, and no layer has run.
    pub fn ctx(self: &Arc<Self>, request: Request) -> Ctx {
        Ctx::new(request, Arc::clone(self), Place::Here)
    }

    /// What this app has done in this process, since it was built.
    pub fn statistics(&self) -> Statistics {
        self.tally.read()
    }

    /// The hosts that the app [was told of](App::hosts).
    pub fn hosts(&self) -> Option<&Arc<Hosts>> {
        self.hosts.as_ref()
    }

    pub(crate) fn run<'a>(&'a self, ctx: &'a mut Ctx) -> Run<'a> {
        Next::new(&self.layers, self).run(ctx)
    }

    /// Answers what no route answers.
    fn miss<'a>(&'a self, ctx: &'a mut Ctx, allowed: Option<HeaderValue>) -> LocalBoxFuture<'a, Result> {
        let known = self.table.implements(ctx.method());
        let status = match (allowed.is_some(), known) {
            (true, true) if *ctx.method() == Method::OPTIONS => StatusCode::OK,
            (true, true) => StatusCode::METHOD_NOT_ALLOWED,
            (false, true) => return self.not_found(ctx),
            (false, false) if self.fallback.is_some() => return self.not_found(ctx),
            (_, false) => StatusCode::NOT_IMPLEMENTED,
        };
        ctx.response.set_status(status);
        if status == StatusCode::OK {
            ctx.response.set_body(Body::empty(), &TEXT);
        }
        if let Some(allowed) = allowed {
            ctx.response.headers_mut().insert(ALLOW, allowed);
        }
        Box::pin(async { Ok(()) })
    }

    fn not_found<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        match &self.fallback {
            Some(fallback) => fallback.core.call(ctx),
            None => Box::pin(async { Ok(()) }),
        }
    }
}

impl Core for Onion {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        match ctx.find(&self.table) {
            Found::Route(at) => {
                ctx.enter(at);
                let route = &self.table.routes[at];
                // Not `run`: this is called and polled within one, that of `Onion::run` or of the app's last layer, and
                // what panics becomes an error there.
                Next::new(&route.chain, &*route.endpoint.core).call(ctx)
            }
            Found::OtherMethods(methods) => self.miss(ctx, allow(&methods)),
            // It asks about the server rather than one resource (RFC 9110, section 9.3.7).
            Found::Nothing if ctx.path() == "*" => self.miss(ctx, allow(&self.table.all_methods())),
            Found::Nothing => self.miss(ctx, None),
        }
    }
}

/// An app that was built by itself, as a handler, see [`App::into_handler`].
#[derive(Clone, Debug)]
pub struct AppHandler(pub(super) Arc<Onion>);

impl From<Arc<Onion>> for AppHandler {
    /// An app that is built already.
    fn from(onion: Arc<Onion>) -> Self {
        Self(onion)
    }
}

impl Handler<()> for AppHandler {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let below = ctx.descend(Some(Arc::clone(&self.0)), None);
            self.0.run(below.ctx).await
        })
    }

    fn name(&self) -> Cow<'static, str> {
        "App".into()
    }
}

fn allow(methods: &[&Method]) -> Option<HeaderValue> {
    let list: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    HeaderValue::from_str(&list.join(", ")).ok()
}

impl fmt::Debug for Onion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Onion")
            .field("layers", &self.layers.len())
            .field("routes", &self.table.routes.len())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use http::Method;

    use crate::{App, Ctx, test::block_on};

    #[test]
    fn options_is_answered_with_the_methods_and_an_empty_text() {
        let client = App::new().get("/a", async |_: &mut Ctx| "a").put("/a", async |_: &mut Ctx| "b").test();
        block_on(async {
            let answer = client.request(Method::OPTIONS, "/a").await;
            assert_eq!((answer.status().as_u16(), answer.text()), (200, ""));
            assert_eq!(answer.header("allow"), "HEAD, GET, PUT");
            assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
            assert_eq!(client.request(Method::OPTIONS, "/b").await.status(), 404);
            let answer = client.request(Method::OPTIONS, "*").await;
            assert_eq!((answer.status().as_u16(), answer.header("allow")), (200, "HEAD, GET, PUT"));
            assert_eq!(client.request(Method::GET, "*").await.status(), 405);
        });
    }
}
