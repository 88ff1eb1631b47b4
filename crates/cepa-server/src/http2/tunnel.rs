//! The stream of an extended CONNECT as the raw connection that another protocol takes over (RFC 8441, section 5).

use std::{
    io,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use cepa_core::{Io, OnUpgrade};
use h2::{Reason, RecvStream, SendStream};
use tokio::task::spawn_local;

use super::streams::{Wait, Work};

/// DATA both ways. Its windows are those of the stream: the client's is waited for before anything is handed to `h2`,
/// and ours opens again only with what was read.
pub(super) struct Tunnel {
    send: SendStream<Bytes>,
    recv: RecvStream,
    /// What came and is not read yet.
    left: Bytes,
    /// Nothing more may be sent.
    shut: bool,
}

impl Tunnel {
    pub(super) fn new(send: SendStream<Bytes>, recv: RecvStream) -> Self {
        Self { send, recv, left: Bytes::new(), shut: false }
    }

    /// Runs the other protocol in a task of its own. It counts as a handler at work and keeps the connection open until
    /// it ends, also when the client has reset the stream before.
    pub(super) fn run(self, protocol: OnUpgrade, work: Work, wait: Wait) {
        let running = protocol(Box::new(self));
        spawn_local(async move {
            let _counted = (work, wait);
            running.await;
        });
    }
}

impl Io for Tunnel {
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<io::Result<usize>> {
        while self.left.is_empty() {
            match ready!(self.recv.poll_data(cx)) {
                Some(Ok(data)) => self.left = data,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Ok(0)),
            }
        }
        let length = self.left.len().min(into.len());
        self.left.copy_to_slice(&mut into[..length]);
        if self.left.is_empty() {
            // What came may be a small part of a large buffer.
            self.left = Bytes::new();
        }
        // Fails when the stream is gone, and then there is no window.
        let _ = self.recv.flow_control().release_capacity(length);
        Poll::Ready(Ok(length))
    }

    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        if from.is_empty() {
            return Poll::Ready(Ok(0));
        }
        self.send.reserve_capacity(from.len());
        let mut room = self.send.capacity();
        if room == 0 {
            room = match ready!(self.send.poll_capacity(cx)) {
                Some(Ok(room)) => room,
                Some(Err(error)) => return Poll::Ready(Err(broken(error))),
                None => return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
            };
        }
        let length = room.min(from.len());
        let sent = self.send.send_data(Bytes::copy_from_slice(&from[..length]), false);
        Poll::Ready(sent.map(|()| length).map_err(broken))
    }

    /// What `h2` has, it writes by itself.
    fn poll_flush(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        if std::mem::replace(&mut self.shut, true) {
            return Poll::Ready(Ok(()));
        }
        Poll::Ready(self.send.send_data(Bytes::new(), true).map_err(broken))
    }

    fn abort(&mut self) {
        self.shut = true;
        self.send.send_reset(Reason::CANCEL);
    }
}

impl Drop for Tunnel {
    /// Ends as a TCP connection that is dropped does. If the client has not ended its side, `h2` resets what is left of
    /// the stream with NO_ERROR behind it.
    fn drop(&mut self) {
        if !self.shut {
            let _ = self.send.send_data(Bytes::new(), true);
        }
    }
}

fn broken(error: h2::Error) -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionReset, error)
}
