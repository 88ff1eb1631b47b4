//! Connections that this program opens: what `fetch` and `proxy` have in common.
//!
//! A request goes to an [`Origin`] through a [`Dialer`], which is shared by all workers; the connections it opens are
//! pooled by each worker for itself ([`pool`]), since bodies and futures stay on their thread.

mod body;
mod connect;
mod failure;
pub(crate) mod hop;
mod pool;
mod send;
mod tls;
mod tunnel;

use std::{fmt, path::Path, sync::Arc, time::Duration};

use serde::Deserialize;

pub use self::failure::{Failure, Stage};
pub(crate) use self::{
    body::{Arriving, Progress, Received, Wait},
    send::{Dialer, Unsent},
    tunnel::tunnel,
};

/// The other end of a connection: a scheme and a place.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    pub(crate) place: Place,
}

/// Where an origin is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A name or an address (IPv6 without brackets), and a port.
    Host(Arc<str>, u16),
    Unix(Arc<Path>),
}

impl Origin {
    /// The name or address; empty for a Unix socket.
    pub(crate) fn host(&self) -> &str {
        match &self.place {
            Place::Host(name, _) => name,
            Place::Unix(_) => "",
        }
    }

    /// The port; a Unix socket has none.
    pub(crate) fn port(&self) -> Option<u16> {
        match self.place {
            Place::Host(_, port) => Some(port),
            Place::Unix(_) => None,
        }
    }

    /// What stands in `Host`: the port only if it is not the scheme's own.
    pub(crate) fn authority(&self) -> String {
        let default = if self.tls { 443 } else { 80 };
        match &self.place {
            Place::Unix(_) => "localhost".to_owned(),
            Place::Host(name, port) => {
                let (open, close) = if name.contains(':') { ("[", "]") } else { ("", "") };
                match *port == default {
                    true => format!("{open}{name}{close}"),
                    false => format!("{open}{name}{close}:{port}"),
                }
            }
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Unix(path) => write!(f, "unix:{}", path.display()),
            Place::Host(..) => write!(f, "http{}://{}", if self.tls { "s" } else { "" }, self.authority()),
        }
    }
}

/// The version of HTTP that is spoken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub enum Http {
    /// Over TLS what the other end prefers of both; without TLS HTTP/1.1.
    #[default]
    #[serde(rename = "auto")]
    Auto,
    /// HTTP/1.1 only.
    #[serde(rename = "1.1")]
    One,
    /// HTTP/2 only; without TLS by prior knowledge (RFC 9113, section 3.3).
    #[serde(rename = "2")]
    Two,
}

/// How connections are opened and kept.
#[derive(Clone, Debug)]
pub(crate) struct DialOptions {
    pub(crate) http: Http,
    /// Time for names, TCP and TLS together.
    pub(crate) connect: Duration,
    /// Time a connection is kept that nobody uses.
    pub(crate) idle: Duration,
    /// Most connections of one worker, used or not.
    pub(crate) connections: usize,
    /// Believed beside the system's, or `None`.
    pub(crate) ca_file: Option<std::path::PathBuf>,
    /// Requests go to a proxy: their targets keep their absolute form.
    pub(crate) to_proxy: bool,
}
