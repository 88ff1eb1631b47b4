//! Handlers of all kinds in one list.

use std::{borrow::Cow, marker::PhantomData, sync::Arc};

use cepa_core::{Ctx, Handler, LocalBoxFuture, Result};

/// A handler whose kind is forgotten.
pub(crate) type AnyHandler = Arc<dyn Handler<()>>;

/// Forgets the kind of a handler.
pub(crate) fn erase<R: 'static>(handler: impl Handler<R>) -> AnyHandler {
    Arc::new(Erased { handler, reply: PhantomData })
}

struct Erased<H, R> {
    handler: H,
    reply: PhantomData<fn() -> R>,
}

impl<H: Handler<R>, R: 'static> Handler<()> for Erased<H, R> {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        self.handler.call(ctx)
    }

    fn name(&self) -> Cow<'static, str> {
        self.handler.name()
    }
}
