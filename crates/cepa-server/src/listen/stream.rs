//! An accepted connection, TCP or Unix, behind one type.

use super::Endpoint;
use rustix::net::RecvFlags;
use socket2::Domain;
use std::{
    io::{self, IoSlice},
    os::{fd::OwnedFd, unix::net::UnixStream as StdUnixStream},
    pin::Pin,
    task::{Context, Poll},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, Interest, ReadBuf},
    net::{TcpStream, UnixStream},
};

/// An accepted connection.
///
/// Beside [`AsyncRead`] and [`AsyncWrite`] it has what a connection needs that holds no buffer while it waits:
/// [`readable`](Self::readable), then [`try_read`](Self::try_read) into a buffer that the thread lends.
#[derive(Debug)]
pub enum Stream {
    /// Over TCP.
    Tcp(TcpStream),
    /// Over a Unix socket.
    Unix(UnixStream),
}

/// Runs the same expression on whichever stream there is.
macro_rules! on {
    ($self:expr, $stream:ident => $body:expr) => {
        match $self {
            Stream::Tcp($stream) => $body,
            Stream::Unix($stream) => $body,
        }
    };
}

impl Stream {
    /// The peer's address, asked of the kernel.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn peer_addr(&self) -> io::Result<Endpoint> {
        Ok(match self {
            Self::Tcp(stream) => stream.peer_addr()?.into(),
            Self::Unix(stream) => (&stream.peer_addr()?).into(),
        })
    }

    /// Our own address on this connection, asked of the kernel.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn local_addr(&self) -> io::Result<Endpoint> {
        Ok(match self {
            Self::Tcp(stream) => stream.local_addr()?.into(),
            Self::Unix(stream) => (&stream.local_addr()?).into(),
        })
    }

    /// Waits until there is something to read, or the peer has closed; may be wrong, so that
    /// [`try_read`](Self::try_read) would block.
    ///
    /// # Errors
    /// The runtime is going away.
    pub async fn readable(&self) -> io::Result<()> {
        on!(self, stream => stream.readable().await)
    }

    /// [`readable`](Self::readable) for hand-written futures; one task at a time may wait this way.
    ///
    /// # Errors
    /// The runtime is going away.
    pub fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, stream => stream.poll_read_ready(cx))
    }

    /// [`poll_read_ready`](Self::poll_read_ready) for writing.
    ///
    /// # Errors
    /// The runtime is going away.
    pub fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self, stream => stream.poll_write_ready(cx))
    }

    /// Reads what there is, without waiting; 0 bytes are the end.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when there is nothing yet, and what the connection fails with.
    pub fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        on!(self, stream => stream.try_read(buffer))
    }

    /// [`try_read`](Self::try_read) that leaves the bytes to be read again.
    ///
    /// # Errors
    /// As there.
    pub fn try_peek(&self, buffer: &mut [u8]) -> io::Result<usize> {
        on!(self, stream => stream.try_io(Interest::READABLE, || {
            // Of the standard library and tokio only TCP has this.
            let (seen, _) = rustix::net::recv(stream, &mut *buffer, RecvFlags::PEEK)?;
            Ok(seen)
        }))
    }

    /// Writes as much as the kernel takes, without waiting.
    ///
    /// # Errors
    /// [`WouldBlock`](io::ErrorKind::WouldBlock) when it takes nothing now, and what the connection fails with.
    pub fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        on!(self, stream => stream.try_write(bytes))
    }

    /// [`try_write`](Self::try_write) of several parts at once.
    ///
    /// # Errors
    /// As there.
    pub fn try_write_vectored(&self, parts: &[IoSlice<'_>]) -> io::Result<usize> {
        on!(self, stream => stream.try_write_vectored(parts))
    }

    /// Takes the socket from the runtime of this thread.
    ///
    /// # Errors
    /// The runtime does not give it away; then the connection is closed.
    pub fn into_socket(self) -> io::Result<OwnedFd> {
        Ok(match self {
            Self::Tcp(stream) => stream.into_std()?.into(),
            Self::Unix(stream) => stream.into_std()?.into(),
        })
    }

    /// Ties a connected socket, TCP or Unix, to the runtime of this thread.
    ///
    /// # Errors
    /// It is something else, or the runtime has no room for it.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn from_socket(socket: OwnedFd) -> io::Result<Self> {
        let socket = socket2::Socket::from(socket);
        socket.set_nonblocking(true)?;
        match socket.domain()? {
            Domain::IPV4 | Domain::IPV6 => Ok(Self::Tcp(TcpStream::from_std(socket.into())?)),
            Domain::UNIX => Ok(Self::Unix(UnixStream::from_std(StdUnixStream::from(OwnedFd::from(socket)))?)),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }

    /// Makes dropping the stream abort the connection: TCP sends a reset and frees what it had still to send, instead
    /// of keeping it for a peer that does not read.
    ///
    /// # Errors
    /// The connection is gone.
    pub fn abort_on_drop(&self) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.set_zero_linger(),
            // Closing a Unix socket waits for nothing.
            Self::Unix(_) => Ok(()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        on!(self.get_mut(), stream => Pin::new(stream).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        on!(self.get_mut(), stream => Pin::new(stream).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        on!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(cx, parts))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self.get_mut(), stream => Pin::new(stream).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        on!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(cx))
    }
}
