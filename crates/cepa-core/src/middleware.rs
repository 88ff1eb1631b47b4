//! Layers: code around the handler, and `next`, the way inwards.

use std::{
    any::TypeId,
    borrow::Cow,
    fmt,
    future::{Future, ready},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use crate::{Ctx, Order, Result, Settings, panic::catch};

/// A boxed future that stays on its thread.
pub type LocalBoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Why a layer cannot work in the app that it was added to, see [`Middleware::check`].
pub type StartError = Box<dyn std::error::Error + Send + Sync>;

/// A layer of the onion.
///
/// Any `async` closure or function of `(&mut Ctx, Next<'_>)` is a layer; types with options
/// implement the trait. What a layer does before `next.run(ctx).await` happens on the way in, what
/// it does after it on the way out; a layer that does not run `next` answers by itself.
///
/// - `next` is consumed by running it: running it twice does not compile.
/// - Forgetting the `.await` is a warning of the compiler (`unused_must_use`), which Cepa's own
///   lints and scaffolds deny.
/// - `?` after `next.run(ctx).await` passes an inner error outwards; what this layer has set on the
///   response before stays there.
///
/// ```
/// use cepa_core::{Ctx, Next, Result};
///
/// async fn stamp(ctx: &mut Ctx, next: Next<'_>) -> Result {
///     next.run(ctx).await?;
///     ctx.set("x-stamp", "seen")
/// }
///
/// # use cepa_core::App;
/// let app = App::new().with(stamp).with(async |ctx: &mut Ctx, next: Next<'_>| {
///     ctx.set("x-before", "1")?;
///     next.run(ctx).await
/// });
/// ```
///
/// This does not compile, since the first `run` took `next`:
///
/// ```compile_fail
/// # use cepa_core::{Ctx, Next, Result};
/// async fn twice(ctx: &mut Ctx, next: Next<'_>) -> Result {
///     next.run(ctx).await?;
///     next.run(ctx).await
/// }
/// ```
pub trait Middleware: Send + Sync + 'static {
    /// Runs the layer.
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result>;

    /// The name shown by `routes --explain`.
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(std::any::type_name::<Self>())
    }

    /// Rules about its place among other layers, checked when the app is built; none by default.
    fn order(&self) -> Vec<Order> {
        Vec::new()
    }

    /// Whether it can work in an app with these settings, checked when the app is built; it can by default.
    ///
    /// The settings are those of the app that it is added to, with what that inherits.
    ///
    /// ```
    /// use cepa_core::{App, Ctx, LocalBoxFuture, Middleware, Next, Result, Settings, StartError};
    ///
    /// struct Remember;
    ///
    /// impl Middleware for Remember {
    ///     fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
    ///         next.run(ctx).boxed()
    ///     }
    ///
    ///     fn check(&self, settings: &Settings) -> Result<(), StartError> {
    ///         settings.keys.as_ref().map(drop).ok_or_else(|| "it signs a cookie: give the app keys".into())
    ///     }
    /// }
    ///
    /// let error = App::new().with(Remember).build().unwrap_err();
    /// assert!(error.to_string().contains("signs a cookie"));
    /// ```
    ///
    /// # Errors
    /// What is missing, and what to do; the place of the layer in the source is added.
    fn check(&self, _settings: &Settings) -> Result<(), StartError> {
        Ok(())
    }

    /// What it is to the [rules](Order) of others: its own type, unless it stands for a layer that it wraps.
    fn kind(&self) -> TypeId {
        TypeId::of::<Self>()
    }
}

impl<F> Middleware for F
where
    F: AsyncFn(&mut Ctx, Next<'_>) -> Result + Send + Sync + 'static,
{
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(self(ctx, next))
    }
}

/// What lies inside of the last layer: the routes, or one route's handler.
pub(crate) trait Core: Send + Sync {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result>;
}

/// The rest of the onion, inwards of a layer.
#[must_use = "the inner layers and the handler run only if `next.run(ctx).await` is called"]
pub struct Next<'a> {
    layers: &'a [Arc<dyn Middleware>],
    core: &'a dyn Core,
}

impl<'a> Next<'a> {
    pub(crate) fn new(layers: &'a [Arc<dyn Middleware>], core: &'a dyn Core) -> Self {
        Self { layers, core }
    }

    /// Runs everything inwards of this layer, up to and including the handler.
    ///
    /// What panics in there comes out as an error with status 500, so that a layer meets it as it
    /// meets any other; its cause is a [`Panicked`](crate::Panicked).
    pub fn run<'b>(self, ctx: &'b mut Ctx) -> Run<'b>
    where
        'a: 'b,
    {
        // A layer that is no async closure may panic before there is a future.
        let called = catch(move || self.call(ctx));
        Run(called.unwrap_or_else(|panicked| Box::pin(ready(Err(panicked)))))
    }

    /// [`run`](Self::run) that leaves a panic to whoever runs the caller.
    #[inline]
    pub(crate) fn call<'b>(self, ctx: &'b mut Ctx) -> LocalBoxFuture<'b, Result>
    where
        'a: 'b,
    {
        match self.layers.split_first() {
            Some((layer, rest)) => layer.call(ctx, Next { layers: rest, core: self.core }),
            None => self.core.call(ctx),
        }
    }
}

impl fmt::Debug for Next<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Next({} layers)", self.layers.len())
    }
}

/// The inner part of the onion at work, made by [`Next::run`].
///
/// Dropping it, as a layer with a deadline does, cancels what runs in there.
#[must_use = "the inner layers and the handler run only if this is awaited"]
pub struct Run<'a>(LocalBoxFuture<'a, Result>);

impl<'a> Run<'a> {
    /// The same as [`Middleware::call`] returns it, for a layer that has nothing to do on the way out.
    ///
    /// Takes no memory. A panic then comes out of this layer, as its own would.
    pub fn boxed(self) -> LocalBoxFuture<'a, Result> {
        self.0
    }
}

impl Future for Run<'_> {
    type Output = Result;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result> {
        // A future that has panicked is not polled again, since this one is ready then.
        catch(|| self.0.as_mut().poll(cx)).unwrap_or_else(|panicked| Poll::Ready(Err(panicked)))
    }
}

impl fmt::Debug for Run<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Run")
    }
}
