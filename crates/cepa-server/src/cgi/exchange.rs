//! One request whose answer has to wait: for the app, for its body, for a stream, for the front server to take what is
//! written.

mod time;

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use cepa_core::Handling;
use tokio::io::ReadBuf;

use super::{
    Codec, Event,
    conn::{Conn, Waits},
    link::Link,
    outgoing::{Outgoing, Stream},
    reading::Reading,
    respond::{self, Kind, Rest},
};
use crate::transport::Transport;

/// Seconds for which a front server that has closed its side, and to which nothing is sent, is taken to wait for the rest
/// of its answer. One that has closed altogether looks the same until something is sent to it, and is reset.
const PARTING: u32 = 2;

/// The most streams of one client.
const MOST_PARKED: usize = 16;

/// How often is read before others get their turn.
const READS: u32 = 8;

/// See the module.
pub(super) struct Exchange {
    kind: Kind,
    /// None where an answer is only to be written to its end.
    link: Option<Rc<Link>>,
    /// The links of earlier requests whose streams go on.
    others: Vec<Rc<Link>>,
    app: Option<Handling>,
    reading: Option<Reading>,
    outgoing: Outgoing,
    keep: bool,
    client: Client,
    /// The front server has given the request up.
    aborted: bool,
    /// Close with patience for what still comes.
    pub(super) linger: bool,
    /// The tick since which the app, or the front server, is waited for.
    since: u32,
    /// The tick at which the limits of time were last looked at.
    checked: u32,
}

/// Where the client is, or the front server with it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Here,
    /// Its side is closed, and it may be gone: the tick since which it was sent nothing.
    Parting(u32),
    Gone,
}

/// Streams that go on while the client asks again.
pub(super) struct Parked {
    streams: Vec<Stream>,
    links: Vec<Rc<Link>>,
    kind: Kind,
}

/// What follows an exchange.
pub(super) enum After {
    Next,
    Close { linger: bool },
}

impl Exchange {
    fn new(kind: Kind, link: Option<Rc<Link>>, keep: bool) -> Self {
        let (app, reading, outgoing, client) = (None, None, Outgoing::default(), Client::Here);
        let (others, aborted, linger, since, checked) = (Vec::new(), false, false, 0, 0);
        Self { kind, link, others, app, reading, outgoing, keep, client, aborted, linger, since, checked }
    }

    /// Waits for a handler.
    pub(super) fn run_app(app: Handling, link: Rc<Link>, kind: Kind, reading: Option<Reading>) -> Self {
        Self { app: Some(app), reading, ..Self::new(kind, Some(link), false) }
    }

    /// Writes an answer whose head is written before it, see [`prepend`](Self::prepend).
    pub(super) fn answer(
        rest: Rest,
        link: Rc<Link>,
        kind: Kind,
        reading: Option<Reading>,
        keep: bool,
    ) -> Self {
        let mut exchange = Self { reading, ..Self::new(kind, Some(link), keep) };
        exchange.outgoing.set_rest(rest);
        exchange
    }

    /// Goes on with the streams of earlier requests.
    pub(super) fn resume(parked: Parked) -> Self {
        let Parked { mut streams, mut links, kind } = parked;
        let mut exchange = Self::new(kind, links.pop(), false);
        exchange.others = links;
        exchange.outgoing.add_streams(&mut streams);
        exchange
    }

    /// Writes what a socket did not take at once.
    pub(super) fn write_rest(bytes: Vec<u8>, keep: bool) -> Self {
        let kind = Kind { is_head: false, is_safe: true };
        Self { outgoing: Outgoing::rest(bytes), ..Self::new(kind, None, keep) }
    }

    /// Puts bytes before everything else that is to be written.
    pub(super) fn prepend(&mut self, bytes: &mut Vec<u8>) {
        self.outgoing.prepend(std::mem::take(bytes));
    }

    /// Notes when it began.
    pub(super) fn begin<S: Transport, C: Codec>(&mut self, conn: &mut Conn<S, C>) {
        conn.waits = Waits::Exchange;
        self.since = conn.now();
        self.checked = self.since;
    }

    /// Whether an answer has begun, or is to come, and is not sent to its end.
    pub(super) fn is_unfinished(&self) -> bool {
        self.app.is_some() || !self.outgoing.is_empty()
    }

    /// Runs to the end of the exchange.
    pub(super) fn poll_end<S, C>(
        &mut self,
        cx: &mut Context<'_>,
        conn: &mut Conn<S, C>,
    ) -> Poll<io::Result<After>>
    where
        S: Transport,
        C: Codec,
    {
        let kept = match std::task::ready!(self.poll(cx, conn)) {
            Ok(kept) => kept,
            Err(error) => return Poll::Ready(Err(error)),
        };
        if !kept {
            let body_left = self.reading.as_ref().is_some_and(|reading| !reading.is_ended());
            let linger = (self.linger || body_left) && self.client == Client::Here;
            return Poll::Ready(Ok(After::Close { linger }));
        }
        conn.await_next(true);
        Poll::Ready(Ok(After::Next))
    }

    /// Ready with whether the connection goes on.
    fn poll<S, C>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S, C>) -> Poll<io::Result<bool>>
    where
        S: Transport,
        C: Codec,
    {
        // With every tick, not only when the timer fires: what keeps coming sets the timer anew each time.
        if (conn.timer.expired() || self.checked != conn.now())
            && let Some(ended) = self.expired(conn)
        {
            return Poll::Ready(ended);
        }
        loop {
            if let Err(error) = self.poll_read(cx, conn) {
                return Poll::Ready(Err(error));
            }
            if !self.poll_app(cx, conn) {
                return Poll::Ready(Ok(self.give_back(conn)));
            }
            if let Some(ended) = self.share(conn) {
                return Poll::Ready(ended);
            }
            if self.reading.as_ref().is_some_and(Reading::is_wanted) {
                conn.codec.pull(self.outgoing.replies());
            }
            // A handler that has just asked for the body changes what is to be read.
            if self.reading.as_ref().is_some_and(|reading| reading.is_wanted() && reading.waiting() > 0) {
                continue;
            }
            let written = match self.outgoing.poll_write(cx, &mut conn.io, &mut conn.codec) {
                Ok(written) => written,
                // A handler that is to complete does so although nobody hears of it.
                Err(_) if self.app.is_some() => {
                    self.outgoing = Outgoing::default();
                    self.client_gone();
                    continue;
                }
                Err(error) => return Poll::Ready(Err(error)),
            };
            if self.outgoing.has_moved()
                && let Client::Parting(since) = &mut self.client
            {
                *since = conn.now();
            }
            if self.app.is_none() && written.is_ready() {
                return Poll::Ready(Ok(self.keep && self.client == Client::Here));
            }
            if self.outgoing.waiting() > 0 {
                if let Err(error) = self.poll_read(cx, conn) {
                    return Poll::Ready(Err(error));
                }
                if self.reading.as_ref().is_some_and(|reading| reading.is_wanted() && reading.waiting() > 0) {
                    continue;
                }
            }
            if conn.codec.listens() && self.shares(conn) {
                continue;
            }
            if self.app.is_none() && self.outgoing.awaits_stream() && self.is_left(conn.now()) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            break;
        }
        self.set_deadline(conn);
        Poll::Pending
    }

    fn client_gone(&mut self) {
        self.client = Client::Gone;
        self.close_links();
    }

    fn close_links(&self) {
        self.link.iter().chain(&self.others).for_each(|link| link.close());
    }

    /// Has the streams of earlier requests go on beside this one's, once that is answered; leaves all of them to the next
    /// request as soon as something of it has come.
    fn share<S, C: Codec>(&mut self, conn: &mut Conn<S, C>) -> Option<io::Result<bool>> {
        if !conn.codec.listens() {
            return None;
        }
        if let Some(mut parked) = conn.parked.take() {
            self.outgoing.add_streams(&mut parked.streams);
            self.others.append(&mut parked.links);
        }
        if !self.shares(conn) {
            return None;
        }
        let streams = self.outgoing.take_streams();
        if streams.len() > MOST_PARKED {
            return Some(Err(io::ErrorKind::QuotaExceeded.into()));
        }
        let links = self.others.drain(..).chain(self.link.take()).collect();
        conn.parked = Some(Box::new(Parked { streams, links, kind: self.kind }));
        Some(Ok(true))
    }

    /// Whether the next request has begun, and may be read.
    fn shares<S, C>(&self, conn: &Conn<S, C>) -> bool {
        !conn.left.is_empty() && self.outgoing.awaits_stream() && self.client == Client::Here
    }

    /// Whether the client is gone for good, and the request is one that ends with that.
    fn is_left(&self, now: u32) -> bool {
        let gone = match self.client {
            Client::Here => self.aborted,
            Client::Parting(since) => now.wrapping_sub(since) >= PARTING,
            Client::Gone => true,
        };
        gone && self.link.as_ref().is_some_and(|link| link.cancels(self.kind.is_safe))
    }

    /// Runs the handler; `false` when it is to be cancelled because the client is gone, or nobody waits for its answer.
    fn poll_app<S: Transport, C: Codec>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S, C>) -> bool {
        let Some(app) = &mut self.app else { return true };
        let Poll::Ready(mut response) = Pin::new(app).poll(cx) else { return !self.is_left(conn.now()) };
        self.app = None;
        if self.aborted {
            return false;
        }
        self.keep = conn.keeps();
        let rest = respond::write(&mut response, self.kind, &conn.codec, &conn.floor, self.outgoing.head());
        self.since = conn.now();
        self.outgoing.set_rest(rest);
        true
    }

    /// Ends a request that the client has given up before its answer began; whether the connection goes on.
    fn give_back<S: Transport, C: Codec>(&mut self, conn: &mut Conn<S, C>) -> bool {
        self.app = None;
        self.outgoing = Outgoing::default();
        if !self.aborted || self.client != Client::Here {
            return false;
        }
        let mut end = Vec::new();
        let keep = conn.keeps();
        conn.codec.end(&mut end);
        // These few bytes find room, or the front server reads nothing at all.
        match Pin::new(&mut conn.io).poll_write(&mut Context::from_waker(std::task::Waker::noop()), &end) {
            Poll::Ready(Ok(length)) => keep && length == end.len(),
            _ => false,
        }
    }

    /// Reads the body ahead of the app, as far as there is room for it; then watches for the other end to leave.
    fn poll_read<S, C>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S, C>) -> io::Result<()>
    where
        S: Transport,
        C: Codec,
    {
        for _ in 0..READS {
            // What comes behind a request belongs to the next one, and that is for a turn.
            let listens = conn.codec.listens();
            if self.link.is_none() || !conn.codec.is_asked() && !listens || listens && !conn.left.is_empty() {
                return Ok(());
            }
            if !conn.left.is_empty() {
                let mut left = std::mem::take(&mut conn.left);
                let used = self.decode(&left, conn)?;
                if C::AHEAD {
                    left.drain(..used);
                    conn.left = left;
                }
            }
            let now = conn.now();
            let body = match &mut self.reading {
                Some(reading) => {
                    if reading.poll_hand_over(cx, now) {
                        // The app's own time starts anew with every piece it gets.
                        self.since = now;
                    }
                    !reading.is_ended()
                }
                None => false,
            };
            let limits = &conn.floor.limits;
            // Some take none of the answer before they have brought all of the body, so that both ends would wait.
            let ahead = if self.outgoing.waiting() > 0 { limits.body } else { 0 }.max(limits.pipeline as u64);
            let full = self.reading.as_ref().map_or(0, Reading::waiting) as u64 >= ahead
                || self.outgoing.replies().len().max(conn.left.len()) >= limits.pipeline;
            if full || self.client != Client::Here || !body && !C::WATCHES {
                return Ok(());
            }
            match read(cx, conn) {
                Poll::Pending => return Ok(()),
                Poll::Ready(Ok(1..)) => {}
                Poll::Ready(ended) => {
                    if let Some(reading) = &mut self.reading {
                        reading.cut_off();
                    }
                    self.keep = false;
                    self.client = if ended.is_ok() { Client::Parting(now) } else { Client::Gone };
                    self.close_links();
                    return Ok(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Decodes what has come beside the request at hand, and answers how much of it that is.
    fn decode<S: Transport, C: Codec>(&mut self, input: &[u8], conn: &mut Conn<S, C>) -> io::Result<usize> {
        let (mut at, now) = (0, conn.now());
        loop {
            let decoded = conn.codec.decode(&input[at..], self.outgoing.replies());
            // Where the next record begins nobody knows any more, so none may be sent either.
            let (used, event) =
                decoded.map_err(|reject| io::Error::new(io::ErrorKind::InvalidData, reject))?;
            let from = at;
            at += used;
            match (event, &mut self.reading) {
                (None, _) => return Ok(at),
                (Some(Event::Data(range)), Some(reading)) => {
                    reading.take(&input[from + range.start..from + range.end], now);
                }
                (Some(Event::Made), Some(reading)) => reading.take(&conn.codec.take_made(), now),
                (Some(Event::End), Some(reading)) => reading.end(),
                (Some(Event::Abort), reading) => {
                    if let Some(reading) = reading {
                        reading.cut_off();
                    }
                    self.aborted = true;
                    self.link.iter().for_each(|link| link.close());
                }
                (Some(Event::Close), _) => self.keep = false,
                // Of a body that nobody reads; and a request does not come before the one at hand is answered.
                (Some(Event::Request | Event::Data(_) | Event::Made | Event::End), _) => {}
            }
            if self.app.is_none() && (self.aborted || matches!(self.client, Client::Gone)) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
    }
}

/// Reads once into `conn.left`, answering the number of bytes.
fn read<S: Transport, C: Codec>(cx: &mut Context<'_>, conn: &mut Conn<S, C>) -> Poll<io::Result<usize>> {
    let floor = Rc::clone(&conn.floor);
    let mut buffers = floor.take_buffers();
    let mut into = ReadBuf::new(&mut buffers.input);
    let polled = Pin::new(&mut conn.io).poll_read(cx, &mut into);
    let length = into.filled().len();
    conn.left.extend_from_slice(into.filled());
    floor.put_buffers(buffers);
    polled.map_ok(|()| length)
}
