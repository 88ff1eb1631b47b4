//! Bytes both ways between a client and another server.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use cepa_core::Io;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

/// Read at a time, on the stack: a tunnel that is silent has no buffer.
const PIECE: usize = 8 * 1024;

/// Carries bytes both ways until both ends have ended, one fails, or both were silent for that long.
pub(crate) async fn tunnel<S>(mut client: Box<dyn Io>, mut upstream: S, silence: Duration)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let (mut up, mut down) = (Half::default(), Half::default());
    let mut timer = Box::pin(sleep_until(Instant::now() + silence));
    poll_fn(|cx| {
        let mut moved = false;
        let to_upstream = up.poll(cx, &mut *client, &mut Far(&mut upstream), &mut moved);
        let to_client = down.poll(cx, &mut Far(&mut upstream), &mut *client, &mut moved);
        match (to_upstream, to_client) {
            (Poll::Ready(Err(_)), _) | (_, Poll::Ready(Err(_))) => return Poll::Ready(()),
            (Poll::Ready(Ok(())), Poll::Ready(Ok(()))) => return Poll::Ready(()),
            _ => {}
        }
        if moved {
            timer.as_mut().reset(Instant::now() + silence);
        }
        Sleep::poll(timer.as_mut(), cx)
    })
    .await;
}

/// The upstream's end, as the client's is.
struct Far<'t, S>(&'t mut S);

impl<S: AsyncRead + AsyncWrite + Unpin> Io for Far<'_, S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        let mut into = ReadBuf::new(into);
        Pin::new(&mut *self.0).poll_read(cx, &mut into).map_ok(|()| into.filled().len())
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.0).poll_write(cx, from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.0).poll_shutdown(cx)
    }
}

/// One direction of a tunnel.
#[derive(Default)]
struct Half {
    /// What was read and not taken yet.
    left: Vec<u8>,
    written: usize,
    /// Whether what was written is still to be flushed.
    unflushed: bool,
    ended: bool,
    shut: bool,
}

impl Half {
    /// Ready when the source has ended and the sink knows.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        from: &mut dyn Io,
        to: &mut dyn Io,
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.written < self.left.len() {
                let taken = ready!(to.poll_write(cx, &self.left[self.written..]))?;
                if taken == 0 {
                    return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
                }
                (self.written, self.unflushed, *moved) = (self.written + taken, true, true);
            }
            (self.left, self.written) = (Vec::new(), 0);
            if self.ended {
                if !self.shut {
                    ready!(to.poll_shutdown(cx))?;
                    self.shut = true;
                }
                return Poll::Ready(Ok(()));
            }
            let mut piece = [0; PIECE];
            match from.poll_read(cx, &mut piece)? {
                Poll::Ready(0) => self.ended = true,
                Poll::Ready(length) => {
                    *moved = true;
                    self.pass(cx, to, &piece[..length])?;
                }
                Poll::Pending => {
                    if self.unflushed {
                        ready!(to.poll_flush(cx))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
        }
    }

    /// Writes what was read as far as it is taken, and keeps the rest.
    fn pass(&mut self, cx: &mut Context<'_>, to: &mut dyn Io, mut piece: &[u8]) -> io::Result<()> {
        while !piece.is_empty() {
            match to.poll_write(cx, piece)? {
                Poll::Ready(0) => return Err(io::ErrorKind::WriteZero.into()),
                Poll::Ready(taken) => {
                    piece = &piece[taken..];
                    self.unflushed = true;
                }
                Poll::Pending => {
                    self.left = piece.to_vec();
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
