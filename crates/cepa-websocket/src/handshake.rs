//! The opening handshake (RFC 6455, section 4.2). That of HTTP/2 (RFC 8441) looks the same from here.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use cepa_core::{Ctx, Error, Headers, Result};
use http::{HeaderValue, Method, StatusCode, header};
use sha1::{Digest, Sha1};

use crate::{
    Decoder, Options, Socket,
    encode::Encoder,
    socket::{self, Times},
};

/// Proves that a server has understood (section 1.3).
const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
/// The most subprotocols of a client that are looked at.
const PROTOCOLS: usize = 64;

/// Opens WebSockets.
pub trait WebSocketExt {
    /// Opens the WebSocket that the request asks for, and runs `run` with it once the answer is sent. In a handler that
    /// [resumes](cepa_core::App::resume) it is the WebSocket that was parked, with the subprotocol that was agreed on.
    ///
    /// When `run` returns, the WebSocket is closed with 1000. If it fails, it is closed with 1008 where the error is the
    /// client's by its status (4xx), else with 1011, which is logged unless it failed because the client went. It is dropped
    /// with the connection at the end of a drain.
    ///
    /// # Errors
    /// - 426 with `Sec-WebSocket-Version: 13` to a request that asks for no WebSocket, or another version;
    /// - 400 if its method is not GET, or it has no valid key;
    /// - 403 if it comes from a page of another origin, see [`Options::origins`].
    fn websocket<F>(&mut self, options: &Options, run: F) -> Result
    where
        F: AsyncFnOnce(&mut Socket) -> Result + 'static;

    /// Whether the request asks for a WebSocket, for addresses that answer others too.
    fn asks_websocket(&self) -> bool;
}

impl WebSocketExt for Ctx {
    #[track_caller]
    fn websocket<F>(&mut self, options: &Options, run: F) -> Result
    where
        F: AsyncFnOnce(&mut Socket) -> Result + 'static,
    {
        let ((decoder, encoder), protocol) = match self.parked() {
            // The handshake was in another process.
            Some(_) => {
                let codec = (Decoder::new(options.limits()), Encoder::default());
                (codec, self.get("sec-websocket-protocol").map(Into::into))
            }
            None => shake_hands(self, options)?,
        };
        self.response.set_status(StatusCode::SWITCHING_PROTOCOLS);
        let draining = self.connection().draining();
        let times = Times::new(options);
        self.response.on_upgrade(Box::new(move |io| {
            let socket = Box::new(Socket::new(io, decoder, encoder, times, protocol, draining));
            Box::pin(socket::run(socket, run))
        }));
        Ok(())
    }

    fn asks_websocket(&self) -> bool {
        asks(self)
    }
}

/// Both halves of the codec.
type Codec = (Decoder, Encoder);

/// Answers the handshake: with what codec and which subprotocol the WebSocket is open then.
#[track_caller]
fn shake_hands(ctx: &mut Ctx, options: &Options) -> Result<(Codec, Option<Box<str>>)> {
    let accept = admit(ctx, options)?;
    let protocol = choose_protocol(ctx.request.fields(), &options.protocols);
    let codec = codec(ctx, options);
    let headers = ctx.response.headers_mut();
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::SEC_WEBSOCKET_ACCEPT, accept);
    if let Some(protocol) = &protocol {
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, HeaderValue::try_from(&**protocol)?);
    }
    Ok((codec, protocol))
}

/// The answer to the key of a request that may open a WebSocket.
#[track_caller]
pub(crate) fn admit(ctx: &Ctx, options: &Options) -> Result<HeaderValue> {
    let key = check(ctx)?;
    if !is_allowed(ctx, &options.origins) {
        return Err(Error::new(403, "pages of this origin may not open a WebSocket here"));
    }
    accept(key)
}

fn asks(ctx: &Ctx) -> bool {
    tokens(ctx.request.fields(), "upgrade").any(|protocol| protocol.eq_ignore_ascii_case("websocket"))
        && tokens(ctx.request.fields(), "connection").any(|option| option.eq_ignore_ascii_case("upgrade"))
}

/// The client's key.
fn check(ctx: &Ctx) -> Result<&str> {
    let fields = ctx.request.fields();
    let version = sole(fields, "sec-websocket-version");
    if !asks(ctx) || version != Some("13") {
        return Err(Error::new(426, "this address speaks WebSocket, version 13")
            .with_header(header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"))
            .with_header(header::UPGRADE, HeaderValue::from_static("websocket")));
    }
    if *ctx.method() != Method::GET {
        return Err(Error::new(400, "a WebSocket is opened with GET"));
    }
    sole(fields, "sec-websocket-key")
        .ok_or_else(|| Error::new(400, "a WebSocket is opened with one Sec-WebSocket-Key"))
}

/// The answer to a key, which is 16 bytes in base64.
fn accept(key: &str) -> Result<HeaderValue> {
    // As base64 is checked to the last bit, a key of 24 characters has 16 bytes, or 17 or 18 without padding.
    let is_key = key.len() == 24 && STANDARD.decode(key).is_ok_and(|bytes| bytes.len() == 16);
    if !is_key {
        return Err(Error::new(400, "Sec-WebSocket-Key is not 16 bytes in base64"));
    }
    let digest = Sha1::new().chain_update(key).chain_update(GUID).finalize();
    Ok(HeaderValue::try_from(STANDARD.encode(digest))?)
}

/// Whether the page that asks, if it is one, may.
fn is_allowed(ctx: &Ctx, origins: &[String]) -> bool {
    let mut given = ctx.request.fields().get_all("origin");
    let Some(origin) = given.next() else { return true };
    let Ok(origin) = std::str::from_utf8(origin) else { return false };
    if given.next().is_some() {
        return false;
    }
    origins.iter().any(|allowed| allowed == "*" || allowed.eq_ignore_ascii_case(origin))
        || is_this_host(ctx, origin)
}

/// Whether an origin names the host that was asked. Where it is known that the visitor uses TLS, a plain page of the
/// same host is another's: it can be forged on the way.
fn is_this_host(ctx: &Ctx, origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let port = match scheme {
        "https" => ":443",
        "http" if !ctx.secure() => ":80",
        _ => return false,
    };
    let bare = |authority: &'_ str| authority.strip_suffix(port).unwrap_or(authority).to_ascii_lowercase();
    !ctx.host().is_empty() && bare(authority) == bare(ctx.host())
}

/// The best of our subprotocols that the client offers too.
fn choose_protocol(fields: &Headers, ours: &[String]) -> Option<Box<str>> {
    let offered =
        |name: &str| tokens(fields, "sec-websocket-protocol").take(PROTOCOLS).any(|offered| offered == name);
    ours.iter().find(|name| offered(name)).map(|name| name.as_str().into())
}

/// The codec, with the compression that is agreed on.
#[cfg(feature = "deflate")]
fn codec(ctx: &mut Ctx, options: &Options) -> Codec {
    let decoder = Decoder::new(options.limits());
    let offers = texts(ctx.request.fields(), "sec-websocket-extensions");
    let agreed = options.deflate.as_ref().and_then(|deflate| crate::deflate::negotiate(offers, deflate));
    let Some((agreed, answer)) = agreed else { return (decoder, Encoder::default()) };
    let answer = HeaderValue::try_from(answer).expect("the answer is names and numbers");
    ctx.response.headers_mut().insert(header::SEC_WEBSOCKET_EXTENSIONS, answer);
    (decoder.with_deflate(&agreed), Encoder::with_deflate(&agreed))
}

/// The codec.
#[cfg(not(feature = "deflate"))]
fn codec(_: &mut Ctx, options: &Options) -> Codec {
    (Decoder::new(options.limits()), Encoder::default())
}

/// The values of a header that are text.
fn texts<'h>(fields: &'h Headers, name: &str) -> impl Iterator<Item = &'h str> {
    fields.get_all(name).filter_map(|value| std::str::from_utf8(value).ok())
}

/// The elements of a header that is a list.
fn tokens<'h>(fields: &'h Headers, name: &str) -> impl Iterator<Item = &'h str> {
    texts(fields, name).flat_map(|value| value.split(',')).map(str::trim)
}

/// The value of a header that is there once.
fn sole<'h>(fields: &'h Headers, name: &str) -> Option<&'h str> {
    let mut values = fields.get_all(name);
    let value = std::str::from_utf8(values.next()?).ok()?;
    values.next().is_none().then(|| value.trim())
}

#[cfg(test)]
mod tests;
