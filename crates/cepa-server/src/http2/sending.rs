//! The response body on its way from the app to the stream.
//!
//! `h2` gets no more than the peer's windows and a small buffer take; the body is asked for more only then. So a
//! peer that takes nothing holds up the app, and is seen doing so.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use cepa_core::Body;
use h2::{Reason, SendStream};
use http_body::Body as _;

use super::ticks::remaining;
use crate::http1::is_forbidden_trailer;

/// Bytes that the peer must take for its window not to be holding the stream up. With one byte a time it would
/// hold it for ever.
const PROGRESS: usize = 1024;

/// See the module.
pub(super) struct Sending {
    stream: SendStream<Bytes>,
    body: Body,
    /// What is to be sent next.
    piece: Bytes,
    /// Bytes that the declared length still asks for.
    left: Option<u64>,
    /// Nothing comes after `piece`.
    last: bool,
    /// The tick since which the peer's window holds up the stream.
    held: Option<u32>,
    /// Bytes that were sent since then.
    taken: usize,
}

/// Why a response does not come to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Broken {
    /// The stream is gone.
    Gone,
    /// The app failed in the middle.
    App,
}

impl From<h2::Error> for Broken {
    fn from(_: h2::Error) -> Self {
        Self::Gone
    }
}

impl Sending {
    pub(super) fn new(stream: SendStream<Bytes>, body: Body, length: Option<u64>) -> Self {
        Self { stream, body, piece: Bytes::new(), left: length, last: false, held: None, taken: 0 }
    }

    /// Ready when the stream is gone.
    pub(super) fn poll_reset(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream.poll_reset(cx).map(|_| ())
    }

    /// Ends the stream in the middle.
    pub(super) fn reset(mut self, reason: Reason) {
        self.stream.send_reset(reason);
    }

    /// Ready when everything was handed to `h2` within the peer's windows.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, now: u32) -> Poll<Result<(), Broken>> {
        loop {
            if !self.piece.is_empty() {
                match self.poll_send(cx, now) {
                    Poll::Ready(Ok(())) => {}
                    other => return other,
                }
            } else if self.last {
                return Poll::Ready(self.stream.send_data(Bytes::new(), true).map_err(Broken::from));
            }
            if self.last && self.piece.is_empty() {
                return Poll::Ready(Ok(()));
            }
            match Pin::new(&mut self.body).poll_frame(cx) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(None) => {
                    self.check_end()?;
                    self.last = true;
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::warn!(target: "cepa::http2", %error, "a response stream failed");
                    return Poll::Ready(Err(Broken::App));
                }
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => self.take(data)?,
                    Err(frame) => {
                        if let Ok(trailers) = frame.into_trailers() {
                            return Poll::Ready(self.send_trailers(trailers));
                        }
                    }
                },
            }
        }
    }

    fn take(&mut self, data: Bytes) -> Result<(), Broken> {
        if let Some(left) = &mut self.left {
            let Some(rest) = left.checked_sub(data.len() as u64) else {
                tracing::error!(target: "cepa::http2", "a response stream is longer than its content-length");
                return Err(Broken::App);
            };
            *left = rest;
        }
        self.piece = data;
        self.last = self.body.is_end_stream() && self.left.is_none_or(|left| left == 0);
        Ok(())
    }

    /// Whether as much came as was declared.
    fn check_end(&self) -> Result<(), Broken> {
        if self.left.is_some_and(|left| left > 0) {
            tracing::error!(target: "cepa::http2", "a response stream is shorter than its content-length");
            return Err(Broken::App);
        }
        Ok(())
    }

    /// Sends of the piece what the windows take; ready when that is all of it.
    fn poll_send(&mut self, cx: &mut Context<'_>, now: u32) -> Poll<Result<(), Broken>> {
        while !self.piece.is_empty() {
            self.stream.reserve_capacity(self.piece.len());
            let mut room = self.stream.capacity();
            if room == 0 {
                room = match self.stream.poll_capacity(cx) {
                    Poll::Ready(Some(Ok(room))) => room,
                    Poll::Ready(_) => return Poll::Ready(Err(Broken::Gone)),
                    Poll::Pending => {
                        self.held.get_or_insert(now);
                        return Poll::Pending;
                    }
                };
            }
            let part = self.piece.split_to(room.min(self.piece.len()));
            self.taken += part.len();
            if self.piece.is_empty() || self.taken >= PROGRESS {
                (self.held, self.taken) = (None, 0);
            }
            self.stream.send_data(part, self.last && self.piece.is_empty())?;
        }
        Poll::Ready(Ok(()))
    }

    fn send_trailers(&mut self, mut trailers: http::HeaderMap) -> Result<(), Broken> {
        self.check_end()?;
        let forbidden: Vec<_> = trailers.keys().filter(|name| is_forbidden_trailer(name)).cloned().collect();
        for name in forbidden {
            trailers.remove(name);
        }
        Ok(self.stream.send_trailers(trailers)?)
    }

    /// Seconds until the peer's window has held up the stream for too long, 0 when it has. Up to the tick `slow` it
    /// was the socket.
    pub(super) fn deadline(&self, now: u32, limit: Duration, slow: u32) -> Option<u32> {
        remaining(limit, self.held?.max(slow), now)
    }
}
