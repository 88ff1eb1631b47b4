//! A connection between requests: reads them, has the app answer them, writes the answers.
//!
//! The common case — a whole request in one read, answered at once, written in one write — is one synchronous
//! [`Conn::poll_turn`] in the worker thread's own buffers. Whatever needs to wait goes on in an [`Exchange`].

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use cepa_core::{Body, Headers, Request, channel};
use http::StatusCode;
use tokio::io::ReadBuf;

use super::{
    Codec, Event, Reject, Rules,
    conn::{Conn, Gathered, Waits},
    exchange::Exchange,
    link::Link,
    reading::Reading,
    respond::{self, Kind, Rest},
};
use crate::{
    floor::{Buffers, Floor},
    transport::Transport,
};

/// Answers that may wait for one write.
const BATCH: usize = 64 * 1024;

/// How often one turn reads, however much comes.
const READS: u32 = 4;

/// How long a connection that has sent nothing yet is waited for once the server drains.
const GRACE: Duration = Duration::from_secs(1);

/// What of a GET is known before its method is.
const UNKNOWN: Kind = Kind { is_head: false, is_safe: true };

/// What came out of one turn.
pub(super) enum Turn {
    /// There may be more: go on.
    Again,
    /// Something must be waited for.
    Exchange(Box<Exchange>),
    /// The connection is over; `linger` when the other end may still be sending.
    Close { linger: bool },
}

impl<S: Transport, C: Codec> Conn<S, C> {
    pub(super) fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Turn>> {
        let floor = Rc::clone(&self.floor);
        let mut buffers = floor.take_buffers();
        let turn = if self.timer.expired() {
            self.give_up(cx, &mut buffers.output)
        } else {
            self.poll_with(cx, &mut buffers)
        };
        floor.put_buffers(buffers);
        turn
    }

    fn poll_with(&mut self, cx: &mut Context<'_>, buffers: &mut Buffers) -> Poll<io::Result<Turn>> {
        if self.floor.is_draining()
            && self.parked.is_none()
            && !self.codec.has_begun()
            && self.left.is_empty()
        {
            if self.waits != Waits::FirstByte {
                return Poll::Ready(Ok(Turn::Close { linger: false }));
            }
            self.timer.set(GRACE.min(Floor::limit(self.floor.limits.first_byte).unwrap_or(GRACE)));
        }
        if !self.left.is_empty() || C::STARTS && self.served == 0 {
            let left = std::mem::take(&mut self.left);
            if let Some(turn) = self.take(cx, &left, &mut buffers.output) {
                return turn;
            }
        }
        for _ in 0..READS {
            // Only if there is nothing to be read before.
            if self.left.is_empty()
                && !self.codec.has_begun()
                && let Some(parked) = self.parked.take()
            {
                return Poll::Ready(Ok(Turn::Exchange(Box::new(Exchange::resume(*parked)))));
            }
            let mut into = ReadBuf::new(&mut buffers.input);
            match Pin::new(&mut self.io).poll_read(cx, &mut into) {
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Ready(Ok(())) => {}
            }
            let read = into.filled();
            if read.is_empty() {
                return Poll::Ready(Ok(Turn::Close { linger: false }));
            }
            buffers.output.clear();
            if let Some(turn) = self.take(cx, read, &mut buffers.output) {
                return turn;
            }
        }
        Poll::Ready(Ok(Turn::Again))
    }

    /// Answers the requests in `data`; `None`: read on.
    fn take(
        &mut self,
        cx: &mut Context<'_>,
        data: &[u8],
        output: &mut Vec<u8>,
    ) -> Option<Poll<io::Result<Turn>>> {
        let (mut used, mut answered) = (0, false);
        let ended = loop {
            let (length, event) = match self.codec.decode(&data[used..], output) {
                Ok(decoded) => decoded,
                Err(reject) => break Some(self.refuse(reject, output)),
            };
            let from = used;
            used += length;
            let step = match event {
                Some(Event::Request) => self.gather(output),
                Some(Event::Data(range)) => {
                    if let Some(gathered) = &mut self.gathered {
                        gathered.body.extend_from_slice(&data[from + range.start..from + range.end]);
                    }
                    Step::On
                }
                Some(Event::Made) => {
                    let mut made = self.codec.take_made();
                    if let Some(gathered) = &mut self.gathered {
                        match gathered.body.is_empty() {
                            true => gathered.body = made,
                            false => gathered.body.append(&mut made),
                        }
                    }
                    Step::On
                }
                Some(Event::End) => {
                    self.gathered.take().map_or(Step::On, |all| self.run(cx, *all, true, output))
                }
                Some(Event::Abort) => self.give_back(output),
                Some(Event::Close) => Step::Ended(Turn::Close { linger: true }),
                None => match self.gathered.take_if(|gathered| gathered.is_begun()) {
                    Some(begun) => self.run(cx, *begun, false, output),
                    None => break None,
                },
            };
            match step {
                Step::On => {}
                Step::Answered => answered = true,
                Step::Ended(turn) => break Some(turn),
            }
            if output.len() > BATCH {
                // No more is read for somebody who does not read.
                break Some(Turn::Again);
            }
        };
        if used < data.len() && !matches!(ended, None | Some(Turn::Close { .. })) {
            self.left = data[used..].to_vec();
        }
        match ended {
            None => {
                self.await_next(answered);
                match self.write(cx, output) {
                    Ok(None) => None,
                    Ok(Some(rest)) => {
                        Some(Poll::Ready(Ok(Turn::Exchange(Box::new(Exchange::write_rest(rest, true))))))
                    }
                    Err(error) => Some(Poll::Ready(Err(error))),
                }
            }
            Some(turn) => {
                if matches!(turn, Turn::Again) {
                    self.await_next(answered);
                }
                Some(self.write_then(cx, output, turn))
            }
        }
    }

    /// Reads the variables of a request.
    fn gather(&mut self, output: &mut Vec<u8>) -> Step {
        let limits = std::sync::Arc::clone(&self.floor.limits);
        let mut headers = Headers::new();
        let rules = Rules { limits: &limits, script_is_mount: C::SCRIPT_IS_MOUNT };
        match self.codec.read_head(rules, &mut headers) {
            Ok(head) => {
                self.gathered = Some(Box::new(Gathered { head, headers, body: Vec::new() }));
                Step::On
            }
            Err(reject) => {
                self.served = self.served.saturating_add(1);
                // Where more than one answer is on its way the one that fails ends all.
                let keep = !C::AHEAD && self.keeps();
                let turn = self.refuse(reject, output);
                if keep { Step::Answered } else { Step::Ended(turn) }
            }
        }
    }

    /// Hands the request to the app; `whole` if its body is all there.
    fn run(&mut self, cx: &mut Context<'_>, gathered: Gathered, whole: bool, output: &mut Vec<u8>) -> Step {
        let Gathered { head, headers, body: came } = gathered;
        let floor = Rc::clone(&self.floor);
        self.served = self.served.saturating_add(1);
        let length = if whole { Some(came.len() as u64) } else { head.length };
        if whole && head.length.is_some_and(|length| length != came.len() as u64) {
            let keep = self.keeps();
            let turn = self.refuse(Reject::BodyLength, output);
            return if keep { Step::Answered } else { Step::Ended(turn) };
        }
        let kind = Kind::from(&head.method);
        let link = Link::new(Rc::clone(&floor), self.codec.door(), &self.front, head.client);
        let limit = floor.limits.body;
        let (body, mut reading) = match length {
            Some(0) => (Body::empty(), None),
            Some(length) if whole && length <= limit => (Body::from(Bytes::from(came)), None),
            length => {
                let (sender, incoming) = channel(length, limit);
                let mut reading = Reading::new(sender, came, length, self.now());
                if whole {
                    reading.end();
                }
                (Body::from(incoming), Some(reading))
            }
        };
        let connection = Rc::clone(&link);
        let mut request =
            Request::from_door(head.method, head.target, head.version, headers, body, connection);
        if !head.mount.is_empty() {
            request.mount_at(&head.mount);
        }
        let mut app = floor.onion.handle(request);
        let std::task::Poll::Ready(response) = app.poll_response(cx) else {
            return Step::Ended(Turn::Exchange(Box::new(Exchange::run_app(app, link, kind, reading))));
        };
        let rest = respond::write(response, kind, &self.codec, &floor, output);
        let keep = self.keeps();
        let body_left = reading.as_ref().is_some_and(|reading| !reading.is_ended());
        match rest {
            Rest::Nothing => {
                self.codec.end(output);
                if keep { Step::Answered } else { Step::Ended(Turn::Close { linger: body_left }) }
            }
            rest => {
                reading = reading.filter(|reading| !reading.is_ended() || reading.waiting() > 0);
                let exchange = Exchange::answer(rest, link, kind, reading, keep);
                Step::Ended(Turn::Exchange(Box::new(exchange)))
            }
        }
    }

    /// Ends a request that the front server has given up before an app had it.
    fn give_back(&mut self, output: &mut Vec<u8>) -> Step {
        self.gathered = None;
        let keep = self.keeps();
        self.codec.end(output);
        if keep { Step::Answered } else { Step::Ended(Turn::Close { linger: false }) }
    }

    /// Answers what was refused, if there is a request to be answered, and says why in the log of the front server.
    fn refuse(&mut self, reject: Reject, output: &mut Vec<u8>) -> Turn {
        tracing::debug!(target: "cepa::cgi", door = C::DOOR, %reject, "request refused");
        self.answer(reject.status(), &reject.to_string(), output);
        Turn::Close { linger: true }
    }

    fn answer(&mut self, status: StatusCode, why: &str, output: &mut Vec<u8>) {
        self.gathered = None;
        if self.codec.is_asked() {
            if self.codec.refuse(why, output) {
                return;
            }
            self.codec.note(why, output);
            respond::refuse(status, UNKNOWN, &self.codec, &self.floor, output);
            self.codec.end(output);
        }
    }

    /// A deadline has passed: says so where a request had begun, and closes.
    fn give_up(&mut self, cx: &mut Context<'_>, output: &mut Vec<u8>) -> Poll<io::Result<Turn>> {
        let linger = self.waits == Waits::Head && self.codec.is_asked();
        if linger {
            self.answer(
                StatusCode::REQUEST_TIMEOUT,
                "the request took longer than limits.header_time",
                output,
            );
        }
        self.write_then(cx, output, Turn::Close { linger })
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
        Poll::Ready(match self.write(cx, output) {
            Ok(None) => Ok(turn),
            Ok(Some(rest)) => {
                let mut exchange = Exchange::write_rest(rest, matches!(turn, Turn::Again));
                exchange.linger = matches!(turn, Turn::Close { linger: true });
                Ok(Turn::Exchange(Box::new(exchange)))
            }
            Err(error) => Err(error),
        })
    }

    /// Writes as much as the socket takes now; `Some` is what has to wait, nothing if it is only not flushed.
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
        if written > 0 && Pin::new(&mut self.io).poll_flush(cx)?.is_pending() {
            return Ok(Some(Vec::new()));
        }
        Ok(None)
    }
}

/// What came of an event.
enum Step {
    On,
    /// The answer is in the buffer, and the connection goes on.
    Answered,
    Ended(Turn),
}
