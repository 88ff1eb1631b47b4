//! The future of one connection, from its first byte to its end.

use std::{
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use super::{
    Codec,
    conn::{Conn, Front},
    exchange::{After, Exchange},
    linger::Linger,
    turn::Turn,
};
use crate::{floor::Floor, transport::Transport};

/// How many things a connection does before others get their turn.
const STEPS: u32 = 8;

/// Serves a connection until it ends.
///
/// Written by hand, as most connections are idle: an `async` function would keep room for everything that a connection
/// might ever do beside what it does.
pub(crate) struct Serve<S: Transport, C> {
    conn: Conn<S, C>,
    doing: Doing,
}

/// What a connection is at.
enum Doing {
    Nothing,
    Turns,
    Exchange(Box<Exchange>),
    Linger(Linger),
}

impl<S: Transport, C: Codec> Serve<S, C> {
    pub(crate) fn new(io: S, codec: C, floor: Rc<Floor>, front: Front) -> Self {
        Self { conn: Conn::new(io, codec, floor, front), doing: Doing::Nothing }
    }

    /// Does one thing; ready with whether the connection goes on.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let conn = &mut self.conn;
        match &mut self.doing {
            Doing::Nothing => {
                // Not expired yet: this tells the timer which task to wake.
                let _ = conn.timer.poll_expired(cx);
                self.doing = Doing::Turns;
            }
            Doing::Turns => match ready!(conn.poll_turn(cx))? {
                Turn::Again => {}
                Turn::Exchange(mut exchange) => {
                    exchange.begin(conn);
                    self.doing = Doing::Exchange(exchange);
                }
                Turn::Close { linger } => return Poll::Ready(Ok(self.close(linger))),
            },
            Doing::Exchange(exchange) => match ready!(exchange.poll_end(cx, conn))? {
                After::Next => self.doing = Doing::Turns,
                After::Close { linger } => return Poll::Ready(Ok(self.close(linger))),
            },
            Doing::Linger(linger) => {
                ready!(linger.poll(cx, conn));
                return Poll::Ready(Ok(false));
            }
        }
        Poll::Ready(Ok(true))
    }

    fn close(&mut self, linger: bool) -> bool {
        // Nobody hears of it any more.
        self.conn.parked = None;
        self.doing = if linger { Doing::Linger(Linger::new(&self.conn)) } else { Doing::Nothing };
        linger
    }
}

impl<S: Transport, C: Codec> Future for Serve<S, C> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..STEPS {
            match ready!(self.poll_next(cx)) {
                Ok(true) => {}
                Ok(false) => return Poll::Ready(()),
                Err(error) => {
                    tracing::debug!(target: "cepa::cgi", door = C::DOOR, %error, "a connection failed");
                    return Poll::Ready(());
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Transport, C> Drop for Serve<S, C> {
    fn drop(&mut self) {
        // Whatever has ended it: a stream that failed, a front server that takes nothing, a panic, the end of the drain.
        if matches!(&self.doing, Doing::Exchange(exchange) if exchange.is_unfinished()) {
            self.conn.io.abort();
        }
    }
}
