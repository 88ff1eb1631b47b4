//! Answers 304 where the client has the current copy, and 412 where it wanted another one.
//!
//! It stands outwards of whatever sets `ETag` or `Last-Modified` (a handler, [`etag`](crate::etag())), and inwards
//! of [`compress`](crate::compress()), which then has nothing to do. [`static_files`](crate::static_files())
//! needs no such layer.

use cepa_core::{
    Ctx, Error, LocalBoxFuture, Middleware, Next, Order, Result,
    fresh::{Conditions, Rule, Validators, is_fresh, preconditions_hold},
};
use http::{HeaderName, Method, StatusCode, header};

use crate::etag::ETag;

/// A layer that looks at the conditions of GET and HEAD requests when the answer is there (RFC 9110, section 13).
///
/// Only an answer with status 200 that has an `ETag` or `Last-Modified` is looked at. `If-Match` and
/// `If-Unmodified-Since` that do not hold become 412. Then `If-None-Match`, or without it `If-Modified-Since`, that
/// says the copy is current becomes 304, which keeps the headers and loses the body. For methods that change
/// something it would be too late here: their handlers compare before they act, with
/// [`preconditions_hold`].
///
/// ```
/// use cepa_core::{App, Ctx, Result};
/// use cepa_layers::conditional;
///
/// let app = App::new().with(conditional()).get("/", async |ctx: &mut Ctx| -> Result<&'static str> {
///     ctx.set_etag("v1")?;
///     Ok("page")
/// });
/// # cepa_core::test::block_on(async {
/// assert_eq!(app.test().get("/").header("if-none-match", r#""v1""#).await.status(), 304);
/// # });
/// ```
pub fn conditional() -> Conditional {
    Conditional
}

/// See [`conditional()`].
#[derive(Clone, Copy, Debug)]
pub struct Conditional;

impl Middleware for Conditional {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            next.run(ctx).await?;
            let has_validator = ctx.has(header::ETAG) || ctx.has(header::LAST_MODIFIED);
            if ctx.status() != StatusCode::OK || !has_validator {
                return Ok(());
            }
            match evaluate(ctx) {
                Outcome::Send => Ok(()),
                Outcome::NotModified => ctx.set_status(StatusCode::NOT_MODIFIED),
                Outcome::Failed => Err(Error::status_only(412)),
            }
        })
    }

    fn order(&self) -> Vec<Order> {
        vec![Order::outside_of::<ETag>("the tag that it compares is set there")]
    }
}

/// What the conditions of a request make of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    Send,
    NotModified,
    Failed,
}

/// Compares the conditions of a request with the validators that the response has, in the order of RFC 9110,
/// section 13.2.2.
pub(crate) fn evaluate(ctx: &Ctx) -> Outcome {
    const CONDITIONS: [HeaderName; 4] =
        [header::IF_NONE_MATCH, header::IF_MODIFIED_SINCE, header::IF_MATCH, header::IF_UNMODIFIED_SINCE];
    let asked = CONDITIONS.iter().any(|name| ctx.request.fields().contains(name.as_str()));
    if !asked || !matches!(*ctx.method(), Method::GET | Method::HEAD) {
        return Outcome::Send;
    }
    let validators = Validators {
        etag: ctx.response.get(&header::ETAG),
        last_modified: ctx.response.get(&header::LAST_MODIFIED),
    };
    let (if_match, since) = (ctx.list(&header::IF_MATCH), ctx.get(header::IF_UNMODIFIED_SINCE));
    if !preconditions_hold(if_match.as_deref(), since, &validators) {
        return Outcome::Failed;
    }
    let (tags, control) = (ctx.list(&header::IF_NONE_MATCH), ctx.list(&header::CACHE_CONTROL));
    let conditions = Conditions {
        if_none_match: tags.as_deref(),
        if_modified_since: ctx.get(header::IF_MODIFIED_SINCE),
        cache_control: control.as_deref(),
    };
    match is_fresh(&conditions, &validators, Rule::Rfc9110) {
        true => Outcome::NotModified,
        false => Outcome::Send,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, test::block_on};

    const DATE: &str = "Thu, 02 Jan 2020 03:04:05 GMT";
    const LATER: &str = "Fri, 03 Jan 2020 03:04:05 GMT";
    const EARLIER: &str = "Wed, 01 Jan 2020 03:04:05 GMT";

    async fn page(ctx: &mut Ctx) -> Result<&'static str> {
        ctx.set_etag("a")?;
        ctx.set(header::LAST_MODIFIED, DATE)?;
        ctx.set(header::CACHE_CONTROL, "max-age=60")?;
        Ok("page")
    }

    #[test]
    fn conditions_are_looked_at_in_order() {
        let app = App::new()
            .with(conditional())
            .get("/", page)
            .post("/", page)
            .get("/plain", async |_: &mut Ctx| "plain")
            .get("/created", async |ctx: &mut Ctx| -> Result<&'static str> {
                ctx.set_status(201)?;
                page(ctx).await
            });
        let client = app.test();
        let tag = "if-none-match";
        let since = "if-modified-since";
        block_on(async {
            for (path, headers, status) in [
                ("/", &[][..], 200),
                ("/", &[(tag, "\"a\"")], 304),
                ("/", &[(tag, "\"x\", W/\"a\"")], 304),
                ("/", &[(tag, "*")], 304),
                ("/", &[(tag, "\"x\""), (since, DATE)], 200),
                ("/", &[(tag, "\"a\""), (since, EARLIER)], 304),
                ("/", &[(since, DATE)], 304),
                ("/", &[(since, EARLIER)], 200),
                ("/", &[(since, "yesterday")], 200),
                ("/", &[(tag, "\"a\""), ("cache-control", "no-cache")], 200),
                ("/", &[("if-match", "\"x\"")], 412),
                ("/", &[("if-match", "\"a\""), (tag, "\"a\"")], 304),
                ("/", &[("if-unmodified-since", EARLIER)], 412),
                ("/", &[("if-unmodified-since", LATER)], 200),
                ("/plain", &[(tag, "*")], 200),
                ("/created", &[(tag, "\"a\"")], 201),
            ] {
                let mut call = client.get(path);
                for (name, value) in headers {
                    call = call.header(name, value);
                }
                let answer = call.await;
                assert_eq!(answer.status().as_u16(), status, "{path} {headers:?}");
                if status == 304 {
                    let kept = (answer.header("etag"), answer.header("cache-control"), answer.text());
                    assert_eq!(kept, ("\"a\"", "max-age=60", ""), "{headers:?}");
                }
            }
            assert_eq!(client.post("/").header(tag, "\"a\"").await.status(), 200);
        });
    }
}
