//! Gives an `ETag` to bodies that have none.
//!
//! It stands inwards of [`conditional`](crate::conditional()), which makes use of the tag, and of
//! [`compress`](crate::compress()), which weakens it.

use cepa_core::{Body, Ctx, LocalBoxFuture, Middleware, Next, Result, units};
use http::{Method, StatusCode, header};
use serde::Deserialize;
use sha2::{Digest, Sha256};

/// Which bodies get a tag.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Larger bodies get none, default `256 KiB`: the thread computes the tag (about 1 GB a second with the
    /// instructions that processors have for it) before anything is sent.
    #[serde(with = "units::size")]
    pub limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self { limit: 256 << 10 }
    }
}

/// A layer that sets a strong `ETag`, 128 bits of the SHA-256 of the body.
///
/// Only for GET and HEAD with status 200, a body in memory, and neither `ETag` nor `Cache-Control: no-store`. It saves
/// the network, not the work: the page is made before it can be compared.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::{conditional, etag};
///
/// let app = App::new().with(conditional()).with(etag(Default::default())).get("/", async |_: &mut Ctx| "page");
/// let client = app.test();
/// # cepa_core::test::block_on(async {
/// let tag = client.get("/").await.header("etag").to_owned();
/// assert_eq!(client.get("/").header("if-none-match", &tag).await.status(), 304);
/// # });
/// ```
pub fn etag(options: Options) -> ETag {
    ETag { options }
}

/// See [`etag()`].
#[derive(Clone, Debug)]
pub struct ETag {
    options: Options,
}

impl Middleware for ETag {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            next.run(ctx).await?;
            match self.tag(ctx) {
                Some(tag) => ctx.set(header::ETAG, tag),
                None => Ok(()),
            }
        })
    }
}

impl ETag {
    fn tag(&self, ctx: &Ctx) -> Option<String> {
        let reads = matches!(*ctx.method(), Method::GET | Method::HEAD);
        if !reads || ctx.status() != StatusCode::OK || ctx.has(header::ETAG) {
            return None;
        }
        let bytes = ctx.response.body().and_then(Body::as_bytes)?;
        let control = ctx.response.headers().get_all(header::CACHE_CONTROL).iter();
        let mut directives = control.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
        let stored = !directives.any(|directive| directive.trim_ascii().eq_ignore_ascii_case(b"no-store"));
        (stored && bytes.len() as u64 <= self.options.limit).then(|| quoted_sha256(bytes))
    }
}

/// The entity tag of these bytes: 128 bits of their SHA-256.
pub(crate) fn quoted_sha256(bytes: &[u8]) -> String {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let hash = Sha256::digest(bytes);
    let digits = hash.iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]);
    let digits = digits.map(|digit| HEX[usize::from(digit)] as char);
    ['"'].into_iter().chain(digits).chain(['"']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, test::block_on};

    #[test]
    fn whole_good_answers_get_a_tag() {
        let app = App::new()
            .with(etag(Options { limit: 10 }))
            .get("/", async |_: &mut Ctx| "page")
            .post("/", async |_: &mut Ctx| "page")
            .get("/empty", async |_: &mut Ctx| "")
            .get("/large", async |_: &mut Ctx| "more than ten")
            .get("/stream", async |_: &mut Ctx| Body::from_async(async |_| Ok(())))
            .get("/created", async |_: &mut Ctx| (StatusCode::CREATED, "page"))
            .get("/own", async |ctx: &mut Ctx| -> Result<&'static str> {
                ctx.set_etag("own")?;
                Ok("page")
            })
            .get("/secret", async |ctx: &mut Ctx| -> Result<&'static str> {
                ctx.set_cache_control("private, No-Store")?;
                Ok("page")
            })
            .get("/lines", async |ctx: &mut Ctx| -> Result<&'static str> {
                ctx.append(header::CACHE_CONTROL, "private")?;
                ctx.append(header::CACHE_CONTROL, "max-age=0,no-store")?;
                Ok("page")
            });
        let client = app.test();
        block_on(async {
            for (path, tag) in [
                ("/", "\"3660315a9af3df255d8f19ab077e4797\""),
                ("/empty", "\"e3b0c44298fc1c149afbf4c8996fb924\""),
                ("/large", ""),
                ("/stream", ""),
                ("/created", ""),
                ("/own", "\"own\""),
                ("/secret", ""),
                ("/lines", ""),
                ("/none", ""),
            ] {
                assert_eq!(client.get(path).await.header("etag"), tag, "{path}");
                assert_eq!(client.head(path).await.header("etag"), tag, "{path}");
            }
            assert_eq!(client.post("/").await.header("etag"), "");
        });
    }
}
