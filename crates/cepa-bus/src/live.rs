//! What a ctx can do with queues and shares: streams of events, long polls, locks.

mod long_poll;
mod resume;
mod sse;
#[cfg(test)]
mod tests;

use std::{rc::Rc, time::Duration};

use cepa_core::{Body, Ctx, Error, Result};
use http::header;
use serde::{Serialize, de::DeserializeOwned};

pub(crate) use self::resume::{Kind, Place};
use self::sse::EventStream;
pub use self::{resume::resume, sse::SseOptions};
use crate::{EventId, Party, Queue, QueueError, Subscriber};

/// What a [`Ctx`] can do with queues and shares.
///
/// Both ways to a browser come back after a break without losing what the queue has kept: a stream by the header
/// `Last-Event-ID` that browsers send by themselves, a poll by the query `after`.
pub trait Live {
    /// Answers with a stream of the messages of a queue, as `text/event-stream` (WHATWG HTML, section 9.2).
    ///
    /// The client's `Last-Event-ID` is where it begins, else now. The data of an event is a message as JSON; an event of
    /// the type `missed` says that messages are gone, and how many (`null`: unknown). [`SseOptions`] says what else is sent.
    ///
    /// ```
    /// use cepa_bus::{Bus, Live};
    /// use cepa_core::{App, Ctx};
    ///
    /// let app = App::new().provide(Bus::new()).get("/news", async |ctx: &mut Ctx| {
    ///     let news = ctx.provided::<Bus>()?.queue::<String>("news")?;
    ///     ctx.sse(&news)
    /// });
    /// ```
    ///
    /// # Errors
    /// 503 when the queue has as many subscribers as it may.
    fn sse<T: Serialize + DeserializeOwned + 'static>(&mut self, queue: &Queue<T>) -> Result;

    /// [`sse`](Self::sse) for a subscriber of one's own making, with a name or a policy.
    ///
    /// # Errors
    /// None that a handler could cause.
    fn sse_with<T: 'static>(&mut self, subscriber: Subscriber<T>, options: SseOptions) -> Result;

    /// Answers with the next messages of a queue as JSON, once there is one, or when the time is over.
    ///
    /// The answer waits, not the handler: the head is sent at once, and while the client waits, as long as
    /// `limits.request_time` or longer, nothing is kept of the request. What is there already is answered at once.
    ///
    /// The query `after`, else `Last-Event-ID`, is where it begins, else now. The answer has all that is there, and the id
    /// to send as `after` next, so that nothing is lost between two polls:
    ///
    /// ```json
    /// {"id": "…", "missed": false, "messages": [{"id": "…", "event": null, "data": "It rains"}]}
    /// ```
    ///
    /// While it waits, a line break is sent every 15 s, which JSON may begin with: proxies keep the connection, and a client
    /// that is gone is noticed where only a write tells. A server that drains answers at once.
    ///
    /// # Errors
    /// 503 when the queue has as many subscribers as it may.
    fn long_poll<T: Serialize + DeserializeOwned + 'static>(
        &mut self,
        queue: &Queue<T>,
        timeout: Duration,
    ) -> Result;

    /// [`long_poll`](Self::long_poll) for a subscriber of one's own making.
    ///
    /// # Errors
    /// None that a handler could cause.
    fn long_poll_with<T: 'static>(&mut self, subscriber: Subscriber<T>, timeout: Duration) -> Result;

    /// The message that the client has seen last, by the header `Last-Event-ID`; `None` where that is no id of ours.
    fn last_event_id(&self) -> Option<EventId>;

    /// The party that this request locks shares as; its label is the method and the path.
    fn party(&mut self) -> &mut Party;
}

impl Live for Ctx {
    fn sse<T: Serialize + DeserializeOwned + 'static>(&mut self, queue: &Queue<T>) -> Result {
        let subscriber = subscribe(queue, self.last_event_id())?;
        self.sse_with(subscriber, SseOptions::default())
    }

    fn sse_with<T: 'static>(&mut self, subscriber: Subscriber<T>, options: SseOptions) -> Result {
        self.set(header::CONTENT_TYPE, "text/event-stream")?;
        self.set(header::CACHE_CONTROL, "no-store")?;
        // nginx keeps a response back until it has some kilobytes, unless told not to.
        self.set("x-accel-buffering", "no")?;
        let (connection, is_resumed) = (Rc::clone(self.connection()), self.parked().is_some());
        self.set_body(Body::parks(EventStream::new(subscriber, options, connection, is_resumed)))
    }

    fn long_poll<T: Serialize + DeserializeOwned + 'static>(
        &mut self,
        queue: &Queue<T>,
        timeout: Duration,
    ) -> Result {
        let asked = self.query_pairs().find(|(key, _)| key == "after").map(|(_, id)| id.parse().ok());
        let subscriber = subscribe(queue, asked.unwrap_or_else(|| self.last_event_id()))?;
        self.long_poll_with(subscriber, timeout)
    }

    fn long_poll_with<T: 'static>(&mut self, subscriber: Subscriber<T>, timeout: Duration) -> Result {
        long_poll::answer(self, subscriber, timeout)
    }

    fn last_event_id(&self) -> Option<EventId> {
        self.get("last-event-id")?.parse().ok()
    }

    fn party(&mut self) -> &mut Party {
        if self.state::<Party>().is_none() {
            let party = Party::new(format!("{} {}", self.method(), self.path()));
            self.insert(party);
        }
        self.state_mut().expect("the party was just put in")
    }
}

fn subscribe<T: Serialize + DeserializeOwned>(
    queue: &Queue<T>,
    last: Option<EventId>,
) -> Result<Subscriber<T>> {
    let subscriber = match last {
        Some(last) => queue.subscribe_after(last),
        None => queue.subscribe(),
    };
    subscriber.map_err(|error| match error {
        QueueError::TooManySubscribers(_) => Error::status_only(503).with_cause(error),
        error => error.into(),
    })
}
