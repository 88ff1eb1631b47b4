//! The body of a stream of events.

use std::{
    hash::{BuildHasher, RandomState},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use cepa_core::{Error, LocalBoxFuture};
use http_body::{Body as HttpBody, Frame};
use tokio::time::{Instant, Sleep, sleep};

use crate::{Delivery, EventId, Subscriber};

/// What a stream of events sends besides its events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SseOptions {
    /// After so long without an event a comment is sent: proxies keep the connection, and a peer that is gone is found
    /// by the server's own limits for writing. Default 15 s, at least 1 s.
    pub heartbeat: Duration,
    /// How long a client waits before it connects again. When the server drains, each is told a time between this and
    /// twice as much, so that they do not all come at once. Default 3 s.
    pub retry: Duration,
}

impl Default for SseOptions {
    fn default() -> Self {
        Self { heartbeat: Duration::from_secs(15), retry: Duration::from_secs(3) }
    }
}

/// A stream of events. While nothing happens it holds no buffer.
pub(super) struct EventStream<T> {
    subscriber: Subscriber<T>,
    options: SseOptions,
    draining: LocalBoxFuture<'static, ()>,
    /// Made with the first read: only then there surely is a runtime.
    heartbeat: Option<Pin<Box<Sleep>>>,
    /// Whether the client has been told the place it begins at.
    is_placed: bool,
    is_over: bool,
}

impl<T> EventStream<T> {
    /// Events that are there at once leave as one piece until it has so many bytes.
    const PIECE: usize = 16 << 10;

    pub(super) fn new(
        subscriber: Subscriber<T>,
        options: SseOptions,
        draining: LocalBoxFuture<'static, ()>,
    ) -> Self {
        let heartbeat = options.heartbeat.max(Duration::from_secs(1));
        let options = SseOptions { heartbeat, ..options };
        Self { subscriber, options, draining, heartbeat: None, is_placed: false, is_over: false }
    }

    /// The events that are there. One alone is the bytes that all subscribers share.
    fn events(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
        let mut first: Option<Bytes> = None;
        let mut piece = BytesMut::new();
        while piece.len() < Self::PIECE {
            let event = match self.subscriber.poll_next(cx) {
                Poll::Pending => break,
                Poll::Ready(None) => {
                    self.is_over = true;
                    break;
                }
                Poll::Ready(Some(Delivery::Message(message))) => message.frame().clone(),
                Poll::Ready(Some(Delivery::Missed(count))) => missed(self.subscriber.last(), count),
            };
            if first.is_none() {
                if event.len() >= Self::PIECE {
                    return Some(event);
                }
                first = Some(event);
                continue;
            }
            if piece.is_empty() {
                piece.extend_from_slice(first.as_deref().unwrap_or_default());
            }
            piece.extend_from_slice(&event);
        }
        if piece.is_empty() { first } else { Some(piece.freeze()) }
    }

    /// The place, once it is known: a client that gets nothing before the connection breaks comes back to it. One that is
    /// yet to be told what it has missed gets the place with that.
    fn place(&mut self, cx: &mut Context<'_>) -> Option<EventId> {
        if self.is_placed || self.subscriber.poll_place(cx).is_pending() {
            return None;
        }
        self.is_placed = true;
        (!self.subscriber.has_missed()).then(|| self.subscriber.last())
    }

    fn greeting(&mut self, cx: &mut Context<'_>) -> Bytes {
        let retry = self.options.retry.as_millis();
        match self.place(cx) {
            Some(place) => format!("id: {place}\nretry: {retry}\n\n").into(),
            None => format!("retry: {retry}\n\n").into(),
        }
    }

    fn farewell(&self) -> Bytes {
        let spread = (self.options.retry.as_millis() as u64).saturating_add(1);
        let more = RandomState::new().hash_one(()) % spread.max(1);
        let retry = self.options.retry.saturating_add(Duration::from_millis(more));
        format!("retry: {}\n\n", retry.as_millis()).into()
    }
}

/// With the place after the gap, so that it is told once.
fn missed(place: EventId, count: Option<u64>) -> Bytes {
    match count {
        Some(count) => format!("id: {place}\nevent: missed\ndata: {count}\n\n").into(),
        None => format!("id: {place}\nevent: missed\ndata: null\n\n").into(),
    }
}

impl<T> HttpBody for EventStream<T> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        let data = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        if this.is_over {
            return Poll::Ready(None);
        }
        let beat = this.options.heartbeat;
        let Some(heartbeat) = &mut this.heartbeat else {
            this.heartbeat = Some(Box::pin(sleep(beat)));
            return data(this.greeting(cx));
        };
        // The client comes back for what it has not read.
        if this.draining.as_mut().poll(cx).is_ready() {
            this.is_over = true;
            return data(this.farewell());
        }
        let is_due = heartbeat.as_mut().poll(cx).is_ready();
        if is_due {
            next_beat(heartbeat, beat);
        }
        if let Some(place) = this.place(cx) {
            return data(format!("id: {place}\n\n").into());
        }
        if let Some(events) = this.events(cx) {
            if let Some(heartbeat) = &mut this.heartbeat {
                next_beat(heartbeat, beat);
            }
            return data(events);
        }
        if this.is_over {
            return Poll::Ready(None);
        }
        if is_due {
            return data(Bytes::from_static(b":\n\n"));
        }
        Poll::Pending
    }
}

/// Once a piece is returned the body is polled again, which is when the new time is heard of.
fn next_beat(heartbeat: &mut Pin<Box<Sleep>>, beat: Duration) {
    // A time too far away to be counted to is one day.
    let now = Instant::now();
    let at = now.checked_add(beat).unwrap_or(now + Duration::from_secs(86_400));
    heartbeat.as_mut().reset(at);
}

impl<T> Unpin for EventStream<T> {}
