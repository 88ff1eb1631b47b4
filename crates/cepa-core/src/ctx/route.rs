//! The matched route: its parameters, its name, URLs of others, and the way into a mounted app.

use std::{borrow::Cow, panic::Location, sync::Arc};

use serde::de::DeserializeOwned;

use super::Ctx;
use crate::{
    Error, Onion, Result, Target, de,
    router::{ParamSpans, Params, Resolved, append_query, encode_component},
};

/// What matched, kept for the time of the request.
#[derive(Default)]
pub(super) struct Matched {
    route: Option<Arc<Resolved>>,
    spans: ParamSpans,
    /// The path that the spans lie in, kept once the request's own path is another.
    path: Option<Box<str>>,
    /// The parameters of the mounts around it.
    outer: Vec<(Box<str>, String)>,
}

/// What a mount gives back when it is left.
pub(crate) struct Entered {
    onion: Option<Arc<Onion>>,
    target: Option<Target>,
    mount_path: usize,
}

impl Ctx {
    /// A parameter of the matched route, decoded: `{id}` of `/users/{id}`.
    ///
    /// A value that does not decode to UTF-8 is given as it stands in the path.
    pub fn param(&self, name: &str) -> Option<Cow<'_, str>> {
        let outer = || {
            let outer = &self.matched.outer;
            outer.iter().find(|(known, _)| **known == *name).map(|(_, value)| Cow::Borrowed(value.as_str()))
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
    /// 404 when a value is not of its type: no such thing has that path.
    #[track_caller]
    pub fn params<T: DeserializeOwned>(&self) -> Result<T> {
        let pairs: Vec<(Cow<'_, str>, Cow<'_, str>)> = self
            .param_pairs()
            .map(|(name, value)| (Cow::Owned(name.to_owned()), Cow::Owned(value.into_owned())))
            .collect();
        let place = Location::caller();
        de::from_params(pairs).map_err(|error| Error::status_only(404).with_cause(error).at(place))
    }

    /// The pattern of the matched route, such as `/users/{id}`.
    pub fn route_pattern(&self) -> Option<&str> {
        self.matched.route.as_ref().map(|route| &*route.pattern_text)
    }

    /// The name of the matched route.
    pub fn route_name(&self) -> Option<&str> {
        self.matched.route.as_ref().and_then(|route| route.name.as_deref())
    }

    /// The prefix below which the mounted app runs; empty outside of mounts.
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
        let route = self.onion.table.named(name);
        let route = route.ok_or_else(|| Error::new(500, format!("no route is named {name:?}")))?;
        Ok(format!("{}{}", self.mount_path, route.pattern.url(params)?))
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

    fn matched_params(&self) -> Params<'_> {
        let Matched { route, spans, path, .. } = &self.matched;
        match route {
            Some(route) => {
                let path = path.as_deref().unwrap_or_else(|| self.path());
                Params::new(route.pattern.names(), spans, path)
            }
            None => Params::default(),
        }
    }

    /// Keeps the parameters as they are when the path that they lie in changes.
    pub(super) fn keep_params(&mut self) {
        if self.matched.route.is_some() && self.matched.path.is_none() {
            self.matched.path = Some(self.request.target().path().into());
        }
    }

    /// Notes the route that answers.
    pub(crate) fn enter(&mut self, route: &Arc<Resolved>, spans: &ParamSpans) {
        self.matched.route = Some(Arc::clone(route));
        self.matched.spans.copy_from(spans);
        self.matched.path = None;
        if route.has_policy {
            self.set_policy(route.policy);
        }
    }

    /// Goes below a mount: its app, unless it is a plain handler, and the path without the prefix.
    pub(crate) fn enter_mount(&mut self, onion: Option<Arc<Onion>>, keep_path: bool) -> Entered {
        let rest = self.matched_params().get(crate::router::BELOW).unwrap_or_default();
        let path = self.path();
        let prefix = &path[..path.len() - rest.len()];
        let prefix = prefix.trim_end_matches('/').to_owned();
        let below = format!("/{rest}");
        let outer: Vec<(Box<str>, String)> = self
            .param_pairs()
            .filter(|(name, _)| *name != crate::router::BELOW)
            .map(|(name, value)| (name.into(), value.into_owned()))
            .collect();
        self.matched.outer = outer;
        let mount_path = self.mount_path.len();
        let mut target = None;
        if !keep_path {
            self.mount_path.push_str(&prefix);
            target = Some(self.request.target().clone());
            self.set_path(&below);
        }
        let onion = onion.map(|onion| std::mem::replace(&mut self.onion, onion));
        Entered { onion, target, mount_path }
    }

    /// Comes back from below a mount.
    pub(crate) fn leave_mount(&mut self, entered: Entered) {
        if let Some(target) = entered.target {
            self.request.change_target(|now| *now = target);
        }
        if let Some(onion) = entered.onion {
            self.onion = onion;
        }
        self.mount_path.truncate(entered.mount_path);
    }

    /// Fills the parameters of the matched route into a pattern: where a redirecting route goes.
    pub(crate) fn fill(&self, to: &str) -> Result<String> {
        let mut url = String::with_capacity(to.len());
        let mut rest = to;
        while let Some((before, after)) = rest.split_once('{') {
            url.push_str(before);
            let Some((name, after)) = after.split_once('}') else { break };
            let value = self.param(name.trim_start_matches('*'));
            let value =
                value.ok_or_else(|| Error::new(500, format!("the redirect needs a parameter {name:?}")))?;
            encode_component(&mut url, &value, true);
            rest = after;
        }
        url.push_str(rest);
        Ok(url)
    }
}
