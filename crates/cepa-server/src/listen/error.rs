//! Why an address cannot be listened on, and what to do about it.

use super::Address;
use std::io;

/// Why an address cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Something else listens there.
    #[error("cannot listen on {address}: something else listens there; stop it or choose another address")]
    InUse {
        /// The address.
        address: Address,
    },
    /// The process may not listen there.
    #[error(
        "cannot listen on {address}: permission denied; ports below 1024 need root or CAP_NET_BIND_SERVICE, \
         a Unix socket needs a folder that this user may write to"
    )]
    Denied {
        /// The address.
        address: Address,
    },
    /// No network interface has the address.
    #[error("cannot listen on {address}: no network interface of this machine has that address")]
    NotHere {
        /// The address.
        address: Address,
    },
    /// There is a file at the path of a Unix socket, and it is not a socket.
    #[error("cannot listen on {address}: the file there is not a socket; remove it or choose another path")]
    NotASocketFile {
        /// The address.
        address: Address,
    },
    /// The descriptor was not handed over.
    #[error(
        "cannot listen on {address}: no such descriptor was handed over to this process, or it is taken already; \
         {count} were, see LISTEN_FDS and LISTEN_FDNAMES"
    )]
    NotInherited {
        /// The address.
        address: Address,
        /// The number of descriptors that were handed over.
        count: usize,
    },
    /// The process that was to bind the address has handed over no socket of it.
    #[error("cannot listen on {address}: no socket of that address was handed over to this process")]
    NotHandedOver {
        /// The address.
        address: Address,
    },
    /// Several descriptors of that name were handed over.
    #[error(
        "cannot listen on {address}: several descriptors have that name; write their numbers, from fd:3 on"
    )]
    Ambiguous {
        /// The address.
        address: Address,
    },
    /// A descriptor that is not a socket to accept connections from.
    #[error("cannot listen on {what}: it is not a listening TCP or Unix stream socket")]
    NotListening {
        /// The address, or the descriptor.
        what: String,
    },
    /// A system call failed otherwise.
    #[error("cannot listen on {what}: {step}: {source}")]
    System {
        /// The address, or the descriptor.
        what: String,
        /// What was being done.
        step: &'static str,
        /// The error of the operating system.
        source: io::Error,
    },
}

impl ListenError {
    /// The error for `address` of a system call that did `step`.
    pub(super) fn at(address: &Address, step: &'static str) -> impl Fn(io::Error) -> Self {
        move |source| {
            let address = address.clone();
            match source.kind() {
                io::ErrorKind::AddrInUse => Self::InUse { address },
                io::ErrorKind::PermissionDenied => Self::Denied { address },
                io::ErrorKind::AddrNotAvailable => Self::NotHere { address },
                _ => Self::System { what: address.to_string(), step, source },
            }
        }
    }
}
