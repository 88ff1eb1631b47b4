//! Why a request to somewhere else failed.

use std::{fmt, io, net::IpAddr, path::PathBuf};

use cepa_core::Error;

/// Why a request to another server failed. It is the cause of the [`Error`] that handlers get, found
/// by [`downcast_ref`](cepa_core::Error::downcast_ref); no client ever reads it.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// The text is no URL that can be asked for.
    #[error("{url:?} cannot be asked for: {reason}")]
    Url {
        /// The text.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The host may not be asked.
    #[error("{host} is not among `only_hosts`")]
    Host {
        /// The host.
        host: String,
    },
    /// The name leads to an address that may not be reached.
    #[error("{host} is at {address}, which may not be reached; `allow` and `allow_hosts` make exceptions")]
    Address {
        /// The host as it was asked for.
        host: String,
        /// The first of its addresses.
        address: IpAddr,
    },
    /// The name has no address.
    #[error("{host} cannot be resolved")]
    Resolve {
        /// The host.
        host: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Nobody could be connected to.
    #[error("no connection to {to}")]
    Connect {
        /// Where to.
        to: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// TLS was not settled: a wrong certificate, mostly.
    #[error("no TLS with {to}")]
    Tls {
        /// Who with.
        to: String,
        /// What went wrong.
        #[source]
        source: io::Error,
    },
    /// The file of certificates is not usable.
    #[error("the certificates of {} cannot be used: {reason}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// It took too long.
    #[error("time is up: {0}")]
    Timeout(Stage),
    /// This worker has as many connections as it may.
    #[error("{0} connections are open, which is the limit")]
    Connections(usize),
    /// The exchange broke off, or was none.
    #[error("the exchange failed")]
    Http(#[source] hyper::Error),
    /// The other end switched protocols without being asked, or to another one.
    #[error("the answer switches protocols as it was not asked to")]
    Switch,
    /// More redirects than are followed.
    #[error("more than {0} redirects")]
    Redirects(usize),
    /// A redirect that is not followed.
    #[error("a redirect to {to:?} is not followed: {reason}")]
    Redirect {
        /// Where it leads.
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// The answer is longer than the limit.
    #[error("the answer has more than {0} bytes")]
    TooLong(u64),
    /// The answer is not what it was read as.
    #[error("the answer is not {what}")]
    Content {
        /// What it was read as.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The status is not 2xx.
    #[error("the answer is {0}")]
    Status(http::StatusCode),
}

/// What took too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Resolving, TCP and TLS.
    Connect,
    /// The wait for the head of the answer, or to get the request across.
    Head,
    /// A pause within the answer.
    Pause,
    /// All of it.
    Total,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Head => "no answer",
            Self::Pause => "the answer came to a stop",
            Self::Total => "the whole was not done",
        })
    }
}

impl Failure {
    /// The status that a client deserves whose request failed by this: 502, 503 or 504; 500 where the app has asked for
    /// what cannot be asked for.
    pub fn status(&self) -> u16 {
        match self {
            Self::Timeout(_) => 504,
            Self::Connections(_) => 503,
            Self::Url { .. } | Self::Certificates { .. } => 500,
            _ => 502,
        }
    }

    /// The error of a handler.
    pub(crate) fn into_error(self) -> Error {
        Error::status_only(self.status()).with_cause(self)
    }
}
