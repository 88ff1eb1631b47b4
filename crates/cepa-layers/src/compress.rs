//! Compresses what is worth it, in the coding that the client likes best.
//!
//! With the feature `compress`. The codings `br` and `zstd` have features of their own, `brotli` and `zstd`.
//!
//! It stands outwards of everything that looks at bodies or sets `ETag` ([`conditional`](crate::conditional()),
//! [`static_files`](crate::static_files())), and inwards of the logger, which then counts the bytes that are sent.
//!
//! **Secrets**: where one page holds a secret and text that an attacker chose, its compressed length tells how much of
//! one is in the other (BREACH). Give such pages a [`Decision::Never`], or a secret that is masked anew each time, as
//! csrf tokens are.

mod encoder;
mod stream;

use cepa_core::{Body, Ctx, LocalBoxFuture, Middleware, Next, Result, mime, units};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use self::{encoder::Encoder, stream::Compressed};

/// A content coding (RFC 9110, section 8.4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Coding {
    /// Zstandard (RFC 8878); with the feature `zstd`.
    #[cfg(feature = "zstd")]
    Zstd,
    /// Brotli (RFC 7932); with the feature `brotli`.
    #[cfg(feature = "brotli")]
    Br,
    /// gzip (RFC 1952).
    Gzip,
    /// The zlib format (RFC 1950), which HTTP calls deflate.
    Deflate,
}

impl Coding {
    /// All that there are, the best first.
    const ALL: &[Self] = &[
        #[cfg(feature = "zstd")]
        Self::Zstd,
        #[cfg(feature = "brotli")]
        Self::Br,
        Self::Gzip,
        Self::Deflate,
    ];

    /// As `Accept-Encoding` and `Content-Encoding` name it.
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
            #[cfg(feature = "brotli")]
            Self::Br => "br",
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
        }
    }
}

/// What is compressed, and how well.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The codings to use; the first wins where a client likes several alike. Default `zstd`, `br`, `gzip`,
    /// `deflate`; the first two with their features.
    pub codings: Vec<Coding>,
    /// Smaller bodies are sent as they are, default `1 KiB`. Streams of unknown length are compressed.
    #[serde(with = "units::size")]
    pub threshold: u64,
    /// Bodies in memory up to this size are compressed at once, so that the response says its length, default
    /// `64 KiB`. Larger ones go piece by piece, between which the thread serves others.
    #[serde(with = "units::size")]
    pub whole: u64,
    /// Whether streams of events are compressed, default no: each would keep some hundred KiB as long as it is open.
    pub event_streams: bool,
    /// Quality of Brotli, 0 to 11, default 4.
    #[cfg(feature = "brotli")]
    pub brotli_quality: u8,
    /// Level of Zstandard, 1 to 19, default 3.
    #[cfg(feature = "zstd")]
    pub zstd_level: u8,
    /// Level of gzip and deflate, 1 to 9, default 6.
    pub gzip_level: u8,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            codings: Coding::ALL.to_vec(),
            threshold: 1 << 10,
            whole: 64 << 10,
            event_streams: false,
            #[cfg(feature = "brotli")]
            brotli_quality: 4,
            #[cfg(feature = "zstd")]
            zstd_level: 3,
            gzip_level: 6,
        }
    }
}

/// Options that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A level that its coding has not.
    #[error("{option} is {value}, and must be from {least} to {most}")]
    Level {
        /// The option.
        option: &'static str,
        /// Its value.
        value: u8,
        /// The least it may be.
        least: u8,
        /// The most it may be.
        most: u8,
    },
    /// No codings, or one of them twice.
    #[error("codings must name at least one coding, each once")]
    Codings,
}

/// What an inner layer or a handler decides for its response: `ctx.insert(compress::Decision::Never)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It is sent as it is.
    Never,
    /// It is compressed whatever its type and size, if the client accepts that and nothing in its headers forbids it.
    Always,
}

/// A layer that compresses bodies.
///
/// - The coding is the one with the highest weight in `Accept-Encoding`; where there is none, or `identity` wins, the
///   body is sent as it is. Every response says `Vary: Accept-Encoding`.
/// - Types that do not compress ([`mime::is_compressible`]) are left alone, and so are answers to HEAD and to ranges,
///   those that have a `Content-Encoding` or a digest, and those with `Cache-Control: no-transform`.
/// - A strong `ETag` becomes a weak one, since the bytes are others; `Accept-Ranges` goes.
/// - What a stream has written goes out as soon as it writes no more for the moment; it never waits in the compressor.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::compress;
///
/// let app = App::new().with(compress(Default::default())?).get("/", async |_: &mut Ctx| "onion ".repeat(1000));
/// # cepa_core::test::block_on(async {
/// let answer = app.test().get("/").header("accept-encoding", "gzip, br").await;
/// assert_eq!(answer.header("content-encoding"), "br");
/// assert!(answer.bytes().len() < 100);
/// # });
/// # Ok::<(), compress::OptionsError>(())
/// ```
///
/// # Errors
/// A level out of its range, or no codings.
pub fn compress(options: Options) -> Result<Compress, OptionsError> {
    let levels = [
        #[cfg(feature = "brotli")]
        ("brotli_quality", options.brotli_quality, 0, 11),
        #[cfg(feature = "zstd")]
        ("zstd_level", options.zstd_level, 1, 19),
        ("gzip_level", options.gzip_level, 1, 9),
    ];
    for (option, value, least, most) in levels {
        if !(least..=most).contains(&value) {
            return Err(OptionsError::Level { option, value, least, most });
        }
    }
    let mut offers: Vec<&'static str> = options.codings.iter().map(|coding| coding.name()).collect();
    let twice = |at: usize| offers[..at].contains(&offers[at]);
    if offers.is_empty() || (0..offers.len()).any(twice) {
        return Err(OptionsError::Codings);
    }
    // Last, so that any coding wins where all are liked alike.
    offers.push("identity");
    Ok(Compress { options, offers })
}

/// See [`compress()`].
#[derive(Clone, Debug)]
pub struct Compress {
    options: Options,
    offers: Vec<&'static str>,
}

impl Middleware for Compress {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            // On the way in, so that errors have it too.
            ctx.vary("Accept-Encoding")?;
            next.run(ctx).await?;
            match self.coding(ctx) {
                Some(coding) => self.encode(ctx, coding),
                None => Ok(()),
            }
        })
    }
}

impl Compress {
    /// The coding for this response; `None`: it is sent as it is.
    fn coding(&self, ctx: &Ctx) -> Option<Coding> {
        let body = ctx.response.body().filter(|body| !body.is_empty())?;
        let decision = ctx.state::<Decision>().copied();
        if *ctx.method() == Method::HEAD || decision == Some(Decision::Never) || is_fixed(ctx) {
            return None;
        }
        if decision.is_none() {
            let small = body.len().is_some_and(|len| len < self.options.threshold);
            if small || !self.is_worth_it(ctx.content_type()) {
                return None;
            }
        }
        let chosen = ctx.preferred_encoding(&self.offers)?;
        self.options.codings.iter().copied().find(|coding| coding.name() == chosen)
    }

    fn is_worth_it(&self, kind: &str) -> bool {
        let events = kind.eq_ignore_ascii_case("text/event-stream");
        mime::is_compressible(kind) && (self.options.event_streams || !events)
    }

    fn encode(&self, ctx: &mut Ctx, coding: Coding) -> Result {
        let Some(body) = ctx.response.take_body() else { return Ok(()) };
        let len = body.len();
        let body = match body.try_into_bytes() {
            Ok(bytes) if bytes.len() as u64 <= self.options.whole => {
                let encoded = Encoder::new(coding, len, &self.options)?.whole(&bytes)?;
                if encoded.len() >= bytes.len() {
                    ctx.response.replace_body(bytes);
                    return Ok(());
                }
                encoded.into()
            }
            Ok(bytes) => self.stream(bytes.into(), coding, len)?,
            Err(stream) => self.stream(stream, coding, len)?,
        };
        ctx.response.replace_body(body);
        let headers = ctx.response.headers_mut();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(coding.name()));
        headers.remove(header::ACCEPT_RANGES);
        match ctx.etag() {
            Some(etag) if !etag.starts_with("W/") => ctx.set(header::ETAG, format!("W/{etag}")),
            _ => Ok(()),
        }
    }

    fn stream(&self, source: Body, coding: Coding, len: Option<u64>) -> Result<Body> {
        let encoder = Encoder::new(coding, len, &self.options)?;
        Ok(Body::new(Compressed::new(source, encoder)))
    }
}

/// Whether the headers say that the bytes must stay what they are.
fn is_fixed(ctx: &Ctx) -> bool {
    const FIXED: [HeaderName; 6] = [
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        HeaderName::from_static("content-digest"),
        HeaderName::from_static("repr-digest"),
        HeaderName::from_static("digest"),
        HeaderName::from_static("content-md5"),
    ];
    let control = ctx.response.headers().get_all(header::CACHE_CONTROL).iter();
    let mut directives = control.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    ctx.status() == StatusCode::PARTIAL_CONTENT
        || FIXED.iter().any(|name| ctx.has(name))
        || directives.any(|directive| directive.trim().eq_ignore_ascii_case("no-transform"))
}

#[cfg(test)]
mod tests;
