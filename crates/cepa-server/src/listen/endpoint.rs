//! One end of a connection, or of a listening socket.

use std::{
    fmt,
    net::{IpAddr, SocketAddr},
    path::Path,
};

/// The address of one end of a connection, or of a listening socket.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// A TCP address. That of a connection is in its canonical form: IPv4 over a socket for both IPv4 and IPv6 is
    /// shown as IPv4.
    Tcp(SocketAddr),
    /// A Unix socket, with its path if it has one: that of a client mostly has none.
    Unix(Option<Box<Path>>),
}

impl Endpoint {
    /// The IP address; a Unix socket has none.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(addr) => Some(addr.ip()),
            Self::Unix(_) => None,
        }
    }

    /// The port; a Unix socket has none.
    #[must_use]
    pub fn port(&self) -> Option<u16> {
        match self {
            Self::Tcp(addr) => Some(addr.port()),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix(Some(path)) => write!(f, "unix:{}", path.display()),
            Self::Unix(None) => f.write_str("unix:"),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(mut addr: SocketAddr) -> Self {
        // Not `set_ip` at once: it would forget the scope of an IPv6 address.
        if addr.ip().to_canonical() != addr.ip() {
            addr = (addr.ip().to_canonical(), addr.port()).into();
        }
        Self::Tcp(addr)
    }
}

impl From<&tokio::net::unix::SocketAddr> for Endpoint {
    fn from(addr: &tokio::net::unix::SocketAddr) -> Self {
        Self::Unix(addr.as_pathname().map(Into::into))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mapped_address_is_shown_as_ipv4() {
        for (addr, shown) in [
            ("[::ffff:10.0.0.1]:80", "10.0.0.1:80"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
            ("10.0.0.1:80", "10.0.0.1:80"),
        ] {
            assert_eq!(Endpoint::from(addr.parse::<SocketAddr>().unwrap()).to_string(), shown);
        }
    }
}
