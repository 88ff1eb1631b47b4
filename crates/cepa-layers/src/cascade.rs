//! Several apps in a row: the first that knows the path answers.

use std::{borrow::Cow, fmt};

use cepa_core::{App, BuildError, Ctx, Error, Handler, LocalBoxFuture, Middleware, Next, Response, Result};
use http::StatusCode;
use serde::Deserialize;

use crate::erased::{AnyHandler, erase};

/// When the next app is asked.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The statuses with which an app passes a request on, default 404 and 405.
    pub statuses: Vec<u16>,
}

impl Default for Options {
    fn default() -> Self {
        Self { statuses: vec![404, 405] }
    }
}

/// Asks several apps in their order; the first whose answer is not one of the `statuses` has answered, otherwise the
/// last. Rack's `Cascade`.
///
/// As a layer it asks what lies inwards last; as a handler it has no other than its own, and none is a 404.
///
/// What an app that passes a request on has put on the response is forgotten; what it has read of the body is gone, so
/// apps that read bodies come last. An app keeps its own settings and inherits none.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::cascade;
///
/// let new = App::new().get("/new", async |_: &mut Ctx| "new");
/// let old = App::new().get("/new", async |_: &mut Ctx| "never").get("/old", async |_: &mut Ctx| "old");
/// let app = App::new().fallback(cascade(Default::default()).app(new)?.app(old)?);
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// assert_eq!(client.get("/new").await.text(), "new");
/// assert_eq!(client.get("/old").await.text(), "old");
/// assert_eq!(client.get("/none").await.status(), 404);
/// # });
/// # Ok::<(), cepa_core::BuildError>(())
/// ```
pub fn cascade(options: Options) -> Cascade {
    Cascade { options, handlers: Vec::new() }
}

/// See [`cascade()`].
#[derive(Clone)]
pub struct Cascade {
    options: Options,
    handlers: Vec<AnyHandler>,
}

impl Cascade {
    /// Adds an app, after those added before.
    ///
    /// # Errors
    /// When it does not build.
    pub fn app(mut self, app: App) -> Result<Self, BuildError> {
        self.handlers.push(erase(app.into_handler()?));
        Ok(self)
    }

    /// Adds a handler, after those added before.
    #[must_use]
    pub fn then<R: 'static>(mut self, handler: impl Handler<R>) -> Self {
        self.handlers.push(erase(handler));
        self
    }

    fn passes(&self, status: StatusCode) -> bool {
        self.options.statuses.contains(&status.as_u16())
    }

    /// Asks one after the other. `Err` holds what the last one has answered, if all have passed the request on.
    async fn ask(&self, ctx: &mut Ctx, handlers: &[AnyHandler]) -> Result<Result, Result> {
        let mut last = Ok(());
        for (at, handler) in handlers.iter().enumerate() {
            let before = ctx.response.headers().clone();
            last = handler.call(ctx).await;
            let status = last.as_ref().map_or_else(Error::status, |()| ctx.status());
            if !self.passes(status) {
                return Ok(last);
            }
            if at + 1 < handlers.len() {
                ctx.response = Response::new();
                *ctx.response.headers_mut() = before;
            }
        }
        Err(last)
    }
}

impl Handler<()> for Cascade {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let (Ok(answered) | Err(answered)) = self.ask(ctx, &self.handlers).await;
            answered
        })
    }

    fn name(&self) -> Cow<'static, str> {
        "cascade".into()
    }
}

impl Middleware for Cascade {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let before = ctx.response.headers().clone();
            if let Ok(answered) = self.ask(ctx, &self.handlers).await {
                return answered;
            }
            ctx.response = Response::new();
            *ctx.response.headers_mut() = before;
            next.run(ctx).await
        })
    }

    fn name(&self) -> Cow<'static, str> {
        "cascade".into()
    }
}

impl fmt::Debug for Cascade {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<_> = self.handlers.iter().map(|handler| handler.name()).collect();
        f.debug_struct("Cascade").field("options", &self.options).field("handlers", &names).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::test::block_on;

    fn first() -> App {
        App::new()
            .with(async |ctx: &mut Ctx, next: Next<'_>| {
                ctx.set("x-first", "1")?;
                next.run(ctx).await
            })
            .get("/a", async |_: &mut Ctx| "first")
            .get("/passes", async |ctx: &mut Ctx| -> Result {
                ctx.set_body("forgotten")?;
                Err(ctx.error(404, "not here"))
            })
            .get("/fails", async |ctx: &mut Ctx| -> Result { Err(ctx.error(403, "no")) })
    }

    fn second() -> App {
        App::new()
            .get("/passes", async |_: &mut Ctx| "second")
            .post("/a", async |ctx: &mut Ctx| ctx.text().await)
            .get("/gone", async |_: &mut Ctx| StatusCode::GONE)
    }

    #[test]
    fn the_first_that_knows_the_path_answers() {
        let cascade = cascade(Options::default()).app(first()).unwrap().app(second()).unwrap();
        let client = App::new()
            .with(async |ctx: &mut Ctx, next: Next<'_>| {
                ctx.set("x-outer", "1")?;
                next.run(ctx).await
            })
            .fallback(cascade)
            .test();
        block_on(async {
            for (path, status, text, own) in [
                ("/a", 200, "first", "1"),
                ("/passes", 200, "second", ""),
                ("/fails", 403, "no", "1"),
                ("/gone", 410, "Gone", ""),
                ("/none", 404, "Not Found", ""),
            ] {
                let answer = client.get(path).await;
                assert_eq!((answer.status().as_u16(), answer.text()), (status, text), "{path}");
                assert_eq!((answer.header("x-first"), answer.header("x-outer")), (own, "1"), "{path}");
            }
            // 405 in the first, and the body is still there.
            assert_eq!(client.post("/a").body("hi").await.text(), "hi");
            let last = client.request(http::Method::DELETE, "/a").await;
            assert_eq!(
                (last.status().as_u16(), last.header("allow")),
                (405, "POST"),
                "the last answer stands"
            );
        });
    }

    #[test]
    fn as_a_layer_it_asks_what_lies_inwards_last() {
        let layer = cascade(Options { statuses: vec![404] }).app(first()).unwrap();
        let client =
            App::new().with(layer).get("/own", async |_: &mut Ctx| "own").post("/a", async |_: &mut Ctx| "b");
        let client = client.test();
        block_on(async {
            assert_eq!(client.get("/a").await.text(), "first");
            assert_eq!(client.get("/own").await.text(), "own");
            assert_eq!(client.get("/own").await.header("x-first"), "");
            assert_eq!(client.post("/a").await.status(), 405, "405 is not in the list");
        });
    }

    #[test]
    fn none_is_a_404() {
        let client = App::new().fallback(cascade(Options::default())).test();
        assert_eq!(block_on(client.get("/")).status(), 404);
    }
}
