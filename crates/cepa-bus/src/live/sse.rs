//! The body of a stream of events.

use std::{
    hash::{BuildHasher, RandomState},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use cepa_core::{Connection, Error, Park, Parked};
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::Kind;
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

pin_project! {
    /// A stream of events. While nothing happens it holds no buffer.
    ///
    /// There may be a million, and this is the whole of it, its timer included.
    pub(super) struct EventStream<T> {
        events: Events<T>,
        connection: Rc<dyn Connection>,
        // In seconds.
        beat: u32,
        // In milliseconds.
        retry: u32,
        // Made with the first read: only then there surely is a runtime.
        #[pin]
        heartbeat: Option<Sleep>,
    }
}

/// What is there to be sent.
struct Events<T> {
    subscriber: Subscriber<T>,
    /// Whether the client has been told the place it begins at.
    is_placed: bool,
    is_over: bool,
}

impl<T> EventStream<T> {
    /// One that is resumed has greeted elsewhere.
    pub(super) fn new(
        subscriber: Subscriber<T>,
        options: SseOptions,
        connection: Rc<dyn Connection>,
        is_resumed: bool,
    ) -> Self {
        let events = Events { subscriber, is_placed: is_resumed, is_over: false };
        // A time too far away to be counted to is one day.
        let beat = options.heartbeat.as_secs().clamp(1, 86_400) as u32;
        let retry = u32::try_from(options.retry.as_millis()).unwrap_or(u32::MAX);
        Self { events, connection, beat, retry, heartbeat: None }
    }
}

impl<T> Events<T> {
    /// Events that are there at once leave as one piece until it has so many bytes.
    const PIECE: usize = 16 << 10;

    /// The events that are there. One alone is the bytes that all subscribers share.
    fn take(&mut self, cx: &mut Context<'_>) -> Option<Bytes> {
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

    fn greeting(&mut self, retry: u32, cx: &mut Context<'_>) -> Bytes {
        match self.place(cx) {
            Some(place) => format!("id: {place}\nretry: {retry}\n\n").into(),
            None => format!("retry: {retry}\n\n").into(),
        }
    }
}

fn farewell(retry: u32) -> Bytes {
    let retry = Duration::from_millis(retry.into());
    format!("retry: {}\n\n", (retry + some_of(retry)).as_millis()).into()
}

/// A time up to this, at random.
fn some_of(time: Duration) -> Duration {
    let most = time.as_millis() as u64;
    Duration::from_millis(RandomState::new().hash_one(()) % (most + 1))
}

/// With the place after the gap, so that it is told once.
fn missed(place: EventId, count: Option<u64>) -> Bytes {
    match count {
        Some(count) => format!("id: {place}\nevent: missed\ndata: {count}\n\n").into(),
        None => format!("id: {place}\nevent: missed\ndata: null\n\n").into(),
    }
}

impl<T> Park for EventStream<T> {
    fn park(self: Pin<&mut Self>) -> Option<Parked> {
        let this = self.project();
        if this.events.is_over || !this.events.is_placed {
            return None;
        }
        let kind = Kind::Events { beat: *this.beat, retry: *this.retry };
        Some(this.events.subscriber.park(kind)?.with_farewell(farewell(*this.retry)))
    }
}

impl<T> HttpBody for EventStream<T> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        let data = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        if this.events.is_over {
            return Poll::Ready(None);
        }
        let beat = Duration::from_secs((*this.beat).into());
        if this.heartbeat.is_none() {
            let greets = !this.events.is_placed;
            // Those that came from another process came all at once, and are not to beat so.
            this.heartbeat.set(Some(sleep(if greets { beat } else { some_of(beat) })));
            if greets {
                return data(this.events.greeting(*this.retry, cx));
            }
        }
        let Some(mut heartbeat) = this.heartbeat.as_mut().as_pin_mut() else { return Poll::Ready(None) };
        // The client comes back for what it has not read.
        if this.connection.poll_draining(cx).is_ready() {
            this.events.is_over = true;
            return data(farewell(*this.retry));
        }
        let is_due = heartbeat.as_mut().poll(cx).is_ready();
        let events = match this.events.place(cx) {
            Some(place) => Some(format!("id: {place}\n\n").into()),
            None => this.events.take(cx),
        };
        if is_due || events.is_some() {
            // Once a piece is returned the body is polled again, which is when the new time is heard of.
            heartbeat.reset(Instant::now() + beat);
        }
        match events {
            Some(events) => data(events),
            None if this.events.is_over => Poll::Ready(None),
            None if is_due => data(Bytes::from_static(b":\n\n")),
            None => Poll::Pending,
        }
    }
}
