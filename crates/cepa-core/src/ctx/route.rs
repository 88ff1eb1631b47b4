//! The matched route: its parameters, its name, URLs of others, and the way into a mounted app.

use std::{borrow::Cow, panic::Location, sync::Arc};

use serde::de::DeserializeOwned;

use super::{Ctx, request::host_of};
use crate::{
    Error, Handler, Onion, Result, Step, Target, de, host,
    hosts::{Hosts, Place},
    router::{BELOW, Found, ParamSpans, Params, Resolved, Table, append_query},
};

/// What matched, kept for the time of the request.
#[derive(Default)]
pub(super) struct Matched {
    /// The app that the route is in, once another one runs.
    onion: Option<Arc<Onion>>,
    /// The route's place in its app; `None` until one matches, and below a mount until one matches there.
    route: Option<usize>,
    spans: ParamSpans,
    /// The path that the spans lie in, kept once the request's own path is another.
    path: Option<Box<str>>,
    /// The parameters of the mounts around it.
    outer: Vec<(Box<str>, String)>,
}

impl Ctx {
    /// A parameter of the matched route, decoded: `{id}` of `/users/{id}`.
    ///
    /// A value that does not decode to UTF-8 is given as it stands in the path.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        let outer = || {
            let outer = self.matched.outer.iter().find(|(known, _)| **known == *name);
            outer.map(|(_, value)| Cow::Borrowed(value.as_str()))
        };
        self.matched_params().decoded(name).or_else(outer)
    }

    /// The parameters of the matched route, decoded, in the order of the path; those of mounts first.
    pub fn param_pairs(&self) -> impl Iterator<Item = (&str, Cow<'_, str>)> {
        let outer = self.matched.outer.iter();
        let outer = outer.map(|(name, value)| (&**name, Cow::Borrowed(value.as_str())));
        outer.chain(self.matched_params().iter())
    }

    /// The parameters as a value, a tuple, or a struct: `let id: u64 = ctx.params()?`.
    ///
    /// # Errors
    /// 404 when a value is not of its type: no such thing has that path. 500 when the route has not the
    /// parameters that are asked for.
    #[track_caller]
    pub fn params<T: DeserializeOwned>(&self) -> Result<T> {
        let place = Location::caller();
        let pairs = self.param_pairs().map(|(name, value)| (Cow::Borrowed(name), value));
        de::from_params(pairs).map_err(|error| {
            let status = match error {
                de::Error::Invalid { .. } | de::Error::Refused { .. } => 404,
                _ => 500,
            };
            Error::status_only(status).with_cause(error).at(place)
        })
    }

    /// The pattern of the matched route, such as `/users/{id}`; `None` where no route answers.
    ///
    /// Of a route in a mounted app it is the pattern in that app.
    pub fn route_pattern(&self) -> Option<&str> {
        self.matched_route().map(|route| route.pattern.as_str())
    }

    /// The name of the matched route.
    pub fn route_name(&self) -> Option<&str> {
        self.matched_route()?.name.as_deref()
    }

    /// The way of this request through the app that runs, as [`Onion::explain`] has it: for pages and logs that show
    /// a developer where a request went.
    pub fn explain(&self) -> Vec<Step> {
        self.onion.explain(self.method(), self.hostname(), self.path())
    }

    /// The prefix below which the app runs: that of a server in front, then those of mounts; empty without either.
    pub fn mount_path(&self) -> &str {
        &self.mount_path
    }

    /// The path of a named route of this app, its mount's prefix included. Pairs that the path does
    /// not name become the query.
    ///
    /// ```
    /// # use cepa_core::{App, Ctx, router::get};
    /// let app = App::new()
    ///     .route("/users/{id}", get(async |_: &mut Ctx| "user").name("user"))
    ///     .get("/", async |ctx: &mut Ctx| ctx.url_for("user", &[("id", "7"), ("tab", "posts")]));
    /// # cepa_core::test::block_on(async {
    /// assert_eq!(app.test().get("/").await.text(), "/users/7?tab=posts");
    /// # });
    /// ```
    ///
    /// # Errors
    /// 500 naming what is missing: the route, or a parameter.
    #[track_caller]
    pub fn url_for(&self, name: &str, params: &[(&str, &str)]) -> Result<String> {
        url_for(&self.onion, &self.mount_path, name, params)
    }

    /// The named routes as a value of its own, for where a ctx cannot be: in a template, on another thread.
    pub fn urls(&self) -> Urls {
        Urls { onion: Arc::clone(&self.onion), mount_path: self.mount_path.as_str().into() }
    }

    /// The same, with the values in the order of the path's parameters.
    ///
    /// # Errors
    /// As [`url_for`](Self::url_for).
    #[track_caller]
    pub fn url_for_values(&self, name: &str, values: &[&str], query: &[(&str, &str)]) -> Result<String> {
        let route = self.onion.table.named(name);
        let route = route.ok_or_else(|| Error::new(500, format!("no route is named {name:?}")))?;
        let mut url = format!("{}{}", self.mount_path, route.pattern.url_positional(values)?);
        append_query(&mut url, query.iter().copied());
        Ok(url)
    }

    fn matched_route(&self) -> Option<&Resolved> {
        let onion = self.matched.onion.as_ref().unwrap_or(&self.onion);
        self.matched.route.map(|route| &onion.table.routes[route])
    }

    fn matched_params(&self) -> Params<'_> {
        match self.matched_route() {
            Some(route) => {
                let path = self.matched.path.as_deref().unwrap_or_else(|| self.path());
                Params::new(route.pattern.names(), &self.matched.spans, path)
            }
            None => Params::default(),
        }
    }

    /// Keeps the parameters as they are when the path that they lie in changes.
    pub(super) fn keep_params(&mut self) {
        if self.matched.path.is_none() && !self.matched.spans.as_slice().is_empty() {
            self.matched.path = Some(self.request.target().path().into());
        }
    }

    /// Looks for the route that answers, and keeps its parameters for when it is [entered](Self::enter).
    #[inline]
    pub(crate) fn find<'t>(&mut self, table: &'t Table) -> Found<'t> {
        let (request, settings) = (&self.request, &self.onion.settings);
        let hostname = || host::hostname(host_of(request, settings));
        table.find(request.method(), hostname, request.target().path_bytes(), &mut self.matched.spans)
    }

    /// Notes the route that answers, by its place in the app that runs.
    #[inline]
    pub(crate) fn enter(&mut self, route: usize) {
        let matched = &mut self.matched;
        (matched.onion, matched.route, matched.path) = (None, Some(route), None);
        let route = &self.onion.table.routes[route];
        if route.has_policy {
            self.set_policy(route.policy);
        }
    }

    /// Goes below a mount, into its app unless a plain handler is mounted, and to the path without the
    /// prefix unless that is to be kept.
    pub(crate) fn go_below(&mut self, onion: Option<Arc<Onion>>, keep_path: bool) -> Below<'_> {
        let rest = self.matched_params().get(BELOW).unwrap_or_default();
        let matched = self.matched.path.as_deref().unwrap_or_else(|| self.path());
        let prefix = matched[..matched.len() - rest.len()].trim_end_matches('/').to_owned();
        // A layer of the mount's router may have changed the path since it matched.
        let below = match self.path().strip_prefix(&*prefix) {
            Some("") => Some("/".to_owned()),
            Some(below) => below.starts_with('/').then(|| below.to_owned()),
            None => None,
        };
        self.descend(onion, below.filter(|_| !keep_path).map(|below| (&*prefix, below)))
    }

    /// Runs a handler for what is at and below a prefix, as a mount does: it sees the path without the prefix, which is
    /// found again in [`mount_path`](Self::mount_path). `false` when the path is not there, and nothing has run.
    ///
    /// For layers that find the prefix themselves; [`App::mount`](crate::App::mount) is for those known at start.
    pub async fn run_below(&mut self, prefix: &str, handler: &dyn Handler<()>) -> Result<bool> {
        let prefix = prefix.trim_end_matches('/');
        let below = match self.path().strip_prefix(prefix) {
            Some("") => "/".to_owned(),
            Some(below) if below.starts_with('/') => below.to_owned(),
            _ => return Ok(false),
        };
        let below = self.descend(None, Some((prefix, below)));
        handler.call(below.ctx).await?;
        Ok(true)
    }

    /// Goes into another app, and from a prefix to the path below it.
    pub(crate) fn descend(&mut self, onion: Option<Arc<Onion>>, below: Option<(&str, String)>) -> Below<'_> {
        let outer = self.param_pairs().filter(|(name, _)| *name != BELOW);
        let outer = outer.map(|(name, value)| (name.into(), value.into_owned())).collect();
        self.matched = Matched { outer, ..Matched::default() };
        let mount_path = self.mount_path.len();
        let mut target = None;
        if let Some((prefix, below)) = below {
            self.mount_path.push_str(prefix);
            target = Some(self.request.target().clone());
            self.request.change_target(|target| target.set_path(&below));
        }
        let onion = onion.map(|onion| std::mem::replace(&mut self.onion, onion));
        if let (Some(onion), Place::Here) = (&onion, &self.place) {
            self.place = Place::Below(Arc::clone(onion));
        }
        Below { ctx: self, onion, target, mount_path, place: None }
    }

    /// Goes into the app of a host.
    pub(crate) fn descend_to(&mut self, hosts: &Arc<Hosts>, at: usize) -> Below<'_> {
        let mut below = self.descend(Some(Arc::clone(hosts.list()[at].app())), None);
        let place = Place::Host(Arc::clone(hosts), at);
        below.place = Some(std::mem::replace(&mut below.ctx.place, place));
        below
    }
}

/// Makes URLs of named routes without a ctx; see [`Ctx::urls`].
///
/// ```
/// # use cepa_core::{App, Ctx, router::get};
/// let app = App::new()
///     .route("/users/{id}", get(async |_: &mut Ctx| "user").name("user"))
///     .get("/", async |ctx: &mut Ctx| {
///         let urls = ctx.urls();
///         std::thread::spawn(move || urls.url_for("user", &[("id", "7")])).join().expect("it does not panic")
///     });
/// # cepa_core::test::block_on(async {
/// assert_eq!(app.test().get("/").await.text(), "/users/7");
/// # });
/// ```
#[derive(Clone)]
pub struct Urls {
    onion: Arc<Onion>,
    mount_path: Box<str>,
}

impl Urls {
    /// As [`Ctx::url_for`].
    ///
    /// # Errors
    /// 500 naming what is missing: the route, or a parameter.
    #[track_caller]
    pub fn url_for(&self, name: &str, params: &[(&str, &str)]) -> Result<String> {
        url_for(&self.onion, &self.mount_path, name, params)
    }
}

impl std::fmt::Debug for Urls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Urls").field("mount_path", &self.mount_path).finish_non_exhaustive()
    }
}

#[track_caller]
fn url_for(onion: &Onion, mount_path: &str, name: &str, params: &[(&str, &str)]) -> Result<String> {
    let route = onion.table.named(name);
    let route = route.ok_or_else(|| Error::new(500, format!("no route is named {name:?}")))?;
    Ok(format!("{mount_path}{}", route.pattern.url(params)?))
}

/// The ctx below a mount. It comes back from there when this is dropped, so also when a layer gave up on
/// what runs below.
pub(crate) struct Below<'c> {
    pub(crate) ctx: &'c mut Ctx,
    onion: Option<Arc<Onion>>,
    target: Option<Target>,
    mount_path: usize,
    /// Where the request was, if it has gone to a host.
    place: Option<Place>,
}

impl Drop for Below<'_> {
    fn drop(&mut self) {
        let ctx = &mut *self.ctx;
        if let Some(target) = self.target.take() {
            ctx.keep_params();
            ctx.request.change_target(|now| *now = target);
        }
        if let Some(outer) = self.onion.take() {
            let inner = std::mem::replace(&mut ctx.onion, outer);
            // What matched in the mounted app is still asked for out here, by logs and metrics.
            ctx.matched.onion.get_or_insert(inner);
        }
        ctx.mount_path.truncate(self.mount_path);
        if let Some(place) = self.place.take() {
            ctx.place = place;
        }
    }
}
