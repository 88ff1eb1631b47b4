//! What can be mounted below a prefix: a handler, an app, a `tower::Service`.

use std::{borrow::Cow, fmt, sync::Arc};

use http_body::Body as HttpBody;
use tower_service::Service;

use super::route::Endpoint;
use crate::{
    App, Ctx, Handler, LocalBoxFuture, Onion, Result, body::SendBody, middleware::Core, tower::Tower,
};

/// Something that answers everything at and below a prefix.
///
/// ```
/// use cepa_core::{App, Ctx, router::Mount};
///
/// let inner = App::new().get("/hi", async |ctx: &mut Ctx| ctx.path().to_owned());
/// let kept = App::new().get("/kept/hi", async |ctx: &mut Ctx| ctx.path().to_owned());
/// let app = App::new().mount("/inner", inner).mount("/kept", Mount::new(kept).keep_path());
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// assert_eq!(client.get("/inner/hi").await.text(), "/hi");
/// assert_eq!(client.get("/kept/hi").await.text(), "/kept/hi");
/// # });
/// ```
pub struct Mount {
    pub(crate) target: Target,
    pub(crate) keep_path: bool,
}

pub(crate) enum Target {
    Endpoint(Endpoint),
    App(Box<App>),
}

impl Mount {
    /// Anything that can be mounted.
    pub fn new<M>(service: impl IntoMount<M>) -> Self {
        service.into_mount()
    }

    /// Shows the mounted app the path as it came, the prefix included.
    #[must_use]
    pub fn keep_path(mut self) -> Self {
        self.keep_path = true;
        self
    }
}

impl fmt::Debug for Mount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target = match &self.target {
            Target::Endpoint(endpoint) => &*endpoint.name,
            Target::App(_) => "App",
        };
        write!(f, "Mount({target})")
    }
}

/// What [`Router::mount`](super::Router::mount) takes. `M` is a marker and always inferred.
pub trait IntoMount<M> {
    /// The mount.
    fn into_mount(self) -> Mount;
}

impl IntoMount<()> for Mount {
    fn into_mount(self) -> Mount {
        self
    }
}

impl IntoMount<App> for App {
    fn into_mount(self) -> Mount {
        Mount { target: Target::App(Box::new(self)), keep_path: false }
    }
}

/// Marks the mount of a handler.
#[derive(Debug)]
pub struct ByHandler<R>(std::marker::PhantomData<fn() -> R>);

impl<H, R: 'static> IntoMount<ByHandler<R>> for H
where
    H: Handler<R>,
{
    #[track_caller]
    fn into_mount(self) -> Mount {
        Mount { target: Target::Endpoint(Endpoint::new(self)), keep_path: false }
    }
}

/// Marks the mount of a `tower::Service`.
#[derive(Debug)]
pub struct ByService<B>(std::marker::PhantomData<fn() -> B>);

impl<S, B> IntoMount<ByService<B>> for S
where
    S: Service<http::Request<SendBody>, Response = http::Response<B>> + Clone + Send + Sync + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    B: HttpBody<Data = bytes::Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    #[track_caller]
    fn into_mount(self) -> Mount {
        Mount { target: Target::Endpoint(Endpoint::new(Tower::new(self))), keep_path: false }
    }
}

/// A mount, resolved: what runs below a prefix.
pub(crate) struct Mounted {
    inner: Inner,
    keep_path: bool,
    pub(crate) name: Cow<'static, str>,
}

enum Inner {
    Endpoint(Endpoint),
    App(Arc<Onion>),
}

impl Mount {
    /// Resolves the mount; `build` resolves the app, if it is one.
    pub(crate) fn resolve(self, build: impl FnOnce(App) -> Onion) -> Arc<Mounted> {
        let keep_path = self.keep_path;
        let (name, inner) = match self.target {
            Target::Endpoint(endpoint) => (endpoint.name.clone(), Inner::Endpoint(endpoint)),
            Target::App(app) => (Cow::Borrowed("App"), Inner::App(Arc::new(build(*app)))),
        };
        Arc::new(Mounted { inner, keep_path, name })
    }
}

impl Mounted {
    /// The mounted app, if it is one.
    pub(crate) fn onion(&self) -> Option<&Arc<Onion>> {
        match &self.inner {
            Inner::App(onion) => Some(onion),
            Inner::Endpoint(_) => None,
        }
    }

    /// Whether the mounted app sees the whole path.
    pub(crate) fn keeps_path(&self) -> bool {
        self.keep_path
    }
}

impl Core for Mounted {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let below = ctx.go_below(self.onion().cloned(), self.keep_path);
            match &self.inner {
                Inner::App(onion) => onion.run(below.ctx).await,
                Inner::Endpoint(endpoint) => endpoint.core.call(below.ctx).await,
            }
        })
    }
}
