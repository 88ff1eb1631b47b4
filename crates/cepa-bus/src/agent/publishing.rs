//! What a process has published and the agent has not answered yet: it is sent again after a break, and answered once.

use std::{collections::VecDeque, sync::Arc};

use bytes::Bytes;
use tokio::sync::oneshot;

use super::{
    trouble::Trouble,
    wire::{Fault, Up},
};
use crate::{BackendError, BusConfig, EventId, QueueOptions, WhileLost, names::Key};

/// What a process has published, in order, and is not answered yet.
#[derive(Debug)]
pub(super) struct Publishing {
    waiting: VecDeque<Waiting>,
    bytes: usize,
    /// The number of the last message.
    last: u64,
    most: usize,
    most_bytes: usize,
    while_lost: WhileLost,
}

#[derive(Debug)]
struct Waiting {
    publish: Up,
    bytes: usize,
    is_sent: bool,
    reply: oneshot::Sender<Outcome>,
}

pub(super) type Outcome = Result<EventId, Trouble>;

/// An answer that is to be given once no lock is held.
#[must_use]
#[derive(Debug)]
pub(super) struct Settled(oneshot::Sender<Outcome>, Outcome);

impl Settled {
    pub(super) fn tell(self) {
        // Who has gone does not ask.
        let _ = self.0.send(self.1);
    }
}

/// A message that is to be published.
#[derive(Debug)]
pub(super) struct Message {
    pub(super) queue: Key,
    pub(super) options: QueueOptions,
    pub(super) event: Option<Arc<str>>,
    pub(super) json: Bytes,
}

impl Publishing {
    /// Bytes that a message takes besides its own.
    const EACH: usize = 256;
    /// The agent knows of no more messages of a process.
    const MOST: usize = 65_536;

    pub(super) fn new(config: &BusConfig) -> Self {
        Self {
            waiting: VecDeque::new(),
            bytes: 0,
            last: 0,
            most: config.buffer_messages.clamp(1, Self::MOST),
            most_bytes: config.buffer_bytes,
            while_lost: config.while_lost,
        }
    }

    pub(super) fn most(&self) -> usize {
        self.most
    }

    /// Whether one more is taken while the backend is away.
    pub(super) fn is_refused(&self) -> bool {
        self.while_lost == WhileLost::Refuse
    }

    pub(super) fn has_room(&self, message: &Message) -> bool {
        let bytes = self.bytes + Self::EACH + message.json.len();
        self.waiting.len() < self.most && (bytes <= self.most_bytes || self.waiting.is_empty())
    }

    /// Takes a message, and answers what to send for it, which is sent now if the backend is there.
    pub(super) fn take(&mut self, message: Message, is_sent: bool) -> (&Up, oneshot::Receiver<Outcome>) {
        let (reply, outcome) = oneshot::channel();
        let bytes = Self::EACH + message.json.len();
        self.last += 1;
        self.bytes += bytes;
        let Message { queue, options, event, json } = message;
        let publish = Up::Publish { number: self.last, queue, options, event, json };
        self.waiting.push_back(Waiting { publish, bytes, is_sent, reply });
        (&self.waiting.back().expect("it was just put there").publish, outcome)
    }

    /// The backend is there, and as it was, or has forgotten: answers what to send, in order.
    ///
    /// What was sent to one that has forgotten may have been published, and is not sent again.
    pub(super) fn connected(&mut self, is_same: bool) -> (Vec<Settled>, impl Iterator<Item = &Up>) {
        let settled = if is_same {
            Vec::new()
        } else {
            self.fail(|waiting| waiting.is_sent, &BackendError::Unanswered)
        };
        let unsent = self.waiting.iter_mut().map(|waiting| {
            waiting.is_sent = true;
            &waiting.publish
        });
        (settled, unsent)
    }

    /// The backend is out of reach.
    pub(super) fn lost(&mut self, why: &Arc<str>) -> Vec<Settled> {
        if !self.is_refused() {
            return Vec::new();
        }
        let mut settled = self.fail(|waiting| waiting.is_sent, &BackendError::Unanswered);
        settled.extend(self.fail(|_| true, &BackendError::Away(Arc::clone(why))));
        settled
    }

    fn fail(&mut self, which: impl Fn(&Waiting) -> bool, error: &BackendError) -> Vec<Settled> {
        let all = std::mem::take(&mut self.waiting);
        let (failed, waiting): (VecDeque<_>, VecDeque<_>) = all.into_iter().partition(which);
        self.waiting = waiting;
        self.bytes = self.waiting.iter().map(|waiting| waiting.bytes).sum();
        failed.into_iter().map(|failed| Settled(failed.reply, Err(error.clone().into()))).collect()
    }

    /// The backend has answered a message.
    pub(super) fn answered(&mut self, number: u64, id: Result<EventId, Fault>) -> Option<Settled> {
        let number_of = |waiting: &Waiting| match waiting.publish {
            Up::Publish { number, .. } => number,
            _ => 0,
        };
        let at = self.waiting.binary_search_by_key(&number, number_of).ok()?;
        let answered = self.waiting.remove(at)?;
        self.bytes -= answered.bytes;
        Some(Settled(answered.reply, id.map_err(Trouble::Fault)))
    }
}
