//! Messages to listeners by the name of an action, as Egg's messenger has them.

mod switch;

use std::{
    fmt,
    marker::PhantomData,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use serde::{Serialize, de::DeserializeOwned};

use self::switch::Heard;
pub(crate) use self::switch::Switch;
use crate::{
    BackendError, NameError,
    far::To,
    names::{self, Key},
};

/// Sends messages to listeners by the name of an action, see [`Bus::messenger`](crate::Bus::messenger).
///
/// A message reaches those who listen when it is sent, in all processes of the bus, at most once; a listener that is 128
/// messages behind [misses](Listener::missed) those that follow. What must not be lost, or has many readers, is a
/// [`Queue`](crate::Queue)'s.
///
/// Processes are workers, or the agent, which is there once. A bus in memory is both.
///
/// ```
/// use cepa_bus::Bus;
///
/// # cepa_core::test::block_on(async {
/// let messenger = Bus::new().messenger();
/// let mut refresh = messenger.on::<String>("refresh")?;
/// assert_eq!(messenger.broadcast("refresh", &"users").await?, 1);
/// assert_eq!(refresh.next().await?, "users");
/// # Ok::<(), cepa_bus::MessengerError>(())
/// # }).unwrap();
/// ```
#[derive(Clone)]
pub struct Messenger {
    switch: Arc<Switch>,
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
    /// Other processes were not reached; listeners of this one may have been.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The message is no JSON of its type.
    #[error("a message is not of the type that its listener asks for, or cannot be written as JSON")]
    Json(#[from] serde_json::Error),
}

/// One who listens, see [`Messenger::on`]. Dropping it ends that.
pub struct Listener<T> {
    switch: Arc<Switch>,
    action: Key,
    heard: Heard,
    kind: PhantomData<fn() -> T>,
}

impl Messenger {
    pub(crate) fn new(switch: Arc<Switch>, app: Arc<str>) -> Self {
        Self { switch, app }
    }

    /// Listens for an action of this app.
    ///
    /// # Errors
    /// A name that is none; [`TooManyListeners`](MessengerError::TooManyListeners).
    pub fn on<T: DeserializeOwned>(&self, action: &str) -> Result<Listener<T>, MessengerError> {
        names::check(action)?;
        let action = Key { app: Arc::clone(&self.app), name: action.into() };
        let heard = self.switch.listen(&action)?;
        Ok(Listener { switch: Arc::clone(&self.switch), action, heard, kind: PhantomData })
    }

    /// Sends to all listeners of this app in all processes, the sender's own included, and answers how many.
    ///
    /// Those of other processes are counted as they have said that they are there.
    ///
    /// # Errors
    /// A message that cannot be written as JSON; [`Backend`](MessengerError::Backend) where the bus is kept elsewhere.
    pub async fn broadcast<T: Serialize + ?Sized>(
        &self,
        action: &str,
        message: &T,
    ) -> Result<usize, MessengerError> {
        let (action, json) = self.write(action, message)?;
        Ok(self.switch.tell_all(&action, &json) + self.tell(&action, To::Others, json).await?)
    }

    /// Sends to all listeners of this app in workers.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn send_to_app<T: Serialize + ?Sized>(
        &self,
        action: &str,
        message: &T,
    ) -> Result<usize, MessengerError> {
        let (action, json) = self.write(action, message)?;
        let is_worker = self.switch.far().is_none_or(|far| far.is_worker());
        let here = if is_worker { self.switch.tell_all(&action, &json) } else { 0 };
        Ok(here + self.tell(&action, To::OtherWorkers, json).await?)
    }

    /// Sends to all listeners of this app in the agent.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn send_to_agent<T: Serialize + ?Sized>(
        &self,
        action: &str,
        message: &T,
    ) -> Result<usize, MessengerError> {
        let (action, json) = self.write(action, message)?;
        match self.switch.far() {
            None => Ok(self.switch.tell_all(&action, &json)),
            Some(_) => self.tell(&action, To::Agent, json).await,
        }
    }

    /// Sends to one listener of this app in a worker, whichever, and answers whether there was one.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn send_random<T: Serialize + ?Sized>(
        &self,
        action: &str,
        message: &T,
    ) -> Result<bool, MessengerError> {
        let (action, json) = self.write(action, message)?;
        match self.switch.far() {
            None => Ok(self.switch.tell_one(&action, json)),
            Some(_) => Ok(self.tell(&action, To::Random, json).await? > 0),
        }
    }

    /// Sends to all listeners of this app in the process with this id, [`std::process::id`], and answers how many.
    ///
    /// # Errors
    /// As [`broadcast`](Self::broadcast).
    pub async fn send_to<T: Serialize + ?Sized>(
        &self,
        process: u32,
        action: &str,
        message: &T,
    ) -> Result<usize, MessengerError> {
        let (action, json) = self.write(action, message)?;
        if process == std::process::id() {
            return Ok(self.switch.tell_all(&action, &json));
        }
        self.tell(&action, To::Process(process), json).await
    }

    fn write<T: Serialize + ?Sized>(
        &self,
        action: &str,
        message: &T,
    ) -> Result<(Key, Bytes), MessengerError> {
        names::check(action)?;
        let json = serde_json::to_vec(message)?;
        Ok((Key { app: Arc::clone(&self.app), name: action.into() }, json.into()))
    }

    async fn tell(&self, action: &Key, to: To, json: Bytes) -> Result<usize, MessengerError> {
        match self.switch.far() {
            None => Ok(0),
            Some(far) => Ok(far.tell(action, to, json).await?),
        }
    }
}

impl<T: DeserializeOwned> Listener<T> {
    /// The next message. None is lost when the wait is given up.
    ///
    /// # Errors
    /// A message of another type, which is passed over.
    pub async fn next(&mut self) -> Result<T, MessengerError> {
        let message =
            self.heard.messages.recv().await.expect("the sender is kept until the listener is dropped");
        Ok(serde_json::from_slice(&message)?)
    }

    /// How many messages were lost because this listener was behind.
    pub fn missed(&self) -> u64 {
        self.heard.missed.load(Relaxed)
    }
}

impl<T> Drop for Listener<T> {
    fn drop(&mut self) {
        self.switch.leave(&self.action, self.heard.number);
    }
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Messenger({:?})", self.app)
    }
}

impl<T> fmt::Debug for Listener<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Listener({:?})", self.action.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Bus, BusLimits};

    #[tokio::test]
    async fn to_all_to_one_and_not_to_another_app() {
        let bus = Bus::new();
        let (here, there) = (bus.messenger(), bus.namespace("there").unwrap().messenger());
        let (mut a, mut b) = (here.on::<u8>("x").unwrap(), here.on::<u8>("x").unwrap());
        let mut c = there.on::<u8>("x").unwrap();
        assert_eq!(here.broadcast("x", &1).await.unwrap(), 2);
        assert_eq!((a.next().await.unwrap(), b.next().await.unwrap()), (1, 1));
        assert_eq!(there.broadcast("x", &2).await.unwrap(), 1);
        assert_eq!(c.next().await.unwrap(), 2);
        assert!(here.send_random("x", &3).await.unwrap());
        assert_eq!(a.heard.messages.len() + b.heard.messages.len(), 1);
        assert!(!here.send_random("nobody", &3).await.unwrap());
        // A process that is alone is all of them.
        assert_eq!(there.send_to_app("x", &4).await.unwrap(), 1);
        assert_eq!(there.send_to_agent("x", &5).await.unwrap(), 1);
        assert_eq!(there.send_to(std::process::id(), "x", &6).await.unwrap(), 1);
        assert_eq!(there.send_to(0, "x", &7).await.unwrap(), 0);
        for n in 4..=6 {
            assert_eq!(c.next().await.unwrap(), n);
        }
        here.broadcast("x", "text").await.unwrap();
        drop(b);
        assert_eq!(here.broadcast("x", &1).await.unwrap(), 1);
    }

    #[tokio::test]
    async fn a_listener_that_never_reads_is_bounded_and_so_is_their_number() {
        let bus = Bus::with_limits(BusLimits { listeners: 1, ..BusLimits::default() });
        let messenger = bus.messenger();
        let mut listener = messenger.on::<u32>("x").unwrap();
        assert!(matches!(messenger.on::<u32>("y"), Err(MessengerError::TooManyListeners)));
        for n in 0..1000u32 {
            messenger.broadcast("x", &n).await.unwrap();
        }
        assert_eq!(listener.missed(), 1000 - Switch::BUFFER as u64);
        messenger.broadcast("x", "lost").await.unwrap();
        assert_eq!(listener.next().await.unwrap(), 0);
        messenger.broadcast("x", "of another type").await.unwrap();
        for n in 1..Switch::BUFFER as u32 {
            assert_eq!(listener.next().await.unwrap(), n);
        }
        assert!(listener.next().await.is_err());
        drop(listener);
        assert!(bus.messenger().switch.is_empty());
        messenger.on::<u32>("y").unwrap();
    }
}
