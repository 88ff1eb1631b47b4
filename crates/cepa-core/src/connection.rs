//! What a request may know of, and ask of, the connection it came by.

mod deferred;

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    task::{Context, Poll},
    time::Duration,
};

use http::{HeaderMap, StatusCode};

use crate::{LocalBoxFuture, Parked};

/// The far end of a connection, as the kernel knows it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Peer {
    /// A TCP peer.
    Ip(SocketAddr),
    /// A Unix socket, with the path the peer is bound to, if any.
    Unix(Option<PathBuf>),
    /// No socket at all: the test client, or an app served as a `tower::Service`.
    #[default]
    None,
}

impl Peer {
    /// The peer's address, when it has one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(address) => Some(address.ip()),
            _ => None,
        }
    }
}

/// What the TLS handshake settled.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsInfo {
    /// The name the client asked for (SNI).
    pub server_name: Option<String>,
    /// The protocol chosen by ALPN, such as `h2`.
    pub alpn: Option<String>,
    /// The TLS version, such as `TLSv1.3`.
    pub version: Option<&'static str>,
    /// The cipher suite.
    pub cipher: Option<String>,
}

/// What happens to a running handler when its client goes away.
///
/// A client of HTTP/1 that closes its side only may still read the answer, and looks the same as one that is gone: it
/// counts as gone two seconds later, or once it resets the connection. [`Ctx::closed`](crate::Ctx::closed) tells at
/// once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OnClose {
    /// Safe methods (GET, HEAD, OPTIONS, TRACE) are cancelled, all others run to their end.
    #[default]
    Auto,
    /// The handler's future is dropped at its next await.
    Cancel,
    /// The handler runs to its end; its answer is thrown away.
    Complete,
}

/// How the door treats the request at hand; a route may set it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// What happens when the client goes away.
    pub on_close: OnClose,
    /// Most time until the response head, instead of the server's `limits.request_time`.
    pub request_time: Option<Duration>,
    /// Most bytes of the request body, instead of the server's `limits.body`.
    pub body_limit: Option<u64>,
}

impl Policy {
    /// This policy, and where it says nothing, the one before it.
    pub(crate) fn over(self, before: Self) -> Self {
        Self {
            on_close: if self.on_close == OnClose::Auto { before.on_close } else { self.on_close },
            request_time: self.request_time.or(before.request_time),
            body_limit: self.body_limit.or(before.body_limit),
        }
    }
}

/// The door's side of one request. Doors implement it; apps reach it through [`Ctx`](crate::Ctx).
pub trait Connection {
    /// The protocol, such as `http/1.1`, `h2` or `test`.
    fn door(&self) -> &'static str;

    /// The far end.
    fn peer(&self) -> Peer {
        Peer::None
    }

    /// The address that the client connected to.
    fn local(&self) -> Option<SocketAddr> {
        None
    }

    /// What TLS settled; `None` on a plain connection.
    fn tls(&self) -> Option<&TlsInfo> {
        None
    }

    /// Ready once the client is gone. Never ready where that cannot be known.
    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        Poll::Pending
    }

    /// Sends an informational response (1xx) ahead of the final one; `false` where that is impossible.
    fn inform(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        let _ = (status, headers);
        false
    }

    /// Takes the policy that holds for this request from now on, all that layers and the route have asked for.
    fn set_policy(&self, policy: Policy) {
        let _ = policy;
    }

    /// Takes work to be done once the response was sent or cannot be sent any more; gives it back where there is no room
    /// for it, or nobody to do it.
    fn defer(&self, work: LocalBoxFuture<'static, ()>) -> Result<(), LocalBoxFuture<'static, ()>> {
        Err(work)
    }

    /// How many calls deep a request may still [call](crate::Ctx::call) for others.
    fn calls_left(&self) -> u32 {
        Memory::CALL_DEPTH
    }

    /// Whether this server is about to close the connection because it drains.
    fn is_draining(&self) -> bool {
        false
    }

    /// Ready once [`is_draining`](Self::is_draining), for a response body: of all that ask, the task that asked last is
    /// woken. Never ready where that cannot be known.
    fn poll_draining(&self, cx: &mut Context<'_>) -> Poll<()> {
        let _ = cx;
        if self.is_draining() { Poll::Ready(()) } else { Poll::Pending }
    }

    /// Waits until [`is_draining`](Self::is_draining). Never returns where that cannot be known.
    fn draining(&self) -> LocalBoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}

/// A connection that is none: for requests made in memory, and for those of a `tower` stack.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// The peer such requests claim to come from.
    pub peer: Peer,
    /// Whether such requests claim to have come over TLS.
    pub tls: Option<TlsInfo>,
}

impl Memory {
    /// How deep calls may be nested where no server says so; as a server's `limits.call_depth`.
    pub const CALL_DEPTH: u32 = 8;
}

impl Connection for Memory {
    fn door(&self) -> &'static str {
        "memory"
    }

    fn peer(&self) -> Peer {
        self.peer.clone()
    }

    fn tls(&self) -> Option<&TlsInfo> {
        self.tls.as_ref()
    }
}

/// The raw connection after a protocol switch: bytes both ways, without a runtime's traits.
///
/// `poll_read` with `Ok(0)` is the end. Dropping it closes the connection.
pub trait Io {
    /// Reads into `into`, answering the number of bytes.
    fn poll_read(&mut self, cx: &mut Context<'_>, into: &mut [u8]) -> Poll<std::io::Result<usize>>;

    /// Writes some of `from`, answering the number of bytes taken.
    fn poll_write(&mut self, cx: &mut Context<'_>, from: &[u8]) -> Poll<std::io::Result<usize>>;

    /// Flushes what was written.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>>;

    /// Says that nothing more will be written.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>>;

    /// Whether the connection may [leave](Self::leave) for another process, which takes over as this one drains: ready once
    /// that is known, and with `true` once there is room for it on the way.
    fn poll_leave(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let _ = cx;
        Poll::Ready(false)
    }

    /// Has the connection go on in another process, at a place where nothing is owed to the peer; whether it has gone. If
    /// so there is nothing left to read or to write.
    fn leave(&mut self, parked: Parked) -> bool {
        let _ = parked;
        false
    }

    /// Makes the end of the connection a reset, where there is such a thing: what the kernel holds for a peer that takes
    /// nothing is thrown away.
    fn abort(&mut self) {}
}

/// Runs with the raw connection after the 101 (or the 200 of an extended CONNECT) was sent.
pub type OnUpgrade = Box<dyn FnOnce(Box<dyn Io>) -> LocalBoxFuture<'static, ()>>;

impl fmt::Debug for dyn Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("door", &self.door()).field("peer", &self.peer()).finish()
    }
}
