//! Gives every request an id, which stands on its response and in the log.
//!
//! It belongs outermost, around [`logger`](crate::logger()), so that whatever is logged of a request has its id.

use std::{
    cell::RefCell,
    time::{Duration, SystemTime},
};

use cepa_core::{Ctx, LocalBoxFuture, Middleware, Next, Proxies, Result};
use http::{HeaderName, HeaderValue};
use serde::Deserialize;
use tracing::Instrument;

/// Where ids come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The header of requests and responses, default `x-request-id`.
    pub header: String,
    /// Whose ids are taken over, default `proxies`.
    pub inbound: Inbound,
    /// The form of ids that are made, default `uuid`.
    pub form: Form,
    /// Whether events of layers and handlers inwards are logged within a span `request` that has the id, default yes.
    pub span: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            header: "x-request-id".to_owned(),
            inbound: Inbound::default(),
            form: Form::default(),
            span: true,
        }
    }
}

/// Whose ids are taken over. One that is not made of 1 to 128 letters, digits and `-._:+/=@` never is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Inbound {
    /// Nobody's.
    Never,
    /// Those of the proxies that [`App::trust`](cepa_core::App::trust) names.
    #[default]
    Proxies,
    /// Everybody's: then two requests may have one id.
    Always,
}

/// The form of an id.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// A UUID of version 7 (RFC 9562, section 5.7): ids in the order of time, of milliseconds and 74 random bits.
    #[default]
    Uuid,
    /// 128 random bits in hexadecimal digits: tells nothing about the time.
    Hex,
}

/// A header name that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("request_id: {0:?} is no header name")]
pub struct HeaderError(String);

/// A layer that gives every request an id.
///
/// The id is that of the request's own header where its sender may choose one, and a new one otherwise. It is set on
/// the response, errors included, and left for layers and handlers as [`RequestId`].
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::{RequestId, request_id};
///
/// let app = App::new()
///     .with(request_id(Default::default())?)
///     .get("/", async |ctx: &mut Ctx| ctx.state::<RequestId>().map(|id| id.as_str().to_owned()));
/// # cepa_core::test::block_on(async {
/// let answer = app.test().get("/").await;
/// assert_eq!(answer.header("x-request-id"), answer.text());
/// # });
/// # Ok::<(), cepa_layers::request_id::HeaderError>(())
/// ```
///
/// # Errors
/// When the header's name is none.
pub fn request_id(options: Options) -> Result<RequestIds, HeaderError> {
    let header = options.header.parse().map_err(|_| HeaderError(options.header))?;
    Ok(RequestIds { header, inbound: options.inbound, form: options.form, span: options.span })
}

/// See [`request_id()`].
#[derive(Clone, Debug)]
pub struct RequestIds {
    header: HeaderName,
    inbound: Inbound,
    form: Form,
    span: bool,
}

/// The id of a request: `ctx.state::<RequestId>()`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestId(HeaderValue);

impl RequestId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        self.0.to_str().expect("an id is visible ASCII, whether checked or made")
    }
}

impl Middleware for RequestIds {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        let id = self.inbound(ctx).unwrap_or_else(|| make(self.form));
        ctx.response.headers_mut().insert(self.header.clone(), id.clone());
        let id = RequestId(id);
        if !self.span {
            ctx.insert(id);
            return next.run(ctx).boxed();
        }
        let span = tracing::info_span!("request", id = id.as_str());
        ctx.insert(id);
        match span.is_disabled() {
            true => next.run(ctx).boxed(),
            false => Box::pin(next.run(ctx).instrument(span)),
        }
    }
}

impl RequestIds {
    /// The id that the request has brought, if its sender may choose one.
    fn inbound(&self, ctx: &Ctx) -> Option<HeaderValue> {
        let peer = || ctx.connection().peer().ip();
        let is_trusted = match (self.inbound, ctx.settings().proxies.as_deref()) {
            (Inbound::Never, _) | (Inbound::Proxies, None) => false,
            (Inbound::Always, _) | (_, Some(Proxies::Everybody { .. })) => true,
            (_, Some(Proxies::XForwarded(trust) | Proxies::Forwarded(trust))) => trust.trusts_peer(peer()),
        };
        let id = ctx.request.fields().get(self.header.as_str()).filter(|_| is_trusted)?;
        let is_sound = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._:+/=@".contains(byte);
        let is_id = (1..=128).contains(&id.len()) && id.iter().all(is_sound);
        is_id.then(|| HeaderValue::from_bytes(id).ok())?
    }
}

fn make(form: Form) -> HeaderValue {
    let mut bytes: [u8; 16] = random();
    let text = match form {
        Form::Hex => hex(&bytes, &[]),
        Form::Uuid => {
            let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or(Duration::ZERO);
            // 48 bits of milliseconds last until the year 10889.
            bytes[..6].copy_from_slice(&(since.as_millis() as u64).to_be_bytes()[2..]);
            bytes[6] = 0x70 | bytes[6] & 0x0F;
            bytes[8] = 0x80 | bytes[8] & 0x3F;
            hex(&bytes, &[4, 6, 8, 10])
        }
    };
    HeaderValue::try_from(text).expect("hexadecimal digits and hyphens are a header value")
}

/// Hexadecimal digits, with a hyphen before the bytes at some places.
fn hex(bytes: &[u8], hyphens: &[usize]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2 + hyphens.len());
    for (at, byte) in bytes.iter().enumerate() {
        if hyphens.contains(&at) {
            text.push('-');
        }
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 0xF)]));
    }
    text
}

/// Random bytes, of which the system is asked for many at once: an id is no secret.
fn random() -> [u8; 16] {
    thread_local! {
        static POOL: RefCell<([u8; 1024], usize)> = const { RefCell::new(([0; 1024], 1024)) };
    }
    POOL.with_borrow_mut(|(pool, used)| {
        if *used == pool.len() {
            getrandom::fill(pool).expect("a system without randomness serves nothing");
            *used = 0;
        }
        let bytes = &pool[*used..*used + 16];
        *used += 16;
        bytes.try_into().expect("the slice has 16 bytes")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    use cepa_core::{App, Error, forwarded::Trust, test::block_on};

    fn app(options: Options, trust: Trust) -> App {
        App::new()
            .trust(trust)
            .with(request_id(options).unwrap())
            .get("/", async |_: &mut Ctx| "a")
            .get("/fails", async |_: &mut Ctx| -> Result { Err(Error::status_only(500)) })
    }

    #[test]
    fn ids_are_new_and_in_the_order_of_time() {
        let mut last = String::new();
        let mut seen = HashSet::new();
        for _ in 0..500 {
            let id = make(Form::Uuid);
            let id = id.to_str().unwrap();
            let bytes = id.as_bytes();
            assert_eq!((id.len(), bytes[8], bytes[13], bytes[14], bytes[18]), (36, b'-', b'-', b'7', b'-'));
            assert!(b"89ab".contains(&bytes[19]), "{id}");
            assert!(seen.insert(id.to_owned()));
            assert!(last.as_str() <= &id[..13]);
            last = id[..13].to_owned();
        }
        assert_eq!(make(Form::Hex).len(), 32);
        assert_ne!(make(Form::Hex), make(Form::Hex));
    }

    #[test]
    fn only_those_who_may_choose_an_id() {
        let loopback: Trust = "loopback".parse().unwrap();
        let long = "a".repeat(129);
        for (inbound, trust, given, taken) in [
            (Inbound::Proxies, Trust::NONE, "mine", false),
            (Inbound::Proxies, loopback.clone(), "mine:1/2", true),
            (Inbound::Never, loopback, "mine", false),
            (Inbound::Always, Trust::NONE, "mine", true),
            (Inbound::Always, Trust::NONE, "a b", false),
            (Inbound::Always, Trust::NONE, "\"", false),
            (Inbound::Always, Trust::NONE, "", false),
            (Inbound::Always, Trust::NONE, &long, false),
        ] {
            let client = app(Options { inbound, ..Options::default() }, trust).test();
            for path in ["/", "/fails"] {
                let answer = block_on(client.get(path).header("x-request-id", given));
                let id = answer.header("x-request-id");
                assert_eq!(id == given, taken, "{inbound:?} {given}");
                assert!(!id.is_empty());
            }
        }
    }

    #[test]
    fn a_header_name_that_is_none_is_refused() {
        assert!(request_id(Options { header: "a b".into(), ..Options::default() }).is_err());
    }
}
