//! Named publish and subscribe.

mod channel;
mod error;
mod message;
mod mirror;
mod own;
mod queues;
mod relay;
mod state;
mod subscriber;
#[cfg(test)]
mod tests;

use std::{fmt, marker::PhantomData, sync::Arc};

use serde::{Serialize, de::DeserializeOwned};

use self::message::Draft;
pub(crate) use self::{
    channel::Channel,
    mirror::{Followed, Report},
    queues::Queues,
    relay::{Elsewhere, Relay, Relayed},
};
pub use self::{
    channel::{QueueInfo, QueueOptions},
    error::QueueError,
    message::{EventId, EventIdError, Message},
    subscriber::{Delivery, Overflow, Stopped, Subscriber},
};
use crate::{NameError, names};

/// A named queue: what is published reaches all its subscribers, see [`Bus::queue`](crate::Bus::queue).
///
/// - All subscribers see messages in **one order**, from whatever threads they are published.
/// - A message is written as JSON **once**; all subscribers share those bytes.
/// - The queue keeps its last messages, for subscribers that are slow and for those that come back
///   ([`QueueOptions`]). A subscriber that does not read keeps nothing by itself and slows nobody.
/// - A message reaches a subscriber at most once. One that has missed some is told.
///
/// ```
/// use cepa_bus::{Bus, Delivery};
///
/// # cepa_core::test::block_on(async {
/// let news = Bus::new().queue::<String>("news")?;
/// let mut reader = news.subscribe()?;
/// news.notify(&"It rains".to_owned()).await?;
/// match reader.next().await {
///     Some(Delivery::Message(message)) => assert_eq!(message.value()?, "It rains"),
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), cepa_core::Error>(())
/// # }).unwrap();
/// ```
pub struct Queue<T> {
    channel: Arc<Channel>,
    queues: Arc<Queues>,
    messages: PhantomData<fn(T) -> T>,
}

impl<T: Serialize + DeserializeOwned> Queue<T> {
    /// The queue or room of a name that has been put together.
    pub(crate) fn open(
        queues: &Arc<Queues>,
        app: &Arc<str>,
        name: &str,
        options: QueueOptions,
    ) -> Result<Self, NameError> {
        let channel = queues.open(app, name, options)?;
        Ok(Self { channel, queues: Arc::clone(queues), messages: PhantomData })
    }

    /// Publishes a message, and answers its id. Subscribers run later, on threads of their own.
    ///
    /// Where the bus is kept elsewhere this waits for the answer, also while the bus is lost if
    /// [`while_lost`](crate::BusConfig::while_lost) is `buffer`. Giving up the wait takes back nothing.
    ///
    /// # Errors
    /// A message that cannot be written as JSON, or has more bytes than [`QueueOptions::message`];
    /// [`Backend`](QueueError::Backend).
    pub async fn notify(&self, message: &T) -> Result<EventId, QueueError> {
        self.publish(None, message).await
    }

    /// Publishes a message as an event of a type, which streams of events call their listeners by.
    ///
    /// # Errors
    /// As [`notify`](Self::notify); a type that has not 1 to 64 bytes, or a control character.
    pub async fn notify_as(&self, event: &str, message: &T) -> Result<EventId, QueueError> {
        self.publish(Some(event), message).await
    }

    async fn publish(&self, event: Option<&str>, message: &T) -> Result<EventId, QueueError> {
        let options = self.channel.options();
        let draft = Draft::write(self.channel.name(), event, message, options.message)?;
        match &self.queues.far {
            None => Ok(self.queues.publish(&self.channel, draft)),
            Some(far) => far.publish(self.channel.key(), options, event, draft.into_json()).await,
        }
    }

    /// A subscriber to all that is published from now on.
    ///
    /// Where the bus is kept elsewhere, it gets what this process publishes from now on, and what others publish once the bus
    /// knows of it; what was on its way to this process may come too.
    ///
    /// # Errors
    /// When the queue has as many as it may.
    pub fn subscribe(&self) -> Result<Subscriber<T>, QueueError> {
        Subscriber::new(Arc::clone(&self.channel), None)
    }

    /// A subscriber to all that was published after a message, as far as the queue has kept it.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_after(&self, last: EventId) -> Result<Subscriber<T>, QueueError> {
        Subscriber::new(Arc::clone(&self.channel), Some(last))
    }

    /// A subscriber to all that the queue has kept, and what is published from now on.
    ///
    /// # Errors
    /// As [`subscribe`](Self::subscribe).
    pub fn subscribe_from_start(&self) -> Result<Subscriber<T>, QueueError> {
        Subscriber::from_start(Arc::clone(&self.channel))
    }

    /// The number of subscribers, in all processes.
    ///
    /// # Errors
    /// [`Backend`](QueueError::Backend) where the bus is kept elsewhere.
    pub async fn count(&self) -> Result<usize, QueueError> {
        match &self.queues.far {
            None => Ok(self.channel.count()),
            Some(far) => far.subscribers(self.channel.key()).await,
        }
    }

    /// Who is subscribed, in all processes, of those that are [named](Subscriber::named): each name once, in their order,
    /// with the number of its subscribers. Those of other processes are heard of a moment later.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub async fn present(&self) -> Result<Vec<(Arc<str>, usize)>, QueueError> {
        match &self.queues.far {
            None => Ok(self.channel.present()),
            Some(far) => far.present(self.channel.key()).await,
        }
    }

    /// Ends all subscribers that there are now, in all processes, once they have read what is there for them. New ones may
    /// come.
    ///
    /// # Errors
    /// As [`count`](Self::count).
    pub async fn stop(&self) -> Result<(), QueueError> {
        match &self.queues.far {
            None => {
                self.channel.stop();
                Ok(())
            }
            Some(far) => far.stop(self.channel.key()).await,
        }
    }

    /// A room of this queue, with messages and subscribers of its own. It is the queue `name#room`.
    ///
    /// In that name `%` and `#` of the room are `%25` and `%23`, so that no two rooms are one.
    ///
    /// # Errors
    /// As [`Bus::queue`](crate::Bus::queue); all of `name#room` has at most 256 bytes.
    pub fn room(&self, room: &str) -> Result<Self, NameError> {
        names::check(room)?;
        let room = format!("{}#{}", self.channel.name(), room.replace('%', "%25").replace('#', "%23"));
        Self::open(&self.queues, &self.channel.key().app, &room, self.channel.options())
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.channel.name()
    }
}

impl<T> Clone for Queue<T> {
    fn clone(&self) -> Self {
        Self { channel: Arc::clone(&self.channel), queues: Arc::clone(&self.queues), messages: PhantomData }
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({:?})", self.channel.name())
    }
}
