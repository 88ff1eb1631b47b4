//! What layers leave for the pages of one request.

use std::{borrow::Cow, fmt, sync::Arc};

use cepa_core::{Ctx, Result};
use minijinja::{
    Value,
    functions::Function,
    value::{FunctionArgs, FunctionResult, Serde},
};
use serde::Serialize;

/// Names that every template rendered for this request knows, beside the values it is rendered with.
///
/// Layers add to it without knowing whether a page will be rendered: a token, a nonce, the user who is logged in. What
/// a page is rendered with wins over a name in here, and a name in here over a global of
/// [`Views`](super::Views).
///
/// ```
/// use cepa_core::{Ctx, Next, Result};
/// use cepa_layers::views::Locals;
///
/// async fn nonce(ctx: &mut Ctx, next: Next<'_>) -> Result {
///     Locals::of(ctx).set("nonce", "c29tZSBieXRlcw");
///     next.run(ctx).await
/// }
/// ```
///
/// What costs something, or sets a cookie, is left to the moment when a page is rendered:
///
/// ```
/// # use cepa_core::{Ctx, Next, Result};
/// # use cepa_layers::views::Locals;
/// async fn user(ctx: &mut Ctx, next: Next<'_>) -> Result {
///     Locals::of(ctx).later(|ctx| {
///         let name = ctx.cookies().get_signed("user")?.map(str::to_owned);
///         Locals::of(ctx).set("user", name);
///         Ok(())
///     });
///     next.run(ctx).await
/// }
/// ```
#[derive(Clone, Default)]
pub struct Locals {
    values: Vec<(Cow<'static, str>, Local)>,
    later: Vec<Later>,
}

const MAX_LATER: usize = 100;

#[derive(Clone)]
enum Local {
    Made(Value),
    ToBeMade(Arc<dyn Fn() -> Value + Send + Sync>),
}

/// What is run before a page is rendered.
type Later = fn(&mut Ctx) -> Result;

impl Locals {
    /// Those of a request.
    pub fn of(ctx: &mut Ctx) -> &mut Self {
        ctx.states().get_or_insert_with(Self::default)
    }

    /// Gives a name a value; a later one replaces it. Text is escaped where a template shows it.
    pub fn set<T: Serialize>(&mut self, name: impl Into<Cow<'static, str>>, value: T) -> &mut Self {
        self.put(name.into(), Local::Made(Value::from(Serde(value))))
    }

    /// Gives a name a value that is made whenever a template asks for it, and not if none does.
    pub fn set_with<T: Serialize>(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        make: impl Fn() -> T + Send + Sync + 'static,
    ) -> &mut Self {
        self.put(name.into(), Local::ToBeMade(Arc::new(move || Value::from(Serde(make())))))
    }

    /// Gives a name markup that templates show as it stands: it must not hold what a client has sent.
    pub fn set_html(&mut self, name: impl Into<Cow<'static, str>>, markup: impl Into<String>) -> &mut Self {
        self.put(name.into(), Local::Made(Value::from_safe_string(markup.into())))
    }

    /// Gives a name a function that templates call: `{{ t("greeting") }}`. It runs only where it is called.
    pub fn set_function<F, R, A>(&mut self, name: impl Into<Cow<'static, str>>, function: F) -> &mut Self
    where
        F: Function<R, A>,
        R: FunctionResult,
        A: for<'a> FunctionArgs<'a>,
    {
        self.put(name.into(), Local::Made(Value::from_function(function)))
    }

    /// Takes a name away.
    pub fn remove(&mut self, name: &str) -> &mut Self {
        self.values.retain(|(known, _)| known != name);
        self
    }

    /// Has a function run once, before the first page of this request is rendered.
    ///
    /// Most answers are no pages: this costs them next to nothing. What it fails with is what the rendering fails with.
    pub fn later(&mut self, make: fn(&mut Ctx) -> Result) -> &mut Self {
        self.later.push(make);
        self
    }

    /// Those of a request whose page is rendered now.
    pub(super) fn complete(ctx: &mut Ctx) -> Result<Self> {
        // One may leave another, but not for ever.
        for _ in 0..MAX_LATER {
            let Some(make) = Self::of(ctx).later.pop() else { break };
            make(ctx)?;
        }
        Ok(Self::of(ctx).clone())
    }

    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<Value> {
        let (_, local) = self.values.iter().find(|(known, _)| known == name)?;
        Some(match local {
            Local::Made(value) => value.clone(),
            Local::ToBeMade(make) => make(),
        })
    }

    fn put(&mut self, name: Cow<'static, str>, value: Local) -> &mut Self {
        match self.values.iter_mut().find(|(known, _)| *known == name) {
            Some((_, present)) => *present = value,
            None => self.values.push((name, value)),
        }
        self
    }
}

impl fmt::Debug for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values may be secrets of the request.
        f.debug_list().entries(self.values.iter().map(|(name, _)| name)).finish()
    }
}
