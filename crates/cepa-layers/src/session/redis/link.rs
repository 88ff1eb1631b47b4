//! The connection of a worker thread, shared by all requests on it.

use std::{
    cell::{Cell, RefCell},
    rc::Rc,
    sync::{Arc, Weak},
};

use redis::{
    AsyncConnectionConfig, Client, ErrorKind, RedisError, RedisResult, ServerErrorKind,
    aio::MultiplexedConnection,
};
use tokio::sync::{Mutex, MutexGuard};

use super::Inner;

/// Locks that the sessions of a thread are shared out among.
const TURNS: usize = 64;

/// What a thread has of a store.
pub(super) struct Link {
    connection: RefCell<Option<Numbered>>,
    /// How many were made.
    made: Cell<u64>,
    /// Held while a connection is made, so that all wait for one.
    connecting: Mutex<()>,
    turns: [Mutex<()>; TURNS],
}

/// A connection, and which of this thread's it is.
#[derive(Clone)]
pub(super) struct Numbered {
    pub(super) connection: MultiplexedConnection,
    pub(super) number: u64,
}

thread_local! {
    /// The links of this thread, by their store. A connection is driven by the runtime of the thread that has made it.
    static LINKS: RefCell<Vec<(Weak<Inner>, Rc<Link>)>> = const { RefCell::new(Vec::new()) };
}

/// The link of this thread to a store.
pub(super) fn of_this_thread(store: &Arc<Inner>) -> Rc<Link> {
    LINKS.with_borrow_mut(|links| {
        let of_store = |(other, _): &&(Weak<Inner>, _)| std::ptr::eq(other.as_ptr(), Arc::as_ptr(store));
        if let Some((_, link)) = links.iter().find(of_store) {
            return Rc::clone(link);
        }
        links.retain(|(store, _)| store.strong_count() > 0);
        let link = Rc::new(Link::new());
        links.push((Arc::downgrade(store), Rc::clone(&link)));
        link
    })
}

/// Whether a connection is of no more use after this error: it is gone, or it leads to a server that is no longer the
/// one to write to.
pub(super) fn is_lost(error: &RedisError) -> bool {
    error.is_unrecoverable_error() || error.kind() == ErrorKind::Server(ServerErrorKind::ReadOnly)
}

impl Link {
    fn new() -> Self {
        Self {
            connection: RefCell::new(None),
            made: Cell::new(0),
            connecting: Mutex::new(()),
            turns: [const { Mutex::const_new(()) }; TURNS],
        }
    }

    /// The connection that there is, or a new one.
    pub(super) async fn connection(&self, client: &Client) -> RedisResult<Numbered> {
        if let Some(connection) = self.present() {
            return Ok(connection);
        }
        let _connecting = self.connecting.lock().await;
        if let Some(connection) = self.present() {
            return Ok(connection);
        }
        // The time for the whole operation bounds each part of it.
        let config = AsyncConnectionConfig::new().set_connection_timeout(None).set_response_timeout(None);
        let connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        let number = self.made() + 1;
        self.made.set(number);
        let connection = Numbered { connection, number };
        self.connection.replace(Some(connection.clone()));
        Ok(connection)
    }

    /// How many connections were made so far; those with a higher number are newer.
    pub(super) fn made(&self) -> u64 {
        self.made.get()
    }

    fn present(&self) -> Option<Numbered> {
        self.connection.borrow().clone()
    }

    /// Takes a connection away, unless another request has replaced it already. The next request makes another one;
    /// those that wait for an answer on this one go on waiting.
    pub(super) fn discard(&self, number: u64) {
        self.connection.borrow_mut().take_if(|connection| connection.number == number);
    }

    /// Waits until no other request of this thread writes the session, or one of the few that share its lock.
    pub(super) async fn turn(&self, hash: &[u8; 32]) -> MutexGuard<'_, ()> {
        self.turns[usize::from(hash[0]) % TURNS].lock().await
    }
}
