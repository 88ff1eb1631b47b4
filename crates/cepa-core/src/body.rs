//! Bodies of requests and responses: nothing, bytes in memory, or a stream with back-pressure.

mod channel;
mod limit;
mod send;
mod writer;

use std::{
    fmt, mem,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use pin_project_lite::pin_project;

pub use self::{
    channel::{Incoming, Sender, channel},
    send::SendBody,
    writer::BodyWriter,
};
pub(crate) use self::{limit::Limit, send::Pump};
use crate::{Error, Onion, Park, Parked, Result};

/// The body of a request or a response.
///
/// A body is read once, piece by piece with [`chunk`](Body::chunk) or whole with
/// [`bytes`](Body::bytes). The reader sets the pace: a door reads from its socket only when the app
/// asks for more, and asks a response stream for more only when the client has taken what was sent.
///
/// The body of a request carries a **limit** in bytes (default: the server's `limits.body`); reading past
/// it is an error with status 413, and so is the first read of a body that declares more. A route that
/// takes uploads raises it with [`Route::body_limit`](crate::router::Route::body_limit), a handler with
/// [`set_limit`](Body::set_limit).
#[derive(Default)]
pub struct Body {
    kind: Kind,
    limit: Limit,
}

#[derive(Default)]
enum Kind {
    #[default]
    Empty,
    Bytes(Bytes),
    Incoming(Incoming),
    Stream {
        body: Pin<Box<dyn Streamed>>,
        /// The app for which its bytes are counted as they are read: beside it, so that a million streams that wait need no
        /// more memory for it.
        counted: Option<Arc<Onion>>,
    },
}

/// A stream that may go on in another process.
trait Streamed: HttpBody<Data = Bytes, Error = Error> {
    fn park(self: Pin<&mut Self>) -> Option<Parked> {
        None
    }
}

impl Body {
    /// The limit of request bodies where no door sets one: in an app served as a `tower::Service`, and in
    /// the test client. 10 MiB, as a server's `limits.body`.
    pub const DEFAULT_LIMIT: u64 = 10 << 20;

    const fn of(kind: Kind) -> Self {
        Self { kind, limit: Limit::NONE }
    }

    fn stream(body: impl Streamed + 'static) -> Self {
        Self::of(Kind::Stream { body: Box::pin(body), counted: None })
    }

    /// A body of no bytes.
    pub const fn empty() -> Self {
        Self::of(Kind::Empty)
    }

    /// A streamed body, of anything that is an `http_body::Body`.
    pub fn new<B>(body: B) -> Self
    where
        B: HttpBody<Data = Bytes> + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        match body.is_end_stream() {
            true => Self::empty(),
            false => Self::stream(MapError { body }),
        }
    }

    /// A streamed body that can go on in another process.
    pub fn parks<B>(body: B) -> Self
    where
        B: Park + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Self::stream(Parks { body: MapError { body } })
    }

    /// Has the body leave for another process, if it can: for doors, and for whoever wraps a body.
    ///
    /// All that it has given must be sent before, and nothing else be there to be read. A body with a [limit](Self::set_limit) stays.
    pub fn park(&mut self) -> Option<Parked> {
        match &mut self.kind {
            Kind::Stream { body, .. } if self.limit.is_none() => body.as_mut().park(),
            _ => None,
        }
    }

    /// A streamed body, of a stream of byte chunks. An `Err` item aborts the response.
    pub fn from_stream<S, B, E>(stream: S) -> Self
    where
        S: futures_core::Stream<Item = Result<B, E>> + 'static,
        B: Into<Bytes> + 'static,
        E: Into<Box<dyn std::error::Error + Send + Sync>> + 'static,
    {
        Self::stream(StreamBody { stream })
    }

    /// A streamed body, written by an async closure.
    ///
    /// The closure runs while the body is sent, no further than the client takes what it writes, and is dropped when
    /// the client is gone or stops reading. Its return ends the body; an `Err` aborts the response.
    ///
    /// ```
    /// use cepa_core::{App, Body, Ctx};
    ///
    /// let app = App::new().get("/", async |_: &mut Ctx| {
    ///     Body::from_async(async |mut out| {
    ///         for line in ["one\n", "two\n"] {
    ///             out.write(line).await;
    ///         }
    ///         Ok(())
    ///     })
    /// });
    /// # cepa_core::test::block_on(async {
    /// assert_eq!(app.test().get("/").await.text(), "one\ntwo\n");
    /// # });
    /// ```
    pub fn from_async(write: impl AsyncFnOnce(BodyWriter) -> Result + 'static) -> Self {
        Self::stream(writer::Written::new(write))
    }

    /// The number of bytes, when it is known beforehand.
    pub fn len(&self) -> Option<u64> {
        match &self.kind {
            Kind::Empty => Some(0),
            Kind::Bytes(bytes) => Some(bytes.len() as u64),
            Kind::Incoming(incoming) => incoming.size_hint().exact(),
            Kind::Stream { body, .. } => body.size_hint().exact(),
        }
    }

    /// Whether the body is known to have no bytes.
    pub fn is_empty(&self) -> bool {
        self.len() == Some(0)
    }

    /// Whether the body is produced piece by piece rather than held in memory.
    pub fn is_stream(&self) -> bool {
        matches!(self.kind, Kind::Incoming(_) | Kind::Stream { .. })
    }

    /// The bytes, if the whole body is in memory and none was read yet.
    pub fn as_bytes(&self) -> Option<&Bytes> {
        static EMPTY: Bytes = Bytes::new();
        match &self.kind {
            Kind::Empty => Some(&EMPTY),
            Kind::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes, if there are some and all of them are in memory.
    #[inline]
    pub(crate) fn whole(&self) -> Option<&Bytes> {
        match &self.kind {
            Kind::Bytes(bytes) => Some(bytes),
            _ => None,
        }
    }

    /// The bytes, if the whole body is in memory; otherwise the body itself back.
    pub fn try_into_bytes(self) -> Result<Bytes, Self> {
        match self.kind {
            Kind::Empty => Ok(Bytes::new()),
            Kind::Bytes(bytes) => Ok(bytes),
            kind => Err(Self { kind, limit: self.limit }),
        }
    }

    /// Sets the most bytes that may be read of the body, those that were read already included; 413 past it.
    pub fn set_limit(&mut self, bytes: u64) {
        self.limit.set(bytes);
    }

    /// Has the bytes counted for an app as they are read, because nobody knows before how many they will be.
    ///
    /// What goes on elsewhere is counted here no more.
    pub(crate) fn count_for(&mut self, onion: &Arc<Onion>) {
        // One that counts for an app already, as that of a host does, is a stream to the app around it.
        if !matches!(self.kind, Kind::Stream { counted: None, .. }) {
            *self = Self::stream(mem::take(self));
        }
        if let Kind::Stream { counted, .. } = &mut self.kind {
            *counted = Some(Arc::clone(onion));
        }
    }

    /// Gives up a stream, as dropping it does.
    pub(crate) fn stop(&mut self) {
        if self.is_stream() {
            self.kind = Kind::Empty;
        }
    }

    /// Takes the body; what is left is empty and has the same limit.
    pub(crate) fn take(&mut self) -> Self {
        let empty = Self { kind: Kind::Empty, limit: self.limit.anew() };
        mem::replace(self, empty)
    }

    /// Puts another body in place, with the limit of the one before unless its own is smaller: it then
    /// counts what a layer has made of the bytes sent, as by inflating them.
    pub(crate) fn replace(&mut self, body: Self) {
        *self = Self { kind: body.kind, limit: self.limit.anew().smaller(body.limit) };
    }

    /// The next piece of data, `None` at the end. Trailers are passed over.
    ///
    /// # Errors
    /// 413 past the limit, 408 when the client is too slow, 400 when the framing is broken or the
    /// client left in the middle; whatever a stream of the app's own fails with.
    pub async fn chunk(&mut self) -> Option<Result<Bytes>> {
        loop {
            match self.frame().await? {
                Ok(frame) => {
                    if let Ok(data) = frame.into_data() {
                        return Some(Ok(data));
                    }
                }
                Err(error) => return Some(Err(error)),
            }
        }
    }

    /// The next frame: data or trailers.
    pub async fn frame(&mut self) -> Option<Result<Frame<Bytes>>> {
        std::future::poll_fn(|cx| Pin::new(&mut *self).poll_frame(cx)).await
    }

    /// The whole body in memory; at most `limit` bytes, 413 past it.
    ///
    /// A body that declares more than `limit` is refused before a byte of it is read.
    pub async fn bytes(&mut self, limit: u64) -> Result<Bytes> {
        if self.len().is_some_and(|length| length > limit) {
            return Err(Error::status_only(413));
        }
        let first = match self.chunk().await {
            None => return Ok(Bytes::new()),
            Some(chunk) => chunk?,
        };
        let Some(second) = self.chunk().await else { return bounded(first, limit) };
        let mut all = BytesMut::from(bounded(first, limit)?);
        let mut next = Some(second);
        while let Some(chunk) = next {
            let chunk = chunk?;
            if (all.len() + chunk.len()) as u64 > limit {
                return Err(Error::status_only(413));
            }
            all.extend_from_slice(&chunk);
            next = self.chunk().await;
        }
        Ok(all.freeze())
    }
}

fn bounded(bytes: Bytes, limit: u64) -> Result<Bytes> {
    if bytes.len() as u64 > limit { Err(Error::status_only(413)) } else { Ok(bytes) }
}

impl HttpBody for Body {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        // Refused before a byte is asked for, so that a client waiting for 100-continue never sends.
        if let Err(error) = self.limit.check(self.len()) {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match &mut self.kind {
            Kind::Empty => None,
            Kind::Bytes(bytes) => {
                let bytes = mem::take(bytes);
                self.kind = Kind::Empty;
                Some(Ok(Frame::data(bytes)))
            }
            Kind::Incoming(incoming) => ready!(incoming.poll_frame(cx)),
            Kind::Stream { body, counted } => {
                let frame = ready!(body.as_mut().poll_frame(cx));
                if let (Some(onion), Some(Ok(frame))) = (counted, &frame)
                    && let Some(data) = frame.data_ref()
                {
                    onion.tally.add_bytes(data.len() as u64);
                }
                frame
            }
        };
        Poll::Ready(self.limit.pass(frame))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            Kind::Empty => true,
            Kind::Bytes(bytes) => bytes.is_empty(),
            Kind::Incoming(incoming) => incoming.is_end_stream(),
            Kind::Stream { body, .. } => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            Kind::Empty => SizeHint::with_exact(0),
            Kind::Bytes(bytes) => SizeHint::with_exact(bytes.len() as u64),
            Kind::Incoming(incoming) => incoming.size_hint(),
            Kind::Stream { body, .. } => body.size_hint(),
        }
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            Kind::Empty => f.write_str("Body(empty)"),
            Kind::Bytes(bytes) => write!(f, "Body({} bytes)", bytes.len()),
            Kind::Incoming(_) => f.write_str("Body(incoming)"),
            Kind::Stream { .. } => f.write_str("Body(stream)"),
        }
    }
}

impl From<Bytes> for Body {
    fn from(bytes: Bytes) -> Self {
        Self::of(if bytes.is_empty() { Kind::Empty } else { Kind::Bytes(bytes) })
    }
}

impl From<Incoming> for Body {
    fn from(incoming: Incoming) -> Self {
        let limit = Limit::new(incoming.limit());
        Self { kind: Kind::Incoming(incoming), limit }
    }
}

impl From<Vec<u8>> for Body {
    fn from(bytes: Vec<u8>) -> Self {
        Bytes::from(bytes).into()
    }
}

impl From<String> for Body {
    fn from(text: String) -> Self {
        Bytes::from(text).into()
    }
}

impl From<&'static str> for Body {
    fn from(text: &'static str) -> Self {
        Bytes::from_static(text.as_bytes()).into()
    }
}

pin_project! {
    /// A foreign body whose errors become ours: a failing stream is a 500, unless it fails with an [`Error`].
    struct MapError<B> {
        #[pin]
        body: B,
    }
}

impl<B> HttpBody for MapError<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.project().body.poll_frame(cx).map_err(|error| Error::from_boxed(error.into()))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Streamed for MapError<B>
where
    B: HttpBody<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
}

pin_project! {
    /// A body that can go on in another process.
    struct Parks<B> {
        #[pin]
        body: MapError<B>,
    }
}

impl<B> HttpBody for Parks<B>
where
    MapError<B>: HttpBody<Data = Bytes, Error = Error>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.project().body.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Streamed for Parks<B>
where
    MapError<B>: HttpBody<Data = Bytes, Error = Error>,
    B: Park,
{
    fn park(self: Pin<&mut Self>) -> Option<Parked> {
        self.project().body.project().body.park()
    }
}

pin_project! {
    /// A stream of chunks as a body.
    struct StreamBody<S> {
        #[pin]
        stream: S,
    }
}

impl<S, B, E> HttpBody for StreamBody<S>
where
    S: futures_core::Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.project().stream.poll_next(cx).map(|item| {
            item.map(|item| match item {
                Ok(chunk) => Ok(Frame::data(chunk.into())),
                Err(error) => Err(Error::from_boxed(error.into())),
            })
        })
    }
}

impl<S, B, E> Streamed for StreamBody<S>
where
    S: futures_core::Stream<Item = Result<B, E>>,
    B: Into<Bytes>,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
}

impl Streamed for writer::Written {}

impl Streamed for Body {
    fn park(self: Pin<&mut Self>) -> Option<Parked> {
        self.get_mut().park()
    }
}
