//! Listening sockets: where to listen, binding one socket per worker, accepting without spin or death.
//!
//! Each worker thread owns one bound [`Socket`]. For TCP these are separate sockets on one port (`SO_REUSEPORT`), so
//! that the kernel spreads the connections and each has a backlog of its own; Unix sockets and inherited
//! descriptors are one socket that the workers share, and any of them may be woken by a connection.
//!
//! ```
//! use cepa_server::listen::{self, Acceptor, BindOptions};
//!
//! # tokio::runtime::LocalRuntime::new().unwrap().block_on(async {
//! let mut sockets = listen::bind(&"127.0.0.1:0".parse()?, 2, &BindOptions::default())?;
//! let acceptor = Acceptor::new(sockets.remove(0))?;
//! println!("listening on {}", acceptor.local_addr());
//! # drop(sockets);
//! # let client = tokio::net::TcpStream::connect(acceptor.local_addr().to_string());
//! # let (_client, accepted) = tokio::join!(client, acceptor.accept());
//! let accepted = accepted?; // acceptor.accept().await?
//! println!("{} is here", accepted.peer);
//! # Ok::<(), Box<dyn std::error::Error>>(()) }).unwrap();
//! ```

mod accept;
mod address;
mod endpoint;
mod error;
mod inherited;
mod options;
mod socket;
mod socket_file;
mod stream;
#[cfg(test)]
mod tests;
mod unix;

pub use accept::{Accepted, Acceptor};
pub use address::{Address, AddressError, AddressFault};
pub use endpoint::Endpoint;
pub use error::ListenError;
pub use options::{BindOptions, FileMode};
pub use socket::Socket;
pub use stream::Stream;

/// Binds `address` and listens there: one socket for each of `workers` workers, at least one.
///
/// - TCP: the first socket is bound alone, so that an address that anything else listens on, another instance
///   included, is [`InUse`](ListenError::InUse); the others join it by `SO_REUSEPORT`. Port 0 becomes one free port
///   for all. `TCP_NODELAY` is on, and accepted connections inherit it (Linux).
/// - Unix: a socket file that nobody listens on any more is replaced, any other file is left alone. The file is
///   removed when the last of the sockets, and of the acceptors made of them, is dropped.
/// - `fd:`: the descriptor must be a listening stream socket, handed over as `sd_listen_fds(3)` says. The first such
///   call takes all of them and clears `LISTEN_FDS` and `LISTEN_PID`: make it before there are other threads, which
///   may be reading the environment.
///
/// # Errors
/// See [`ListenError`]; nothing stays bound.
pub fn bind(address: &Address, workers: usize, options: &BindOptions) -> Result<Vec<Socket>, ListenError> {
    let first = match address {
        Address::Tcp(addr) => Socket::bind_tcp(*addr, address, options)?,
        Address::Unix(path) => unix::bind(path, address, options)?,
        Address::Fd(_) | Address::FdName(_) => inherited::take(address)?,
    };
    let mut sockets = vec![first];
    while sockets.len() < workers {
        let sibling = sockets[0].sibling()?;
        sockets.push(sibling);
    }
    Ok(sockets)
}
