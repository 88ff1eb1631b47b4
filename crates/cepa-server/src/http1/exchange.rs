//! One request whose answer has to wait: for the app, for the request body, for a stream, for the client
//! to take what is written.
//!
//! An exchange lives in a box of its own from the moment a turn cannot finish at once until the
//! connection is idle again. It reads from the socket only what the app asks for, and asks the app for
//! more only when the client has taken what was written.

mod leave;
mod time;

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use cepa_core::{Body, Handling, OnUpgrade};
use tokio::io::ReadBuf;

pub(super) use self::leave::Left;
pub(super) use super::reading::Reading;
use super::{
    Framing,
    conn::Conn,
    outgoing::Outgoing,
    respond::{Answer, CONTINUE, DRAINED, Kind, Respond},
};
use crate::transport::Transport;

/// Seconds for which a client that has closed its side, and to which nothing is sent, is taken to wait for the rest of
/// its answer. One that has closed altogether looks the same until something is sent to it, and is reset.
const PARTING: u32 = 2;

/// See the module.
pub(crate) struct Exchange {
    /// What is answered; decides whether the client's leaving ends it.
    method: Kind,
    app: Option<App>,
    reading: Option<Box<Reading>>,
    outgoing: Outgoing,
    upgrade: Option<OnUpgrade>,
    keep: bool,
    client: Client,
    /// Close with patience for what the client still sends.
    linger: bool,
    /// Bytes of the request body thrown away after the answer.
    thrown: u64,
    /// The tick since which the app, or the client, is waited for.
    since: u32,
    /// The tick at which the limits of time were last looked at.
    checked: u32,
    /// Its number among those that wait to leave for another process.
    number: u32,
    /// It has left.
    left: Option<Box<Left>>,
}

/// Where the client is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Client {
    Here,
    /// It has closed its side, and may be gone: the tick since which it was sent nothing.
    Parting(u32),
    Gone,
}

/// What follows an exchange.
pub(super) enum After {
    Next,
    Close {
        linger: bool,
    },
    Upgrade(OnUpgrade),
    /// The answer goes on in another process.
    Leave(Box<Left>),
}

/// A handler at work.
struct App {
    future: Handling,
    respond: Respond,
}

impl Exchange {
    fn new(method: Kind, outgoing: Outgoing, keep: bool) -> Self {
        let (app, reading, upgrade, client) = (None, None, None, Client::Here);
        Self {
            method,
            app,
            reading,
            outgoing,
            upgrade,
            keep,
            client,
            linger: false,
            thrown: 0,
            since: 0,
            checked: 0,
            number: 0,
            left: None,
        }
    }

    /// Waits for a handler.
    pub(super) fn run_app(future: Handling, respond: Respond, reading: Option<Box<Reading>>) -> Self {
        let (method, keep) = (respond.method, respond.keeps());
        Self { app: Some(App { future, respond }), reading, ..Self::new(method, Outgoing::default(), keep) }
    }

    /// Writes an answer whose head is written before it, see [`prepend`](Self::prepend).
    pub(super) fn answer(answer: Answer, respond: &Respond, reading: Option<Box<Reading>>) -> Self {
        let base = Self::new(respond.method, Outgoing::default(), respond.keeps());
        let mut exchange = Self { reading, linger: respond.lingers(), ..base };
        exchange.take_answer(answer);
        exchange
    }

    /// Goes on with an answer that has begun in another process.
    pub(super) fn resumed(body: Body, framing: Framing, keep: bool) -> Self {
        let mut exchange = Self::new(Kind::Safe, Outgoing::default(), keep);
        exchange.outgoing.set_stream(body, framing);
        exchange
    }

    /// Writes what a socket did not take at once.
    pub(super) fn write_rest(bytes: Vec<u8>) -> Self {
        Self::new(Kind::Safe, Outgoing::rest(bytes), true)
    }

    /// Writes what a socket did not take at once, then closes.
    pub(super) fn write_last(bytes: Vec<u8>, linger: bool) -> Self {
        Self { linger, ..Self::new(Kind::Safe, Outgoing::rest(bytes), false) }
    }

    /// Puts bytes before everything else that is to be written.
    pub(super) fn prepend(&mut self, bytes: &mut Vec<u8>) {
        self.outgoing.prepend(std::mem::take(bytes));
    }

    fn take_answer(&mut self, answer: Answer) {
        match answer {
            Answer::Whole(None) => {}
            Answer::Whole(Some(bytes)) => self.outgoing.push_bytes(bytes),
            Answer::Stream(body, framing) => self.outgoing.set_stream(body, framing),
            Answer::Upgrade(run) => self.upgrade = Some(run),
        }
    }

    /// Notes when it began.
    pub(super) fn begin<S>(&mut self, conn: &Conn<S>) {
        self.since = conn.timer.timers().now_tick();
        self.checked = self.since;
        if conn.link.is_closed() {
            self.client = Client::Parting(self.since);
        }
    }

    /// Whether an answer has begun, or is to come, and is not sent to its end.
    pub(super) fn is_unfinished(&self) -> bool {
        self.app.is_some() || !self.outgoing.is_empty()
    }

    /// Runs to the end of the exchange.
    pub(super) fn poll_end<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<io::Result<After>>
    where
        S: Transport,
    {
        let ended = ready!(self.poll(cx, conn));
        conn.link.end_hints();
        conn.link.deferred.begin();
        let kept = ended?;
        if let Some(left) = self.left.take() {
            return Poll::Ready(Ok(After::Leave(left)));
        }
        if conn.left.is_empty() {
            // Its memory goes too: what follows may last.
            conn.left = Vec::new();
        }
        if let Some(run) = self.upgrade.take() {
            conn.timer.clear();
            return Poll::Ready(Ok(After::Upgrade(run)));
        }
        if !kept {
            let body_left = self.reading.as_ref().is_some_and(|reading| !reading.is_ended());
            return Poll::Ready(Ok(After::Close {
                linger: self.linger || body_left || !conn.left.is_empty(),
            }));
        }
        conn.unread = !conn.left.is_empty();
        conn.await_next(true);
        Poll::Ready(Ok(After::Next))
    }

    /// Ready with whether the connection goes on.
    fn poll<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<io::Result<bool>>
    where
        S: Transport,
    {
        // With every tick, not only when the timer fires: what keeps coming sets the timer anew each time.
        let now = conn.timer.timers().now_tick();
        if (conn.timer.expired() || self.checked != now)
            && let Some(ended) = self.expired(conn)
        {
            return Poll::Ready(ended);
        }
        loop {
            self.poll_read(cx, conn);
            if let Poll::Ready(false) = self.poll_app(cx, conn) {
                return Poll::Ready(Ok(false));
            }
            // A handler that has just asked for the body, or has gone, changes what is to be read.
            if self.reads_on(conn) {
                continue;
            }
            let written = match self.outgoing.poll_write(cx, &mut conn.io) {
                Ok(written) => written,
                // A handler that is to complete does so although nobody hears of it.
                Err(_) if self.app.is_some() => {
                    self.outgoing = Outgoing::default();
                    self.client_gone(conn);
                    continue;
                }
                Err(error) => return Poll::Ready(Err(error)),
            };
            if self.outgoing.has_moved()
                && let Client::Parting(since) = &mut self.client
            {
                *since = conn.timer.timers().now_tick();
            }
            if self.app.is_none() && written.is_ready() {
                if !self.keep || self.upgrade.is_some() {
                    return Poll::Ready(Ok(false));
                }
                ready!(self.poll_drain(cx, conn));
                return Poll::Ready(Ok(self.keep));
            }
            if self.outgoing.awaits_stream() && self.is_left(conn) {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            if self.outgoing.awaits_stream() && self.poll_leave(cx, conn) {
                if self.left.is_some() {
                    return Poll::Ready(Ok(self.keep));
                }
                continue;
            }
            break;
        }
        if conn.left.is_empty() {
            conn.left = Vec::new();
        }
        self.set_deadline(conn);
        Poll::Pending
    }

    /// The client has closed its side: it sends no more, but may still read.
    fn client_parts<S>(&mut self, conn: &Conn<S>) {
        self.client = Client::Parting(conn.timer.timers().now_tick());
        conn.link.close();
    }

    fn client_gone<S>(&mut self, conn: &Conn<S>) {
        self.client = Client::Gone;
        conn.link.close();
    }

    /// Whether the client is gone for good, and the request is one that ends with that.
    fn is_left<S>(&self, conn: &Conn<S>) -> bool {
        let gone = match self.client {
            Client::Here => false,
            Client::Parting(since) => conn.timer.timers().now_tick().wrapping_sub(since) >= PARTING,
            Client::Gone => true,
        };
        gone && conn.link.cancels(self.method.is_safe())
    }

    /// Runs the handler; ready with `false` when it was cancelled because the client is gone.
    fn poll_app<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<bool>
    where
        S: Transport,
    {
        let Some(app) = &mut self.app else { return Poll::Ready(true) };
        let polled = Pin::new(&mut app.future).poll(cx);
        self.outgoing.push(&conn.link.take_hints());
        let Poll::Ready(mut response) = polled else {
            return if self.is_left(conn) { Poll::Ready(false) } else { Poll::Pending };
        };
        let Some(App { future, mut respond }) = self.app.take() else { return Poll::Ready(true) };
        drop(future);
        let mut head = conn.link.end_hints();
        if let Some(reading) = self.reading.as_mut().filter(|reading| !reading.is_ended()) {
            respond.body_unread(reading, &mut head);
        }
        // A client that has closed its side may have sent more requests before.
        let last = conn.link.is_closed() && conn.left.is_empty();
        if !self.keep || last || conn.is_ended_by_drain() {
            respond.close();
        }
        let answer = respond.write(&mut response, conn.floor(), &mut head);
        self.outgoing.push(&head);
        self.keep = respond.keeps();
        self.linger |= respond.lingers();
        self.since = conn.timer.timers().now_tick();
        self.take_answer(answer);
        Poll::Ready(true)
    }

    /// Whether reading can go on at once.
    fn reads_on<S>(&self, conn: &Conn<S>) -> bool {
        let wanted = self.reading.as_ref().is_some_and(|reading| reading.is_wanted());
        wanted && !conn.left.is_empty()
    }

    /// Reads what the app asks for; with nothing asked for, reads ahead, to see the client leave.
    fn poll_read<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>)
    where
        S: Transport,
    {
        if let Some(reading) = &mut self.reading
            && !reading.is_ended()
            && reading.poll_wanted(cx)
        {
            if reading.take_continue() {
                self.outgoing.push(CONTINUE);
            }
            return self.read_body(cx, conn);
        }
        while !conn.link.is_closed() && conn.left.len() < conn.floor().limits.pipeline {
            match read(cx, conn) {
                Poll::Pending => break,
                Poll::Ready(Ok(0)) => self.client_parts(conn),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => self.client_gone(conn),
            }
        }
    }

    fn read_body<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>)
    where
        S: Transport,
    {
        let now = conn.timer.timers().now_tick();
        while let Some(reading) = &mut self.reading {
            if !conn.left.is_empty() {
                let used = reading.feed(&conn.left);
                conn.left.drain(..used);
                reading.came(now);
                // The app's own time starts anew with every piece it gets.
                self.since = now;
                if reading.is_broken() {
                    (self.keep, self.linger) = (false, true);
                }
                if reading.is_ended() || !reading.is_wanted() {
                    return;
                }
            }
            if conn.link.is_closed() {
                self.keep = false;
                return reading.cut_off();
            }
            match read(cx, conn) {
                Poll::Pending => return reading.waits(now),
                Poll::Ready(Ok(0)) => self.client_parts(conn),
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => self.client_gone(conn),
            }
        }
    }

    /// After the answer: reads what is left of the request body and throws it away.
    fn poll_drain<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<()>
    where
        S: Transport,
    {
        let Some(reading) = &mut self.reading else { return Poll::Ready(()) };
        while !reading.is_ended() {
            if !conn.left.is_empty() {
                let used = reading.feed(&conn.left);
                conn.left.drain(..used);
                self.thrown += used as u64;
            } else {
                match read(cx, conn) {
                    Poll::Pending => {
                        self.set_deadline(conn);
                        return Poll::Pending;
                    }
                    Poll::Ready(Ok(1..)) => continue,
                    Poll::Ready(_) => self.keep = false,
                }
            }
            if reading.is_broken() || self.thrown > DRAINED || !self.keep {
                (self.keep, self.linger) = (false, true);
                break;
            }
        }
        Poll::Ready(())
    }
}

/// Reads once into `conn.left`, answering the number of bytes.
fn read<S>(cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<io::Result<usize>>
where
    S: Transport,
{
    let floor = conn.link.floor.clone();
    let mut buffers = floor.take_buffers();
    let mut into = ReadBuf::new(&mut buffers.input);
    let polled = Pin::new(&mut conn.io).poll_read(cx, &mut into);
    let length = into.filled().len();
    conn.left.extend_from_slice(into.filled());
    floor.put_buffers(buffers);
    polled.map_ok(|()| length)
}
