//! One route: handlers by method, a name, layers and a policy of its own.

use std::{borrow::Cow, panic::Location, sync::Arc, time::Duration};

use http::Method;

use crate::{Handler, Middleware, OnClose, connection::Policy, handler::Erased, middleware::Core};

/// A layer with the place in the source where it was added.
#[derive(Clone)]
pub(crate) struct Layer {
    pub(crate) layer: Arc<dyn Middleware>,
    pub(crate) place: &'static Location<'static>,
}

impl std::fmt::Debug for Layer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} at {}", self.layer.name(), self.place)
    }
}

/// A handler with its name and the place in the source where it was added.
#[derive(Clone)]
pub(crate) struct Endpoint {
    pub(crate) core: Arc<dyn Core>,
    pub(crate) name: Cow<'static, str>,
    pub(crate) place: &'static Location<'static>,
}

impl Endpoint {
    #[track_caller]
    pub(crate) fn new<R: 'static>(handler: impl Handler<R>) -> Self {
        let name = handler.name();
        Self { core: Arc::new(Erased::new(handler)), name, place: Location::caller() }
    }
}

/// What answers at a path: a handler for each method, and what holds for all of them.
///
/// GET answers HEAD too, and OPTIONS is answered with the list of methods, unless a handler for
/// them is given.
///
/// ```
/// use cepa_core::{App, Ctx, OnClose, router::get};
///
/// async fn show(_: &mut Ctx) -> &'static str { "show" }
/// async fn update(_: &mut Ctx) -> &'static str { "update" }
///
/// let app = App::new().route(
///     "/users/{id}",
///     get(show).put(update).name("user").body_limit(1 << 20).on_close(OnClose::Complete),
/// );
/// ```
#[derive(Clone, Default)]
pub struct Route {
    pub(crate) methods: Vec<(Method, Endpoint)>,
    /// Answers every method that has no handler of its own.
    pub(crate) any: Option<Endpoint>,
    pub(crate) name: Option<String>,
    pub(crate) layers: Vec<Layer>,
    pub(crate) policy: Policy,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident = $method:expr;)*) => {
        $(
            /// A route with a handler for this method.
            #[track_caller]
            pub fn $name<R: 'static>(handler: impl Handler<R>) -> Route {
                Route::default().$name(handler)
            }
        )*

        impl Route {
            $(
                $(#[$doc])*
                #[must_use]
                #[track_caller]
                pub fn $name<R: 'static>(self, handler: impl Handler<R>) -> Self {
                    self.on($method, handler)
                }
            )*
        }
    };
}

methods! {
    /// Adds a handler for GET (and HEAD).
    get = Method::GET;
    /// Adds a handler for POST.
    post = Method::POST;
    /// Adds a handler for PUT.
    put = Method::PUT;
    /// Adds a handler for PATCH.
    patch = Method::PATCH;
    /// Adds a handler for DELETE.
    delete = Method::DELETE;
    /// Adds a handler for HEAD, in place of GET's.
    head = Method::HEAD;
    /// Adds a handler for OPTIONS, in place of the automatic list.
    options = Method::OPTIONS;
}

/// A route whose handler answers every method.
#[track_caller]
pub fn all<R: 'static>(handler: impl Handler<R>) -> Route {
    Route { any: Some(Endpoint::new(handler)), ..Route::default() }
}

impl Route {
    /// Adds a handler for any method, such as `QUERY` or `PROPFIND`.
    #[must_use]
    #[track_caller]
    pub fn on<R: 'static>(mut self, method: Method, handler: impl Handler<R>) -> Self {
        self.methods.push((method, Endpoint::new(handler)));
        self
    }

    /// Names the route, for [`Ctx::url_for`](crate::Ctx::url_for).
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a layer for this route alone, inside of those of its router and app.
    #[must_use]
    #[track_caller]
    pub fn with(mut self, layer: impl Middleware) -> Self {
        self.layers.push(Layer { layer: Arc::new(layer), place: Location::caller() });
        self
    }

    /// Says what happens to a running handler when its client goes away.
    #[must_use]
    pub fn on_close(mut self, on_close: OnClose) -> Self {
        self.policy.on_close = on_close;
        self
    }

    /// Sets the most bytes a request body may have here, in place of the server's `limits.body`.
    #[must_use]
    pub fn body_limit(mut self, bytes: u64) -> Self {
        self.policy.body_limit = Some(bytes);
        self
    }

    /// Sets the most time until the response head, in place of the server's `limits.request_time`;
    /// zero is no limit.
    #[must_use]
    pub fn request_time(mut self, time: Duration) -> Self {
        self.policy.request_time = Some(time);
        self
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let methods: Vec<_> = self.methods.iter().map(|(method, _)| method.as_str()).collect();
        f.debug_struct("Route").field("name", &self.name).field("methods", &methods).finish()
    }
}
