//! The future of one HTTP/1.1 connection, from its first byte to its end.
//!
//! It does one thing at a time: turns ([`Conn::poll_turn`]) for what is answered at once, an [`Exchange`] for what has
//! to wait, another protocol after an upgrade, and at last closing with patience.

use std::{
    future::Future,
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use cepa_core::{LocalBoxFuture, OnUpgrade};

use super::{
    conn::Conn,
    exchange::{After, Exchange},
    linger::Linger,
    link::Link,
    resume::{Arriving, Resume, Resumed},
    turn::Turn,
    upgrade::Raw,
};
use crate::transport::Transport;

/// How many things a connection does before others get their turn: a client that never stops sending requests must not
/// hold up the thread.
const STEPS: u32 = 8;

/// How a connection ended.
pub(crate) enum End<S> {
    /// Closed, by us or by the client, or handed over to another process.
    Closed,
    /// The client speaks HTTP/2; the bytes have been read already.
    Http2(S, Vec<u8>, Rc<Link>),
}

/// Serves a connection until it ends.
///
/// Written by hand, as most connections are idle: an `async` function would keep room for everything that a
/// connection might ever do beside what it does.
pub(crate) struct Serve<S: Transport> {
    /// Gone once another protocol has taken over.
    conn: Option<Conn<S>>,
    doing: Doing,
}

/// What a connection is at.
enum Doing {
    /// Nothing yet; it comes from another process if there is something to go on with.
    Nothing(Option<Box<Arriving>>),
    Resume(Box<Resume>),
    Turns,
    Exchange(Box<Exchange>),
    Linger(Linger),
    Upgraded(LocalBoxFuture<'static, ()>),
}

impl<S: Transport> Serve<S> {
    pub(crate) fn new(io: S, link: Rc<Link>) -> Self {
        Self { conn: Some(Conn::new(io, link)), doing: Doing::Nothing(None) }
    }

    /// Goes on with a connection that has served requests in another process.
    pub(crate) fn resumed(
        io: S,
        link: Rc<Link>,
        (served, age): (u32, u32),
        arriving: Option<Box<Arriving>>,
    ) -> Self {
        Self { conn: Some(Conn::resumed(io, link, served, age)), doing: Doing::Nothing(arriving) }
    }

    /// Does one thing; ready with how the connection ended, or `None` to go on.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<Option<End<S>>>> {
        let Some(conn) = &mut self.conn else {
            let Doing::Upgraded(run) = &mut self.doing else { return Poll::Ready(Ok(Some(End::Closed))) };
            return run.as_mut().poll(cx).map(|()| Ok(Some(End::Closed)));
        };
        match &mut self.doing {
            Doing::Nothing(arriving) => {
                let arriving = arriving.take();
                conn.link.set_task(cx.waker());
                // Not expired yet: this tells the timer which task to wake.
                let _ = conn.timer.poll_expired(cx);
                self.doing = match arriving {
                    None => Doing::Turns,
                    Some(arriving) => Doing::Resume(Box::new(Resume::new(*arriving, conn))),
                };
            }
            Doing::Resume(resume) => {
                let (resumed, receipt) = ready!(resume.poll(cx, conn));
                match resumed {
                    Resumed::Exchange(mut exchange) => {
                        exchange.begin(conn);
                        self.doing = Doing::Exchange(exchange);
                    }
                    Resumed::Upgrade(run) => self.upgrade(run),
                }
                // It has arrived when it hears what happens.
                let polled = self.poll_next(cx);
                drop(receipt);
                return polled;
            }
            Doing::Turns => match ready!(conn.poll_turn(cx))? {
                Turn::Again => {}
                Turn::Exchange(mut exchange) => {
                    conn.give_to_exchange();
                    exchange.begin(conn);
                    self.doing = Doing::Exchange(exchange);
                }
                Turn::Close { linger } => return Poll::Ready(Ok(self.close(linger))),
                Turn::Move => {
                    let conn = self.conn.take().expect("it was there above");
                    conn.hand_over()?;
                    return Poll::Ready(Ok(Some(End::Closed)));
                }
                Turn::Http2 => {
                    let conn = self.conn.take().expect("it was there above");
                    return Poll::Ready(Ok(Some(End::Http2(conn.io, conn.left, conn.link))));
                }
            },
            Doing::Exchange(exchange) => match ready!(exchange.poll_end(cx, conn))? {
                After::Next => self.doing = Doing::Turns,
                After::Close { linger } => return Poll::Ready(Ok(self.close(linger))),
                After::Upgrade(run) => self.upgrade(run),
                After::Leave(left) => {
                    let conn = self.conn.take().expect("it was there above");
                    conn.leave(*left)?;
                    return Poll::Ready(Ok(Some(End::Closed)));
                }
            },
            Doing::Linger(linger) => {
                ready!(linger.poll(cx, conn));
                return Poll::Ready(Ok(Some(End::Closed)));
            }
            Doing::Upgraded(_) => return Poll::Ready(Ok(Some(End::Closed))),
        }
        Poll::Ready(Ok(None))
    }

    fn upgrade(&mut self, run: OnUpgrade) {
        if let Some(conn) = self.conn.take() {
            conn.link.upgrade();
            self.doing = Doing::Upgraded(run(Box::new(Raw::new(conn.io, conn.left, conn.link))));
        }
    }

    fn close(&mut self, linger: bool) -> Option<End<S>> {
        if !linger {
            return Some(End::Closed);
        }
        if let Some(conn) = &self.conn {
            self.doing = Doing::Linger(Linger::new(conn));
        }
        None
    }
}

impl<S: Transport> Future for Serve<S> {
    type Output = End<S>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<End<S>> {
        for _ in 0..STEPS {
            match ready!(self.poll_next(cx)) {
                Ok(None) => {}
                Ok(Some(end)) => return Poll::Ready(end),
                Err(error) => {
                    tracing::debug!(target: "cepa::http1", %error, "a connection failed");
                    return Poll::Ready(End::Closed);
                }
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl<S: Transport> Drop for Serve<S> {
    fn drop(&mut self) {
        let Some(conn) = &self.conn else { return };
        // Whatever has ended it: a stream that failed, a client that takes nothing, a panic, the end of the drain.
        if let Doing::Exchange(exchange) = &self.doing
            && exchange.is_unfinished()
        {
            conn.io.abort();
        }
        conn.link.close();
        // It is to be done whether or not its answer got through.
        conn.link.deferred.begin();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cepa_core::{App, Ctx, Peer};
    use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

    use super::*;
    use crate::{ends::Ends, floor::Floor, limits::Limits};

    fn open(app: App) -> (Serve<DuplexStream>, DuplexStream) {
        let (client, io) = duplex(1 << 20);
        let floor = Floor::new(app.build().unwrap(), Arc::new(Limits::default()), None);
        let ends = Rc::new(Ends { peer: Peer::None, local: None, tls: None });
        (Serve::new(io, Link::new(floor, ends)), client)
    }

    #[tokio::test]
    async fn nothing_is_kept_of_a_body_that_came_late() {
        let (mut serve, mut client) = open(App::new().post("/", async |ctx: &mut Ctx| ctx.text().await));
        let mut poll = async || {
            for _ in 0..4 {
                std::future::poll_fn(|cx| Poll::Ready(Pin::new(&mut serve).poll(cx).is_ready())).await;
            }
            serve.conn.as_ref().map(|conn| (conn.left.capacity(), matches!(serve.doing, Doing::Turns)))
        };
        client.write_all(b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 20000\r\n\r\n").await.unwrap();
        assert_eq!(poll().await, Some((0, false)));
        client.write_all(&[b'x'; 20_000]).await.unwrap();
        assert_eq!(poll().await, Some((0, true)));
    }
}
