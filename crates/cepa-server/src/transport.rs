//! What a door reads from and writes to.

use std::{io, os::fd::OwnedFd};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

use crate::listen::Stream;

/// A connection, encrypted or not.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Makes dropping it a reset, so that the kernel frees at once what the peer does not take.
    fn abort(&self) {}

    /// The socket alone, which another process can go on with; where there is more to a connection it is closed.
    ///
    /// # Errors
    /// There is more to it, or the runtime does not give it away.
    fn into_socket(self) -> io::Result<OwnedFd>
    where
        Self: Sized,
    {
        Err(io::ErrorKind::Unsupported.into())
    }
}

impl Transport for Stream {
    fn abort(&self) {
        // It fails only if the connection is gone, and then there is nothing to free.
        let _ = self.abort_on_drop();
    }

    fn into_socket(self) -> io::Result<OwnedFd> {
        Self::into_socket(self)
    }
}

impl Transport for Box<TlsStream<Stream>> {
    fn abort(&self) {
        self.get_ref().0.abort();
    }
}

#[cfg(test)]
impl Transport for tokio::io::DuplexStream {}
