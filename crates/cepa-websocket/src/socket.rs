//! A WebSocket as a handler has it.
//!
//! It works whenever the handler waits in one of its methods: pings are answered, the client is pinged, the drain is
//! heard of. While it waits for the client it holds no buffer.

mod clock;
mod input;
mod output;
mod run;
mod scratch;

use std::{
    borrow::Cow,
    fmt,
    future::poll_fn,
    io,
    task::{Context, Poll, ready},
};

use cepa_core::{Io, LocalBoxFuture, Parked, Result};
use serde::Serialize;
use tokio::time::Instant;

use self::{
    clock::Clock,
    input::{Failure, Input},
    output::Output,
};
pub(crate) use self::{clock::Times, run::run};
use crate::{
    Close, CloseCode, Decoder, Event, Message, Prepared, SocketError,
    encode::{Encoder, encode_control},
    frame::Opcode,
};

/// Bytes that are thrown away of what a client sends after it was told that it must go.
const THROWN: usize = 1 << 20;

/// An open WebSocket.
///
/// [`recv`](Self::recv) must be waited in for the WebSocket to live: it also answers pings and sends them. It is safe to
/// cancel, so that it stands beside other things to wait for in a `select!`.
pub struct Socket {
    io: Box<dyn Io>,
    input: Input,
    encoder: Encoder,
    output: Output,
    clock: Clock,
    /// Gone once the server drains.
    draining: Option<LocalBoxFuture<'static, ()>>,
    phase: Phase,
    error: Option<SocketError>,
    close: Option<Box<Close>>,
    protocol: Option<Box<str>>,
}

/// How far the end has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Open,
    /// It is at rest, and may go on in another process.
    Leaving,
    /// We have said Close, and wait for the client to say it.
    Closing,
    /// What is to be written goes out, then nothing more; then, if the client may still send, it is read to its end.
    Finishing {
        linger: bool,
    },
    /// Reads and throws away, or the client would be reset before it has read the Close. So many bytes may come.
    Lingering(usize),
    Ended,
}

impl Socket {
    pub(crate) fn new(
        io: Box<dyn Io>,
        decoder: Decoder,
        encoder: Encoder,
        times: Times,
        protocol: Option<Box<str>>,
        draining: LocalBoxFuture<'static, ()>,
    ) -> Self {
        Self {
            io,
            input: Input::new(decoder),
            encoder,
            output: Output::default(),
            clock: Clock::new(times),
            draining: Some(draining),
            phase: Phase::Open,
            error: None,
            close: None,
            protocol,
        }
    }

    /// The next message; `None` once the WebSocket is closed in order, by the client, by [`close`](Self::close), or with
    /// 1001 because the server drains; or when it may [leave](Self::resumed_by) for another process.
    ///
    /// When it is cancelled nothing is lost.
    ///
    /// # Errors
    /// What has ended the WebSocket out of order, told once; the client was told its code, where there is one.
    pub async fn recv(&mut self) -> Result<Option<Message>, SocketError> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Sends a message: waits until it is written to the connection.
    ///
    /// When it is cancelled the message goes out whole or not at all.
    ///
    /// # Errors
    /// [`SocketError::Closed`] once either end has said Close, or what has ended the WebSocket.
    pub async fn send(&mut self, message: impl Into<Message>) -> Result<(), SocketError> {
        let mut message = Some(message.into());
        poll_fn(|cx| {
            ready!(self.poll_put(cx, &mut message, Self::put))?;
            self.poll_written(cx, |_| false)
        })
        .await
    }

    /// Sends a message that is sent to many, see [`Prepared`].
    ///
    /// # Errors
    /// As those of [`send`](Self::send).
    pub async fn send_prepared(&mut self, message: &Prepared) -> Result<(), SocketError> {
        let mut message = Some(message);
        poll_fn(|cx| {
            ready!(self.poll_put(cx, &mut message, Self::put_prepared))?;
            self.poll_written(cx, |_| false)
        })
        .await
    }

    /// Takes a message to be written with the next [`flush`](Self::flush), [`send`](Self::send) or wait in
    /// [`recv`](Self::recv): small ones that are there together cost one write. Waits only when 8 KiB wait already.
    ///
    /// When it is cancelled the message was taken whole or not at all.
    ///
    /// # Errors
    /// As those of [`send`](Self::send).
    pub async fn feed(&mut self, message: impl Into<Message>) -> Result<(), SocketError> {
        let mut message = Some(message.into());
        poll_fn(|cx| self.poll_put(cx, &mut message, Self::put)).await
    }

    /// [`feed`](Self::feed) for a message that is sent to many.
    ///
    /// # Errors
    /// As those of [`send`](Self::send).
    pub async fn feed_prepared(&mut self, message: &Prepared) -> Result<(), SocketError> {
        let mut message = Some(message);
        poll_fn(|cx| self.poll_put(cx, &mut message, Self::put_prepared)).await
    }

    /// Waits until all that was [fed](Self::feed) is written to the connection.
    ///
    /// # Errors
    /// As those of [`send`](Self::send).
    pub async fn flush(&mut self) -> Result<(), SocketError> {
        poll_fn(|cx| self.poll_written(cx, |_| false)).await
    }

    /// Closes the WebSocket, and waits until the client has agreed, for at most
    /// [`Options::close_time`](crate::Options::close_time). Messages that still come are thrown away.
    ///
    /// The reason is for logs; it is cut at 123 bytes. Closing twice does nothing.
    pub async fn close(&mut self, code: CloseCode, reason: impl Into<Cow<'static, str>>) {
        self.start_close(Close::new(code, reason));
        while let Ok(Some(_)) = self.recv().await {}
    }

    /// Has the WebSocket go on in the process that takes over from this one as it drains, if it can: whether it has gone.
    /// The handler of that name there ([`App::resume`](cepa_core::App::resume)) gets the state, and opens the WebSocket anew
    /// with [`websocket`](crate::WebSocketExt::websocket), without a handshake.
    ///
    /// It can go when [`recv`](Self::recv) has returned `None` for this reason: the WebSocket is at rest then, and what the
    /// client sends waits for who goes on. One that stays is closed with 1001 when the handler returns. The [options] are
    /// those of the handler there; a WebSocket that compresses never moves.
    ///
    /// ```
    /// use cepa_core::{App, Ctx, Result};
    /// use cepa_websocket::{Options, Socket, WebSocketExt as _};
    ///
    /// /// Tells how many messages have come, also if some of them came to the process before.
    /// fn counted(ctx: &mut Ctx, mut count: u32) -> Result {
    ///     ctx.websocket(&Options::default(), async move |socket: &mut Socket| {
    ///         while socket.recv().await?.is_some() {
    ///             count += 1;
    ///             socket.send(count.to_string()).await?;
    ///         }
    ///         socket.resumed_by("counted", &count)?;
    ///         Ok(())
    ///     })
    /// }
    ///
    /// let app = App::new()
    ///     .get("/", async |ctx: &mut Ctx| counted(ctx, 0))
    ///     .resume("counted", async |ctx: &mut Ctx| counted(ctx, ctx.resumed()?));
    /// # app.build().unwrap();
    /// ```
    ///
    /// [options]: crate::Options
    ///
    /// # Errors
    /// A state that cannot be written as JSON.
    pub fn resumed_by(&mut self, handler: &str, state: &impl Serialize) -> Result<bool> {
        if self.phase != Phase::Leaving {
            return Ok(false);
        }
        let mut farewell = Vec::new();
        encode_control(&mut farewell, Opcode::Close, &going_away().payload());
        let mut parked = Parked::new(handler, state)?.with_farewell(farewell);
        if let Some(protocol) = self.protocol() {
            parked = parked.with_header("sec-websocket-protocol", protocol);
        }
        let has_gone = self.io.leave(parked);
        if has_gone {
            self.end(None);
        }
        Ok(has_gone)
    }

    /// The Close that the client has sent, if it has.
    pub fn closed_with(&self) -> Option<&Close> {
        self.close.as_deref()
    }

    /// The subprotocol that was agreed on.
    pub fn protocol(&self) -> Option<&str> {
        self.protocol.as_deref()
    }

    /// Whether messages can still be sent.
    pub fn is_open(&self) -> bool {
        self.phase == Phase::Open
    }

    pub(crate) fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Message>, SocketError>> {
        loop {
            match self.phase {
                Phase::Ended => return Poll::Ready(self.error.take().map_or(Ok(None), Err)),
                Phase::Leaving => return Poll::Ready(Ok(None)),
                Phase::Open | Phase::Closing => match self.poll_event(cx) {
                    Poll::Ready(Ok(event)) => {
                        if let Some(message) = self.take(event) {
                            return Poll::Ready(Ok(Some(message)));
                        }
                    }
                    Poll::Ready(Err(failure)) => self.fail(failure),
                    Poll::Pending => {
                        if !self.poll_clock(cx, true) {
                            return Poll::Pending;
                        }
                    }
                },
                Phase::Finishing { .. } | Phase::Lingering(_) => {
                    if self.poll_finish(cx).is_pending() && !self.poll_clock(cx, true) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    /// Puts a message that was not put yet into the output once there is room.
    fn poll_put<M>(
        &mut self,
        cx: &mut Context<'_>,
        message: &mut Option<M>,
        put: impl Fn(&mut Self, M),
    ) -> Poll<Result<(), SocketError>> {
        if message.is_some() {
            ready!(self.poll_written(cx, Output::has_room))?;
        }
        message.take().into_iter().for_each(|message| put(self, message));
        Poll::Ready(Ok(()))
    }

    fn put(&mut self, message: Message) {
        self.output.push(|out| self.encoder.encode(message, out));
    }

    fn put_prepared(&mut self, message: &Prepared) {
        self.output.push(|out| message.append(out));
    }

    /// Writes what waits until that is `enough`, or all.
    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
        enough: impl Fn(&Output) -> bool,
    ) -> Poll<Result<(), SocketError>> {
        loop {
            if self.phase != Phase::Open {
                return Poll::Ready(Err(self.error.take().unwrap_or(SocketError::Closed)));
            }
            if enough(&self.output) {
                return Poll::Ready(Ok(()));
            }
            match self.poll_output(cx) {
                Poll::Ready(Ok(())) => return Poll::Ready(Ok(())),
                Poll::Ready(Err(error)) => self.end(Some(error.into())),
                Poll::Pending => {
                    if !self.poll_clock(cx, false) {
                        return Poll::Pending;
                    }
                }
            }
        }
    }

    fn poll_output(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let (polled, moved) = self.output.poll(cx, &mut *self.io);
        self.clock.written(polled.is_pending(), moved);
        polled
    }

    /// The next event of the client; what waits to be written is written beside.
    fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, Failure>> {
        loop {
            // A client that takes no answers is heard on, and cut by the clock.
            if let Poll::Ready(Err(error)) = self.poll_output(cx) {
                return Poll::Ready(Err(Failure::Io(error)));
            }
            if self.clock.is_over_rate() {
                return Poll::Pending;
            }
            match ready!(self.input.poll(cx, &mut *self.io, &mut self.clock)) {
                Ok(None) => {}
                Ok(Some(event)) => return Poll::Ready(Ok(event)),
                Err(failure) => return Poll::Ready(Err(failure)),
            }
        }
    }

    /// Does what an event asks for; gives the message, if it is one.
    fn take(&mut self, event: Event) -> Option<Message> {
        match event {
            Event::Message(message) => {
                self.clock.message();
                (self.phase == Phase::Open).then_some(message)
            }
            Event::Ping(payload) => {
                self.clock.control();
                self.output.pong(payload);
                None
            }
            Event::Pong(_) => {
                self.clock.control();
                None
            }
            Event::Close(close) => {
                if self.phase == Phase::Open {
                    self.output.close(Close { code: close.code, reason: Cow::Borrowed("") });
                }
                self.close = Some(Box::new(close));
                self.finish(false);
                None
            }
        }
    }

    fn start_close(&mut self, close: Close) {
        if matches!(self.phase, Phase::Open | Phase::Leaving) {
            self.output.close(if self.phase == Phase::Leaving { going_away() } else { close });
            self.phase = Phase::Closing;
            self.clock.start_end();
        }
    }

    fn fail(&mut self, failure: Failure) {
        match failure {
            Failure::End => self.end(Some(SocketError::Gone)),
            Failure::Io(error) => self.end(Some(error.into())),
            Failure::Protocol(error) => self.refuse(error.code(), error.into()),
        }
    }

    /// Tells the client why it must go.
    fn refuse(&mut self, code: CloseCode, error: SocketError) {
        if self.phase == Phase::Open {
            self.output.close(Close::new(code, error.to_string()));
        }
        self.error = Some(error);
        self.finish(true);
    }

    fn finish(&mut self, linger: bool) {
        if self.phase == Phase::Open {
            self.clock.start_end();
        }
        self.input.clear();
        self.phase = Phase::Finishing { linger };
    }

    fn end(&mut self, error: Option<SocketError>) {
        self.input.clear();
        self.output = Output::default();
        self.error = self.error.take().or(error);
        self.phase = Phase::Ended;
    }

    /// Ends without a word to a client that would not hear it; what waits in the kernel is thrown away as well.
    fn abort(&mut self, error: Option<SocketError>) {
        self.io.abort();
        self.end(error);
    }

    /// Writes the last bytes and ends the connection.
    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Phase::Finishing { linger } = self.phase {
            let written = ready!(self.poll_output(cx));
            let shut = if written.is_ok() { ready!(self.io.poll_shutdown(cx)) } else { written };
            match (shut, linger) {
                (Ok(()), true) => self.phase = Phase::Lingering(THROWN),
                _ => self.end(None),
            }
        }
        while let Phase::Lingering(left) = self.phase {
            let read = scratch::with_input(|input| self.io.poll_read(cx, input));
            match ready!(read) {
                Ok(length @ 1..) if length < left => self.phase = Phase::Lingering(left - length),
                _ => self.end(None),
            }
        }
        Poll::Ready(())
    }

    /// Looks at the drain and at the clock; `false` if there is nothing to do but to wait, for which both are asked to
    /// wake the task.
    fn poll_clock(&mut self, cx: &mut Context<'_>, reads: bool) -> bool {
        if self.phase == Phase::Open && self.poll_leave(cx, reads) {
            return true;
        }
        let open = self.phase == Phase::Open;
        let Poll::Ready(due) = self.clock.poll(cx, open, reads, self.input.is_partial()) else {
            return false;
        };
        match due {
            clock::Due::Rate => {}
            clock::Due::Ping => self.output.ping(),
            clock::Due::Pong => self.abort(Some(SocketError::PongTime)),
            clock::Due::Message => self.refuse(CloseCode::POLICY, SocketError::MessageTime),
            clock::Due::Stall => self.abort(Some(SocketError::WriteStall)),
            // It has not come to rest.
            clock::Due::End if open => self.start_close(going_away()),
            clock::Due::End => self.abort(None),
        }
        true
    }

    /// Once the server drains, leaves when it may, or closes; `false` if there is nothing to do but to wait.
    fn poll_leave(&mut self, cx: &mut Context<'_>, reads: bool) -> bool {
        if let Some(draining) = &mut self.draining {
            if draining.as_mut().poll(cx).is_pending() {
                return false;
            }
            self.draining = None;
            self.clock.start_end();
        }
        let may_leave = if self.compresses() { Poll::Ready(false) } else { self.io.poll_leave(cx) };
        let is_at_rest = self.input.is_at_rest() && self.output.is_empty();
        match may_leave {
            Poll::Ready(false) => self.start_close(going_away()),
            Poll::Ready(true) if reads && is_at_rest => self.phase = Phase::Leaving,
            // How long the others take that leave is not this one's fault.
            Poll::Pending if is_at_rest => {
                self.clock.start_end();
                return false;
            }
            _ => return false,
        }
        true
    }

    fn compresses(&self) -> bool {
        self.encoder.compresses() || self.input.compresses()
    }
}

impl fmt::Debug for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Socket")
            .field("phase", &self.phase)
            .field("protocol", &self.protocol)
            .finish_non_exhaustive()
    }
}

/// What a client is told that must go because the server does.
fn going_away() -> Close {
    Close::new(CloseCode::GOING_AWAY, "")
}

/// The moment it is.
fn now() -> Instant {
    Instant::now()
}

#[cfg(test)]
mod tests;
