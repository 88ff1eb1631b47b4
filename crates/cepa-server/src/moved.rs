//! Connections that go on in another process, so that nobody sees this one end.
//!
//! Of an HTTP/1.1 connection without TLS nothing but its socket is left when it is idle: nothing was read of the next
//! request, and nothing is owed. A server that [drains into](crate::Stopper::drain_into) another process parts with such
//! connections instead of closing them, with those at work after their response; one that
//! [adopts](crate::Server::adopts) serves them on. What the client sends meanwhile waits in the socket.

use std::{os::fd::OwnedFd, sync::Arc};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

/// A connection that has left its server.
#[derive(Debug)]
pub struct MovedConnection {
    /// The socket, TCP or Unix.
    pub socket: OwnedFd,
    /// Requests that were served on it.
    pub served: u32,
    /// Seconds since it was accepted.
    pub age: u32,
}

/// Whom a server that drains gives its connections to.
pub type Heir = UnboundedSender<MovedConnection>;

/// Gives connections of another server to the worker threads of this one; clones give to the same.
///
/// As long as there is one, a drain does not end: connections may still come.
#[derive(Clone, Debug)]
pub struct Adopter {
    threads: Arc<[Heir]>,
}

impl Adopter {
    /// An adopter for so many threads, and what each of them takes connections from.
    pub(crate) fn new(threads: usize) -> (Self, Vec<UnboundedReceiver<MovedConnection>>) {
        let (threads, arrivals): (Vec<_>, _) = (0..threads).map(|_| unbounded_channel()).unzip();
        (Self { threads: threads.into() }, arrivals)
    }

    /// Serves a connection; it counts beside the limit of connections, because it counted where it was.
    ///
    /// One that comes after the end of the server is closed.
    pub fn adopt(&self, connection: MovedConnection) {
        // Those of one process come in no order, so that any number will spread them.
        let at = connection_number(&connection) % self.threads.len().max(1);
        if let Some(thread) = self.threads.get(at) {
            // A thread that is gone has ended with the server.
            let _ = thread.send(connection);
        }
    }
}

fn connection_number(connection: &MovedConnection) -> usize {
    use std::os::fd::AsRawFd;
    connection.socket.as_raw_fd().unsigned_abs() as usize
}
