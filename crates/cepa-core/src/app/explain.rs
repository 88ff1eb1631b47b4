//! What an app is made of, for people: its routes, and the chain of layers of one path.

use std::{fmt, panic::Location, sync::Arc};

use http::Method;

use super::Onion;
use crate::router::{BELOW, Found, Layer, ParamSpans, Resolved};

/// A route as `routes` lists it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteInfo {
    /// The method; `None` when it answers every method.
    pub method: Option<Method>,
    /// The path pattern, with the prefixes of mounts.
    pub path: String,
    /// The route's name.
    pub name: Option<String>,
    /// The host it answers for; `None` when for any.
    pub host: Option<String>,
    /// The handler's name.
    pub handler: String,
    /// Where in the source it was added.
    pub place: &'static Location<'static>,
}

/// One step of the way of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Step {
    /// How many mounts deep the step lies.
    pub depth: usize,
    /// What it is.
    pub kind: StepKind,
    /// The layer's or handler's name.
    pub name: String,
    /// Where in the source it was added.
    pub place: Option<&'static Location<'static>>,
}

/// What a [`Step`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum StepKind {
    /// A layer of an app, run for every request.
    AppLayer,
    /// A layer of a router or a route, run when the route answers.
    RouteLayer,
    /// The way into a mounted app.
    Mount,
    /// The handler.
    Handler,
    /// The app's fallback.
    Fallback,
    /// No handler: the status that is answered.
    Status,
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AppLayer | Self::RouteLayer => "layer",
            Self::Mount => "mount",
            Self::Handler => "handler",
            Self::Fallback => "fallback",
            Self::Status => "answer",
        })
    }
}

impl Onion {
    /// All routes, in the order they were added; those of mounted apps with their prefix. Then those of the
    /// [hosts](crate::App::hosts).
    pub fn routes(&self) -> Vec<RouteInfo> {
        let mut routes = Vec::new();
        self.collect_routes("", &mut routes);
        for host in self.hosts.iter().flat_map(|hosts| hosts.list()) {
            let of_host = routes.len();
            host.app().collect_routes("", &mut routes);
            for route in &mut routes[of_host..] {
                route.host.get_or_insert_with(|| host.name().to_owned());
            }
        }
        routes
    }

    fn collect_routes(&self, prefix: &str, routes: &mut Vec<RouteInfo>) {
        for route in &self.table.routes {
            let path = route.pattern.as_str();
            let below = path.strip_suffix(&format!("/{{*{BELOW}}}"));
            match (&route.mounted, below) {
                (Some(mounted), Some(path)) => match mounted.onion() {
                    Some(onion) => {
                        let prefix =
                            if mounted.keeps_path() { prefix.to_owned() } else { format!("{prefix}{path}") };
                        onion.collect_routes(&prefix, routes);
                    }
                    None => routes.push(info(route, format!("{prefix}{path}/…"))),
                },
                // A mount has two more patterns, for its bare prefix: one line is enough.
                (Some(_), None) => {}
                (None, _) => routes.push(info(route, format!("{prefix}{path}"))),
            }
        }
    }

    /// The way that a request would take: every layer with its place in the source, then the handler.
    pub fn explain(&self, method: &Method, host: &str, path: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        self.explain_below(method, host, path, 0, &mut steps);
        steps
    }

    fn explain_below(&self, method: &Method, host: &str, path: &str, depth: usize, steps: &mut Vec<Step>) {
        let layer = |kind, layer: &Layer| Step {
            depth,
            kind,
            name: layer.layer.name().into_owned(),
            place: Some(layer.place),
        };
        steps.extend(self.places.iter().map(|place| layer(StepKind::AppLayer, place)));
        let answer = |name: String| Step { depth, kind: StepKind::Status, name, place: None };
        let mut spans = ParamSpans::new();
        match self.table.find(method, || host, path.as_bytes(), &mut spans) {
            Found::Route(at) => {
                let route = &self.table.routes[at];
                steps.extend(route.layers.iter().map(|place| layer(StepKind::RouteLayer, place)));
                let kind = if route.mounted.is_some() { StepKind::Mount } else { StepKind::Handler };
                let name = format!("{} {}", route.endpoint.name, route.pattern.as_str().replace(BELOW, "…"));
                steps.push(Step { depth, kind, name, place: Some(route.endpoint.place) });
                let Some(mounted) = &route.mounted else { return };
                let Some(onion) = mounted.onion() else { return };
                let below = crate::router::Params::new(route.pattern.names(), &spans, path).get(BELOW);
                let below = match mounted.keeps_path() {
                    true => path.to_owned(),
                    false => format!("/{}", below.unwrap_or_default()),
                };
                onion.explain_below(method, host, &below, depth + 1, steps);
            }
            Found::OtherMethods(methods) => {
                let methods: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
                steps.push(answer(format!("405 Method Not Allowed, allow: {}", methods.join(", "))));
            }
            Found::Nothing => match &self.fallback {
                Some(fallback) => {
                    let (name, place) = (fallback.name.to_string(), Some(fallback.place));
                    steps.push(Step { depth, kind: StepKind::Fallback, name, place });
                    // One that chooses among hosts, if the app has some.
                    if let Some((name, app)) = self.host(host).filter(|_| depth == 0) {
                        steps.push(Step { depth, kind: StepKind::Mount, name, place: None });
                        app.explain_below(method, host, path, depth + 1, steps);
                    }
                }
                None if self.table.implements(method) => steps.push(answer("404 Not Found".to_owned())),
                None => steps.push(answer("501 Not Implemented".to_owned())),
            },
        }
    }
}

impl Onion {
    /// The host for a name, as the way into it is called, and its app.
    fn host(&self, name: &str) -> Option<(String, &Arc<Onion>)> {
        let hosts = self.hosts.as_ref()?;
        let host = &hosts.list()[hosts.find(name)?];
        Some((format!("host {}", host.name()), host.app()))
    }
}

fn info(route: &Resolved, path: String) -> RouteInfo {
    RouteInfo {
        method: route.method.clone(),
        path,
        name: route.name.clone(),
        host: route.host.clone(),
        handler: route.endpoint.name.to_string(),
        place: route.place,
    }
}
