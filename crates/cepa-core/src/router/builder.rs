//! Building a router: routes, nested routers, mounts, redirects, resources.

use std::{panic::Location, sync::Arc};

use http::{Method, StatusCode};

use super::{
    mount::{IntoMount, Mount},
    redirect::Redirect,
    resource::Resources,
    route::{self, Layer, Route},
};
use crate::{App, Handler, Middleware};

/// A group of routes with layers of its own.
///
/// - The layers of a router run only when one of its routes answers; those of an
///   [`App`] always run.
/// - All layers of a router enclose all of its routes, in the order they were added, wherever
///   between the routes that was.
/// - Of several routes that match a path the most specific answers; order plays no role. Two routes
///   with the same shape and method are a conflict, reported at start with both source places. Of two
///   with the same shape that compare differently the more exact answers.
///
/// Paths are written as `/users/{id}`, see [`Pattern`](super::Pattern).
#[derive(Debug, Default)]
pub struct Router {
    pub(crate) layers: Vec<Layer>,
    pub(crate) entries: Vec<Entry>,
    pub(crate) options: Options,
}

/// How the paths of a router's own routes are compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Options {
    pub(crate) ignore_case: bool,
    pub(crate) lenient_slash: bool,
}

#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) path: String,
    pub(crate) what: What,
    pub(crate) place: &'static Location<'static>,
}

#[derive(Debug)]
pub(crate) enum What {
    Route(Route),
    Redirect(Redirect),
    Nest(Router),
    Mount(Mount),
    /// A router for one host; the path is empty.
    Host(String, Router),
}

impl Router {
    /// A router without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a layer around all routes of this router.
    #[must_use]
    #[track_caller]
    pub fn with(mut self, layer: impl Middleware) -> Self {
        self.layers.push(Layer { layer: Arc::new(layer), place: Location::caller() });
        self
    }

    /// Compares the literal parts of this router's paths, nested ones included, without regard to ASCII case.
    #[must_use]
    pub fn ignore_case(mut self) -> Self {
        self.options.ignore_case = true;
        self
    }

    /// Lets this router's paths, nested ones included, match with one trailing slash more or less.
    #[must_use]
    pub fn lenient_slash(mut self) -> Self {
        self.options.lenient_slash = true;
        self
    }

    #[track_caller]
    pub(crate) fn push(mut self, path: &str, what: What) -> Self {
        self.entries.push(Entry { path: path.to_owned(), what, place: Location::caller() });
        self
    }
}

/// The methods that add routes, the same for [`Router`] and [`App`].
macro_rules! impl_routing {
    ($type:ty) => {
        impl $type {
            impl_routing! { handlers
                /// Answers GET (and HEAD) at a path.
                get
                /// Answers POST at a path.
                post
                /// Answers PUT at a path.
                put
                /// Answers PATCH at a path.
                patch
                /// Answers DELETE at a path.
                delete
                /// Answers HEAD at a path, in place of GET's handler.
                head
                /// Answers OPTIONS at a path, in place of the automatic list of methods.
                options
                /// Answers every method at a path.
                all
            }

            /// Answers any one method at a path, such as `QUERY`.
            #[must_use]
            #[track_caller]
            pub fn on<R: 'static>(self, method: Method, path: &str, handler: impl Handler<R>) -> Self {
                self.route(path, Route::default().on(method, handler))
            }

            /// Adds a route with several methods, a name, layers or a policy of its own.
            #[must_use]
            #[track_caller]
            pub fn route(self, path: &str, route: Route) -> Self {
                self.push(path, What::Route(route))
            }

            /// Adds all routes of another router below a prefix, which may hold parameters.
            ///
            /// The layers of this router enclose those of the other.
            #[must_use]
            #[track_caller]
            pub fn nest(self, prefix: &str, router: Router) -> Self {
                self.push(prefix, What::Nest(router))
            }

            /// Hands everything at and below a prefix to a handler, an [`App`] or a
            /// `tower::Service`, which sees the path without the prefix.
            ///
            /// The prefix is found again in [`Ctx::mount_path`](crate::Ctx::mount_path), the whole in
            /// [`Ctx::original_url`](crate::Ctx::original_url). See [`Mount`] to keep the path as it is.
            #[must_use]
            #[track_caller]
            pub fn mount<M>(self, prefix: &str, service: impl IntoMount<M>) -> Self {
                self.push(prefix, What::Mount(service.into_mount()))
            }

            /// Adds routes that answer only for a host: a name, or `*.name` for its subdomains.
            ///
            /// A name comes before `*.name`, a longer `*.name` before a shorter one, and the routes for
            /// any host last, which also answer the paths that the host's own do not know. Neither case
            /// nor port is compared.
            #[must_use]
            #[track_caller]
            pub fn host(self, host: &str, router: Router) -> Self {
                self.push("", What::Host(host.to_ascii_lowercase(), router))
            }

            /// Adds the routes of a resource: index, new, create, show, edit, update, destroy.
            ///
            /// | action | methods | path |
            /// | --- | --- | --- |
            /// | index | GET | `/posts` |
            /// | new | GET | `/posts/new` |
            /// | create | POST | `/posts` |
            /// | show | GET | `/posts/{id}` |
            /// | edit | GET | `/posts/{id}/edit` |
            /// | update | PATCH, PUT | `/posts/{id}` |
            /// | destroy | DELETE | `/posts/{id}` |
            #[must_use]
            #[track_caller]
            pub fn resources(mut self, path: &str, resources: impl Into<Resources>) -> Self {
                for (path, route) in resources.into().routes(path) {
                    self = self.push(&path, What::Route(route));
                }
                self
            }

            /// Redirects every method from a path to a URL or path, with status 301.
            ///
            /// - Parameters of `from` are filled in and percent-encoded; `{*name}` keeps the slashes of
            ///   the value: `redirect("/u/{id}", "/users/{id}")`.
            /// - `to` is a whole path: prefixes of routers and mounts are not put before it.
            /// - A path never becomes a URL of another site: where a value would make it start with `//`,
            ///   the answer is 404, as where the URL has no valid host with it.
            /// - A parameter that `from` does not have, and a URL that leads nowhere, are faults reported
            ///   at start.
            #[must_use]
            #[track_caller]
            pub fn redirect(self, from: &str, to: &str) -> Self {
                self.redirect_with(from, to, StatusCode::MOVED_PERMANENTLY)
            }

            /// [`redirect`](Self::redirect) with another status: 302, 303, 307 or 308, else it is a fault
            /// reported at start.
            #[must_use]
            #[track_caller]
            pub fn redirect_with(self, from: &str, to: &str, status: StatusCode) -> Self {
                self.push(from, What::Redirect(Redirect::new(to, status)))
            }
        }
    };
    (handlers $($(#[$doc:meta])* $method:ident)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            #[track_caller]
            pub fn $method<R: 'static>(self, path: &str, handler: impl Handler<R>) -> Self {
                self.route(path, route::$method(handler))
            }
        )*
    };
}

impl_routing!(Router);
impl_routing!(App);
