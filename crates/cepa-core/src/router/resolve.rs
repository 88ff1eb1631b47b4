//! From the routers of an app to its [`Table`], collecting faults instead of stopping at the first.

use std::{borrow::Cow, fmt, panic::Location, sync::Arc};

use http::Method;

use super::{
    Pattern, PatternError,
    builder::{Entry, Options, Router, What},
    mount::{Mount, Mounted},
    redirect::{Redirect, RedirectFault},
    route::{Endpoint, Layer, Route},
    table::{BELOW, Resolved, Table},
};
use crate::{StartError, connection::Policy, host};

/// Why an app does not build: every fault found, each with its places in the source.
#[derive(Debug)]
pub struct BuildError(pub(crate) Vec<Fault>);

/// One fault of an app's routes or layers.
#[derive(Debug)]
pub(crate) enum Fault {
    Pattern { error: PatternError, place: &'static Location<'static> },
    Conflict { route: String, first: &'static Location<'static>, second: &'static Location<'static> },
    Name { name: String, first: &'static Location<'static>, second: &'static Location<'static> },
    Host { host: String, place: &'static Location<'static> },
    Redirect { fault: RedirectFault, place: &'static Location<'static> },
    Order(OrderFault),
    Layer { layer: Cow<'static, str>, error: StartError, place: &'static Location<'static> },
}

/// A layer that stands where its own rule does not want it.
#[derive(Debug)]
pub(crate) struct OrderFault {
    pub(crate) layer: Cow<'static, str>,
    pub(crate) place: &'static Location<'static>,
    pub(crate) other: Cow<'static, str>,
    /// `None`: it is not there at all.
    pub(crate) other_place: Option<&'static Location<'static>>,
    /// Whether the layer belongs inside of the other.
    pub(crate) inside: bool,
    pub(crate) why: &'static str,
}

impl fmt::Display for OrderFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { layer, place, other, other_place, inside, why } = self;
        match other_place {
            Some(other_place) => {
                let way = if *inside { "in" } else { "out" };
                write!(
                    f,
                    "{layer} has to be further {way} than {other}, for {why}\n  at {place}\n  and {other_place}"
                )
            }
            None => write!(f, "{layer} needs {other} outside of it, for {why}\n  at {place}"),
        }
    }
}

impl fmt::Display for BuildError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, fault) in self.0.iter().enumerate() {
            if at > 0 {
                writeln!(f)?;
            }
            match fault {
                Fault::Pattern { error, place } => write!(f, "{error}\n  at {place}")?,
                Fault::Conflict { route, first, second } => {
                    write!(f, "two routes answer {route}\n  first at {first}\n  again at {second}")?;
                }
                Fault::Name { name, first, second } => {
                    write!(f, "two paths are named {name:?}\n  first at {first}\n  again at {second}")?;
                }
                Fault::Host { host, place } => {
                    write!(
                        f,
                        "{host:?} is no host: write a name without a port, or *.name for its subdomains\n  at {place}"
                    )?;
                }
                Fault::Redirect { fault, place } => write!(f, "{fault}\n  at {place}")?,
                Fault::Order(fault) => fault.fmt(f)?,
                Fault::Layer { layer, error, place } => write!(f, "{layer}: {error}\n  at {place}")?,
            }
        }
        Ok(())
    }
}

impl std::error::Error for BuildError {}

/// Flattens nested routers into a [`Table`].
#[derive(Default)]
pub(crate) struct TableBuilder {
    table: Table,
    faults: Vec<Fault>,
}

/// Resolves a mount, collecting the faults of the app in it.
pub(crate) type ResolveMount<'a> = dyn FnMut(Mount, &mut Vec<Fault>) -> Arc<Mounted> + 'a;

/// What a router inherits from those around it.
#[derive(Clone, Default)]
struct Around {
    prefix: String,
    layers: Vec<Layer>,
    host: Option<String>,
    options: Options,
}

impl TableBuilder {
    /// Adds the entries of an app's router. The app's own layers are not among the chains.
    pub(crate) fn add_app(&mut self, entries: Vec<Entry>, options: Options, mount: &mut ResolveMount<'_>) {
        let around = Around { options, ..Around::default() };
        self.add_entries(entries, &around, mount);
    }

    pub(crate) fn finish(self) -> (Table, Vec<Fault>) {
        (self.table, self.faults)
    }

    fn add_entries(&mut self, entries: Vec<Entry>, around: &Around, mount: &mut ResolveMount<'_>) {
        for Entry { path, what, place } in entries {
            let path = join(&around.prefix, &path);
            match what {
                What::Route(route) => self.add_route(&path, route, around, place),
                What::Redirect(redirect) => self.add_redirect(&path, redirect, around, place),
                What::Nest(router) => {
                    self.add_router(router, Around { prefix: path, ..around.clone() }, mount);
                }
                What::Host(host, router) => {
                    if !is_host(&host) {
                        self.faults.push(Fault::Host { host: host.clone(), place });
                    }
                    self.add_router(router, Around { host: Some(host), ..around.clone() }, mount);
                }
                What::Mount(service) => {
                    let mounted = mount(service, &mut self.faults);
                    self.add_mount(&path, &mounted, around, place);
                }
            }
        }
    }

    fn add_router(&mut self, router: Router, mut around: Around, mount: &mut ResolveMount<'_>) {
        around.layers.extend(router.layers);
        around.options.ignore_case |= router.options.ignore_case;
        around.options.lenient_slash |= router.options.lenient_slash;
        self.add_entries(router.entries, &around, mount);
    }

    fn add_route(&mut self, path: &str, route: Route, around: &Around, place: &'static Location<'static>) {
        let Some(pattern) = self.parse(path, place) else { return };
        let layers: Vec<Layer> = around.layers.iter().chain(&route.layers).cloned().collect();
        let methods = route.methods.into_iter().map(|(method, endpoint)| (Some(method), endpoint));
        for (method, endpoint) in methods.chain(route.any.map(|endpoint| (None, endpoint))) {
            let (name, policy) = (route.name.clone(), route.policy);
            let draft = Draft { pattern: &pattern, method, name, layers: &layers, endpoint, policy, place };
            self.add(draft, around, None);
        }
    }

    fn add_redirect(
        &mut self,
        path: &str,
        redirect: Redirect,
        around: &Around,
        place: &'static Location<'static>,
    ) {
        let Some(pattern) = self.parse(path, place) else { return };
        match redirect.resolve(&pattern) {
            Ok(core) => {
                let endpoint = Endpoint { name: core.to_string().into(), core: Arc::new(core), place };
                self.add(Draft::any(&pattern, &around.layers, endpoint, place), around, None);
            }
            Err(fault) => self.faults.push(Fault::Redirect { fault, place }),
        }
    }

    fn add_mount(
        &mut self,
        path: &str,
        mounted: &Arc<Mounted>,
        around: &Around,
        place: &'static Location<'static>,
    ) {
        let path = path.trim_end_matches('/');
        // At the root the bare prefix is no path; where slashes are lenient it is the next pattern too.
        let bare = !path.is_empty() && !around.options.lenient_slash;
        let patterns =
            [bare.then(|| path.to_owned()), Some(format!("{path}/")), Some(format!("{path}/{{*{BELOW}}}"))];
        for pattern in patterns.into_iter().flatten() {
            let Some(pattern) = self.parse(&pattern, place) else { return };
            let endpoint = Endpoint { core: mounted.clone(), name: mounted.name.clone(), place };
            let draft = Draft::any(&pattern, &around.layers, endpoint, place);
            if !self.add(draft, around, Some(mounted.clone())) {
                return;
            }
        }
    }

    fn parse(&mut self, path: &str, place: &'static Location<'static>) -> Option<Pattern> {
        match Pattern::parse(path) {
            Ok(pattern) => Some(pattern),
            Err(error) => {
                self.faults.push(Fault::Pattern { error, place });
                None
            }
        }
    }

    /// Adds a route; `false` when it conflicts with another.
    fn add(&mut self, draft: Draft<'_>, around: &Around, mounted: Option<Arc<Mounted>>) -> bool {
        let Draft { pattern, method, name, layers, endpoint, policy, place } = draft;
        let at = self.table.routes.len();
        if let Some(name) = &name {
            // Several methods of one path share its name: the URL is the same.
            let first = *self.table.names.entry(name.clone()).or_insert(at);
            if let Some(first) = self.table.routes.get(first)
                && first.pattern.as_str() != pattern.as_str()
            {
                let fault = Fault::Name { name: name.clone(), first: first.place, second: place };
                self.faults.push(fault);
            }
        }
        let conflict = self.table.enter(at, pattern, method.as_ref(), around.host.as_deref(), around.options);
        if let Some(first) = conflict {
            let first = self.table.routes[first].place;
            let method = method.as_ref().map_or("every method", Method::as_str);
            let path = pattern.as_str().replace(BELOW, "…");
            let host = around.host.as_deref().map(|host| format!(" of {host}")).unwrap_or_default();
            self.faults.push(Fault::Conflict {
                route: format!("{method} {path}{host}"),
                first,
                second: place,
            });
        }
        if let Some(method) = &method
            && !self.table.methods.contains(method)
        {
            self.table.methods.push(method.clone());
        }
        self.table.routes.push(Resolved {
            pattern: pattern.clone(),
            method,
            name,
            host: around.host.clone(),
            chain: layers.iter().map(|layer| layer.layer.clone()).collect(),
            layers: layers.to_vec(),
            endpoint,
            has_policy: policy != Policy::default(),
            policy,
            mounted,
            place,
        });
        conflict.is_none()
    }
}

/// A route about to be added.
struct Draft<'a> {
    pattern: &'a Pattern,
    /// `None`: every method.
    method: Option<Method>,
    name: Option<String>,
    layers: &'a [Layer],
    endpoint: Endpoint,
    policy: Policy,
    place: &'static Location<'static>,
}

impl<'a> Draft<'a> {
    /// A route for every method, with nothing of its own.
    fn any(
        pattern: &'a Pattern,
        layers: &'a [Layer],
        endpoint: Endpoint,
        place: &'static Location<'static>,
    ) -> Self {
        Self { pattern, method: None, name: None, layers, endpoint, policy: Policy::default(), place }
    }
}

/// A path below a prefix. The root below a prefix is the prefix itself.
fn join(prefix: &str, path: &str) -> String {
    match (prefix.trim_end_matches('/'), path) {
        ("", path) => path.to_owned(),
        (prefix, "" | "/") => prefix.to_owned(),
        (prefix, path) => format!("{prefix}{path}"),
    }
}

/// Whether this is a host name without a port, or `*.` and one.
fn is_host(text: &str) -> bool {
    let name = text.strip_prefix("*.").unwrap_or(text);
    !name.ends_with('.') && !name.is_empty() && host::hostname(name) == name
}
