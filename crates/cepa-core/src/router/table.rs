//! The resolved routes: built once at start, looked up for every request.

use std::{collections::HashMap, fmt, panic::Location, sync::Arc};

use http::Method;

use super::{
    ParamSpans, Pattern, PatternError, Tree, TreeOptions,
    builder::{Entry, Options, Router, What},
    mount::{Mount, Mounted},
    route::{Endpoint, Layer, Route},
};
use crate::{Middleware, connection::Policy};

/// A route with everything it needs at request time.
pub(crate) struct Resolved {
    pub(crate) pattern: Pattern,
    pub(crate) pattern_text: Arc<str>,
    /// One method, or none for every method.
    pub(crate) methods: Vec<Method>,
    pub(crate) name: Option<Arc<str>>,
    pub(crate) host: Option<String>,
    /// The layers between the app's own and the handler, outermost first.
    pub(crate) chain: Box<[Arc<dyn Middleware>]>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) endpoint: Endpoint,
    pub(crate) policy: Policy,
    pub(crate) has_policy: bool,
    /// Set when the endpoint is a mount, which has routes of its own.
    pub(crate) mounted: Option<Arc<Mounted>>,
    pub(crate) place: &'static Location<'static>,
}

/// The parameter that holds what follows a mount's prefix.
pub(crate) const BELOW: &str = "below_mount";

/// What a lookup found.
pub(crate) enum Found<'a> {
    Route(&'a Arc<Resolved>),
    /// The path is known, but only with other methods.
    OtherMethods(Vec<&'a Method>),
    Nothing,
}

#[derive(Default)]
pub(crate) struct Table {
    /// Tables for a host come before those for any.
    hosts: Vec<HostTable>,
    pub(crate) routes: Vec<Arc<Resolved>>,
    names: HashMap<String, usize>,
    /// Methods that some route answers.
    methods: Vec<Method>,
}

struct HostTable {
    host: Option<String>,
    options: Options,
    tree: Tree<usize>,
    leaves: Vec<Leaf>,
}

/// The routes at one path shape, by method.
#[derive(Default)]
struct Leaf {
    methods: Vec<(Method, usize)>,
    any: Option<usize>,
}

impl Table {
    /// The most specific route for a request; `spans` then holds its parameters.
    pub(crate) fn find(
        &self,
        method: &Method,
        host: impl Fn() -> String,
        path: &[u8],
        spans: &mut ParamSpans,
    ) -> Found<'_> {
        let mut allowed: Vec<&Method> = Vec::new();
        let mut asked = None;
        for table in &self.hosts {
            if let Some(wanted) = &table.host
                && !host_matches(wanted, asked.get_or_insert_with(&host))
            {
                continue;
            }
            if let Some(route) = table.find(method, path, spans, &mut allowed) {
                return Found::Route(&self.routes[route]);
            }
        }
        if allowed.is_empty() { Found::Nothing } else { Found::OtherMethods(allowed) }
    }

    /// Whether some route answers this method, or every server is expected to know it.
    pub(crate) fn implements(&self, method: &Method) -> bool {
        const COMMON: [Method; 7] = [
            Method::HEAD,
            Method::OPTIONS,
            Method::GET,
            Method::PUT,
            Method::PATCH,
            Method::POST,
            Method::DELETE,
        ];
        self.routes.is_empty() || COMMON.contains(method) || self.methods.contains(method)
    }

    /// The route of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Resolved> {
        self.names.get(name).map(|&route| &*self.routes[route])
    }
}

impl HostTable {
    fn find<'a>(
        &'a self,
        method: &Method,
        path: &[u8],
        spans: &mut ParamSpans,
        allowed: &mut Vec<&'a Method>,
    ) -> Option<usize> {
        self.tree.find_map(path, spans, |&leaf, _| {
            let leaf = &self.leaves[leaf];
            let route = leaf.route(method);
            if route.is_none() {
                leaf.allow(allowed);
            }
            route
        })
    }
}

impl Leaf {
    fn route(&self, method: &Method) -> Option<usize> {
        let of = |method: &Method| self.methods.iter().find(|(known, _)| known == method).map(|(_, at)| *at);
        let head = || (*method == Method::HEAD).then(|| of(&Method::GET)).flatten();
        of(method).or_else(head).or(self.any)
    }

    /// Adds the methods of this path to a list, each once; GET brings HEAD.
    fn allow<'a>(&'a self, allowed: &mut Vec<&'a Method>) {
        for (known, _) in &self.methods {
            if *known == Method::GET && !allowed.contains(&&Method::HEAD) {
                allowed.push(&Method::HEAD);
            }
            if !allowed.contains(&known) {
                allowed.push(known);
            }
        }
    }
}

/// `host` is lower-cased and without its port.
fn host_matches(wanted: &str, host: &str) -> bool {
    match wanted.strip_prefix('*') {
        Some(suffix) => host.len() > suffix.len() && host.ends_with(suffix),
        None => host == wanted,
    }
}

/// Why an app does not build: every fault found.
#[derive(Debug)]
pub struct BuildError(pub(crate) Vec<Fault>);

/// One fault of an app's routes.
#[derive(Debug)]
pub(crate) enum Fault {
    Pattern { error: PatternError, place: &'static Location<'static> },
    Conflict { route: String, first: &'static Location<'static>, second: &'static Location<'static> },
    Name { name: String, first: &'static Location<'static>, second: &'static Location<'static> },
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
                    write!(f, "two routes are named {name:?}\n  first at {first}\n  again at {second}")?;
                }
            }
        }
        Ok(())
    }
}

impl std::error::Error for BuildError {}

/// Flattens nested routers into a [`Table`], collecting faults instead of stopping at the first.
#[derive(Default)]
pub(crate) struct TableBuilder {
    table: Table,
    pub(crate) faults: Vec<Fault>,
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

    fn add_entries(&mut self, entries: Vec<Entry>, around: &Around, mount: &mut ResolveMount<'_>) {
        for Entry { path, what, place } in entries {
            let path = join(&around.prefix, &path);
            match what {
                What::Route(route) => self.add_route(&path, route, around, place),
                What::Nest(router) => {
                    self.add_router(router, Around { prefix: path, ..around.clone() }, mount);
                }
                What::Host(host, router) => {
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
        // Handlers that were given for several methods at once are one route to the reader.
        let mut name = route.name;
        for (method, endpoint) in route.methods {
            let methods = vec![method];
            let name = name.take();
            self.add(
                Draft {
                    pattern: &pattern,
                    methods,
                    name,
                    layers: &layers,
                    endpoint,
                    policy: route.policy,
                    mounted: None,
                    place,
                },
                around,
            );
        }
        if let Some(endpoint) = route.any {
            self.add(
                Draft {
                    pattern: &pattern,
                    methods: Vec::new(),
                    name: name.take(),
                    layers: &layers,
                    endpoint,
                    policy: route.policy,
                    mounted: None,
                    place,
                },
                around,
            );
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
        for pattern in [path.to_owned(), format!("{path}/"), format!("{path}/{{*{BELOW}}}")] {
            if pattern.is_empty() {
                continue;
            }
            let Some(pattern) = self.parse(&pattern, place) else { return };
            let endpoint = Endpoint { core: mounted.clone(), name: mounted.name.clone(), place };
            self.add(
                Draft {
                    pattern: &pattern,
                    methods: Vec::new(),
                    name: None,
                    layers: &around.layers,
                    endpoint,
                    policy: Policy::default(),
                    mounted: Some(mounted.clone()),
                    place,
                },
                around,
            );
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

    fn add(&mut self, draft: Draft<'_>, around: &Around) {
        let at = self.table.routes.len();
        if let Some(name) = &draft.name
            && let Some(first) = self.table.names.insert(name.clone(), at)
        {
            let first = self.table.routes[first].place;
            self.faults.push(Fault::Name { name: name.clone(), first, second: draft.place });
        }
        if let Some(first) = self.enter(at, &draft, around) {
            let first = self.table.routes[first].place;
            let method = draft.methods.first().map_or("every method", Method::as_str);
            let route = format!("{method} {}", draft.pattern);
            self.faults.push(Fault::Conflict { route, first, second: draft.place });
        }
        for method in &draft.methods {
            if !self.table.methods.contains(method) {
                self.table.methods.push(method.clone());
            }
        }
        self.table.routes.push(Arc::new(draft.resolve(around.host.clone())));
    }

    /// Enters a route into its host's tree, answering the route it conflicts with.
    fn enter(&mut self, at: usize, draft: &Draft<'_>, around: &Around) -> Option<usize> {
        let table = self.host_table(around);
        let new = table.leaves.len();
        let leaf = match table.tree.insert(draft.pattern, new) {
            Ok(()) => {
                table.leaves.push(Leaf::default());
                new
            }
            Err(conflict) => *conflict.existing,
        };
        let leaf = &mut table.leaves[leaf];
        let Some(method) = draft.methods.first() else {
            return leaf.any.replace(at);
        };
        let conflict = leaf.methods.iter().find(|(known, _)| known == method).map(|(_, first)| *first);
        leaf.methods.push((method.clone(), at));
        conflict
    }

    fn host_table(&mut self, around: &Around) -> &mut HostTable {
        let hosts = &mut self.table.hosts;
        let same = |table: &HostTable| table.host == around.host && table.options == around.options;
        let at = hosts.iter().position(same).unwrap_or_else(|| {
            let at = match &around.host {
                Some(_) => hosts.iter().take_while(|table| table.host.is_some()).count(),
                None => hosts.len(),
            };
            let Options { ignore_case, lenient_slash } = around.options;
            let tree = Tree::new(TreeOptions { ignore_case, lenient_slash });
            let table =
                HostTable { host: around.host.clone(), options: around.options, tree, leaves: Vec::new() };
            hosts.insert(at, table);
            at
        });
        &mut hosts[at]
    }

    pub(crate) fn finish(self) -> (Table, Vec<Fault>) {
        (self.table, self.faults)
    }
}

struct Draft<'a> {
    pattern: &'a Pattern,
    /// One method, or none for every method.
    methods: Vec<Method>,
    name: Option<String>,
    layers: &'a [Layer],
    endpoint: Endpoint,
    policy: Policy,
    mounted: Option<Arc<Mounted>>,
    place: &'static Location<'static>,
}

impl Draft<'_> {
    fn resolve(self, host: Option<String>) -> Resolved {
        Resolved {
            pattern: self.pattern.clone(),
            pattern_text: self.pattern.as_str().into(),
            methods: self.methods,
            name: self.name.map(Arc::from),
            host,
            chain: self.layers.iter().map(|layer| layer.layer.clone()).collect(),
            layers: self.layers.to_vec(),
            endpoint: self.endpoint,
            has_policy: self.policy != Policy::default(),
            policy: self.policy,
            mounted: self.mounted,
            place: self.place,
        }
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
