//! A bound, listening socket, not yet tied to a runtime.

use super::{Address, BindOptions, Endpoint, ListenError, socket_file::SocketFile};
use rustix::io::Errno;
use socket2::{Domain, Protocol, SockAddr, Type};
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    sync::Arc,
};

/// Bytes that the kernel takes of a connection ahead of what the client's window lets out.
#[cfg(any(target_os = "linux", target_os = "android"))]
const UNSENT: u32 = 128 * 1024;

/// A bound, listening stream socket, non-blocking and closed on exec; make an [`Acceptor`](super::Acceptor) of it on
/// the thread that is to serve it.
#[derive(Debug)]
pub struct Socket {
    pub(super) inner: socket2::Socket,
    pub(super) local: Endpoint,
    /// The address and options that siblings are bound by; a socket without them is shared by its descriptor.
    origin: Option<(Address, BindOptions)>,
    /// The file of a Unix socket that this process has bound.
    pub(super) file: Option<Arc<SocketFile>>,
}

impl Socket {
    /// Binds the first socket of a TCP address.
    pub(super) fn bind_tcp(
        addr: SocketAddr,
        address: &Address,
        options: &BindOptions,
    ) -> Result<Self, ListenError> {
        let made = new_tcp(addr, options).map(|socket| (addr, socket));
        let made = made.or_else(|error| match without_ipv6(addr, options) {
            Some(addr) if error.raw_os_error() == Some(Errno::AFNOSUPPORT.raw_os_error()) => {
                new_tcp(addr, options).map(|socket| (addr, socket))
            }
            _ => Err(error),
        });
        let (addr, socket) = made.map_err(ListenError::at(address, "making a socket"))?;
        // Bound without SO_REUSEPORT, the socket tolerates no other listener, not even another instance of this
        // server. From here on it lets siblings in.
        socket.bind(&addr.into()).map_err(ListenError::at(address, "binding"))?;
        socket.set_reuse_port(true).map_err(ListenError::at(address, "setting SO_REUSEPORT"))?;
        Self::listen_tcp(socket, address, options)
    }

    fn listen_tcp(
        socket: socket2::Socket,
        address: &Address,
        options: &BindOptions,
    ) -> Result<Self, ListenError> {
        listen(&socket, options).map_err(ListenError::at(address, "listening"))?;
        let local = local(&socket).map_err(ListenError::at(address, "reading its address"))?;
        Ok(Self { inner: socket, local, origin: Some((address.clone(), options.clone())), file: None })
    }

    /// A socket that this process has bound to a path and listens on.
    pub(super) fn of_unix(inner: socket2::Socket, file: SocketFile) -> Self {
        let local = Endpoint::Unix(Some(file.path().into()));
        Self { inner, local, origin: None, file: Some(Arc::new(file)) }
    }

    /// Another socket for the same address: for TCP a second one on the same port, with a backlog of its own;
    /// otherwise a second descriptor of this one.
    ///
    /// # Errors
    /// See [`ListenError`].
    pub fn sibling(&self) -> Result<Self, ListenError> {
        if let (Some((address, options)), Endpoint::Tcp(addr)) = (&self.origin, &self.local) {
            let socket = new_tcp(*addr, options).map_err(ListenError::at(address, "making a socket"))?;
            socket.set_reuse_port(true).map_err(ListenError::at(address, "setting SO_REUSEPORT"))?;
            socket.bind(&(*addr).into()).map_err(ListenError::at(address, "binding"))?;
            return Self::listen_tcp(socket, address, options);
        }
        self.shared()
    }

    /// A second descriptor of this socket: whoever accepts from either takes from the same backlog.
    ///
    /// # Errors
    /// There are too many descriptors.
    pub fn shared(&self) -> Result<Self, ListenError> {
        let inner = self.inner.try_clone().map_err(|source| ListenError::System {
            what: self.local.to_string(),
            step: "duplicating the descriptor",
            source,
        })?;
        Ok(Self { inner, local: self.local.clone(), origin: None, file: self.file.clone() })
    }

    /// A socket that another process has bound: checks that it is a listening TCP or Unix stream socket, and sets it
    /// non-blocking and `TCP_NODELAY`. A Unix socket's file stays that process's own.
    ///
    /// # Errors
    /// [`ListenError::NotListening`], and [`ListenError::System`] when the descriptor cannot be set.
    pub fn from_fd(fd: OwnedFd) -> Result<Self, ListenError> {
        Self::from_fd_called(fd, |fd| format!("descriptor {fd:?}"))
    }

    /// A socket that an earlier program of this process, or the process that made this one, has bound to `address`:
    /// what was bound is as after [`bind`](super::bind), with siblings and the file of a Unix socket.
    ///
    /// # Errors
    /// As [`from_fd`](Self::from_fd), and when there is no file.
    pub fn inherit(fd: OwnedFd, address: &Address, options: &BindOptions) -> Result<Self, ListenError> {
        let mut socket = Self::from_fd_called(fd, |_| address.to_string())?;
        match address {
            Address::Tcp(_) => socket.origin = Some((address.clone(), options.clone())),
            Address::Unix(path) => {
                let file = SocketFile::bound(path);
                let file = file.map_err(ListenError::at(address, "looking at the socket file"))?;
                socket.file = Some(Arc::new(file));
            }
            Address::Fd(_) | Address::FdName(_) => {}
        }
        Ok(socket)
    }

    /// A second descriptor of this socket, for another process.
    ///
    /// # Errors
    /// There are too many descriptors.
    pub fn descriptor(&self) -> io::Result<OwnedFd> {
        Ok(self.inner.try_clone()?.into())
    }

    pub(super) fn from_fd_called(
        fd: OwnedFd,
        name: impl Fn(&socket2::Socket) -> String,
    ) -> Result<Self, ListenError> {
        let inner = socket2::Socket::from(fd);
        let stream = matches!(inner.r#type(), Ok(Type::STREAM)) && matches!(inner.is_listener(), Ok(true));
        let kind = if stream { inner.domain().ok() } else { None };
        if !matches!(kind, Some(Domain::IPV4 | Domain::IPV6 | Domain::UNIX)) {
            return Err(ListenError::NotListening { what: name(&inner) });
        }
        let set = || {
            inner.set_cloexec(true)?;
            inner.set_nonblocking(true)?;
            if kind != Some(Domain::UNIX) {
                set_for_all(&inner)?;
            }
            local(&inner)
        };
        match set() {
            Ok(local) => Ok(Self { local, inner, origin: None, file: None }),
            Err(source) => Err(ListenError::System { what: name(&inner), step: "setting it up", source }),
        }
    }

    /// The address that the socket is bound to, with the port that was found for port 0.
    #[must_use]
    pub fn local_addr(&self) -> &Endpoint {
        &self.local
    }

    /// Leaves the file of a Unix socket in place when the socket and its siblings are dropped: for when another
    /// process has been handed the descriptor and goes on listening.
    pub fn keep_file(&self) {
        if let Some(file) = &self.file {
            file.keep();
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inner.as_fd()
    }
}

fn new_tcp(addr: SocketAddr, options: &BindOptions) -> io::Result<socket2::Socket> {
    let socket = socket2::Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    // A port whose last connections still linger in TIME_WAIT can be listened on again.
    socket.set_reuse_address(true)?;
    if addr.is_ipv6() {
        socket.set_only_v6(options.ipv6_only)?;
    }
    set_for_all(&socket)?;
    Ok(socket)
}

/// What an address of both families is on a machine that has only the older one; `None` for one of IPv6 alone.
fn without_ipv6(addr: SocketAddr, options: &BindOptions) -> Option<SocketAddr> {
    let is_both = addr.is_ipv6() && addr.ip().is_unspecified() && !options.ipv6_only;
    is_both.then(|| (Ipv4Addr::UNSPECIFIED, addr.port()).into())
}

/// Sets what accepted connections inherit on Linux, which saves system calls for each.
fn set_for_all(socket: &socket2::Socket) -> io::Result<()> {
    socket.set_tcp_nodelay(true)?;
    // Otherwise the kernel takes megabytes for a client that reads a few bytes now and then, and no limit of ours
    // would see that it is slow.
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_notsent_lowat(UNSENT)?;
    Ok(())
}

/// Listens on a bound socket, from then on without blocking.
pub(super) fn listen(socket: &socket2::Socket, options: &BindOptions) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    socket.listen(options.backlog.clamp(1, 65_535) as i32)
}

fn local(socket: &socket2::Socket) -> io::Result<Endpoint> {
    let addr: SockAddr = socket.local_addr()?;
    // Not in its canonical form, for a sibling is bound to the same.
    Ok(match addr.as_socket() {
        Some(addr) => Endpoint::Tcp(addr),
        None => Endpoint::Unix(addr.as_pathname().map(Into::into)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_families_are_one_where_there_is_one() {
        let both = BindOptions { ipv6_only: false, ..BindOptions::default() };
        let alone = BindOptions::default();
        for (addr, options, expected) in [
            ("[::]:80", &both, Some("0.0.0.0:80")),
            ("[::]:80", &alone, None),
            ("[::1]:80", &both, None),
            ("0.0.0.0:80", &both, None),
        ] {
            let expected = expected.map(|addr| addr.parse().unwrap());
            assert_eq!(without_ipv6(addr.parse().unwrap(), options), expected, "{addr}");
        }
    }
}
