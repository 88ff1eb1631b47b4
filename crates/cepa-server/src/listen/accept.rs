//! Accepting connections, and living through what can go wrong there.

use super::{Endpoint, Socket, Stream, socket_file::SocketFile};
use socket2::{SockAddr, SockRef};
use std::{cell::Cell, io, sync::Arc, time::Duration};
use tokio::{
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::{Instant, sleep_until},
};

/// The first pause after the process or the machine has run out of something, and the longest one.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));
/// The least time between two log lines about that.
const LOG_EVERY: Duration = Duration::from_secs(1);

/// An accepted connection and who is at its other end.
#[derive(Debug)]
pub struct Accepted {
    /// The connection.
    pub stream: Stream,
    /// The peer's address.
    pub peer: Endpoint,
}

/// A listening socket at work on one thread.
#[derive(Debug)]
pub struct Acceptor {
    listener: Listener,
    local: Endpoint,
    backoff: Cell<Backoff>,
    // Last, so that the socket is closed before its file goes.
    _file: Option<Arc<SocketFile>>,
}

#[derive(Debug)]
enum Listener {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl Acceptor {
    /// Ties the socket to the runtime of this thread.
    ///
    /// # Errors
    /// The runtime has no I/O driver left, or no room in it.
    ///
    /// # Panics
    /// Outside of a tokio runtime with I/O enabled.
    pub fn new(socket: Socket) -> io::Result<Self> {
        let Socket { inner, local, file, .. } = socket;
        let listener = match local {
            Endpoint::Tcp(_) => Listener::Tcp(TcpListener::from_std(inner.into())?),
            Endpoint::Unix(_) => Listener::Unix(UnixListener::from_std(inner.into())?),
        };
        Ok(Self { listener, local, backoff: Cell::default(), _file: file })
    }

    /// The address that is listened on.
    #[must_use]
    pub fn local_addr(&self) -> &Endpoint {
        &self.local
    }

    /// Waits for the next connection. The future may be dropped at any time; no connection is lost.
    ///
    /// A connection that has failed before it could be accepted is passed over. When the process or the machine has
    /// run out of descriptors or memory, the connections wait in the backlog while this pauses, 5 ms at first and
    /// twice as long each time up to 1 s, with a warning in the log at most once a second.
    ///
    /// # Errors
    /// The listener itself is broken: it will accept nothing any more.
    pub async fn accept(&self) -> io::Result<Accepted> {
        loop {
            if let Some(resume) = self.backoff.get().resume {
                sleep_until(resume).await;
            }
            let error = match self.accept_one().await {
                Ok(accepted) => {
                    let logged = self.backoff.get().logged;
                    self.backoff.set(Backoff { logged, ..Backoff::default() });
                    return Ok(accepted);
                }
                Err(error) => error,
            };
            match Fault::of(&error) {
                Fault::Connection => {}
                Fault::Exhausted => {
                    let (backoff, log) = self.backoff.get().next(Instant::now());
                    self.backoff.set(backoff);
                    if log {
                        let pause = backoff.pause;
                        tracing::warn!(address = %self.local, %error, ?pause, "cannot accept, trying again");
                    }
                }
                Fault::Listener => return Err(error),
            }
        }
    }

    /// A connection that waits in the backlog at this moment, without waiting for one and without asking whether the
    /// runtime knows of it already; `None` when there is none, or it cannot be accepted now.
    ///
    /// For the end of a listener: closing it resets what still waits.
    #[must_use]
    pub fn accept_waiting(&self) -> Option<Accepted> {
        loop {
            let accepted = match &self.listener {
                Listener::Tcp(listener) => SockRef::from(listener).accept(),
                Listener::Unix(listener) => SockRef::from(listener).accept(),
            };
            match accepted {
                Ok((socket, peer)) => return adopt(socket, &peer).ok(),
                Err(error) if Fault::of(&error) == Fault::Connection => {}
                Err(_) => return None,
            }
        }
    }

    /// The present pause, for tests.
    #[cfg(test)]
    pub(super) fn paused(&self) -> Duration {
        self.backoff.get().pause
    }

    async fn accept_one(&self) -> io::Result<Accepted> {
        match &self.listener {
            Listener::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted { stream: Stream::Tcp(stream), peer: peer.into() })
            }
            Listener::Unix(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok(Accepted { stream: Stream::Unix(stream), peer: (&peer).into() })
            }
        }
    }
}

/// Ties a socket that was accepted past the runtime to it.
fn adopt(socket: socket2::Socket, peer: &SockAddr) -> io::Result<Accepted> {
    socket.set_nonblocking(true)?;
    Ok(match peer.as_socket() {
        Some(peer) => {
            Accepted { stream: Stream::Tcp(TcpStream::from_std(socket.into())?), peer: peer.into() }
        }
        None => {
            let peer = Endpoint::Unix(peer.as_pathname().map(Into::into));
            Accepted { stream: Stream::Unix(UnixStream::from_std(socket.into())?), peer }
        }
    })
}

/// What an error of accept(2) is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// One connection, which is gone.
    Connection,
    /// The process or the machine, or something unknown.
    Exhausted,
    /// The listener.
    Listener,
}

impl Fault {
    fn of(error: &io::Error) -> Self {
        use io::ErrorKind::*;
        match error.kind() {
            // Linux also hands over the network errors that the new connection has met with; accept(2).
            ConnectionAborted | ConnectionReset | Interrupted | TimedOut | HostUnreachable
            | NetworkUnreachable | NetworkDown => Self::Connection,
            // Not listening (any more), not a stream.
            InvalidInput | Unsupported => Self::Listener,
            // EMFILE, ENFILE, ENOBUFS and ENOMEM. What else there may be, such as the EPERM of a sandbox for every
            // call, must neither spin nor kill.
            _ => Self::Exhausted,
        }
    }
}

/// How long to pause after being exhausted, as a pure function of the last time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Backoff {
    pause: Duration,
    /// The end of the pause. Kept here and not in the future, which may be dropped and made anew meanwhile.
    resume: Option<Instant>,
    logged: Option<Instant>,
}

impl Backoff {
    /// The next, longer pause, which begins `now`, and whether to log it.
    fn next(self, now: Instant) -> (Self, bool) {
        let pause = (self.pause * 2).clamp(PAUSE.0, PAUSE.1);
        let log = self.logged.is_none_or(|logged| now.duration_since(logged) >= LOG_EVERY);
        (Self { pause, resume: Some(now + pause), logged: if log { Some(now) } else { self.logged } }, log)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_are_told_apart() {
        // Numbers of Linux, all architectures but MIPS and SPARC.
        for (number, name, fault) in [
            (24, "EMFILE", Fault::Exhausted),
            (23, "ENFILE", Fault::Exhausted),
            (105, "ENOBUFS", Fault::Exhausted),
            (12, "ENOMEM", Fault::Exhausted),
            (71, "EPROTO", Fault::Exhausted),
            (103, "ECONNABORTED", Fault::Connection),
            (104, "ECONNRESET", Fault::Connection),
            (4, "EINTR", Fault::Connection),
            (1, "EPERM", Fault::Exhausted),
            (100, "ENETDOWN", Fault::Connection),
            (101, "ENETUNREACH", Fault::Connection),
            (113, "EHOSTUNREACH", Fault::Connection),
            (110, "ETIMEDOUT", Fault::Connection),
            (22, "EINVAL", Fault::Listener),
            (95, "EOPNOTSUPP", Fault::Listener),
        ] {
            assert_eq!(Fault::of(&io::Error::from_raw_os_error(number)), fault, "{name}");
        }
    }

    #[test]
    fn pauses_double_up_to_a_second_and_log_once_a_second() {
        let mut now = Instant::now();
        let mut backoff = Backoff::default();
        let (mut pauses, mut lines) = (Vec::new(), 0);
        let end = now + Duration::from_secs(10);
        while now < end {
            let log;
            (backoff, log) = backoff.next(now);
            assert_eq!(backoff.resume, Some(now + backoff.pause));
            pauses.push(backoff.pause.as_millis());
            lines += usize::from(log);
            now += backoff.pause;
        }
        assert_eq!(pauses[..9], [5, 10, 20, 40, 80, 160, 320, 640, 1000]);
        assert!(pauses[9..].iter().all(|&pause| pause == 1000));
        assert!((9..=11).contains(&lines), "{lines}");
    }
}
