//! Connections to the servers that programs run in: opened within a time, and kept where they can be used again.

use std::{
    cell::RefCell,
    collections::HashMap,
    fmt, io,
    path::PathBuf,
    pin::Pin,
    sync::atomic::{AtomicU64, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpStream, UnixStream},
    time::{Instant, timeout},
};

use super::Failure;

/// Where a server listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Upstream {
    /// `host:port`.
    Tcp(String),
    Unix(PathBuf),
}

/// A text that names no server.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no server: write 127.0.0.1:9000 or unix:/run/app.sock")]
pub struct InvalidUpstream(pub String);

impl std::str::FromStr for Upstream {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, InvalidUpstream> {
        if let Some(path) = text.strip_prefix("unix:") {
            return if path.starts_with('/') {
                Ok(Self::Unix(path.into()))
            } else {
                Err(InvalidUpstream(text.into()))
            };
        }
        let port = text.rsplit_once(':').filter(|(host, _)| !host.is_empty() && !host.contains('/'));
        match port.map(|(_, port)| port.parse::<u16>()) {
            Some(Ok(1..)) => Ok(Self::Tcp(text.to_owned())),
            _ => Err(InvalidUpstream(text.to_owned())),
        }
    }
}

impl fmt::Display for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => f.write_str(address),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

impl Upstream {
    /// A new connection.
    pub(crate) async fn connect(&self, within: Duration) -> Result<Stream, Failure> {
        let work = async {
            Ok(match self {
                Self::Unix(path) => Stream::Unix(UnixStream::connect(path).await?),
                Self::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    Stream::Tcp(stream)
                }
            })
        };
        let failed = |source| Failure::Connect { to: self.to_string(), source };
        timeout(within, work).await.map_err(|_| Failure::Timeout(within))?.map_err(failed)
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Whether nothing has come, not even the end: the other end still waits for a request.
    fn is_quiet(&self) -> bool {
        let mut byte = [0];
        let read = match self {
            Self::Tcp(stream) => stream.try_read(&mut byte),
            Self::Unix(stream) => stream.try_read(&mut byte),
        };
        read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock)
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, into),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, into),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, from),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, from),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

thread_local! {
    /// The kept connections of this worker, by pool: a connection stays on the thread that has opened it.
    static KEPT: RefCell<HashMap<u64, Vec<(Instant, Stream)>>> = RefCell::default();
}

/// Connections that wait for their next request.
#[derive(Debug)]
pub(crate) struct Pool {
    id: u64,
    most: usize,
    idle: Duration,
}

impl Pool {
    /// Keeps `most` connections in each worker, each for as long as `idle`.
    pub(crate) fn new(most: usize, idle: Duration) -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self { id: COUNT.fetch_add(1, Ordering::Relaxed), most, idle }
    }

    /// Whether connections are kept at all.
    pub(crate) fn keeps(&self) -> bool {
        self.most > 0
    }

    /// One that is still open, the youngest first.
    pub(crate) fn take(&self) -> Option<Stream> {
        KEPT.with_borrow_mut(|kept| {
            let kept = kept.get_mut(&self.id)?;
            kept.retain(|(since, _)| since.elapsed() < self.idle);
            std::iter::from_fn(|| kept.pop()).map(|(_, stream)| stream).find(Stream::is_quiet)
        })
    }

    /// Keeps one, if there is room.
    pub(crate) fn put(id: u64, most: usize, stream: Stream) {
        KEPT.with_borrow_mut(|kept| {
            let kept = kept.entry(id).or_default();
            if kept.len() < most {
                kept.push((Instant::now(), stream));
            }
        });
    }

    /// What gives a connection back.
    pub(crate) fn back(&self) -> impl FnOnce(Stream) + use<> {
        let (id, most) = (self.id, self.most);
        move |stream| Self::put(id, most, stream)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_what_is_none() {
        for text in ["127.0.0.1:9000", "[::1]:9000", "php:9000", "unix:/run/php.sock"] {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), text);
        }
        for text in ["", "9000", ":9000", "php", "php:0", "php:x", "php:70000", "unix:run", "http://a:80"] {
            assert_eq!(text.parse::<Upstream>(), Err(InvalidUpstream(text.to_owned())));
        }
    }
}
