//! The raw connection that another protocol takes over.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use cepa_core::Io;
use tokio::io::ReadBuf;

use super::link::Link;
use crate::transport::Transport;

/// A connection with the bytes that were read ahead.
pub(crate) struct Raw<S> {
    io: S,
    left: Vec<u8>,
    /// There while somebody may wait in `Connection::poll_closed`.
    link: Option<Rc<Link>>,
}

impl<S> Raw<S> {
    pub(crate) fn new(io: S, left: Vec<u8>, link: Rc<Link>) -> Self {
        // Whom the request gave it to has it by now.
        let link = (Rc::strong_count(&link) > 1).then_some(link);
        Self { io, left, link }
    }

    /// The client is gone.
    fn close(&mut self) {
        if let Some(link) = self.link.take() {
            link.close();
        }
    }
}

impl<S> Drop for Raw<S> {
    fn drop(&mut self) {
        self.close();
    }
}

impl<S: Transport> Io for Raw<S> {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        if !self.left.is_empty() {
            let length = self.left.len().min(into.len());
            into[..length].copy_from_slice(&self.left[..length]);
            self.left.drain(..length);
            if self.left.is_empty() {
                self.left = Vec::new();
            }
            return Poll::Ready(Ok(length));
        }
        let wanted = !into.is_empty();
        let mut into = ReadBuf::new(into);
        let read = Pin::new(&mut self.io).poll_read(cx, &mut into).map_ok(|()| into.filled().len());
        if wanted && matches!(read, Poll::Ready(Ok(0) | Err(_))) {
            self.close();
        }
        read
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, from)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }

    fn abort(&mut self) {
        self.io.abort();
    }
}
