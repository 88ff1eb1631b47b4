//! Messages to listeners by the name of an action, as Egg's messenger has them.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, RandomState},
    marker::PhantomData,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::mpsc::{self, error::TrySendError};

use crate::{NameError, bus::Hub, locked, names};

/// Sends messages to listeners by the name of an action, see [`Bus::messenger`](crate::Bus::messenger).
///
/// A message reaches those who listen when it is sent, at most once; a listener that is 128 messages behind
/// [misses](Listener::missed) those that follow. What must not be lost, or has many readers, is a
/// [`Queue`](crate::Queue)'s.
///
/// ```
/// use cepa_bus::Bus;
///
/// # cepa_core::test::block_on(async {
/// let messenger = Bus::new().messenger();
/// let mut refresh = messenger.on::<String>("refresh")?;
/// assert_eq!(messenger.broadcast("refresh", &"users")?, 1);
/// assert_eq!(refresh.next().await?, "users");
/// # Ok::<(), cepa_bus::MessengerError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Messenger {
    hub: Arc<Hub>,
    app: Arc<str>,
}

/// Why a message could not be sent or read.
#[derive(Debug, thiserror::Error)]
pub enum MessengerError {
    /// The name of the app or the action cannot be used.
    #[error(transparent)]
    Name(#[from] NameError),
    /// There are as many listeners as there may be.
    #[error("there are as many listeners as there may be")]
    TooManyListeners,
    /// The message is no JSON of its type.
    #[error("a message is not of the type that its listener asks for, or cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// All listeners of all apps.
#[derive(Debug, Default)]
pub(crate) struct Switch(Mutex<Listeners>);

#[derive(Debug, Default)]
struct Listeners {
    by_action: HashMap<Action, Vec<Ear>>,
    count: usize,
    last: u64,
}

/// An app and an action.
type Action = (Arc<str>, Arc<str>);

#[derive(Clone, Debug)]
struct Ear {
    number: u64,
    sender: mpsc::Sender<Bytes>,
    missed: Arc<AtomicU64>,
}

/// One who listens, see [`Messenger::on`]. Dropping it ends that.
pub struct Listener<T> {
    hub: Arc<Hub>,
    action: Action,
    number: u64,
    messages: mpsc::Receiver<Bytes>,
    missed: Arc<AtomicU64>,
    kind: PhantomData<fn() -> T>,
}

impl Messenger {
    const BUFFER: usize = 128;

    pub(crate) fn new(hub: Arc<Hub>, app: Arc<str>) -> Self {
        Self { hub, app }
    }

    /// Listens for an action of this app.
    ///
    /// # Errors
    /// A name that is none; [`TooManyListeners`](MessengerError::TooManyListeners).
    pub fn on<T: DeserializeOwned>(&self, action: &str) -> Result<Listener<T>, MessengerError> {
        names::check(action)?;
        let action: Action = (Arc::clone(&self.app), action.into());
        let (sender, messages) = mpsc::channel(Self::BUFFER);
        let missed = Arc::<AtomicU64>::default();
        let mut listeners = locked(&self.hub.switch.0);
        if listeners.count >= self.hub.limits.listeners {
            return Err(MessengerError::TooManyListeners);
        }
        listeners.count += 1;
        listeners.last += 1;
        let number = listeners.last;
        let ear = Ear { number, sender, missed: Arc::clone(&missed) };
        listeners.by_action.entry(action.clone()).or_default().push(ear);
        drop(listeners);
        Ok(Listener { hub: Arc::clone(&self.hub), action, number, messages, missed, kind: PhantomData })
    }

    /// Sends to all listeners of this app, the sender's own included, and answers how many took it.
    ///
    /// # Errors
    /// A message that cannot be written as JSON.
    pub fn broadcast<T: Serialize + ?Sized>(
        &self,
        action: &str,
        message: &T,
    ) -> Result<usize, MessengerError> {
        self.send(&self.app, action, message)
    }

    /// Sends to one listener of this app, whichever, and answers whether it took it.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn send_random<T: Serialize + ?Sized>(
        &self,
        action: &str,
        message: &T,
    ) -> Result<bool, MessengerError> {
        let ears = self.ears(&self.app, action);
        let Some(last) = ears.len().checked_sub(1) else { return Ok(false) };
        let chosen = RandomState::new().hash_one(()) as usize % (last + 1);
        Ok(ears[chosen].hear(serde_json::to_vec(message)?.into()))
    }

    /// Sends to all listeners of another app, and answers how many took it.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub fn send_to_app<T: Serialize + ?Sized>(
        &self,
        app: &str,
        action: &str,
        message: &T,
    ) -> Result<usize, MessengerError> {
        self.send(&app.into(), action, message)
    }

    fn send<T: Serialize + ?Sized>(
        &self,
        app: &Arc<str>,
        action: &str,
        message: &T,
    ) -> Result<usize, MessengerError> {
        let message = Bytes::from(serde_json::to_vec(message)?);
        let ears = self.ears(app, action);
        Ok(ears.iter().filter(|ear| ear.hear(message.clone())).count())
    }

    /// A copy, so that nobody is woken under the lock.
    fn ears(&self, app: &Arc<str>, action: &str) -> Vec<Ear> {
        let action = (Arc::clone(app), action.into());
        locked(&self.hub.switch.0).by_action.get(&action).cloned().unwrap_or_default()
    }
}

impl Ear {
    fn hear(&self, message: Bytes) -> bool {
        match self.sender.try_send(message) {
            Ok(()) => true,
            Err(TrySendError::Full(_)) => {
                self.missed.fetch_add(1, Relaxed);
                false
            }
            Err(TrySendError::Closed(_)) => false,
        }
    }
}

impl<T: DeserializeOwned> Listener<T> {
    /// The next message. None is lost when the wait is given up.
    ///
    /// # Errors
    /// A message of another type, which is passed over.
    pub async fn next(&mut self) -> Result<T, MessengerError> {
        let message = self.messages.recv().await.expect("the sender is kept until the listener is dropped");
        Ok(serde_json::from_slice(&message)?)
    }

    /// How many messages were lost because this listener was behind.
    pub fn missed(&self) -> u64 {
        self.missed.load(Relaxed)
    }
}

impl<T> Drop for Listener<T> {
    fn drop(&mut self) {
        let mut listeners = locked(&self.hub.switch.0);
        let Some(ears) = listeners.by_action.get_mut(&self.action) else { return };
        // Numbers grow: they are in order.
        let gone = ears.binary_search_by_key(&self.number, |ear| ear.number).ok().map(|at| ears.remove(at));
        if ears.is_empty() {
            listeners.by_action.remove(&self.action);
        }
        listeners.count -= 1;
        drop(listeners);
        drop(gone);
    }
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Messenger({:?})", self.app)
    }
}

impl<T> fmt::Debug for Listener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:?})", self.action.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bus, BusLimits};

    #[tokio::test]
    async fn to_all_to_one_and_to_another_app() {
        let bus = Bus::new();
        let (here, there) = (bus.messenger(), bus.namespace("there").unwrap().messenger());
        let (mut a, mut b) = (here.on::<u8>("x").unwrap(), here.on::<u8>("x").unwrap());
        let mut c = there.on::<u8>("x").unwrap();
        assert_eq!(here.broadcast("x", &1).unwrap(), 2);
        assert_eq!((a.next().await.unwrap(), b.next().await.unwrap()), (1, 1));
        assert_eq!(here.send_to_app("there", "x", &2).unwrap(), 1);
        assert_eq!(c.next().await.unwrap(), 2);
        assert!(here.send_random("x", &3).unwrap());
        assert_eq!(a.messages.len() + b.messages.len(), 1);
        assert!(!here.send_random("nobody", &3).unwrap());
        here.broadcast("x", "text").unwrap();
        drop(b);
        assert_eq!(here.broadcast("x", &1).unwrap(), 1);
    }

    #[tokio::test]
    async fn a_listener_that_never_reads_is_bounded_and_so_is_their_number() {
        let bus = Bus::with_limits(BusLimits { listeners: 1, ..BusLimits::default() });
        let messenger = bus.messenger();
        let mut listener = messenger.on::<u32>("x").unwrap();
        assert!(matches!(messenger.on::<u32>("y"), Err(MessengerError::TooManyListeners)));
        for n in 0..1000u32 {
            messenger.broadcast("x", &n).unwrap();
        }
        assert_eq!(listener.missed(), 1000 - Messenger::BUFFER as u64);
        messenger.broadcast("x", "lost").unwrap();
        assert_eq!(listener.next().await.unwrap(), 0);
        messenger.broadcast("x", "of another type").unwrap();
        for n in 1..Messenger::BUFFER as u32 {
            assert_eq!(listener.next().await.unwrap(), n);
        }
        assert!(listener.next().await.is_err());
        drop(listener);
        assert!(locked(&bus.messenger().hub.switch.0).by_action.is_empty());
        messenger.on::<u32>("y").unwrap();
    }
}
