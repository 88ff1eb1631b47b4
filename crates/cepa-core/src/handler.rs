//! Handlers: what stands at the core of the onion.

use std::{borrow::Cow, marker::PhantomData};

use crate::{Ctx, LocalBoxFuture, Reply, Result, middleware::Core};

/// The code at the core: takes the ctx, answers with anything that is a [`Reply`].
///
/// Any `async` closure or function of `(&mut Ctx)` is a handler. The type parameter is what it
/// returns and is always inferred; a type that implements the trait itself uses `Handler<()>`.
///
/// ```
/// use cepa_core::{App, Ctx, Json, Result};
///
/// async fn show(ctx: &mut Ctx) -> Result<Json<u32>> {
///     Ok(Json(ctx.params::<u32>()?))
/// }
///
/// let app = App::new().get("/", async |_: &mut Ctx| "Hello, onion").get("/users/{id}", show);
/// ```
pub trait Handler<R>: Send + Sync + 'static {
    /// Runs the handler and puts its answer on the ctx.
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result>;

    /// The name shown by `routes`.
    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed(std::any::type_name::<Self>())
    }
}

impl<F, R> Handler<R> for F
where
    F: AsyncFn(&mut Ctx) -> R + Send + Sync + 'static,
    R: Reply,
{
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move { self(ctx).await.reply(ctx) })
    }
}

/// A handler whose reply type is forgotten, so that handlers of all kinds fit one table.
pub(crate) struct Erased<H, R> {
    handler: H,
    reply: PhantomData<fn() -> R>,
}

impl<H, R> Erased<H, R> {
    pub(crate) fn new(handler: H) -> Self {
        Self { handler, reply: PhantomData }
    }
}

impl<H: Handler<R>, R: 'static> Core for Erased<H, R> {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        self.handler.call(ctx)
    }
}
