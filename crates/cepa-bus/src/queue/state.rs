//! What is behind the lock of a queue: its messages, and who has a seat.

use std::{
    collections::{BTreeMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::Arc,
    task::{Context, Waker},
};

use tokio::time::Instant;

pub(super) use super::mirror::Found;
use super::{EventId, message::Frame, mirror::Mirror, own::Own};

/// What is behind the lock of a queue.
#[derive(Debug)]
pub(super) struct State {
    pub(super) log: VecDeque<Frame>,
    pub(super) log_bytes: usize,
    /// The place of the next message; the first has 1, so that there is always one before.
    pub(super) next: u64,
    /// Which life it is; 0 where that is not known yet.
    pub(super) life: u64,
    /// The place of the first message of this life. Before it is one that no message has, if there was another life.
    pub(super) from: u64,
    pub(super) seats: Vec<Seat>,
    free: Vec<u32>,
    present: BTreeMap<Arc<str>, usize>,
    /// How often it was stopped in this life, as far as is known, and where the last time.
    pub(super) stops: u64,
    pub(super) stopped_at: u64,
    /// Seats of those who pass messages on to other processes, which are no subscribers.
    pub(super) followers: usize,
    /// Subscribers in other processes.
    pub(super) elsewhere: usize,
    /// The buffers of those who have one, by seat.
    pub(super) own: BTreeMap<u32, Own>,
    /// When it was last published to, or left.
    pub(super) used: Instant,
    /// Where the queue is kept elsewhere.
    pub(super) mirror: Option<Mirror>,
}

/// What the queue knows of a subscriber.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) waker: Option<Waker>,
    /// The place before which it ends.
    pub(super) end: u64,
}

impl Seat {
    /// Has a task woken when there is something, and answers whom it replaces.
    pub(super) fn wake_with(&mut self, cx: &mut Context<'_>) -> Option<Waker> {
        if self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            return None;
        }
        self.waker.replace(cx.waker().clone())
    }
}

impl State {
    /// Of a queue that is kept here, or elsewhere.
    pub(super) fn new(is_elsewhere: bool) -> Self {
        Self {
            log: VecDeque::new(),
            log_bytes: 0,
            next: 1,
            // Random, by the keys of a new hasher.
            life: if is_elsewhere { 0 } else { RandomState::new().hash_one(()).max(1) },
            from: 1,
            seats: Vec::new(),
            free: Vec::new(),
            present: BTreeMap::new(),
            stops: 0,
            stopped_at: 0,
            followers: 0,
            elsewhere: 0,
            own: BTreeMap::new(),
            used: Instant::now(),
            mirror: is_elsewhere.then(Mirror::default),
        }
    }

    pub(super) fn take_seat(&mut self, most: usize) -> Option<u32> {
        let seat = Seat { waker: None, end: u64::MAX };
        if let Some(at) = self.free.pop() {
            self.seats[at as usize] = seat;
            return Some(at);
        }
        if self.seats.len() >= most {
            return None;
        }
        self.seats.push(seat);
        Some(self.seats.len() as u32 - 1)
    }

    pub(super) fn leave_seat(&mut self, seat: u32) -> Option<Waker> {
        let waker = self.seats[seat as usize].waker.take();
        self.own.remove(&seat);
        self.free.push(seat);
        self.used = Instant::now();
        if self.in_use() == 0 {
            // A crowd has gone: what it took is given back.
            self.free = Vec::new();
            self.seats = Vec::new();
        }
        waker
    }

    /// Those who are there now get what is there now, and no more.
    pub(super) fn end_all(&mut self) {
        self.stopped_at = self.next;
        for seat in &mut self.seats {
            seat.end = seat.end.min(self.next);
        }
    }

    /// The id of the message at a place; of an earlier life it is one that is known nowhere.
    pub(super) fn id(&self, place: u64) -> EventId {
        match (place + 1).checked_sub(self.from) {
            Some(number) => EventId { life: self.life, number },
            None => EventId { life: 0, number: 0 },
        }
    }

    /// The place after a message, where it is known.
    pub(super) fn place_after(&self, last: EventId) -> Option<Found> {
        let is_of_this_life = last.life == self.life && last.life != 0;
        let place = self.from.checked_add(last.number).filter(|_| is_of_this_life);
        match place {
            Some(place) if place <= self.next => Some((place, true)),
            place => match &self.mirror {
                None => Some((self.first(), false)),
                Some(mirror) => mirror.place_ahead(place, self.first()),
            },
        }
    }

    /// Drops a message, and answers how many bytes it had.
    pub(super) fn drop_oldest(&mut self) -> usize {
        let bytes = self.log.pop_front().map_or(0, |frame| frame.len());
        self.log_bytes -= bytes;
        bytes
    }

    /// The number of the oldest message in the log.
    pub(super) fn first(&self) -> u64 {
        self.next - self.log.len() as u64
    }

    pub(super) fn appear(&mut self, who: &Arc<str>, count: usize) {
        *self.present.entry(Arc::clone(who)).or_default() += count;
    }

    pub(super) fn disappear(&mut self, who: &Arc<str>, count: usize) {
        if let Some(present) = self.present.get_mut(who) {
            *present = present.saturating_sub(count);
            if *present == 0 {
                self.present.remove(who);
            }
        }
    }

    pub(super) fn in_use(&self) -> usize {
        self.seats.len() - self.free.len()
    }

    pub(super) fn count(&self) -> usize {
        self.in_use() - self.followers + self.elsewhere
    }

    pub(super) fn present(&self) -> &BTreeMap<Arc<str>, usize> {
        &self.present
    }
}

/// What a subscriber costs a queue, in bytes.
#[cfg(test)]
pub(super) const SEAT: usize = size_of::<Seat>();
