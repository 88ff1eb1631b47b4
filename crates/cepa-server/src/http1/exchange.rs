//! One request whose answer has to wait: for the app, for the request body, for a stream, for the client
//! to take what is written.
//!
//! An exchange lives in a box of its own from the moment a turn cannot finish at once until the
//! connection is idle again. It reads from the socket only what the app asks for, and asks the app for
//! more only when the client has taken what was written.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use cepa_core::{Error, Handling, OnUpgrade};
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(super) use super::reading::Reading;
use super::{
    answer,
    connection::{After, Conn},
    date,
    outgoing::Outgoing,
    respond::{Answer, CONTINUE, DRAINED, Respond},
};
use crate::floor::Floor;

/// See the module.
pub(crate) struct Exchange {
    app: Option<App>,
    reading: Option<Reading>,
    outgoing: Outgoing,
    upgrade: Option<OnUpgrade>,
    keep: bool,
    /// Close with patience for what the client still sends.
    linger: bool,
    /// Bytes of the request body thrown away after the answer.
    thrown: u64,
    /// The tick since which the app, or the client, is waited for.
    since: u32,
}

/// A handler at work.
struct App {
    future: Handling,
    respond: Respond,
}

impl Exchange {
    fn new(outgoing: Outgoing, keep: bool) -> Self {
        let (app, reading, upgrade) = (None, None, None);
        Self { app, reading, outgoing, upgrade, keep, linger: false, thrown: 0, since: 0 }
    }

    /// Waits for a handler.
    pub(super) fn run_app(future: Handling, respond: Respond, reading: Option<Reading>) -> Self {
        let keep = respond.keeps();
        Self { app: Some(App { future, respond }), reading, ..Self::new(Outgoing::default(), keep) }
    }

    /// Writes an answer whose head is written before it, see [`prepend`](Self::prepend).
    pub(super) fn answer(answer: Answer, keep: bool, reading: Option<Reading>) -> Self {
        let mut exchange = Self { reading, ..Self::new(Outgoing::default(), keep) };
        exchange.take_answer(answer);
        exchange
    }

    /// Writes what a socket did not take at once.
    pub(super) fn write_rest(bytes: Vec<u8>) -> Self {
        Self::new(Outgoing::new(bytes), true)
    }

    /// Writes what a socket did not take at once, then closes.
    pub(super) fn write_last(bytes: Vec<u8>, linger: bool) -> Self {
        Self { linger, ..Self::new(Outgoing::new(bytes), false) }
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
    }

    /// Runs to the end of the exchange.
    pub(super) fn poll_end<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<io::Result<After>>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let ended = ready!(self.poll(cx, conn));
        conn.link.end_hints();
        let kept = ended?;
        if let Some(run) = self.upgrade.take() {
            conn.timer.clear();
            return Poll::Ready(Ok(After::Upgrade(run)));
        }
        if !kept {
            let body_left = self.reading.as_ref().is_some_and(|reading| !reading.is_ended());
            return Poll::Ready(Ok(After::Close { linger: self.linger || body_left }));
        }
        conn.unread = !conn.left.is_empty();
        conn.await_next(true);
        Poll::Ready(Ok(After::Next))
    }

    /// Ready with whether the connection goes on.
    fn poll<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<io::Result<bool>>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        if conn.timer.expired()
            && let Some(ended) = self.expired(conn)
        {
            return Poll::Ready(ended);
        }
        loop {
            self.poll_read(cx, conn)?;
            if let Poll::Ready(false) = self.poll_app(cx, conn) {
                return Poll::Ready(Ok(false));
            }
            // A handler that has just asked for the body, or has gone, changes what is to be read.
            if self.reads_on(conn) {
                continue;
            }
            let written = self.outgoing.poll_write(cx, &mut conn.io)?;
            if self.app.is_none() && written.is_ready() {
                if !self.keep || self.upgrade.is_some() {
                    return Poll::Ready(Ok(false));
                }
                ready!(self.poll_drain(cx, conn))?;
                return Poll::Ready(Ok(self.keep));
            }
            break;
        }
        self.set_deadline(conn);
        Poll::Pending
    }

    /// Runs the handler; ready with `false` when it was cancelled because the client is gone.
    fn poll_app<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<bool>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Some(app) = &mut self.app else { return Poll::Ready(true) };
        let polled = Pin::new(&mut app.future).poll(cx);
        self.outgoing.push(&conn.link.take_hints());
        let Poll::Ready(mut response) = polled else {
            let gone = conn.link.is_closed() && conn.link.cancels(&app.respond.method);
            return if gone { Poll::Ready(false) } else { Poll::Pending };
        };
        let Some(App { future, mut respond }) = self.app.take() else { return Poll::Ready(true) };
        drop(future);
        let mut head = conn.link.end_hints();
        if let Some(reading) = self.reading.as_mut().filter(|reading| !reading.is_ended()) {
            respond.body_unread(reading, &mut head);
        }
        if !self.keep || conn.link.is_closed() {
            respond.close();
        }
        let answer = respond.write(&mut response, conn.floor(), &mut head);
        self.outgoing.push(&head);
        self.keep = respond.keeps();
        self.since = conn.timer.timers().now_tick();
        self.take_answer(answer);
        Poll::Ready(true)
    }

    /// Whether reading can go on at once.
    fn reads_on<S>(&self, conn: &Conn<S>) -> bool {
        let wanted = self.reading.as_ref().is_some_and(Reading::is_wanted);
        wanted && !conn.left.is_empty()
    }

    /// Reads what the app asks for; with nothing asked for, watches for the client to leave.
    fn poll_read<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        if let Some(reading) = &mut self.reading
            && !reading.is_ended()
        {
            if reading.poll_wanted(cx) {
                if reading.take_continue() {
                    self.outgoing.push(CONTINUE);
                }
                self.read_body(cx, conn)?;
            }
            return Ok(());
        }
        while !conn.link.is_closed() && conn.left.len() < conn.floor().limits.pipeline {
            match read(cx, conn)? {
                Poll::Pending => break,
                Poll::Ready(0) => conn.link.close(),
                Poll::Ready(_) => {}
            }
        }
        Ok(())
    }

    fn read_body<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> io::Result<()>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Some(reading) = &mut self.reading else { return Ok(()) };
        let now = conn.timer.timers().now_tick();
        loop {
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
                    return Ok(());
                }
            }
            match read(cx, conn)? {
                Poll::Pending => {
                    reading.waits(now);
                    return Ok(());
                }
                Poll::Ready(0) => {
                    conn.link.close();
                    self.keep = false;
                    reading.cut_off();
                    return Ok(());
                }
                Poll::Ready(_) => {}
            }
        }
    }

    /// After the answer: reads what is left of the request body and throws it away.
    fn poll_drain<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<io::Result<()>>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let Some(reading) = &mut self.reading else { return Poll::Ready(Ok(())) };
        while !reading.is_ended() {
            if !conn.left.is_empty() {
                let used = reading.feed(&conn.left);
                conn.left.drain(..used);
                self.thrown += used as u64;
            } else {
                match read(cx, conn)? {
                    Poll::Pending => {
                        self.set_deadline(conn);
                        return Poll::Pending;
                    }
                    Poll::Ready(0) => self.keep = false,
                    Poll::Ready(_) => continue,
                }
            }
            if reading.is_broken() || self.thrown > DRAINED || !self.keep {
                (self.keep, self.linger) = (false, true);
                break;
            }
        }
        Poll::Ready(Ok(()))
    }

    /// A deadline has come; answers how the exchange ends by it, if it does.
    fn expired<S>(&mut self, conn: &mut Conn<S>) -> Option<io::Result<bool>>
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        conn.timer.clear();
        let now = conn.timer.timers().now_tick();
        let limits = conn.floor().limits.clone();
        if let Some(reading) = &mut self.reading
            && reading.is_too_slow(now, &limits)
        {
            (self.keep, self.linger) = (false, true);
            reading.fail(Error::status_only(StatusCode::REQUEST_TIMEOUT));
            return if self.app.is_some() { None } else { Some(Ok(false)) };
        }
        if self.app.is_some() {
            let most = self.request_time(conn)?;
            if now.wrapping_sub(self.since) >= most {
                tracing::warn!(target: "cepa::http1", "a request took longer than limits.request_time");
                self.app = None;
                (self.keep, self.linger) = (false, true);
                let mut head = conn.link.end_hints();
                answer(&mut head, StatusCode::SERVICE_UNAVAILABLE, &date::now());
                self.outgoing.push(&head);
                self.since = now;
            }
            return None;
        }
        if self.outgoing.stalls(now, limits.write_stall) {
            return Some(Err(io::ErrorKind::TimedOut.into()));
        }
        let drains = self.reading.as_ref().is_some_and(|reading| !reading.is_ended());
        let most = Floor::limit(limits.header_time)?.as_secs() as u32;
        (drains && self.outgoing.is_empty() && now.wrapping_sub(self.since) >= most).then_some(Ok(false))
    }

    /// Whole seconds that the app may take; `None`: any time.
    fn request_time<S>(&self, conn: &Conn<S>) -> Option<u32> {
        let time = conn.link.policy().request_time.unwrap_or(conn.link.floor.limits.request_time);
        Floor::limit(time).map(|time| time.as_secs().max(1) as u32)
    }

    /// Wakes up again at the next moment at which a limit may have been passed.
    fn set_deadline<S>(&mut self, conn: &mut Conn<S>)
    where
        S: AsyncRead + AsyncWrite + Unpin + 'static,
    {
        let now = conn.timer.timers().now_tick();
        let limits = conn.link.floor.limits.clone();
        let mut next: Option<u32> = None;
        let mut at_most = |seconds: u32| next = Some(next.map_or(seconds, |next| next.min(seconds)));
        if let Some(reading) = &self.reading
            && let Some(seconds) = reading.deadline(now, &limits)
        {
            at_most(seconds);
        }
        if self.app.is_some() {
            if let Some(most) = self.request_time(conn) {
                at_most(most.saturating_sub(now.wrapping_sub(self.since)));
            }
        } else if self.reading.as_ref().is_some_and(|reading| !reading.is_ended()) {
            at_most(limits.header_time.as_secs() as u32);
        }
        if let Some(seconds) = self.outgoing.deadline(now, limits.write_stall) {
            at_most(seconds);
        }
        match next {
            Some(seconds) => conn.timer.set(std::time::Duration::from_secs(seconds.max(1).into())),
            None => conn.timer.clear(),
        }
    }
}

/// Reads once into `conn.left`, answering the number of bytes.
fn read<S>(cx: &mut Context<'_>, conn: &mut Conn<S>) -> io::Result<Poll<usize>>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let floor = conn.link.floor.clone();
    let mut buffers = floor.take_buffers();
    let mut into = ReadBuf::new(&mut buffers.input);
    let polled = Pin::new(&mut conn.io).poll_read(cx, &mut into);
    let length = into.filled().len();
    conn.left.extend_from_slice(into.filled());
    floor.put_buffers(buffers);
    match polled {
        Poll::Pending => Ok(Poll::Pending),
        Poll::Ready(Ok(())) => Ok(Poll::Ready(length)),
        // A client that resets the connection is gone, like one that closes it.
        Poll::Ready(Err(error)) if error.kind() == io::ErrorKind::ConnectionReset => Ok(Poll::Ready(0)),
        Poll::Ready(Err(error)) => Err(error),
    }
}
