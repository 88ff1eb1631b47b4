//! Takes the content coding off request bodies, so that all inwards of it read plain bytes.
//!
//! With the feature `inflate`. The codings `br` and `zstd` have features of their own, `brotli` and `zstd`.

mod decoder;
mod stream;

use std::{future::ready, num::NonZeroU32};

use cepa_core::{Body, Ctx, Error, LocalBoxFuture, Middleware, Next, Result};
use http::{HeaderValue, header};
use serde::Deserialize;

use self::{decoder::Decoder, stream::Inflating};

/// Which codings are taken off, and how far.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The codings that are understood, default all that there are; any other is refused with 415.
    pub codings: Vec<Coding>,
    /// The most bytes that one byte of the request may become once the body is larger than 1 MiB, default 200: 413
    /// past it. Text and logs seldom come to 30.
    pub ratio: NonZeroU32,
}

impl Default for Options {
    fn default() -> Self {
        const RATIO: NonZeroU32 = NonZeroU32::new(200).expect("200 is not 0");
        Self { codings: Coding::ALL.to_vec(), ratio: RATIO }
    }
}

/// A content coding (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Coding {
    /// `gzip` or `x-gzip`, of one or more members (RFC 1952).
    Gzip,
    /// `deflate`: a zlib stream (RFC 1950), or as some clients send it, a bare deflate stream (RFC 1951).
    Deflate,
    /// `br` (RFC 7932), windows of at most 16 MiB; with the feature `brotli`.
    #[cfg(feature = "brotli")]
    Br,
    /// `zstd` (RFC 8878), windows of at most 8 MiB (RFC 9659); with the feature `zstd`.
    #[cfg(feature = "zstd")]
    Zstd,
}

impl Coding {
    const ALL: &[Self] = &[
        Self::Gzip,
        Self::Deflate,
        #[cfg(feature = "brotli")]
        Self::Br,
        #[cfg(feature = "zstd")]
        Self::Zstd,
    ];

    /// The name in header fields.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            #[cfg(feature = "brotli")]
            Self::Br => "br",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }

    fn from_name(name: &str) -> Option<Self> {
        let name = if name.eq_ignore_ascii_case("x-gzip") { "gzip" } else { name };
        Self::ALL.iter().copied().find(|coding| coding.name().eq_ignore_ascii_case(name))
    }
}

/// A layer that inflates request bodies as they are read.
///
/// Belongs outside of everything that reads bodies. The **limit** of the body counts inflated bytes from then on, so a
/// bomb costs no more than a body of that size, and nothing is inflated that nobody reads. `Content-Encoding` and
/// `Content-Length`, which tell of the bytes that were sent, are taken away.
///
/// - A coding that is not known, and more than one: 415, with the known ones in `Accept-Encoding` (RFC 9110, section
///   15.5.16).
/// - A stream that is broken, cut off, or followed by more, and a body that holds next to nothing, such as more than
///   1000 empty gzip members: 400 to the reader.
/// - More than [`ratio`](Options::ratio) allows, as more than the limit: 413 to the reader.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::inflate;
///
/// let app = App::new()
///     .with(inflate(Default::default()))
///     .post("/", async |ctx: &mut Ctx| ctx.text().await);
/// # cepa_core::test::block_on(async {
/// let zipped = b"\x78\x9c\xcb\x48\xcd\xc9\xc9\x07\x00\x06\x2c\x02\x15".to_vec();
/// let answer = app.test().post("/").header("content-encoding", "deflate").body(zipped).await;
/// assert_eq!(answer.text(), "hello");
/// # });
/// ```
pub fn inflate(options: Options) -> Inflate {
    let names: Vec<_> = options.codings.iter().map(|coding| coding.name()).collect();
    let names = if names.is_empty() { "identity".to_owned() } else { names.join(", ") };
    let accepted = HeaderValue::try_from(names).expect("names of codings are tokens");
    Inflate { options, accepted }
}

/// See [`inflate()`].
#[derive(Clone, Debug)]
pub struct Inflate {
    options: Options,
    /// `Accept-Encoding` of a refusal.
    accepted: HeaderValue,
}

impl Inflate {
    /// The coding of the body, if it has one.
    fn coding(&self, ctx: &Ctx) -> Result<Option<Coding>> {
        let lines = ctx.request.fields().get_all("content-encoding");
        let mut coding = None;
        for name in lines.flat_map(|line| line.split(|&byte| byte == b',')).map(<[u8]>::trim_ascii) {
            if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
                continue;
            }
            let known = std::str::from_utf8(name).ok().and_then(Coding::from_name);
            let known = known.filter(|known| self.options.codings.contains(known));
            if known.is_none() || coding.is_some() {
                let refusal = Error::status_only(415);
                return Err(refusal.with_header(header::ACCEPT_ENCODING, self.accepted.clone()));
            }
            coding = known;
        }
        Ok(coding)
    }

    fn replace_body(&self, ctx: &mut Ctx) -> Result {
        if ctx.request.body().is_empty() {
            return Ok(());
        }
        let Some(coding) = self.coding(ctx)? else { return Ok(()) };
        let mut sent = ctx.request.take_body();
        // What is inflated has the limit now; how much may be sent for it is bounded there.
        sent.set_limit(u64::MAX);
        ctx.request.set_body(Body::new(Inflating::new(sent, Decoder::new(coding)?, self.options.ratio)));
        let headers = ctx.request.headers_mut();
        headers.remove(header::CONTENT_ENCODING);
        headers.remove(header::CONTENT_LENGTH);
        Ok(())
    }
}

impl Middleware for Inflate {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if ctx.request.fields().contains("content-encoding")
            && let Err(error) = self.replace_body(ctx)
        {
            return Box::pin(ready(Err(error)));
        }
        next.run(ctx).boxed()
    }
}

#[cfg(test)]
mod tests;
