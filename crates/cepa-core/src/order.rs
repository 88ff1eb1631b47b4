//! What a layer says about its place among others.

use std::any::{TypeId, type_name};

use crate::Middleware;

/// A rule about the place of a layer, checked when the app is built.
///
/// A layer states one where another place would be a hole: a check that looks at what a layer further in only then
/// finds out, or that relies on one that is not there. The rule holds on every way through the app, with the layers
/// of nested routers and mounted apps; where it does not, [`App::build`](crate::App::build) fails and names the places
/// in the source.
///
/// ```
/// use cepa_core::{App, Ctx, LocalBoxFuture, Middleware, Next, Order, Result};
///
/// struct Session;
/// struct Csrf;
///
/// impl Middleware for Session {
///     fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
///         next.run(ctx).boxed()
///     }
/// }
///
/// impl Middleware for Csrf {
///     fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
///         next.run(ctx).boxed()
///     }
///
///     fn order(&self) -> Vec<Order> {
///         vec![Order::needs::<Session>("it keeps its secret there")]
///     }
/// }
///
/// let app = || App::new().get("/", async |_: &mut Ctx| "");
/// assert!(app().with(Session).with(Csrf).build().is_ok());
/// let error = app().with(Csrf).with(Session).build().unwrap_err();
/// assert!(error.to_string().contains("keeps its secret there"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Order {
    pub(crate) other: TypeId,
    pub(crate) other_name: &'static str,
    pub(crate) relation: Relation,
    pub(crate) why: &'static str,
}

/// Where the other layer has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Relation {
    /// Outside, and it has to be there.
    Needs,
    /// Outside, if it is there.
    Inside,
    /// Further in, if it is there.
    Outside,
}

impl Order {
    /// A layer of type `M` has to stand outside of this one. `why` completes "…, for".
    pub fn needs<M: Middleware>(why: &'static str) -> Self {
        Self::new::<M>(Relation::Needs, why)
    }

    /// Where there is a layer of type `M`, this one has to be further in. `why` completes "…, for".
    pub fn inside_of<M: Middleware>(why: &'static str) -> Self {
        Self::new::<M>(Relation::Inside, why)
    }

    /// Where there is a layer of type `M`, this one has to be further out. `why` completes "…, for".
    pub fn outside_of<M: Middleware>(why: &'static str) -> Self {
        Self::new::<M>(Relation::Outside, why)
    }

    fn new<M: Middleware>(relation: Relation, why: &'static str) -> Self {
        Self { other: TypeId::of::<M>(), other_name: type_name::<M>(), relation, why }
    }
}
