//! Sets how large request bodies may be, by their type.

use cepa_core::{Ctx, LocalBoxFuture, Middleware, Next, Policy, Result, media_type, units};
use http::header;
use serde::Deserialize;

/// The most bytes of each kind of body; 0 leaves the limit of the server.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Bytes of JSON (`application/json`, `+json`), default 1 MiB: 413.
    #[serde(with = "units::size")]
    pub json: u64,
    /// Bytes of a form (`application/x-www-form-urlencoded`), default 56 KiB: 413.
    #[serde(with = "units::size")]
    pub form: u64,
    /// Bytes of text (`text/*`, XML), default 1 MiB: 413.
    #[serde(with = "units::size")]
    pub text: u64,
    /// Bytes of a form with files (`multipart/*`), all its parts together, default 0: 413.
    #[serde(with = "units::size")]
    pub multipart: u64,
    /// Bytes of anything else, also of what has no type, default 0: 413.
    #[serde(with = "units::size")]
    pub other: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { json: 1 << 20, form: 56 << 10, text: 1 << 20, multipart: 0, other: 0 }
    }
}

impl Options {
    fn of(&self, content_type: &str) -> u64 {
        let is = |types: &[&str]| media_type::type_is(content_type, types).is_some();
        match () {
            () if is(&["json", "+json"]) => self.json,
            () if is(&["urlencoded"]) => self.form,
            () if is(&["multipart"]) => self.multipart,
            () if is(&["text/*", "application/xml", "+xml"]) => self.text,
            () => self.other,
        }
    }
}

/// A layer that sets the limit of request bodies by their type, instead of the server's `limits.body`.
///
/// A body that declares more is refused before a byte of it is read, any other with the first byte past the limit:
/// 413 to who reads it. The limit counts inflated bytes where [`inflate`](crate::inflate()) runs, on either side of
/// this layer. What a route says with [`body_limit`](cepa_core::router::Route::body_limit) wins over a layer of the
/// app.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::body_limits::{self, body_limits};
///
/// let app = App::new()
///     .with(body_limits(body_limits::Options { text: 10, ..Default::default() }))
///     .post("/", async |ctx: &mut Ctx| ctx.text().await);
/// # cepa_core::test::block_on(async {
/// let answer = app.test().post("/").header("content-type", "text/plain").body("eleven chars").await;
/// assert_eq!(answer.status(), 413);
/// # });
/// ```
pub fn body_limits(options: Options) -> BodyLimits {
    BodyLimits { options }
}

/// See [`body_limits()`].
#[derive(Clone, Debug)]
pub struct BodyLimits {
    options: Options,
}

impl Middleware for BodyLimits {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if !ctx.request.body().is_empty() {
            let kind = ctx.request.get(header::CONTENT_TYPE).unwrap_or_default();
            let limit = self.options.of(kind);
            if limit > 0 {
                ctx.set_policy(Policy { body_limit: Some(limit), ..Policy::default() });
            }
        }
        next.run(ctx).boxed()
    }
}

#[cfg(test)]
mod tests {
    use cepa_core::{App, router::post, test::block_on};

    use super::*;
    use crate::inflate;

    async fn length(ctx: &mut Ctx) -> Result<String> {
        Ok(ctx.bytes().await?.len().to_string())
    }

    #[test]
    fn each_kind_has_its_limit() {
        let options: Options =
            serde_json::from_str(r#"{"json": "1 KiB", "form": 200, "text": 100}"#).unwrap();
        let options = Options { multipart: 300, other: 50, ..options };
        let client = App::new()
            .with(body_limits(options))
            .post("/", length)
            .route("/route", post(length).body_limit(2000))
            .test();
        for (kind, most) in [
            ("application/json", 1024),
            ("Application/Problem+JSON; charset=utf-8", 1024),
            ("application/x-www-form-urlencoded", 200),
            ("text/plain", 100),
            ("image/svg+xml", 100),
            ("multipart/form-data; boundary=a", 300),
            ("image/png", 50),
            ("malformed", 50),
            ("", 50),
        ] {
            for (path, size, status) in
                [("/", most, 200), ("/", most + 1, 413), ("/route", 2000, 200), ("/route", 2001, 413)]
            {
                let call = client.post(path).header("content-type", kind).body("x".repeat(size));
                assert_eq!(block_on(call).status(), status, "{kind} {path} {size}");
            }
        }
    }

    #[test]
    fn kinds_without_a_limit_have_that_of_the_server() {
        let client = App::new().with(body_limits(Options::default())).post("/", length).test();
        for (size, status) in [(10 << 20, 200), ((10 << 20) + 1, 413)] {
            let call = client.post("/").header("content-type", "image/png").body(vec![0; size]);
            assert_eq!(block_on(call).status(), status);
        }
    }

    #[test]
    fn inflated_bytes_count_on_either_side_of_inflate() {
        // 300 spaces.
        let zipped = b"\x78\x9c\x53\x50\x18\x05\xc4\x02\x00\x0e\x36\x25\x81".to_vec();
        let limit = || body_limits(Options { text: 299, ..Options::default() });
        let inner = App::new().with(inflate(Default::default())).with(limit()).post("/", length).test();
        let outer = App::new().with(limit()).with(inflate(Default::default())).post("/", length).test();
        for client in [inner, outer] {
            for (kind, status) in [("text/plain", 413), ("image/png", 200)] {
                let call =
                    client.post("/").header("content-type", kind).header("content-encoding", "deflate");
                let answer = block_on(call.body(zipped.clone()));
                assert_eq!(answer.status(), status, "{}", answer.text());
            }
        }
    }
}
