//! Queues in Redis, as handles see them.

use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use bytes::Bytes;

use super::{
    MESSAGE_MOST, Redis,
    jobs::Job,
    keys::{Kind, name},
    mirrors::{Follow, call_about, keys_of},
    outbox::Publication,
    scripts,
};
use crate::{
    BackendError, EventId, QueueError, QueueOptions,
    far::{FarQueues, Reply},
    names::Key,
    queue::Channel,
};

impl Redis {
    async fn publish_once(
        &self,
        queue: &Key,
        options: QueueOptions,
        event: Option<&str>,
        json: Bytes,
    ) -> Result<EventId, QueueError> {
        // Where Redis is there and answers, room is a matter of moments.
        let wait = if self.is_up.load(Relaxed) { self.settings.wait } else { Duration::ZERO };
        let permit = match self.buffer.permit(json.len()) {
            Err(BackendError::Busy) if !wait.is_zero() => self.buffer.wait(json.len(), wait).await?,
            permit => permit?,
        };
        let (queue, event) = (queue.clone(), event.map(Into::into));
        self.ask(|reply| Job::Publish(Publication { queue, options, event, json, reply, permit })).await
    }

    /// The names of subscribers, with their numbers.
    async fn names(&self, queue: &Key) -> Result<Vec<(Arc<str>, usize)>, BackendError> {
        let keys = &self.settings.keys;
        let key = keys.of(Kind::Present, queue);
        // By session and name, as Redis may say one twice.
        let mut found = BTreeMap::<String, usize>::new();
        let mut cursor = "0".to_owned();
        loop {
            let mut call = scripts::call(&scripts::PRESENT, &[&keys.sessions, &key]);
            call.arg(cursor);
            let mut answer = self.call_after_news(0, move |_| call).await?;
            cursor = answer.text()?;
            while !answer.is_empty() {
                found.insert(answer.text()?, answer.number()?);
            }
            if found.len() > self.settings.limits.subscribers {
                return Err(BackendError::Refused("more are present than may be".into()));
            }
            if cursor == "0" {
                break;
            }
        }
        let mut names = BTreeMap::<Arc<str>, usize>::new();
        for (field, count) in &found {
            if let Some((_, name)) = field.split_once(' ') {
                *names.entry(name.into()).or_default() += count;
            }
        }
        Ok(names.into_iter().collect())
    }
}

impl FarQueues for Redis {
    fn publish<'a>(
        &'a self,
        queue: &'a Key,
        options: QueueOptions,
        event: Option<&'a str>,
        json: Bytes,
    ) -> Reply<'a, EventId, QueueError> {
        Box::pin(async move {
            if json.len() > MESSAGE_MOST {
                return Err(BackendError::TooLong(MESSAGE_MOST).into());
            }
            self.with_room(Kind::Queue, || self.publish_once(queue, options, event, json.clone())).await
        })
    }

    fn follow(&self, mirror: &Arc<Channel>, last: Option<EventId>) {
        let (queue, options) = (mirror.key().clone(), mirror.options());
        self.send(Job::Follow(Follow { queue, options, mirror: Arc::downgrade(mirror), last }));
    }

    fn changed(&self, mirror: &Arc<Channel>) {
        if self.news.of_queue(mirror) {
            self.send(Job::News);
        }
    }

    fn stop<'a>(&'a self, queue: &'a Key) -> Reply<'a, (), QueueError> {
        Box::pin(async move {
            let (settings, queue) = (Arc::clone(&self.settings), queue.clone());
            let stop = move |session: &_| {
                let mut call = call_about(&settings, &scripts::STOP, &keys_of(&settings, &queue), session);
                call.arg(name(&queue)).arg(&*settings.keys.channel(&queue));
                call
            };
            Ok(self.call(0, stop).await.map(drop)?)
        })
    }

    fn subscribers<'a>(&'a self, queue: &'a Key) -> Reply<'a, usize, QueueError> {
        Box::pin(async move {
            let keys = &self.settings.keys;
            let counts = keys.of(Kind::Subscribers, queue);
            let call = scripts::call(&scripts::SUBSCRIBERS, &[&keys.sessions, &counts]);
            Ok(self.call_after_news(0, move |_| call).await?.number()?)
        })
    }

    fn present<'a>(&'a self, queue: &'a Key) -> Reply<'a, Vec<(Arc<str>, usize)>, QueueError> {
        Box::pin(async move { Ok(self.names(queue).await?) })
    }
}
