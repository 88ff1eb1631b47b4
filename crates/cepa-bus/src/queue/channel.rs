//! What is behind a queue: a log of its last messages, and who waits for the next one.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::{
    EventId, QueueError,
    message::{Draft, Frame},
    own::Own,
    queues::Room,
    state::{Found, State},
};
use crate::{
    far::Far,
    locked,
    names::{Key, Named},
};

/// How much a queue keeps. Subscribers that fall further behind than that have [missed](super::Delivery::Missed)
/// messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueueOptions {
    /// Most messages kept; at least one is. Default 128.
    pub keep: usize,
    /// Most bytes of messages kept, besides the last one. Default 256 KiB.
    pub keep_bytes: usize,
    /// Most bytes of one message as JSON, up to 1 GiB. Default 64 KiB.
    pub message: usize,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self { keep: 128, keep_bytes: 256 << 10, message: 64 << 10 }
    }
}

/// What whoever looks after the server may know of a queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueInfo {
    /// The app whose namespace it is in.
    pub app: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The number of subscribers.
    pub subscribers: usize,
    /// The number of messages published.
    pub published: u64,
    /// The number of messages kept.
    pub kept: usize,
    /// The bytes of messages kept.
    pub kept_bytes: usize,
}

/// A queue of any type.
///
/// There is one log, and a subscriber is a place in it: publishing is one push whoever reads how slowly. The lock is
/// held to push (also to the buffers of those few who have their own), to read one message, and to take some wakers; subscribers are woken after it.
///
/// Places are numbers of this process. Messages are numbered by whoever keeps the queue, from 1 on in each life of it; where
/// that is this process there is one life, and a place is a number.
#[derive(Debug)]
pub(crate) struct Channel {
    key: Key,
    options: QueueOptions,
    room: Arc<Room>,
    pub(super) far: Option<Arc<dyn Far>>,
    pub(super) state: Mutex<State>,
}

/// What there is to be read at a place.
pub(super) enum Read {
    Message(Frame),
    /// The log begins there now; and how many messages are missing, if that is known.
    Behind(u64, Option<u64>),
    End,
}

impl Channel {
    const WAKE_AT_ONCE: usize = 256;
    const LOOK_AT_ONCE: usize = 4096;

    pub(super) fn new(key: Key, options: QueueOptions, room: Arc<Room>, far: Option<Arc<dyn Far>>) -> Self {
        let options =
            QueueOptions { keep: options.keep.max(1), message: options.message.min(1 << 30), ..options };
        let state = State::new(far.is_some());
        Self { key, options, room, far, state: Mutex::new(state) }
    }

    pub(crate) fn key(&self) -> &Key {
        &self.key
    }

    pub(crate) fn name(&self) -> &Arc<str> {
        &self.key.name
    }

    pub(super) fn most_seats(&self) -> usize {
        self.room.subscribers
    }

    pub(crate) fn options(&self) -> QueueOptions {
        self.options
    }

    pub(super) fn id(&self, place: u64) -> EventId {
        locked(&self.state).id(place)
    }

    pub(super) fn publish(&self, draft: Draft) -> EventId {
        let mut state = locked(&self.state);
        let id = state.id(state.next);
        self.push(&mut state, draft.with_id(id));
        drop(state);
        self.wake();
        id
    }

    /// Puts a message at the next place.
    pub(super) fn push(&self, state: &mut State, frame: Frame) {
        let place = state.next;
        state.own.values_mut().for_each(|own| own.offer(place, &frame));
        state.next += 1;
        state.used = Instant::now();
        let before = state.log_bytes;
        state.log_bytes += frame.len();
        state.log.push_back(frame);
        while state.log.len() > self.options.keep
            || (state.log_bytes > self.options.keep_bytes && state.log.len() > 1)
        {
            state.drop_oldest();
        }
        match state.log_bytes.checked_sub(before) {
            Some(more) => self.room.take(more),
            None => self.room.give_back(before - state.log_bytes),
        }
    }

    /// Drops the oldest messages while there is need, but for the last one if somebody may want it.
    pub(super) fn forget(&self, is_needed: impl Fn() -> bool) {
        let mut state = locked(&self.state);
        let least = usize::from(state.in_use() > 0);
        while state.log.len() > least && is_needed() {
            self.room.give_back(state.drop_oldest());
        }
        if state.log.is_empty() {
            state.log = VecDeque::new();
        }
    }

    /// Drops all messages: what comes next is not what comes after them.
    pub(super) fn skip_to(&self, state: &mut State, place: u64) {
        self.room.give_back(state.log_bytes);
        (state.log, state.log_bytes, state.next) = (VecDeque::new(), 0, place);
    }

    /// Wakes all that wait, some at a time: others read and publish meanwhile. Who begins to wait meanwhile has seen
    /// what this was called for.
    pub(super) fn wake(&self) {
        let mut wakers = Vec::new();
        let mut at = 0;
        loop {
            let mut state = locked(&self.state);
            let until = state.seats.len().min(at + Self::LOOK_AT_ONCE);
            while at < until && wakers.len() < Self::WAKE_AT_ONCE {
                wakers.extend(state.seats[at].waker.take());
                at += 1;
            }
            let is_done = at >= state.seats.len();
            drop(state);
            wakers.drain(..).for_each(Waker::wake);
            if is_done {
                return;
            }
        }
    }

    /// A seat, and the place after a message, or after all up to now; `None` where that is not known yet.
    pub(super) fn sit(self: &Arc<Self>, last: Option<EventId>) -> Result<(u32, Option<Found>), QueueError> {
        let mut state = locked(&self.state);
        let seat = state.take_seat(self.room.subscribers);
        let seat = seat.ok_or_else(|| QueueError::TooManySubscribers(Arc::clone(self.name())))?;
        let found = match (last, &state.mirror) {
            (Some(last), _) => state.place_after(last),
            (None, Some(mirror)) if !mirror.is_found() => None,
            (None, _) => Some((state.next, true)),
        };
        self.has_come(&mut state);
        let is_news = state.has_changed(None);
        drop(state);
        self.tell(is_news);
        Ok((seat, found))
    }

    /// The place that was not known when the seat was taken.
    pub(super) fn poll_place(&self, seat: u32, last: Option<EventId>, cx: &mut Context<'_>) -> Poll<Found> {
        let mut state = locked(&self.state);
        let found = match (last, &state.mirror) {
            (Some(last), _) => state.place_after(last),
            (None, Some(mirror)) => mirror.start().map(|start| (start, true)),
            (None, None) => Some((state.next, true)),
        };
        if let Some(found) = found {
            return Poll::Ready(found);
        }
        let before = state.seats[seat as usize].wake_with(cx);
        drop(state);
        drop(before);
        Poll::Pending
    }

    pub(super) fn leave(self: &Arc<Self>, seat: u32, who: Option<&Arc<str>>) {
        let mut state = locked(&self.state);
        let waker = state.leave_seat(seat);
        if let Some(who) = who {
            state.disappear(who, 1);
        }
        let is_news = state.has_changed(who);
        // The last waker of a task may drop what the task holds: other subscribers.
        drop(state);
        drop(waker);
        self.tell(is_news);
    }

    /// Gives a subscriber a name in place of the one before.
    pub(super) fn rename(self: &Arc<Self>, before: Option<&Arc<str>>, who: &Arc<str>) {
        let mut state = locked(&self.state);
        if let Some(before) = before {
            state.disappear(before, 1);
        }
        state.appear(who, 1);
        let is_news =
            before.is_some_and(|before| state.has_changed(Some(before))) | state.has_changed(Some(who));
        drop(state);
        self.tell(is_news);
    }

    /// Gives a subscriber a buffer of its own, with what it has not read.
    pub(super) fn keep_own(&self, seat: u32, place: u64, buffer: u32) {
        let most = self.options.keep.min(buffer as usize);
        let mut own = Own::new(place, most, self.options.keep_bytes);
        let mut state = locked(&self.state);
        let first = state.first();
        for (number, frame) in (first..).zip(&state.log) {
            own.offer(number, frame);
        }
        state.own.insert(seat, own);
    }

    pub(super) fn drop_own(&self, seat: u32) {
        locked(&self.state).own.remove(&seat);
    }

    /// Reads at a place, for a subscriber that may be so many messages behind.
    pub(super) fn poll_read(&self, seat: u32, place: u64, buffer: u64, cx: &mut Context<'_>) -> Poll<Read> {
        let mut state = locked(&self.state);
        let end = state.seats[seat as usize].end;
        if place >= end {
            return Poll::Ready(Read::End);
        }
        let (first, next) = (state.first(), state.next);
        let own = state.own.get_mut(&seat);
        let oldest = match &own {
            Some(own) => own.next().unwrap_or(next),
            None => first.max(next.saturating_sub(buffer)),
        };
        if place < oldest {
            let first = oldest.min(end);
            let missed = (place >= state.from).then_some(first - place);
            return Poll::Ready(Read::Behind(first, missed));
        }
        let frame = match own {
            Some(own) => own.take(),
            None => state.log.get((place - first) as usize).cloned(),
        };
        if let Some(frame) = frame {
            return Poll::Ready(Read::Message(frame));
        }
        let before = state.seats[seat as usize].wake_with(cx);
        drop(state);
        drop(before);
        Poll::Pending
    }

    pub(crate) fn stop(&self) {
        let mut state = locked(&self.state);
        state.end_all();
        state.stops += 1;
        drop(state);
        self.wake();
    }

    pub(crate) fn count(&self) -> usize {
        locked(&self.state).count()
    }

    pub(crate) fn present(&self) -> Vec<(Arc<str>, usize)> {
        locked(&self.state).present().iter().map(|(who, count)| (Arc::clone(who), *count)).collect()
    }

    pub(crate) fn info(&self) -> QueueInfo {
        let state = locked(&self.state);
        QueueInfo {
            app: Arc::clone(&self.key.app),
            name: Arc::clone(&self.key.name),
            subscribers: state.count(),
            published: state.id(state.next).number.saturating_sub(1),
            kept: state.log.len(),
            kept_bytes: state.log_bytes,
        }
    }
}

impl Named for Channel {
    fn is_spent(&self) -> bool {
        let state = locked(&self.state);
        state.in_use() == 0 && (state.next == 1 || state.used.elapsed() >= self.room.idle)
    }

    /// With its messages: those who come back are told that they have missed some.
    fn idle_since(&self) -> Option<Instant> {
        let state = locked(&self.state);
        (state.in_use() == 0).then_some(state.used)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.room.give_back(locked(&self.state).log_bytes);
    }
}
