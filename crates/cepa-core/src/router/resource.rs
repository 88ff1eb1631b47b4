//! The handlers of a REST resource, by action.

use std::panic::Location;

use http::Method;

use super::{
    resources::{Action, resources},
    route::{Endpoint, Layer, Route},
};
use crate::{Handler, Middleware};

/// The handlers of a resource: those given become routes, see
/// [`Router::resources`](super::Router::resources).
///
/// ```
/// use cepa_core::{App, Ctx, router::Resources};
///
/// struct Posts;
///
/// impl From<Posts> for Resources {
///     fn from(_: Posts) -> Self {
///         Resources::new()
///             .name("posts")
///             .index(async |_: &mut Ctx| "all posts")
///             .show(async |ctx: &mut Ctx| format!("post {}", ctx.param("id").unwrap_or_default()))
///     }
/// }
///
/// let app = App::new().resources("/posts", Posts);
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// assert_eq!(client.get("/posts/7").await.text(), "post 7");
/// assert_eq!(client.delete("/posts/7").await.status(), 405);
/// # });
/// ```
#[derive(Default)]
pub struct Resources {
    name: Option<String>,
    handlers: Vec<(Action, Endpoint)>,
    layers: Vec<Layer>,
}

macro_rules! actions {
    ($($(#[$doc:meta])* $name:ident = $action:ident;)*) => {
        $(
            $(#[$doc])*
            #[must_use]
            #[track_caller]
            pub fn $name<R: 'static>(mut self, handler: impl Handler<R>) -> Self {
                self.handlers.push((Action::$action, Endpoint::new(handler)));
                self
            }
        )*
    };
}

impl Resources {
    /// A resource without routes.
    pub fn new() -> Self {
        Self::default()
    }

    /// Names the routes: `posts` gives `posts`, `new_post`, `post`, `edit_post`, `destroy_post`.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = Some(name.into());
        self
    }

    /// Adds a layer around all actions.
    #[must_use]
    #[track_caller]
    pub fn with(mut self, layer: impl Middleware) -> Self {
        self.layers.push(Layer { layer: std::sync::Arc::new(layer), place: Location::caller() });
        self
    }

    actions! {
        /// Lists the resources.
        index = Index;
        /// Shows the form for a new one. Egg's `new`.
        new_form = New;
        /// Makes one.
        create = Create;
        /// Shows one.
        show = Show;
        /// Shows the form to change one.
        edit = Edit;
        /// Changes one.
        update = Update;
        /// Removes one.
        destroy = Destroy;
    }

    /// The routes of the actions that were given, in the order of [`Action::ALL`].
    pub(super) fn routes(self, prefix: &str) -> impl Iterator<Item = (String, Route)> {
        let Self { name, mut handlers, layers } = self;
        handlers.sort_by_key(|(action, _)| Action::ALL.iter().position(|known| known == action));
        let all = resources(name.as_deref(), prefix);
        handlers.into_iter().filter_map(move |(action, endpoint)| {
            let found = all.iter().find(|route| route.action == action)?;
            // GET brings HEAD.
            let methods = action.methods().iter().filter(|method| **method != Method::HEAD);
            let methods = methods.map(|method| (method.clone(), endpoint.clone())).collect();
            let (name, layers) = (found.name.clone(), layers.clone());
            Some((found.path.clone(), Route { methods, name, layers, ..Route::default() }))
        })
    }
}

impl std::fmt::Debug for Resources {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let actions: Vec<_> = self.handlers.iter().map(|(action, _)| action).collect();
        f.debug_struct("Resources").field("name", &self.name).field("actions", &actions).finish()
    }
}
