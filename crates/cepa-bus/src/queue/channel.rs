//! What is behind a queue: a log of its last messages, and who waits for the next one.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
};

use tokio::time::Instant;

use super::{
    EventId, QueueError,
    message::{Draft, Frame},
    own::Own,
    queues::Room,
};
use crate::{
    locked,
    names::{Key, Named},
};

/// How much a queue keeps. Subscribers that fall further behind than that have [missed](super::Delivery::Missed)
/// messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
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
#[derive(Debug)]
pub(crate) struct Channel {
    key: Key,
    options: QueueOptions,
    room: Arc<Room>,
    life: u64,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    log: VecDeque<Frame>,
    log_bytes: usize,
    /// The number of the next message; the first has 1, so that there is always one before.
    next: u64,
    seats: Vec<Seat>,
    free: Vec<u32>,
    present: BTreeMap<Arc<str>, usize>,
    /// The buffers of those who have one, by seat.
    own: BTreeMap<u32, Own>,
    /// When it was last published to, or left.
    used: Instant,
}

/// What the queue knows of a subscriber.
#[derive(Debug)]
struct Seat {
    waker: Option<Waker>,
    /// The message before which it ends.
    end: u64,
}

/// What there is to be read at a place.
pub(super) enum Read {
    Message(Frame),
    /// The log begins there now.
    Behind(u64),
    End,
}

impl Channel {
    const WAKE_AT_ONCE: usize = 256;
    const LOOK_AT_ONCE: usize = 4096;

    pub(super) fn new(key: Key, options: QueueOptions, room: Arc<Room>) -> Self {
        let options =
            QueueOptions { keep: options.keep.max(1), message: options.message.min(1 << 30), ..options };
        // Random, by the keys of a new hasher.
        let life = RandomState::new().hash_one(());
        Self { key, options, room, life, state: Mutex::new(State::new()) }
    }

    pub(super) fn app(&self) -> &Arc<str> {
        &self.key.app
    }

    pub(super) fn name(&self) -> &Arc<str> {
        &self.key.name
    }

    pub(super) fn options(&self) -> QueueOptions {
        self.options
    }

    pub(super) fn id(&self, number: u64) -> EventId {
        EventId { life: self.life, number }
    }

    pub(super) fn publish(&self, draft: Draft) -> EventId {
        let mut state = locked(&self.state);
        let id = self.id(state.next);
        let frame = draft.with_id(id);
        state.own.values_mut().for_each(|own| own.offer(id.number, &frame));
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
        drop(state);
        self.wake();
        id
    }

    /// Drops the oldest messages while there is need, but for the last one if somebody may want it.
    pub(super) fn forget(&self, is_needed: impl Fn() -> bool) {
        let mut state = locked(&self.state);
        let least = usize::from(state.count() > 0);
        while state.log.len() > least && is_needed() {
            self.room.give_back(state.drop_oldest());
        }
        if state.log.is_empty() {
            state.log = VecDeque::new();
        }
    }

    /// Wakes all that wait, some at a time: others read and publish meanwhile. Who begins to wait meanwhile has seen
    /// what this was called for.
    fn wake(&self) {
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

    /// A seat, and the place of a subscriber that has seen all up to now.
    pub(super) fn sit(&self) -> Result<(u32, u64), QueueError> {
        let mut state = locked(&self.state);
        let next = state.next;
        let seat = Seat { waker: None, end: u64::MAX };
        if let Some(at) = state.free.pop() {
            state.seats[at as usize] = seat;
            return Ok((at, next));
        }
        if state.seats.len() >= self.room.subscribers {
            return Err(QueueError::TooManySubscribers(Arc::clone(self.name())));
        }
        state.seats.push(seat);
        Ok((state.seats.len() as u32 - 1, next))
    }

    /// The place after a message, and whether it is known that only what comes after it is missing there.
    pub(super) fn place_after(&self, last: EventId) -> (u64, bool) {
        let state = locked(&self.state);
        if last.life == self.life && last.number < state.next {
            (last.number + 1, true)
        } else {
            (state.first(), false)
        }
    }

    pub(super) fn leave(&self, seat: u32, who: Option<&Arc<str>>) {
        let mut state = locked(&self.state);
        let waker = state.seats[seat as usize].waker.take();
        state.own.remove(&seat);
        state.free.push(seat);
        state.used = Instant::now();
        if state.free.len() == state.seats.len() {
            // A crowd has gone: what it took is given back.
            state.free = Vec::new();
            state.seats = Vec::new();
        }
        who.inspect(|who| state.disappear(who));
        // The last waker of a task may drop what the task holds: other subscribers.
        drop(state);
        drop(waker);
    }

    /// Gives a subscriber a name in place of the one before.
    pub(super) fn rename(&self, before: Option<&Arc<str>>, who: &Arc<str>) {
        let mut state = locked(&self.state);
        before.inspect(|before| state.disappear(before));
        *state.present.entry(Arc::clone(who)).or_default() += 1;
    }

    /// Gives a subscriber a buffer of its own, with what it has not read.
    pub(super) fn keep_own(&self, seat: u32, place: u64, buffer: u32) {
        let most = self.options.keep.min(buffer as usize);
        let mut own = Own::new(most, self.options.keep_bytes);
        let mut state = locked(&self.state);
        let first = state.first();
        for (number, frame) in (first..).zip(&state.log).filter(|(number, _)| *number >= place) {
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
            return Poll::Ready(Read::Behind(oldest.min(end)));
        }
        let frame = match own {
            Some(own) => own.take(),
            None => state.log.get((place - first) as usize).cloned(),
        };
        if let Some(frame) = frame {
            return Poll::Ready(Read::Message(frame));
        }
        let waker = &mut state.seats[seat as usize].waker;
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            let before = waker.replace(cx.waker().clone());
            drop(state);
            drop(before);
        }
        Poll::Pending
    }

    pub(super) fn stop(&self) {
        let mut state = locked(&self.state);
        let next = state.next;
        for seat in &mut state.seats {
            seat.end = seat.end.min(next);
        }
        drop(state);
        self.wake();
    }

    pub(super) fn count(&self) -> usize {
        locked(&self.state).count()
    }

    pub(super) fn present(&self) -> Vec<(Arc<str>, usize)> {
        locked(&self.state).present.iter().map(|(who, count)| (Arc::clone(who), *count)).collect()
    }

    pub(crate) fn info(&self) -> QueueInfo {
        let state = locked(&self.state);
        QueueInfo {
            app: Arc::clone(&self.key.app),
            name: Arc::clone(&self.key.name),
            subscribers: state.count(),
            published: state.next - 1,
            kept: state.log.len(),
            kept_bytes: state.log_bytes,
        }
    }
}

impl State {
    fn new() -> Self {
        let (log, seats, free, present) = <(VecDeque<_>, Vec<_>, Vec<_>, BTreeMap<_, _>)>::default();
        Self { log, log_bytes: 0, next: 1, seats, free, present, own: BTreeMap::new(), used: Instant::now() }
    }

    /// Drops a message, and answers how many bytes it had.
    fn drop_oldest(&mut self) -> usize {
        let bytes = self.log.pop_front().map_or(0, |frame| frame.len());
        self.log_bytes -= bytes;
        bytes
    }

    /// The number of the oldest message in the log.
    fn first(&self) -> u64 {
        self.next - self.log.len() as u64
    }

    fn disappear(&mut self, who: &Arc<str>) {
        if let Some(count) = self.present.get_mut(who) {
            *count -= 1;
            if *count == 0 {
                self.present.remove(who);
            }
        }
    }

    fn count(&self) -> usize {
        self.seats.len() - self.free.len()
    }
}

impl Named for Channel {
    fn is_spent(&self) -> bool {
        let state = locked(&self.state);
        state.count() == 0 && (state.next == 1 || state.used.elapsed() >= self.room.idle)
    }

    /// With its messages: those who come back are told that they have missed some.
    fn idle_since(&self) -> Option<Instant> {
        let state = locked(&self.state);
        (state.count() == 0).then_some(state.used)
    }
}

impl Drop for Channel {
    fn drop(&mut self) {
        self.room.give_back(locked(&self.state).log_bytes);
    }
}

/// What a subscriber costs a queue, in bytes.
#[cfg(test)]
pub(super) const SEAT: usize = size_of::<Seat>();
