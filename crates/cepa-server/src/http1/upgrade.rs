//! The raw connection that another protocol takes over.

use std::{
    io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use cepa_core::{Io, Parked};
use tokio::io::ReadBuf;

use super::link::Link;
use crate::{
    floor::Floor,
    leaving::Pass,
    moved::{MovedConnection, Rest, Unfinished},
    transport::Transport,
};

/// A connection with the bytes that were read ahead.
pub(crate) struct Raw<S> {
    /// Gone once it has left for another process.
    io: Option<S>,
    left: Vec<u8>,
    /// There unless it stays in this process for good.
    floor: Option<Rc<Floor>>,
    /// Its number among those that wait to leave, and what it may leave with.
    number: u32,
    pass: Option<Pass>,
    /// There while somebody may wait in `Connection::poll_closed`.
    link: Option<Rc<Link>>,
}

impl<S> Raw<S> {
    pub(crate) fn new(io: S, left: Vec<u8>, link: Rc<Link>) -> Self {
        // Whom the request gave it to has it by now.
        let floor = link.is_plain().then(|| Rc::clone(&link.floor));
        let link = (Rc::strong_count(&link) > 1).then_some(link);
        Self { io: Some(io), left, floor, number: 0, pass: None, link }
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
        let read = match &mut self.io {
            Some(io) => Pin::new(io).poll_read(cx, &mut into).map_ok(|()| into.filled().len()),
            None => Poll::Ready(Ok(0)),
        };
        if wanted && matches!(read, Poll::Ready(Ok(0) | Err(_))) {
            self.close();
        }
        read
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        // Who still has something to say does not leave now, and others wait for the room.
        self.pass = None;
        match &mut self.io {
            Some(io) => Pin::new(io).poll_write(cx, from),
            None => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().map_or(Poll::Ready(Ok(())), |io| Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.io.as_mut().map_or(Poll::Ready(Ok(())), |io| Pin::new(io).poll_shutdown(cx))
    }

    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let Some(leaving) = self.floor.as_ref().and_then(|floor| floor.leaving()) else {
            return Poll::Ready(false);
        };
        if self.pass.is_none() {
            self.pass = ready!(leaving.poll_pass(&mut self.number, cx));
        }
        Poll::Ready(self.pass.is_some())
    }

    fn leave(&mut self, parked: Parked) -> bool {
        let Some(pass) = self.pass.take() else { return false };
        if !parked.fits() || self.left.len() > Parked::MOST {
            return false;
        }
        let Some(io) = self.io.take() else { return false };
        self.close();
        match io.into_socket() {
            Ok(socket) => {
                let (unread, rest) = (std::mem::take(&mut self.left), Rest::Upgraded);
                let unfinished = Some(Box::new(Unfinished { parked, rest, keep: false, unread }));
                pass.send(MovedConnection { socket, served: 0, age: 0, unfinished, receipt: None });
            }
            // It is closed by that: there is nobody to tell.
            Err(error) => tracing::debug!(target: "cepa::http1", %error, "a connection could not be moved"),
        }
        true
    }

    fn abort(&mut self) {
        if let Some(io) = &self.io {
            io.abort();
        }
    }
}
