//! Frames as they come from a socket.

use std::io;

use bytes::{Buf as _, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _};

use super::wire::{self, Wire};

/// Frames as they come from a socket. Memory is taken for what has come, not for what was announced.
#[derive(Debug)]
pub(super) struct Inbox<S> {
    socket: S,
    bytes: BytesMut,
}

impl<S: AsyncRead + Unpin> Inbox<S> {
    const PIECE: usize = 16 << 10;

    pub(super) fn new(socket: S) -> Self {
        Self { socket, bytes: BytesMut::new() }
    }

    /// Reads what there is; `false` at the end. Nothing is lost when the wait is given up.
    pub(super) async fn fill(&mut self) -> io::Result<bool> {
        if self.bytes.is_empty() && self.bytes.capacity() > 16 * Self::PIECE {
            self.bytes = BytesMut::new();
        }
        self.bytes.reserve(Self::PIECE);
        Ok(self.socket.read_buf(&mut self.bytes).await? > 0)
    }

    /// Drops what was read.
    pub(super) fn forget(&mut self) {
        self.bytes.clear();
    }

    /// The next frame of what was read.
    pub(super) fn next<F: Wire>(&mut self) -> io::Result<Option<F>> {
        let read =
            wire::read(&self.bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        Ok(read.map(|(frame, length)| {
            self.bytes.advance(length);
            frame
        }))
    }
}
