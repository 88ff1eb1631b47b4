//! For which requests a layer runs.

use std::{any::TypeId, borrow::Cow};

use cepa_core::{Ctx, LocalBoxFuture, Middleware, Next, Order, Result, Settings, StartError};
use serde::Deserialize;

/// What a request is asked.
pub trait Condition: Send + Sync + 'static {
    /// Whether it holds for this request.
    fn holds(&self, ctx: &Ctx) -> bool;
}

/// A path and all below it: `/api` holds for `/api` and `/api/users`, not for `/apiary`.
impl Condition for &'static str {
    fn holds(&self, ctx: &Ctx) -> bool {
        is_below(ctx.path(), self)
    }
}

/// Any of several paths, each with all below it.
impl Condition for Vec<String> {
    fn holds(&self, ctx: &Ctx) -> bool {
        self.iter().any(|path| is_below(ctx.path(), path))
    }
}

impl<F: Fn(&Ctx) -> bool + Send + Sync + 'static> Condition for F {
    fn holds(&self, ctx: &Ctx) -> bool {
        self(ctx)
    }
}

pub(crate) fn is_below(path: &str, prefix: &str) -> bool {
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// Lets a layer run for some requests only; the others pass by it.
///
/// ```
/// use cepa_core::Ctx;
/// use cepa_layers::{When, response_time};
///
/// let layer = response_time(Default::default()).only("/api").except(|ctx: &Ctx| ctx.method() == "OPTIONS");
/// ```
pub trait When: Middleware + Sized {
    /// Only where the condition holds.
    fn only(self, condition: impl Condition) -> Conditional<Self> {
        Conditional { layer: self, condition: Box::new(condition), wanted: true }
    }

    /// Only where it does not hold.
    fn except(self, condition: impl Condition) -> Conditional<Self> {
        Conditional { layer: self, condition: Box::new(condition), wanted: false }
    }

    /// Only where the configuration says.
    fn on(self, paths: Paths) -> Conditional<Conditional<Self>> {
        let Paths { only, except } = paths;
        let everywhere = only.is_empty();
        let only = move |ctx: &Ctx| everywhere || only.holds(ctx);
        self.only(only).except(except)
    }
}

impl<M: Middleware> When for M {}

/// The paths for which a layer runs, as the configuration has them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Paths {
    /// The paths, each with all below it, for which it runs; empty is all.
    pub only: Vec<String>,
    /// The paths, each with all below it, for which it does not.
    pub except: Vec<String>,
}

/// A layer with a condition; see [`When`].
pub struct Conditional<M> {
    layer: M,
    condition: Box<dyn Condition>,
    wanted: bool,
}

impl<M: std::fmt::Debug> std::fmt::Debug for Conditional<M> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Conditional").field("layer", &self.layer).finish_non_exhaustive()
    }
}

impl<M: Middleware> Middleware for Conditional<M> {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if self.condition.holds(ctx) == self.wanted {
            return self.layer.call(ctx, next);
        }
        next.run(ctx).boxed()
    }

    fn name(&self) -> Cow<'static, str> {
        self.layer.name()
    }

    fn order(&self) -> Vec<Order> {
        self.layer.order()
    }

    fn check(&self, settings: &Settings) -> Result<(), StartError> {
        self.layer.check(settings)
    }

    fn kind(&self) -> TypeId {
        self.layer.kind()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, test::block_on};

    #[test]
    fn a_layer_runs_where_its_conditions_hold() {
        let app = App::new()
            .with(Marks("x-only").only("/api"))
            .with(Marks("x-except").except(|ctx: &Ctx| ctx.path() == "/api"))
            .with(Marks("x-on").on(Paths { only: vec!["/api/".into()], except: vec!["/api/b".into()] }))
            .get("/{*path}", async |_: &mut Ctx| "a");
        let client = app.test();
        block_on(async {
            for (path, only, except, on) in [
                ("/api", "yes", "", "yes"),
                ("/api/a", "yes", "yes", "yes"),
                ("/api/b/c", "yes", "yes", ""),
                ("/apiary", "", "yes", ""),
            ] {
                let answer = client.get(path).await;
                let marks = (answer.header("x-only"), answer.header("x-except"), answer.header("x-on"));
                assert_eq!(marks, (only, except, on), "{path}");
            }
        });
    }

    /// A layer that sets a header.
    struct Marks(&'static str);

    impl Middleware for Marks {
        fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
            Box::pin(async move {
                ctx.set(self.0, "yes")?;
                next.run(ctx).await
            })
        }
    }
}
