//! A WebSocket by calls, in the style of tora: the handshake runs an app, and so does each message.

use std::{
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use cepa_core::{Body, Connection, Ctx, Error, Handling, Onion, Request, Response, Result, Target};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Version, header};
use http_body::Body as _;

use crate::{CloseCode, Message, Options, Socket, WebSocketExt as _, handshake};

/// The most streams of one client that go on at once.
const STREAMS: usize = 16;

/// Opens the WebSocket that the request asks for, and has `app` answer: the handshake, and each message after it.
///
/// The handshake is a GET with the target and the headers of the request, but for those that speak of the connection, or of
/// codings, ranges and conditions of the answer. An answer that is no success (2xx) refuses it, and is sent as it is; of
/// one that is, headers such as `Set-Cookie` go out with the 101, and its body is the first thing that is said. Each message
/// is a POST with the same target and headers, so that path, parameters and cookies stay for as long as the WebSocket does;
/// its body is the message. The answer's body is sent back, whatever its status: one message if it is all there, and of a
/// stream one for each piece, while further messages are taken. What is UTF-8 is sent as text, anything else as binary; what
/// is empty is not sent.
///
/// A message is taken when the one before is answered, pings as well. The streams end with the WebSocket. A client whose
/// streams are more than 16 is closed with 1008.
///
/// ```
/// use cepa_core::{App, Ctx, Result};
/// use cepa_websocket::{Options, calls};
///
/// let chat = App::new()
///     .get("/chat", async |_: &mut Ctx| "Welcome")
///     .post("/chat", async |ctx: &mut Ctx| -> Result<String> { Ok(format!("You say {}", ctx.text().await?)) })
///     .build()
///     .unwrap();
/// let app = App::new().get("/chat", async move |ctx: &mut Ctx| calls(ctx, &Options::default(), &chat).await);
/// # app.build().unwrap();
/// ```
///
/// # Errors
/// Those of [`websocket`](crate::WebSocketExt::websocket); the app is not asked then.
pub async fn calls(ctx: &mut Ctx, options: &Options, app: &Arc<Onion>) -> Result {
    handshake::admit(ctx, options)?;
    let caller = Caller::new(ctx, Arc::clone(app));
    let mut answer = caller.ask(Method::GET, None).await;
    let body = answer.take_body();
    if !answer.status().is_success() {
        if answer.status().is_informational() {
            return Err(Error::new(500, "the answer to a handshake may not switch protocols by itself"));
        }
        ctx.response.set_status(answer.status());
        pass_on(&answer, ctx, |_| true);
        ctx.response.replace_body(body.unwrap_or_default());
        return Ok(());
    }
    pass_on(&answer, ctx, |name| !is_of_body(name));
    ctx.websocket(options, async move |socket: &mut Socket| {
        let mut streams = Streams::default();
        say(socket, &mut streams, body).await?;
        talk(socket, &mut streams, &caller).await
    })
}

/// Adds the headers of an answer to those that outer layers have set.
fn pass_on(answer: &Response, ctx: &mut Ctx, passes: impl Fn(&HeaderName) -> bool) {
    for (name, value) in answer.headers().iter().filter(|(name, _)| passes(name)) {
        if *name == header::SET_COOKIE || *name == header::VARY {
            ctx.response.headers_mut().append(name, value.clone());
        } else {
            ctx.response.headers_mut().insert(name, value.clone());
        }
    }
}

/// Whether a header speaks of a body, which a 101 does not have.
fn is_of_body(name: &HeaderName) -> bool {
    name.as_str().starts_with("content-")
        || matches!(
            *name,
            header::ETAG | header::LAST_MODIFIED | header::TRANSFER_ENCODING | header::ACCEPT_RANGES
        )
}

/// Whether a header of the handshake says nothing of the calls: it is of the connection, or asks for an answer that is no
/// message, such as a compressed one, which browsers offer to take with each handshake.
fn is_of_handshake(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("sec-websocket-")
        || name.starts_with("if-")
        || matches!(
            name,
            "accept-encoding" | "connection" | "content-length" | "expect" | "range" | "te" | "upgrade"
        )
}

/// What all calls have in common.
struct Caller {
    app: Arc<Onion>,
    target: Target,
    version: Version,
    headers: HeaderMap,
    connection: Rc<dyn Connection>,
}

impl Caller {
    fn new(ctx: &Ctx, app: Arc<Onion>) -> Self {
        let mut headers = ctx.request.headers().clone();
        let names: Vec<_> = headers.keys().filter(|name| is_of_handshake(name)).cloned().collect();
        for name in names {
            headers.remove(name);
        }
        let (target, version) = (ctx.request.target().clone(), ctx.request.version());
        Self { app, target, version, headers, connection: Rc::clone(ctx.request.connection()) }
    }

    fn ask(&self, method: Method, message: Option<Message>) -> Handling {
        let mut headers = self.headers.clone();
        let body = message.map_or_else(Body::empty, |message| {
            let kind = match &message {
                Message::Text(_) => "text/plain; charset=utf-8",
                Message::Binary(_) => "application/octet-stream",
            };
            let bytes = message.into_bytes();
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
            Body::from(bytes)
        });
        let (target, connection) = (self.target.clone(), Rc::clone(&self.connection));
        self.app.handle(Request::from_door(method, target, self.version, headers, body, connection))
    }
}

/// What happens next.
enum Next {
    Message(Option<Message>),
    Answer(Response),
    Piece(Bytes),
}

/// Has each message answered until the WebSocket ends.
async fn talk(socket: &mut Socket, streams: &mut Streams, caller: &Caller) -> Result {
    let mut asked: Option<Handling> = None;
    loop {
        let next = poll_fn(|cx| -> Poll<Result<Next>> {
            if let Some(handling) = &mut asked
                && let Poll::Ready(answer) = Pin::new(handling).poll(cx)
            {
                return Poll::Ready(Ok(Next::Answer(answer)));
            }
            // Before the streams, which may always have something: the client is heard all the same.
            if asked.is_none()
                && let Poll::Ready(message) = socket.poll_recv(cx)
            {
                return Poll::Ready(Ok(Next::Message(message?)));
            }
            streams.poll_next(cx).map_ok(Next::Piece)
        });
        match next.await? {
            Next::Message(None) => return Ok(()),
            Next::Message(message) => asked = Some(caller.ask(Method::POST, message)),
            Next::Answer(mut answer) => {
                asked = None;
                say(socket, streams, answer.take_body()).await?;
            }
            Next::Piece(piece) => send(socket, piece).await?,
        }
    }
}

/// Sends the body of an answer, or keeps it to be sent as it comes.
async fn say(socket: &mut Socket, streams: &mut Streams, body: Option<Body>) -> Result {
    let Some(body) = body else { return Ok(()) };
    match body.try_into_bytes() {
        Ok(bytes) => send(socket, bytes).await,
        Err(_) if streams.list.len() == STREAMS => {
            socket.close(CloseCode::POLICY, "too many streams").await;
            Ok(())
        }
        Err(stream) => {
            streams.list.push(stream);
            Ok(())
        }
    }
}

async fn send(socket: &mut Socket, bytes: Bytes) -> Result {
    if bytes.is_empty() {
        return Ok(());
    }
    let message = match std::str::from_utf8(&bytes) {
        Ok(text) => Message::from(text),
        Err(_) => Message::Binary(bytes),
    };
    Ok(socket.send(message).await?)
}

/// Answers that go on.
#[derive(Default)]
struct Streams {
    list: Vec<Body>,
    /// The one that is asked first, so that each has its turn.
    first: usize,
}

impl Streams {
    /// The next piece of any.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes>> {
        let mut at = 0;
        while at < self.list.len() {
            let place = (self.first + at) % self.list.len();
            match Pin::new(&mut self.list[place]).poll_frame(cx) {
                Poll::Pending => at += 1,
                Poll::Ready(Some(Ok(frame))) => {
                    self.first = place + 1;
                    return Poll::Ready(Ok(frame.into_data().unwrap_or_default()));
                }
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(error)),
                Poll::Ready(None) => {
                    self.list.remove(place);
                    // Those that were asked already may be asked once more.
                    at = 0;
                }
            }
        }
        Poll::Pending
    }
}
