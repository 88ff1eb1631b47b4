//! The answer to a long poll.

use std::{future::poll_fn, task::Poll, time::Duration};

use bytes::Bytes;
use cepa_core::{Ctx, OnClose, Policy, Result};
use http::header;
use tokio::time::timeout;

use crate::{Delivery, Subscriber};

/// Time that is left to send an answer after a poll has waited for as long as it may.
const GRACE: Duration = Duration::from_secs(10);
/// Messages that are there at once are one answer until it has so many bytes; the rest is the next one's.
const ANSWER: usize = 1 << 20;

pub(super) async fn answer<T>(ctx: &mut Ctx, mut subscriber: Subscriber<T>, time: Duration) -> Result {
    let request_time = Some(time.saturating_add(GRACE));
    ctx.set_policy(Policy { on_close: OnClose::Cancel, request_time, ..Policy::default() });
    let mut draining = ctx.connection().draining();
    let first = poll_fn(|cx| match subscriber.poll_next(cx) {
        Poll::Pending => draining.as_mut().poll(cx).map(|()| None),
        ready => ready,
    });
    let mut next = timeout(time, first).await.ok().flatten();

    let mut messages = Vec::new();
    let mut missed = false;
    while let Some(delivery) = next {
        match delivery {
            Delivery::Missed(_) => missed = true,
            Delivery::Message(message) => {
                messages.extend_from_slice(if messages.is_empty() { b"{\"id\":\"" } else { b",{\"id\":\"" });
                messages.extend_from_slice(message.id().to_string().as_bytes());
                messages.extend_from_slice(b"\",\"event\":");
                serde_json::to_writer(&mut messages, &message.event())?;
                messages.extend_from_slice(b",\"data\":");
                messages.extend_from_slice(&message.data());
                messages.push(b'}');
            }
        }
        next = if messages.len() < ANSWER { ready_now(&mut subscriber).await } else { None };
    }

    let mut body =
        format!("{{\"id\":\"{}\",\"missed\":{missed},\"messages\":[", subscriber.last()).into_bytes();
    body.extend_from_slice(&messages);
    body.extend_from_slice(b"]}");
    ctx.set(header::CACHE_CONTROL, "no-store")?;
    ctx.set(header::CONTENT_TYPE, "application/json; charset=utf-8")?;
    ctx.set_body(Bytes::from(body))
}

async fn ready_now<T>(subscriber: &mut Subscriber<T>) -> Option<Delivery<T>> {
    poll_fn(|cx| match subscriber.poll_next(cx) {
        Poll::Pending => Poll::Ready(None),
        ready => ready,
    })
    .await
}
