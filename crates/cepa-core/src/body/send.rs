//! A request body that may cross threads, for services that insist on `Send`.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use super::{Body, Incoming, Kind, Limit, Sender, channel};
use crate::{Error, Result};

/// A body that is `Send`: what a mounted `tower::Service` gets. It fails past the limit of the body that it
/// was, see [`Body`].
#[derive(Debug)]
pub struct SendBody {
    kind: SendKind,
    limit: Limit,
}

#[derive(Debug)]
enum SendKind {
    Bytes(Option<Bytes>),
    Incoming(Incoming),
}

impl SendBody {
    /// The body, and what must be polled for it to arrive when it is a stream of this thread.
    pub(crate) fn split(body: Body) -> (Self, Option<Pump>) {
        let Body { kind, limit } = body;
        let (kind, pump) = match kind {
            Kind::Empty => (SendKind::Bytes(None), None),
            Kind::Bytes(bytes) => (SendKind::Bytes(Some(bytes)), None),
            Kind::Incoming(incoming) => (SendKind::Incoming(incoming), None),
            kind @ Kind::Stream { .. } => {
                let source = Body::of(kind);
                let (sender, incoming) = channel(source.len(), u64::MAX);
                (SendKind::Incoming(incoming), Some(Pump { source, sender: Some(sender) }))
            }
        };
        (Self { kind, limit }, pump)
    }
}

impl HttpBody for SendBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if let Err(error) = self.limit.check(self.size_hint().exact()) {
            return Poll::Ready(Some(Err(error)));
        }
        let frame = match &mut self.kind {
            SendKind::Bytes(bytes) => bytes.take().map(|bytes| Ok(Frame::data(bytes))),
            SendKind::Incoming(incoming) => ready!(incoming.poll_frame(cx)),
        };
        Poll::Ready(self.limit.pass(frame))
    }

    fn is_end_stream(&self) -> bool {
        match &self.kind {
            SendKind::Bytes(bytes) => bytes.is_none(),
            SendKind::Incoming(incoming) => incoming.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.kind {
            SendKind::Bytes(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, Bytes::len) as u64),
            SendKind::Incoming(incoming) => incoming.size_hint(),
        }
    }
}

/// Carries a stream of this thread over to a [`SendBody`], chunk by chunk as it is read.
pub(crate) struct Pump {
    source: Body,
    sender: Option<Sender>,
}

impl Pump {
    /// Ready when everything was carried over or nobody reads any more.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Some(sender) = &mut self.sender {
            match sender.poll_wanted(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(false) => break,
                Poll::Ready(true) => {}
            }
            let frame = match Pin::new(&mut self.source).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(frame) => frame,
            };
            match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => sender.send(data),
                Some(Ok(Err(trailers))) => self.end(|sender| sender.finish(trailers.into_trailers().ok())),
                Some(Err(error)) => self.end(|sender| sender.fail(error)),
                None => self.end(|sender| sender.finish(None)),
            }
        }
        self.sender = None;
        Poll::Ready(())
    }

    fn end(&mut self, end: impl FnOnce(Sender)) {
        if let Some(sender) = self.sender.take() {
            end(sender);
        }
    }
}
