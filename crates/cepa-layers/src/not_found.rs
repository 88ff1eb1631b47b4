//! Tells what has no answer, as a page or as JSON, or sends browsers to a page that does.
//!
//! It belongs inside of all layers that answer by themselves, such as files. For errors of handlers there is
//! [`on_error`](crate::on_error()), which also fills in a 404 without a body.

use cepa_core::{Ctx, LocalBoxFuture, Middleware, Next, Result};
use http::StatusCode;
use serde::Deserialize;

/// What is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The HTML for browsers, sent as it is, default `<h1>404 Not Found</h1>`.
    pub html: String,
    /// The member `message` of the JSON for programs, default `Not Found`.
    pub message: String,
    /// A path or URL that browsers are redirected to instead, default none. Where it is not found itself, the HTML is
    /// told.
    pub page: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { html: "<h1>404 Not Found</h1>".to_owned(), message: "Not Found".to_owned(), page: None }
    }
}

/// A layer that answers where nothing inwards of it has: with HTML those who ask for it, all others with
/// `{"message":"Not Found"}`.
///
/// ```
/// use cepa_core::App;
/// use cepa_layers::not_found;
///
/// let client = App::new().with(not_found(Default::default())).test();
/// # cepa_core::test::block_on(async {
/// assert_eq!(client.get("/a").await.text(), r#"{"message":"Not Found"}"#);
/// assert_eq!(client.get("/a").header("accept", "text/html").await.text(), "<h1>404 Not Found</h1>");
/// # });
/// ```
pub fn not_found(options: Options) -> NotFound {
    NotFound { options }
}

/// See [`not_found()`].
#[derive(Clone, Debug)]
pub struct NotFound {
    options: Options,
}

impl Middleware for NotFound {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            next.run(ctx).await?;
            if ctx.status() != StatusCode::NOT_FOUND || ctx.is_answered() {
                return Ok(());
            }
            ctx.vary("accept")?;
            let is_html = ctx.accepts(&["application/json", "text/html"]) == Some("text/html");
            if let Some(page) = self.options.page.as_deref().filter(|page| is_html && !is_here(ctx, page)) {
                return ctx.redirect(page);
            }
            ctx.response.set_status(StatusCode::NOT_FOUND);
            if is_html {
                ctx.set_type("html")?;
                return ctx.set_body(self.options.html.clone());
            }
            ctx.set_json(&serde_json::json!({ "message": self.options.message }))
        })
    }
}

/// Whether a request is for the page itself: sending it there again would go on for ever.
fn is_here(ctx: &Ctx, page: &str) -> bool {
    let path = page.split(['?', '#']).next().unwrap_or_default();
    let here = ctx.request.original_target().path();
    path == here || path.strip_suffix(here).is_some_and(|origin| origin.ends_with(ctx.host()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, Error, test::block_on};

    fn app(options: Options) -> App {
        App::new()
            .with(not_found(options))
            .get("/a", async |_: &mut Ctx| "a")
            .get("/own", async |ctx: &mut Ctx| {
                ctx.set_status(404)?;
                ctx.set_body("mine")
            })
            .get("/fails", async |_: &mut Ctx| -> Result { Err(Error::new(404, "no such a")) })
    }

    #[test]
    fn what_has_no_answer_is_told() {
        let client = app(Options::default()).test();
        block_on(async {
            for (path, accept, status, text) in [
                ("/a", "*/*", 200, "a"),
                ("/b", "*/*", 404, r#"{"message":"Not Found"}"#),
                ("/b", "text/html, */*;q=0.1", 404, "<h1>404 Not Found</h1>"),
                ("/own", "*/*", 404, "mine"),
                ("/fails", "*/*", 404, "no such a"),
            ] {
                let answer = client.get(path).header("accept", accept).await;
                assert_eq!((answer.status().as_u16(), answer.text()), (status, text), "{path} {accept}");
            }
        });
    }

    #[test]
    fn browsers_are_sent_to_a_page_once() {
        for page in ["/404", "/404?from=x", "http://localhost/404"] {
            let client = app(Options { page: Some(page.into()), ..Options::default() }).test();
            block_on(async {
                let answer = client.get("/b").header("accept", "text/html").await;
                assert_eq!((answer.status().as_u16(), answer.header("location")), (302, page));
                assert_eq!(client.get("/404").header("accept", "text/html").await.status(), 404, "{page}");
                assert_eq!(client.get("/b").await.status(), 404);
            });
        }
    }
}
