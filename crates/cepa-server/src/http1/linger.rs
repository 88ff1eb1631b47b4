//! Closing so that the last answer arrives.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use tokio::io::ReadBuf;

use super::conn::Conn;
use crate::transport::Transport;

/// How long, and how much, a client may go on sending after the last answer.
const TIME: Duration = Duration::from_secs(2);
const MOST: usize = 512 * 1024;

/// Reads what the client still sends and throws it away: closing with unread bytes would make the kernel reset
/// the connection, and the client lose the answer.
pub(super) struct Linger {
    thrown: usize,
    shut: bool,
}

impl Linger {
    pub(super) fn new<S>(conn: &Conn<S>) -> Self {
        conn.timer.set(TIME);
        Self { thrown: 0, shut: false }
    }

    /// Ready when the client has closed, or may not go on.
    pub(super) fn poll<S>(&mut self, cx: &mut Context<'_>, conn: &mut Conn<S>) -> Poll<()>
    where
        S: Transport,
    {
        if !self.shut {
            match Pin::new(&mut conn.io).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.shut = true,
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Pending => {}
            }
        }
        let floor = conn.link.floor.clone();
        let mut buffers = floor.take_buffers();
        let ended = loop {
            let mut into = ReadBuf::new(&mut buffers.input);
            match Pin::new(&mut conn.io).poll_read(cx, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() && self.thrown < MOST => {
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
