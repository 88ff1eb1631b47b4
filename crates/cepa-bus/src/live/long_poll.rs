//! The answer to a long poll.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use cepa_core::{Body, Connection, Ctx, Error, Park, Parked, Result};
use http::header;
use http_body::{Body as HttpBody, Frame};
use pin_project_lite::pin_project;
use tokio::time::{Instant, Sleep, sleep};

use super::Kind;
use crate::{Delivery, Subscriber};

/// Messages that are there at once are one answer until it has so many bytes; the rest is the next one's.
const ANSWER: usize = 1 << 20;

pub(super) fn answer<T: 'static>(ctx: &mut Ctx, mut subscriber: Subscriber<T>, time: Duration) -> Result {
    ctx.set(header::CACHE_CONTROL, "no-store")?;
    ctx.set(header::CONTENT_TYPE, "application/json; charset=utf-8")?;
    match take(&mut subscriber, &mut Context::from_waker(Waker::noop()))? {
        Some(messages) => ctx.set_body(written(&subscriber, &messages)),
        None => {
            let connection = Rc::clone(ctx.connection());
            let time = time.min(left(ctx));
            ctx.set_body(Body::parks(LongPoll { subscriber: Some(subscriber), connection, time, beat: None }))
        }
    }
}

/// So often a line break is sent ahead of the answer, which JSON may begin with: proxies keep the connection, and where
/// only a write tells that a client is gone, as behind a front server, it is noticed.
const BEAT: Duration = Duration::from_secs(15);

/// The time that one from another process has left, rounded up to seconds; of others, any. As a client would say it that
/// wishes to wait so long (RFC 7240, section 4.3).
fn left(ctx: &Ctx) -> Duration {
    let resumed = ctx.parked().and_then(|_| ctx.get("prefer"));
    let left = resumed.and_then(|prefer| prefer.strip_prefix("wait=")?.parse().ok());
    left.map_or(Duration::MAX, Duration::from_secs)
}

pin_project! {
    /// An answer that waits for the first message.
    struct LongPoll<T> {
        // Gone once it is answered.
        subscriber: Option<Subscriber<T>>,
        connection: Rc<dyn Connection>,
        // What is left of it after the beat that is waited for.
        time: Duration,
        // Made with the first read: only then there surely is a runtime.
        #[pin]
        beat: Option<Sleep>,
    }
}

impl<T> Park for LongPoll<T> {
    fn park(self: Pin<&mut Self>) -> Option<Parked> {
        let this = self.project();
        let until_beat = this.beat.as_pin_mut()?.deadline().saturating_duration_since(Instant::now());
        let left = this.time.saturating_add(until_beat);
        let subscriber = this.subscriber.as_mut()?;
        let farewell = written(subscriber, &Messages::default());
        let parked = subscriber.park(Kind::Poll)?;
        *this.subscriber = None;
        let left = left.as_millis().div_ceil(1000);
        Some(parked.with_header("prefer", format!("wait={left}")).with_farewell(farewell))
    }
}

impl<T> HttpBody for LongPoll<T> {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let mut this = self.project();
        let data = |bytes| Poll::Ready(Some(Ok(Frame::data(bytes))));
        let Some(subscriber) = this.subscriber else { return Poll::Ready(None) };
        if this.beat.is_none() {
            let beat = take_beat(this.time);
            this.beat.set(Some(sleep(beat)));
        }
        let messages = match take(subscriber, cx) {
            Ok(messages) => messages,
            Err(error) => return Poll::Ready(Some(Err(error))),
        };
        if messages.is_none() && this.connection.poll_draining(cx).is_pending() {
            let Some(mut beat) = this.beat.as_mut().as_pin_mut() else { return Poll::Pending };
            ready!(beat.as_mut().poll(cx));
            if !this.time.is_zero() {
                beat.reset(Instant::now() + take_beat(this.time));
                return data(Bytes::from_static(b"\n"));
            }
        }
        let answer = written(subscriber, &messages.unwrap_or_default());
        *this.subscriber = None;
        data(answer)
    }
}

/// How long is waited until the next beat, taken off the time that is left.
fn take_beat(left: &mut Duration) -> Duration {
    let beat = BEAT.min(*left);
    *left -= beat;
    beat
}

/// What there is to answer with.
#[derive(Default)]
struct Messages {
    /// As JSON, with commas between.
    json: Vec<u8>,
    is_missed: bool,
}

/// What is there; `None` if that is nothing, and the subscriber has not ended.
fn take<T>(subscriber: &mut Subscriber<T>, cx: &mut Context<'_>) -> Result<Option<Messages>> {
    let mut messages: Option<Messages> = None;
    while messages.as_ref().is_none_or(|messages| messages.json.len() < ANSWER) {
        let Poll::Ready(next) = subscriber.poll_next(cx) else { break };
        let messages = messages.get_or_insert_default();
        match next {
            None => break,
            Some(Delivery::Missed(_)) => messages.is_missed = true,
            Some(Delivery::Message(message)) => messages.add(&message)?,
        }
    }
    Ok(messages)
}

impl Messages {
    fn add<T>(&mut self, message: &crate::Message<T>) -> Result {
        let json = &mut self.json;
        json.extend_from_slice(if json.is_empty() { b"{\"id\":\"" } else { b",{\"id\":\"" });
        json.extend_from_slice(message.id().to_string().as_bytes());
        json.extend_from_slice(b"\",\"event\":");
        serde_json::to_writer(&mut *json, &message.event())?;
        json.extend_from_slice(b",\"data\":");
        json.extend_from_slice(&message.data());
        json.push(b'}');
        Ok(())
    }
}

fn written<T>(subscriber: &Subscriber<T>, messages: &Messages) -> Bytes {
    let (id, missed) = (subscriber.last(), messages.is_missed);
    let mut body = format!("{{\"id\":\"{id}\",\"missed\":{missed},\"messages\":[").into_bytes();
    body.extend_from_slice(&messages.json);
    body.extend_from_slice(b"]}");
    body.into()
}
