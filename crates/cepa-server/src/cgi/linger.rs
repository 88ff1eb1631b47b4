//! Closing so that the last answer arrives.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::ReadBuf;

use super::{Codec, conn::Conn};
use crate::transport::Transport;

/// Reads what still comes and throws it away: closing with unread bytes would make the kernel reset the connection, and
/// the answer be lost.
pub(super) struct Linger {
    thrown: usize,
    shut: bool,
}

impl Linger {
    pub(super) fn new<S, C: Codec>(conn: &Conn<S, C>) -> Self {
        conn.timer.set(C::PATIENCE.0);
        Self { thrown: 0, shut: false }
    }

    /// Ready when the other end has closed, or may not go on.
    pub(super) fn poll<S, C>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S, C>) -> Poll<()>
    where
        S: Transport,
        C: Codec,
    {
        if !self.shut {
            match Pin::new(&mut conn.io).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        if !C::WATCHES {
            return if self.shut { Poll::Ready(()) } else { conn.timer.poll_expired(cx) };
        }
        let floor = std::rc::Rc::clone(&conn.floor);
        let mut buffers = floor.take_buffers();
        let ended = loop {
            let mut into = ReadBuf::new(&mut buffers.input);
            match Pin::new(&mut conn.io).poll_read(cx, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() && self.thrown < C::PATIENCE.1 => {
                    self.thrown += into.filled().len();
                }
                Poll::Ready(_) => break Poll::Ready(()),
                Poll::Pending => break Poll::Pending,
            }
        };
        floor.put_buffers(buffers);
        if ended.is_pending() { conn.timer.poll_expired(cx) } else { ended }
    }
}
