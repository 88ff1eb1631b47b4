//! The resolved routes: built once at start, looked up for every request.

use std::{cmp::Reverse, collections::HashMap, panic::Location, sync::Arc};

use http::Method;

use super::{
    ParamSpans, Pattern, Tree, TreeOptions,
    builder::Options,
    mount::Mounted,
    route::{Endpoint, Layer},
};
use crate::{Middleware, connection::Policy};

/// A route with everything it needs at request time.
pub(crate) struct Resolved {
    pub(crate) pattern: Pattern,
    /// `None`: every method.
    pub(crate) method: Option<Method>,
    pub(crate) name: Option<String>,
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
    /// The route's place in the table.
    Route(usize),
    /// The path is known, but only with other methods.
    OtherMethods(Vec<&'a Method>),
    Nothing,
}

#[derive(Default)]
pub(crate) struct Table {
    /// The most specific host first, the routes for any host last.
    sites: Vec<Site>,
    pub(crate) routes: Vec<Resolved>,
    pub(super) names: HashMap<String, usize>,
    /// Methods that some route answers.
    pub(super) methods: Vec<Method>,
}

/// The routes of one host.
struct Site {
    host: Option<String>,
    /// One for each way to compare paths, the most exact first; nearly always there is one.
    trees: Vec<Routes>,
}

struct Routes {
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
    /// The most specific route for a request; `spans` then holds its parameters. `host` is asked for only where
    /// some route wants one.
    pub(crate) fn find<'h>(
        &self,
        method: &Method,
        host: impl Fn() -> &'h str,
        path: &[u8],
        spans: &mut ParamSpans,
    ) -> Found<'_> {
        let mut known = false;
        let route = match &*self.sites {
            // Nearly every app: all routes are for any host and compare paths in one way.
            [Site { host: None, trees }] if let [only] = &**trees => {
                only.find(method, path, spans, &mut known)
            }
            _ => self.find_among_sites(method, &host, path, spans, &mut known),
        };
        match route {
            Some(route) => Found::Route(route),
            None if known => Found::OtherMethods(self.methods_at(&host, path)),
            None => Found::Nothing,
        }
    }

    #[inline(never)]
    fn find_among_sites<'h>(
        &self,
        method: &Method,
        host: &dyn Fn() -> &'h str,
        path: &[u8],
        spans: &mut ParamSpans,
        known: &mut bool,
    ) -> Option<usize> {
        self.sites_for(host).find_map(|site| site.find(&self.routes, method, path, spans, known))
    }

    /// The methods with which some route answers this path.
    #[cold]
    fn methods_at<'h>(&self, host: &dyn Fn() -> &'h str, path: &[u8]) -> Vec<&Method> {
        let mut methods = Vec::new();
        for routes in self.sites_for(host).flat_map(|site| &site.trees) {
            routes.tree.find_map(path, &mut ParamSpans::new(), |&leaf, _| {
                routes.leaves[leaf].allow(&mut methods);
                None::<()>
            });
        }
        methods
    }

    fn sites_for<'h>(&self, host: &dyn Fn() -> &'h str) -> impl Iterator<Item = &Site> {
        let mut asked = None;
        self.sites.iter().filter(move |site| match &site.host {
            Some(wanted) => host_matches(wanted, asked.get_or_insert_with(host)),
            None => true,
        })
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

    /// The methods that some route answers; GET brings HEAD.
    pub(crate) fn all_methods(&self) -> Vec<&Method> {
        let gets = self.methods.contains(&Method::GET) && !self.methods.contains(&Method::HEAD);
        gets.then_some(&Method::HEAD).into_iter().chain(&self.methods).collect()
    }

    /// The route of this name.
    pub(crate) fn named(&self, name: &str) -> Option<&Resolved> {
        self.names.get(name).map(|&route| &self.routes[route])
    }

    /// Enters the route at `at` under its pattern, answering the route it conflicts with.
    pub(super) fn enter(
        &mut self,
        at: usize,
        pattern: &Pattern,
        method: Option<&Method>,
        host: Option<&str>,
        options: Options,
    ) -> Option<usize> {
        let routes = self.site(host).routes(options);
        let new = routes.leaves.len();
        let leaf = match routes.tree.insert(pattern, new) {
            Ok(()) => {
                routes.leaves.push(Leaf::default());
                new
            }
            Err(conflict) => *conflict.existing,
        };
        let leaf = &mut routes.leaves[leaf];
        let Some(method) = method else { return leaf.any.replace(at) };
        let conflict = leaf.methods.iter().find(|(known, _)| known == method).map(|(_, first)| *first);
        leaf.methods.push((method.clone(), at));
        conflict
    }

    fn site(&mut self, host: Option<&str>) -> &mut Site {
        let at = match self.sites.binary_search_by_key(&rank(host), |site| rank(site.host.as_deref())) {
            Ok(at) => at,
            Err(at) => {
                self.sites.insert(at, Site { host: host.map(str::to_owned), trees: Vec::new() });
                at
            }
        };
        &mut self.sites[at]
    }
}

/// Names come before wildcards, wildcards of longer names before those of shorter ones, and any host last.
fn rank(host: Option<&str>) -> (u8, Reverse<usize>, &str) {
    match host {
        None => (2, Reverse(0), ""),
        Some(host) => (u8::from(host.starts_with('*')), Reverse(host.len()), host),
    }
}

impl Site {
    fn find(
        &self,
        routes: &[Resolved],
        method: &Method,
        path: &[u8],
        spans: &mut ParamSpans,
        known: &mut bool,
    ) -> Option<usize> {
        let (first, others) = self.trees.split_first()?;
        let mut best = first.find(method, path, spans, known);
        for tree in others {
            let mut found = ParamSpans::new();
            if let Some(route) = tree.find(method, path, &mut found, known)
                && best.is_none_or(|best| routes[route].pattern.is_more_specific(&routes[best].pattern))
            {
                best = Some(route);
                spans.copy_from(&found);
            }
        }
        best
    }

    fn routes(&mut self, options: Options) -> &mut Routes {
        let at = match self.trees.binary_search_by_key(&options, |routes| routes.options) {
            Ok(at) => at,
            Err(at) => {
                let Options { ignore_case, lenient_slash } = options;
                let tree = Tree::new(TreeOptions { ignore_case, lenient_slash });
                self.trees.insert(at, Routes { options, tree, leaves: Vec::new() });
                at
            }
        };
        &mut self.trees[at]
    }
}

impl Routes {
    /// The most specific route for a method; says if the path is known, with whatever method.
    fn find(&self, method: &Method, path: &[u8], spans: &mut ParamSpans, known: &mut bool) -> Option<usize> {
        self.tree.find_map(path, spans, |&leaf, _| {
            *known = true;
            self.leaves[leaf].route(method)
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

/// Compares a host of routes with the one of a request, which is without its port: case plays no role,
/// and a dot at the end, which only says that a name is complete, none either.
fn host_matches(wanted: &str, host: &str) -> bool {
    let host = host.strip_suffix('.').unwrap_or(host).as_bytes();
    match wanted.strip_prefix('*') {
        Some(suffix) => {
            let name = host.len().checked_sub(suffix.len()).filter(|&name| name > 0);
            name.is_some_and(|name| host[name..].eq_ignore_ascii_case(suffix.as_bytes()))
        }
        None => host.eq_ignore_ascii_case(wanted.as_bytes()),
    }
}
