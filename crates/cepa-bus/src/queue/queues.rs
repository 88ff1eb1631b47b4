//! All queues of a bus, and what they keep together.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

use super::{Channel, EventId, QueueOptions, message::Draft};
use crate::{
    BusLimits, NameError,
    far::Far,
    locked,
    names::{Named, Names},
};

/// All queues of a bus.
#[derive(Debug)]
pub(crate) struct Queues {
    pub(crate) names: Names<Channel>,
    /// Where they are kept instead; the channels are mirrors then.
    pub(super) far: Option<Arc<dyn Far>>,
    room: Arc<Room>,
    /// No search for what can be dropped before that.
    rest_until: Mutex<Option<Instant>>,
}

/// How much the queues of a bus may hold, and how many bytes of messages they keep.
#[derive(Debug)]
pub(super) struct Room {
    pub(super) subscribers: usize,
    pub(super) idle: Duration,
    most: usize,
    kept: AtomicUsize,
}

impl Queues {
    /// After a search of all queues, so many times its length nobody searches.
    const REST: u32 = 9;

    pub(crate) fn new(limits: &BusLimits, far: Option<Arc<dyn Far>>) -> Self {
        let room = Room {
            subscribers: limits.subscribers.min(u32::MAX as usize),
            idle: limits.queue_idle,
            most: limits.queue_bytes,
            kept: AtomicUsize::new(0),
        };
        Self { names: Names::new(limits.names), far, room: Arc::new(room), rest_until: Mutex::default() }
    }

    pub(crate) fn open(
        &self,
        app: &Arc<str>,
        name: &str,
        options: QueueOptions,
    ) -> Result<Arc<Channel>, NameError> {
        self.names.open(app, name, |key| Channel::new(key, options, Arc::clone(&self.room), self.far.clone()))
    }

    pub(super) fn publish(&self, channel: &Channel, draft: Draft) -> EventId {
        let id = channel.publish(draft);
        if self.room.is_over() {
            self.make_room();
            channel.forget(|| self.room.is_over());
        }
        id
    }

    /// Drops messages of queues that nobody uses, those idle for longest first, until an eighth is free.
    fn make_room(&self) {
        let started = Instant::now();
        let mut rest_until = locked(&self.rest_until);
        if rest_until.is_some_and(|until| started < until) {
            return;
        }
        let mut idle = self.names.collect(|channel, is_used| {
            let since = channel.idle_since().filter(|_| !is_used)?;
            Some((since, Arc::clone(channel)))
        });
        idle.sort_unstable_by_key(|(since, _)| *since);
        let enough = self.room.most - self.room.most / 8;
        for (_, channel) in idle {
            if self.room.kept.load(Relaxed) <= enough {
                break;
            }
            channel.forget(|| true);
        }
        let ended = Instant::now();
        *rest_until = ended.checked_add((ended - started) * Self::REST);
    }
}

impl Room {
    pub(super) fn take(&self, bytes: usize) {
        self.kept.fetch_add(bytes, Relaxed);
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.kept.fetch_sub(bytes, Relaxed);
    }

    fn is_over(&self) -> bool {
        self.kept.load(Relaxed) > self.most
    }
}
