//! One queue that is followed: what it was told in pages and what it hears become one line of messages.

use std::{collections::VecDeque, sync::Weak};

use super::{
    Follow,
    wire::{Found, Heard, Page, Spoken},
};
use crate::{
    EventId, QueueOptions,
    names::Key,
    queue::{Channel, Followed},
};

/// A queue that is followed.
///
/// It is *found*: asked where it is, and heard from then on. Then it *catches up* with what was published since the last
/// message it knows, page by page, and keeps what it hears meanwhile. When there is nothing between the last page and what
/// it has heard it is *live*. Numbers are one after the other: where one is missing, it catches up again.
pub(super) struct Following {
    pub(super) queue: Key,
    pub(super) options: QueueOptions,
    pub(super) mirror: Weak<Channel>,
    pub(super) attempt: u64,
    phase: Phase,
    /// The life that the mirror has; 0 if none.
    life: u64,
    /// The number of the message that the mirror gets next.
    next: u64,
    /// Whether the mirror is to be told where messages begin.
    is_new: bool,
    /// Where the queue was when it was found.
    found: Found,
    /// How often the queue was stopped in this life, as far as is known.
    stops: u64,
    /// The message after which the mirror is to be stopped.
    stop: Option<u64>,
    /// How often it was, as the mirror knows.
    told: u64,
    ahead: Ahead,
}

/// Whom it tells: a mirror.
pub(super) trait Told {
    fn followed(&self, followed: Followed);
    fn receive(&self, id: EventId, event: Option<&str>, json: &[u8]);
    fn stopped(&self, stops: u64);
}

impl Told for Channel {
    fn followed(&self, followed: Followed) {
        Self::followed(self, followed);
    }

    fn receive(&self, id: EventId, event: Option<&str>, json: &[u8]) {
        Self::receive(self, id, event, json);
    }

    fn stopped(&self, stops: u64) {
        Self::stopped(self, stops);
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Finding,
    CatchingUp,
    Live,
    Failed,
}

/// What is to be done next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing: something will come.
    Wait,
    /// Ask for messages after the [last](Following::last).
    CatchUp,
}

/// What was heard before its turn, bounded: more than that is asked for again.
#[derive(Default)]
struct Ahead {
    spoken: VecDeque<Spoken>,
    bytes: usize,
    is_over: bool,
}

impl Following {
    pub(super) fn new(follow: Follow) -> Self {
        let Follow { queue, options, mirror, last } = follow;
        let last = last.unwrap_or(EventId { life: 0, number: 0 });
        Self {
            queue,
            options,
            mirror,
            attempt: 0,
            phase: Phase::Failed,
            life: last.life,
            next: last.number + 1,
            is_new: true,
            found: Found { life: 0, number: 0, stops: 0 },
            stops: 0,
            stop: None,
            told: 0,
            ahead: Ahead::default(),
        }
    }

    /// The last message that the mirror has.
    pub(super) fn last(&self) -> EventId {
        EventId { life: self.life, number: self.next - 1 }
    }

    /// It is being found.
    pub(super) fn begin(&mut self, attempt: u64) {
        (self.attempt, self.phase, self.ahead) = (attempt, Phase::Finding, Ahead::default());
    }

    /// What it waited for will not come.
    pub(super) fn fail(&mut self) {
        (self.attempt, self.phase, self.ahead) = (0, Phase::Failed, Ahead::default());
        self.is_new = true;
    }

    pub(super) fn has_failed(&self) -> bool {
        self.phase == Phase::Failed
    }

    /// It was found.
    pub(super) fn found(&mut self, found: Found) -> Then {
        if found.life != self.life || self.told_never() {
            (self.stops, self.told) = (found.stops, found.stops);
        }
        self.found = found;
        self.phase = Phase::CatchingUp;
        Then::CatchUp
    }

    /// Whether this mirror has never been told anything.
    fn told_never(&self) -> bool {
        self.found.life == 0
    }

    /// Some messages have come that were asked for.
    pub(super) fn page(&mut self, page: Page, mirror: &impl Told) -> Then {
        let Page { at, stopped, messages } = page;
        let first = messages.first().map_or(at.number + 1, |first| first.number);
        if at.life != self.life || first != self.next || self.is_new {
            self.begin_at(at, first, mirror);
        }
        self.hear_of_stop(at.stops, stopped);
        for message in &messages {
            self.give(message, mirror);
        }
        self.stop_if_due(mirror);
        if self.next <= at.number {
            return Then::CatchUp;
        }
        let Ahead { spoken, is_over, .. } = std::mem::take(&mut self.ahead);
        if is_over {
            return Then::CatchUp;
        }
        self.phase = Phase::Live;
        let mut then = Then::Wait;
        for spoken in spoken {
            // One may send it back to catching up; those after it are kept then.
            if self.hear(spoken, mirror) == Then::CatchUp {
                then = Then::CatchUp;
            }
        }
        then
    }

    /// Tells the mirror where messages begin: where it has none yet, in another life, or after some that are not kept.
    fn begin_at(&mut self, at: Found, first: u64, mirror: &impl Told) {
        if at.life != self.life {
            let stops = if at.life == self.found.life { self.found.stops } else { at.stops };
            (self.life, self.stop, self.stops, self.told) = (at.life, None, stops, stops);
        }
        let now = if at.life == self.found.life { self.found.number + 1 } else { at.number + 1 };
        let after = EventId { life: at.life, number: first - 1 };
        mirror.followed(Followed { after, now, stops: self.told });
        (self.next, self.is_new) = (first, false);
    }

    /// Something has come through the channel.
    pub(super) fn hear(&mut self, spoken: Spoken, mirror: &impl Told) -> Then {
        if self.phase != Phase::Live {
            self.ahead.keep(spoken);
            return Then::Wait;
        }
        let (life, is_next) = match &spoken {
            Spoken::Message { life, heard } => (*life, heard.number == self.next),
            Spoken::Stop { life, .. } => (*life, true),
        };
        match spoken {
            Spoken::Message { heard, .. } if life == self.life && heard.number < self.next => Then::Wait,
            // The page that is asked for now has it.
            _ if life != self.life || !is_next => {
                self.phase = Phase::CatchingUp;
                Then::CatchUp
            }
            Spoken::Message { heard, .. } => {
                self.give(&heard, mirror);
                Then::Wait
            }
            Spoken::Stop { stops, after, .. } => {
                self.hear_of_stop(stops, after);
                self.stop_if_due(mirror);
                Then::Wait
            }
        }
    }

    fn hear_of_stop(&mut self, stops: u64, after: u64) {
        if stops > self.stops {
            (self.stops, self.stop) = (stops, Some(after));
        }
    }

    fn give(&mut self, message: &Heard, mirror: &impl Told) {
        self.stop_if_due(mirror);
        let id = EventId { life: self.life, number: message.number };
        self.next = message.number + 1;
        mirror.receive(id, message.event.as_deref(), &message.json);
    }

    /// Stops the mirror if it has all messages before the stop.
    fn stop_if_due(&mut self, mirror: &impl Told) {
        if self.stop.take_if(|after| *after < self.next).is_some() {
            self.told = self.stops;
            mirror.stopped(self.told);
        }
    }
}

impl Ahead {
    const MOST: usize = 1024;
    const MOST_BYTES: usize = 1 << 20;

    fn keep(&mut self, spoken: Spoken) {
        self.bytes += match &spoken {
            Spoken::Message { heard, .. } => heard.json.len(),
            Spoken::Stop { .. } => 0,
        };
        self.is_over |= self.spoken.len() >= Self::MOST || self.bytes > Self::MOST_BYTES;
        if self.is_over {
            self.spoken = VecDeque::new();
        } else {
            self.spoken.push_back(spoken);
        }
    }
}

#[cfg(test)]
mod tests;
