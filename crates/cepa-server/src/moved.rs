//! Connections that go on in another process, so that nobody sees this one end.
//!
//! Of an HTTP/1.1 connection without TLS nothing but its socket is left when it is idle: nothing was read of the next
//! request, and nothing is owed. A server that [drains into](crate::Stopper::drain_into) another process parts with such
//! connections instead of closing them, with those at work after their response; one that
//! [adopts](crate::Server::adopts) serves them on. What the client sends meanwhile waits in the socket.
//!
//! A connection whose answer waits for what happens, a stream of events or a WebSocket, may take that
//! [along](Unfinished): the app there [resumes](cepa_core::App::resume) it.

use std::{fs::File, io::Write, os::fd::OwnedFd, sync::Arc};

use cepa_core::Parked;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc::{Sender, UnboundedReceiver, UnboundedSender, error::SendError, unbounded_channel};

use crate::http1::{chunk, last_chunk};

/// A connection that has left its server.
#[derive(Debug)]
pub struct MovedConnection {
    /// The socket, TCP or Unix.
    pub socket: OwnedFd,
    /// Requests that were served on it.
    pub served: u32,
    /// Seconds since it was accepted.
    pub age: u32,
    /// What it was at, if it is not idle.
    pub unfinished: Option<Box<Unfinished>>,
    /// Goes when the answer goes on where the connection has come to, or the connection ends.
    pub receipt: Option<Receipt>,
}

/// Tells that a connection has arrived, by being dropped.
#[derive(Debug)]
pub struct Receipt(UnboundedSender<()>);

impl Receipt {
    /// One that is told by this.
    pub fn new(tell: UnboundedSender<()>) -> Self {
        Self(tell)
    }
}

impl Drop for Receipt {
    fn drop(&mut self) {
        // Who is gone does not wait for it.
        let _ = self.0.send(());
    }
}

impl MovedConnection {
    /// Ends it, because nobody goes on with it: if its answer is unfinished it is given the end that was written for this
    /// case, as far as the kernel takes that at once.
    pub fn end(self) {
        if let Some(unfinished) = &self.unfinished {
            // Who does not take it would not have known more of the end than that it is one.
            let _ = File::from(self.socket).write(&unfinished.end());
        }
    }
}

/// An answer that has begun and goes on elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// What makes the rest of it.
    pub parked: Parked,
    /// How the rest is framed.
    pub rest: Rest,
    /// Whether requests may follow it.
    pub keep: bool,
    /// Bytes that were read behind the request, at most [`Parked::MOST`].
    pub unread: Vec<u8>,
}

impl Unfinished {
    /// The end of the answer if nobody goes on with it.
    pub(crate) fn end(&self) -> Vec<u8> {
        let farewell = &self.parked.farewell;
        if self.rest != Rest::Chunked {
            return farewell.clone();
        }
        let mut bytes = Vec::with_capacity(farewell.len() + 16);
        if !farewell.is_empty() {
            chunk(&mut bytes, farewell);
        }
        last_chunk(&mut bytes, None);
        bytes
    }
}

/// How the rest of an answer is framed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Rest {
    /// In chunks.
    Chunked,
    /// As it is, to the end of the connection.
    UntilClose,
    /// As the protocol does that has taken the connection over.
    Upgraded,
}

/// Whom a server that drains gives its connections to.
#[derive(Clone, Debug)]
pub struct Heir {
    idle: UnboundedSender<MovedConnection>,
    unfinished: Option<Sender<MovedConnection>>,
}

impl From<UnboundedSender<MovedConnection>> for Heir {
    /// One that is given idle connections only.
    fn from(idle: UnboundedSender<MovedConnection>) -> Self {
        Self { idle, unfinished: None }
    }
}

impl Heir {
    /// Gives those with an unfinished answer too, as many at a time as the channel has room for. What happens while they are
    /// on their way they hear of later.
    #[must_use]
    pub fn with_unfinished(self, unfinished: Sender<MovedConnection>) -> Self {
        Self { unfinished: Some(unfinished), ..self }
    }

    /// Gives one that is idle; without an effect if nobody takes it, and it is closed.
    pub(crate) fn give_idle(&self, connection: MovedConnection) {
        let _ = self.idle.send(connection);
    }

    pub(crate) fn unfinished(&self) -> Option<&Sender<MovedConnection>> {
        self.unfinished.as_ref()
    }
}

/// Gives connections of another server to the worker threads of this one; clones give to the same.
///
/// As long as there is one, a drain does not end: connections may still come.
#[derive(Clone, Debug)]
pub struct Adopter {
    threads: Arc<[UnboundedSender<MovedConnection>]>,
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
            if let Err(SendError(connection)) = thread.send(connection) {
                connection.end();
            }
        }
    }
}

fn connection_number(connection: &MovedConnection) -> usize {
    use std::os::fd::AsRawFd;
    connection.socket.as_raw_fd().unsigned_abs() as usize
}
