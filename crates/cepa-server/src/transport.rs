//! What a door reads from and writes to.

use tokio::io::{AsyncRead, AsyncWrite};
use tokio_rustls::server::TlsStream;

use crate::listen::Stream;

/// A connection, encrypted or not.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + 'static {
    /// Makes dropping it a reset, so that the kernel frees at once what the peer does not take.
    fn abort(&self) {}
}

impl Transport for Stream {
    fn abort(&self) {
        // It fails only if the connection is gone, and then there is nothing to free.
        let _ = self.abort_on_drop();
    }
}

impl Transport for Box<TlsStream<Stream>> {
    fn abort(&self) {
        self.get_ref().0.abort();
    }
}

#[cfg(test)]
impl Transport for tokio::io::DuplexStream {}
