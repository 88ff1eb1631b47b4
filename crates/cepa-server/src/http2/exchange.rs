//! One request and its response.
//!
//! An exchange is tried once where its request was accepted: a handler that answers at once, with a body that the
//! peer's window takes, costs no task. Every other goes on in a task of its own and not in that of the connection:
//! the runtime has the ready queue and the wakers that a hundred futures in one task would need a second time, a
//! panic ends one stream, and a handler whose policy is to complete outlives the connection by itself.

use std::{
    future::Future,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use cepa_core::{Body, Error, Handling, Request, Response, channel};
use h2::{Reason, RecvStream, server::SendResponse};
use http::{Method, StatusCode, Version};
use tokio::task::spawn_local;

use super::{
    head::{self, Head, Refusal},
    link::Link,
    reading::Reading,
    respond::{Answer, refusal, switched},
    sending::{Broken, Sending},
    streams::{Streams, Wait, Work},
    ticks::{before, remaining},
    tunnel::Tunnel,
};
use crate::timer::Entry;

/// See the module.
pub(super) struct Exchange {
    link: Rc<Link>,
    method: Method,
    app: Option<App>,
    reading: Option<Reading>,
    /// What comes after the head of an extended CONNECT.
    connect: Option<RecvStream>,
    sending: Option<Sending>,
    /// The tick since which the app, or the end of the request, is waited for.
    since: u32,
    waiting: Option<Waiting>,
}

/// A handler at work.
struct App {
    future: Handling,
    work: Work,
}

/// What an exchange needs once it has a task.
struct Waiting {
    timer: Entry,
    _wait: Wait,
}

/// Begins an exchange in the task of the connection.
pub(super) fn begin(
    cx: &mut Context<'_>,
    request: http::Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    streams: &Rc<Streams>,
) {
    let Some(work) = streams.enter() else { return respond.send_reset(Reason::REFUSED_STREAM) };
    if respond.poll_reset(cx).is_ready() {
        return;
    }
    let (parts, stream) = request.into_parts();
    let method = parts.method.clone();
    let name = streams.ends.tls.as_ref().and_then(|tls| tls.server_name.as_deref());
    let head = match head::check(parts, &streams.floor.limits, name) {
        Err(Refusal::Malformed) => return respond.send_reset(Reason::PROTOCOL_ERROR),
        head => head,
    };
    let link = Link::new(Rc::clone(streams), respond);
    let since = streams.floor.timers.now_tick();
    let (app, reading, connect, sending, waiting) = (None, None, None, None, None);
    let mut exchange = Exchange { link, method, app, reading, connect, sending, since, waiting };
    match head {
        Ok(head) => exchange.ask(head, stream, work),
        Err(Refusal::Answer(status)) => {
            tracing::debug!(target: "cepa::http2", %status, "request refused");
            exchange.answer(refusal(status));
        }
        Err(Refusal::Malformed) => {}
    }
    if exchange.poll_on(cx).is_pending() {
        exchange.wait(cx.waker().clone());
        spawn_local(exchange);
    }
}

impl Exchange {
    /// Hands the request to the app.
    fn ask(&mut self, head: Head, stream: RecvStream, work: Work) {
        let Head { method, target, headers, length, continues, connects } = head;
        let floor = &self.link.streams.floor;
        floor.begun.set(floor.begun.get() + 1);
        self.method = method.clone();
        let body = if connects {
            self.connect = Some(stream);
            Body::empty()
        } else if stream.is_end_stream() {
            Body::empty()
        } else {
            let (sender, incoming) = channel(length, floor.limits.body);
            self.reading = Some(Reading::new(stream, sender, length, continues));
            Body::from(incoming)
        };
        let link = Rc::clone(&self.link);
        let request = Request::from_door(method, target, Version::HTTP_2, headers, body, link);
        self.app = Some(App { future: floor.onion.handle(request), work });
    }

    /// Gets ready for a task of its own. The timer learns the task's waker when it is first polled.
    fn wait(&mut self, waker: Waker) {
        let streams = &self.link.streams;
        let timer = streams.floor.timers.register(waker);
        self.waiting = Some(Waiting { timer, _wait: streams.wait() });
    }

    fn now(&self) -> u32 {
        self.link.streams.floor.timers.now_tick()
    }

    /// Goes on as far as it can; ready when the exchange is over.
    fn poll_on(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.watch(cx);
        let now = self.now();
        loop {
            if self.poll_app(cx).is_ready() || self.poll_sending(cx, now).is_ready() {
                return Poll::Ready(());
            }
            // What somebody waits for has come: they go on.
            let Some(reading) = &mut self.reading else { break };
            if !reading.poll(cx, &self.link, now) {
                break;
            }
            self.since = now;
        }
        if self.app.is_some() || self.sending.is_some() {
            return Poll::Pending;
        }
        match &mut self.reading {
            Some(reading) if !self.link.is_closed() => reading.poll_rest(cx),
            _ => Poll::Ready(()),
        }
    }

    /// Looks whether the stream is gone.
    fn watch(&mut self, cx: &mut Context<'_>) {
        if self.link.is_closed() {
            return;
        }
        let gone = match &mut self.sending {
            Some(sending) => sending.poll_reset(cx),
            None => self.link.poll_reset(cx),
        };
        if gone.is_ready() {
            self.link.close();
            if let Some(reading) = &mut self.reading {
                reading.fail(Error::new(400, "the request body was cut off"));
            }
        }
    }

    /// Runs the handler; ready when the exchange is over because its client is gone.
    fn poll_app(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Some(app) = &mut self.app else { return Poll::Pending };
        if let Poll::Ready(response) = Pin::new(&mut app.future).poll(cx) {
            let work = self.app.take().map(|app| app.work);
            self.since = self.now();
            if !self.link.is_closed() {
                match (self.connect.take(), work) {
                    (Some(stream), Some(work)) => self.connect(response, stream, work),
                    _ => self.answer(response),
                }
                return Poll::Pending;
            }
        } else if !(self.link.is_closed() && self.link.cancels(&self.method)) {
            return Poll::Pending;
        }
        Poll::Ready(())
    }

    /// Answers an extended CONNECT: hands its stream over to the protocol that the app switches to, if it does.
    fn connect(&mut self, mut response: Response, stream: RecvStream, work: Work) {
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return self.answer(response);
        }
        let Some(protocol) = response.take_upgrade() else { return self.answer(response) };
        let Some(mut respond) = self.link.take_respond() else { return };
        let streams = &self.link.streams;
        match respond.send_response(switched(response, &streams.floor), false) {
            Ok(send) => Tunnel::run(send, stream, protocol, (work, streams.wait())),
            Err(error) => self.unsent(respond, &error),
        }
    }

    /// Sends the head of a response.
    fn answer(&mut self, response: Response) {
        let Some(mut respond) = self.link.take_respond() else { return };
        let Answer { head, body, length } = Answer::new(response, &self.method, &self.link.streams.floor);
        let whole = body.is_empty();
        match respond.send_response(head, whole) {
            Ok(stream) if !whole => self.sending = Some(Sending::new(stream, body, length)),
            Ok(_) => {}
            Err(error) => self.unsent(respond, &error),
        }
    }

    fn unsent(&self, mut respond: SendResponse<Bytes>, error: &h2::Error) {
        tracing::debug!(target: "cepa::http2", %error, "a response cannot be sent");
        respond.send_reset(Reason::INTERNAL_ERROR);
        self.link.close();
    }

    /// Sends the body of a response; ready when the exchange is over because that cannot be done.
    fn poll_sending(&mut self, cx: &mut Context<'_>, now: u32) -> Poll<()> {
        let Some(sending) = &mut self.sending else { return Poll::Pending };
        if self.link.is_closed() {
            return Poll::Ready(());
        }
        match sending.poll(cx, now) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(Ok(())) => self.sending = None,
            Poll::Ready(Err(Broken::Gone)) => return Poll::Ready(()),
            Poll::Ready(Err(Broken::App)) => {
                self.reset(Reason::INTERNAL_ERROR);
                return Poll::Ready(());
            }
        }
        self.since = now;
        Poll::Pending
    }

    fn reset(&mut self, reason: Reason) {
        if let Some(sending) = self.sending.take() {
            sending.reset(reason);
        }
    }

    /// A deadline has come; ready when the exchange is over by it.
    fn expired(&mut self) -> Poll<()> {
        let now = self.now();
        let streams = Rc::clone(&self.link.streams);
        let limits = &streams.floor.limits;
        if let Some(reading) = &mut self.reading
            && reading.deadline(now, limits) == Some(0)
        {
            reading.fail(Error::status_only(StatusCode::REQUEST_TIMEOUT));
        }
        if self.app.is_some() {
            if self.app_deadline(now) == Some(0) {
                tracing::warn!(target: "cepa::http2", "a request took longer than limits.request_time");
                self.app = None;
                self.answer(refusal(StatusCode::SERVICE_UNAVAILABLE));
            }
        } else if let Some(sending) = &self.sending {
            if sending.deadline(now, limits.http2.stream_stall, streams.gauge.slow()) == Some(0) {
                self.reset(Reason::CANCEL);
                return Poll::Ready(());
            }
        } else if self.rest_deadline(now) == Some(0) {
            return Poll::Ready(());
        }
        Poll::Pending
    }

    /// Seconds that the app may still take.
    fn app_deadline(&self, now: u32) -> Option<u32> {
        let limit = self.link.policy().request_time.unwrap_or(self.link.streams.floor.limits.request_time);
        self.app.as_ref()?;
        remaining(limit, self.since, now)
    }

    /// Seconds that the client may still take to end a request that is answered.
    fn rest_deadline(&self, now: u32) -> Option<u32> {
        let waits = self.app.is_none() && self.sending.is_none();
        remaining(self.link.streams.floor.limits.header_time, self.since, now).filter(|_| waits)
    }

    /// Wakes up again when the next limit may have been passed.
    fn set_deadline(&mut self, cx: &mut Context<'_>) {
        let now = self.now();
        let streams = &self.link.streams;
        let limits = &streams.floor.limits;
        let (stall, slow) = (limits.http2.stream_stall, streams.gauge.slow());
        let deadlines = [
            self.reading.as_ref().and_then(|reading| reading.deadline(now, limits)),
            self.sending.as_ref().and_then(|sending| sending.deadline(now, stall, slow)),
            self.app_deadline(now),
            self.rest_deadline(now),
        ];
        let Some(waiting) = &self.waiting else { return };
        match deadlines.into_iter().flatten().min() {
            Some(seconds) => waiting.timer.set(before(seconds)),
            None => waiting.timer.clear(),
        }
        let _ = waiting.timer.poll_expired(cx);
    }
}

impl Future for Exchange {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let expired = self.waiting.as_ref().is_some_and(|waiting| waiting.timer.expired());
        if expired && self.expired().is_ready() || self.poll_on(cx).is_ready() {
            return Poll::Ready(());
        }
        self.set_deadline(cx);
        Poll::Pending
    }
}

impl Drop for Exchange {
    /// An app may keep the link beyond the exchange.
    fn drop(&mut self) {
        self.link.take_respond();
        self.link.close();
        self.link.deferred.begin();
    }
}
