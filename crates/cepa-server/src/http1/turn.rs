//! An HTTP/1.1 connection between requests: reads them, has the app answer them, writes the answers.
//!
//! The common case — a whole request in one read, answered at once, written in one write — is one
//! synchronous [`Conn::poll_turn`] in the worker thread's own buffers. Whatever needs to wait goes on
//! in an [`Exchange`], boxed, so that an idle connection is small: it
//! holds its socket, its place in the timer wheel, and no buffer.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use cepa_core::{Body, Headers, Request, Response};
use http::StatusCode;
use tokio::io::ReadBuf;

use super::{
    HeadLimits, Preface, Reject, answer,
    conn::{Conn, Waits},
    date,
    exchange::Exchange,
    head::{HeadInPlace, decode_head_in_place},
    incoming,
    link::Link,
    reading::Reading,
    respond::{Answer, Respond},
};
use crate::{
    floor::{Buffers, Floor},
    transport::Transport,
};

/// Answers that may wait for one write when requests are pipelined.
const BATCH: usize = 64 * 1024;

/// How often one turn reads, however much the client sends.
const READS: u32 = 4;

/// How long a connection that has sent nothing yet is waited for once the server drains: its first request may be on
/// the way, but many clients open connections that they never use.
const GRACE: Duration = Duration::from_secs(1);

/// What came out of one turn.
pub(super) enum Turn {
    /// More requests may lie in what was read: go on.
    Again,
    /// Something must be waited for.
    Exchange(Box<Exchange>),
    Http2,
    /// The connection is idle, and goes on in another process.
    Move,
    /// The connection is over; `linger` when the client may still be sending.
    Close {
        linger: bool,
    },
}

impl<S: Transport> Conn<S> {
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        if self.timer.expired() {
            return self.give_up(cx);
        }
        let floor = Rc::clone(self.floor());
        if floor.is_draining() && self.left.is_empty() {
            if self.moves() {
                return Poll::Ready(Ok(Turn::Move));
            }
            if self.waits != Waits::FirstByte {
                return Poll::Ready(Ok(Turn::Close { linger: false }));
            }
            self.timer.set(GRACE.min(Floor::limit(floor.limits.first_byte).unwrap_or(GRACE)));
        }
        let mut buffers = floor.take_buffers();
        let turn = self.poll_with(cx, &mut buffers);
        floor.put_buffers(buffers);
        turn
    }

    fn poll_with(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> Poll<io::Result<Turn>> {
        if std::mem::take(&mut self.unread) {
            let left = std::mem::take(&mut self.left);
            if let Some(turn) = self.take_requests(cx, &left, &mut buffers.output) {
                return turn;
            }
            buffers.output.clear();
        }
        for _ in 0..READS {
            let mut into = ReadBuf::new(&mut buffers.input);
            match Pin::new(&mut self.io).poll_read(cx, &mut into) {
                Poll::Pending => {
                    if self.link.is_tls() {
                        // Reading may have made TLS say something: an alert, new keys.
                        let _ = Pin::new(&mut self.io).poll_flush(cx)?;
                    }
                    // What was left of a request when the drain began is answered now.
                    if self.left.is_empty() && self.floor().is_draining() && self.moves() {
                        return Poll::Ready(Ok(Turn::Move));
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            let read = into.filled();
            if read.is_empty() {
                return Poll::Ready(Ok(Turn::Close { linger: false }));
            }
            let turn = if self.left.is_empty() {
                self.take_requests(cx, read, &mut buffers.output)
            } else {
                let mut left = std::mem::take(&mut self.left);
                left.extend_from_slice(read);
                self.take_requests(cx, &left, &mut buffers.output)
            };
            if let Some(turn) = turn {
                return turn;
            }
            buffers.output.clear();
        }
        Poll::Ready(Ok(Turn::Again))
    }

    /// Answers the requests at the start of `data`, keeps what is left of it; `None`: read on.
    fn take_requests(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        output: &mut Vec<u8>,
    ) -> Option<Poll<io::Result<Turn>>> {
        if self.served == 0 && self.waits == Waits::FirstByte && !self.link.is_tls() {
            match Preface::of(data) {
                Preface::Absent => {}
                Preface::Possible => {
                    self.left = data.to_vec();
                    return None;
                }
                Preface::Present => {
                    self.left = data.to_vec();
                    return Some(Poll::Ready(Ok(Turn::Http2)));
                }
            }
        }
        let mut used = 0;
        let mut ended = loop {
            match self.next_request(cx, &data[used..], output) {
                Step::NeedMore => break None,
                Step::Answered(length) => used += length,
                Step::Done(length, turn) => {
                    used += length;
                    break Some(turn);
                }
            }
            if used == data.len() {
                break None;
            }
            if output.len() > BATCH {
                self.unread = true;
                break None;
            }
        };
        if used < data.len() {
            match &mut ended {
                // More may be on its way to us.
                Some(Turn::Close { linger }) => *linger = true,
                _ => self.left = data[used..].to_vec(),
            }
        }
        if let Some(turn) = ended {
            return Some(self.write_then(cx, output, turn));
        }
        self.await_next(used > 0);
        match self.write_all(cx, output) {
            Ok(None) => self.unread.then(|| Poll::Ready(Ok(Turn::Again))),
            Ok(Some(rest)) => Some(Poll::Ready(Ok(Turn::Exchange(Box::new(Exchange::write_rest(rest)))))),
            Err(error) => Some(Poll::Ready(Err(error))),
        }
    }

    /// Decodes and answers one request.
    fn next_request(&mut self, cx: &mut Context<'_>, data: &[u8], output: &mut Vec<u8>) -> Step {
        let floor = Rc::clone(self.floor());
        let limits = HeadLimits {
            request_line: floor.limits.request_line,
            header_bytes: floor.limits.header_bytes,
            fields: floor.limits.headers,
        };
        let (mut headers, mut head) = (Headers::new(), None);
        let length = match decode_head_in_place(data, &mut self.scan, &limits, &mut headers, &mut head) {
            Ok(length) => length,
            Err(reject) => return Step::Done(0, refuse(output, reject)),
        };
        let Some(head) = head else { return Step::NeedMore };
        if self.link.is_tls() && is_misdirected(&self.link, &head, &headers) {
            answer(output, StatusCode::MISDIRECTED_REQUEST, &date::now());
            return Step::Done(0, Turn::Close { linger: true });
        }
        self.served = self.served.saturating_add(1);
        floor.begun.set(floor.begun.get() + 1);
        let (mut body, mut reading, rest) = (Body::empty(), None, &data[length..]);
        let taken = match incoming::take_body(&head, rest, floor.limits.body, &mut body, &mut reading) {
            Ok(taken) => taken,
            Err(reject) => return Step::Done(0, refuse(output, reject)),
        };
        let mut respond = Respond::new(&head, self.keeps(&head));
        self.link.begin(head.version == http::Version::HTTP_11);
        incoming::settle_host(&head, &mut headers);
        let target = head.target.to_core();
        let request = Request::from_door(head.method, target, head.version, headers, body, self.link.clone());
        let mut app = floor.onion.handle(request);
        let used = length + taken;
        let response = match app.poll_response(cx) {
            Poll::Ready(response) => response,
            Poll::Pending => {
                let exchange = Exchange::run_app(app, respond, reading);
                return Step::Done(used, Turn::Exchange(Box::new(exchange)));
            }
        };
        self.respond(response, &mut respond, reading, used, output)
    }

    fn respond(
        &mut self,
        response: &mut Response,
        respond: &mut Respond,
        mut reading: Option<Box<Reading>>,
        used: usize,
        output: &mut Vec<u8>,
    ) -> Step {
        self.link.end_hints_into(output);
        if let Some(reading) = &mut reading {
            respond.body_unread(reading, output);
        }
        match respond.write(response, self.floor(), output) {
            Answer::Whole(None) if reading.is_none() && respond.keeps() => Step::Answered(used),
            Answer::Whole(None) if reading.is_none() => {
                Step::Done(used, Turn::Close { linger: respond.lingers() })
            }
            answer => {
                let exchange = Exchange::answer(answer, respond, reading);
                Step::Done(used, Turn::Exchange(Box::new(exchange)))
            }
        }
    }

    /// Whether the connection may serve another request after this one.
    fn keeps(&self, head: &HeadInPlace<'_>) -> bool {
        let floor = self.floor();
        let limits = &floor.limits;
        let most = limits.requests_per_connection;
        let age = Duration::from_secs(floor.timers.now_tick().wrapping_sub(self.born).into());
        head.keep_alive
            && !self.is_ended_by_drain()
            && (most == 0 || u64::from(self.served) < most)
            && (limits.connection_age.is_zero() || age < limits.connection_age)
    }

    /// Writes what is in the buffer before going on with `turn`.
    fn write_then(
        &mut self,
        cx: &mut Context<'_>,
        output: &mut Vec<u8>,
        turn: Turn,
    ) -> Poll<io::Result<Turn>> {
        if let Turn::Exchange(mut exchange) = turn {
            exchange.prepend(output);
            return Poll::Ready(Ok(Turn::Exchange(exchange)));
        }
        Poll::Ready(match self.write_all(cx, output) {
            Ok(None) => Ok(turn),
            Ok(Some(rest)) => {
                let linger = matches!(turn, Turn::Close { linger: true });
                Ok(Turn::Exchange(Box::new(Exchange::write_last(rest, linger))))
            }
            Err(error) => Err(error),
        })
    }

    /// [`write`](Self::write), and what is to be done after the answers, unless some of them has to wait.
    fn write_all(&mut self, cx: &mut Context<'_>, output: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let rest = self.write(cx, output)?;
        if rest.is_none() {
            self.link.deferred.begin();
        }
        Ok(rest)
    }

    /// Writes as much as the socket takes now; `Some` is what has to wait, nothing if it is TLS that holds it.
    fn write(&mut self, cx: &mut Context<'_>, output: &[u8]) -> io::Result<Option<Vec<u8>>> {
        let mut written = 0;
        while written < output.len() {
            match Pin::new(&mut self.io).poll_write(cx, &output[written..]) {
                Poll::Ready(Ok(0)) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(Ok(length)) => written += length,
                Poll::Ready(Err(error)) => return Err(error),
                Poll::Pending => return Ok(Some(output[written..].to_vec())),
            }
        }
        if self.link.is_tls() && !output.is_empty() && Pin::new(&mut self.io).poll_flush(cx)?.is_pending() {
            return Ok(Some(Vec::new()));
        }
        Ok(None)
    }

    /// A deadline has passed: says so where a request had begun, and closes.
    fn give_up(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        let mut output = Vec::new();
        if self.waits == Waits::Head {
            answer(&mut output, StatusCode::REQUEST_TIMEOUT, &date::now());
        }
        self.write_then(cx, &mut output, Turn::Close { linger: self.waits == Waits::Head })
    }
}

/// What came of looking for one request.
enum Step {
    NeedMore,
    /// The request took so many bytes and its answer is in the buffer.
    Answered(usize),
    /// The same, and the turn ends.
    Done(usize, Turn),
}

/// Whether a request names another server than the TLS handshake has.
fn is_misdirected(link: &Link, head: &HeadInPlace<'_>, headers: &Headers) -> bool {
    let authority = head.target.authority().or_else(|| headers.get("host"));
    let authority = authority.and_then(|authority| std::str::from_utf8(authority).ok());
    authority.is_some_and(|authority| link.is_misdirected(authority))
}

fn refuse(output: &mut Vec<u8>, reject: Reject) -> Turn {
    tracing::debug!(target: "cepa::http1", %reject, "request refused");
    answer(output, reject.status(), &date::now());
    Turn::Close { linger: true }
}
