//! A queue that other processes have mirrors of: how its messages are passed on, and how it hears of subscribers there.

use std::{collections::HashMap, future::poll_fn, sync::Arc};

use super::{
    Channel, EventId, Followed, QueueError, Queues, Report, channel::Read, message::Draft, message::Frame,
};
use crate::locked;

/// A place in a queue from which messages are passed on. It is no subscriber; dropping it ends it.
#[derive(Debug)]
pub(crate) struct Relay {
    channel: Arc<Channel>,
    seat: u32,
    place: u64,
}

/// What is to be passed on.
#[derive(Debug)]
pub(crate) enum Relayed {
    Message(Frame),
    /// The queue was stopped here, and how often by now.
    Stopped(u64),
}

impl Relay {
    /// Begins after a message if what follows it is kept, else with the oldest one that is.
    pub(crate) fn new(channel: Arc<Channel>, last: Option<EventId>) -> Result<(Self, Followed), QueueError> {
        let mut state = locked(&channel.state);
        let seat = state.take_seat(channel.most_seats());
        let seat = seat.ok_or_else(|| QueueError::TooManySubscribers(Arc::clone(channel.name())))?;
        state.followers += 1;
        let kept =
            last.filter(|last| last.life == state.life).and_then(|last| state.from.checked_add(last.number));
        let kept = kept.filter(|place| (state.first()..=state.next).contains(place));
        let place = kept.unwrap_or(state.first());
        let (after, now) = (state.id(place - 1), state.id(state.next).number);
        let followed = Followed { after, now, stops: state.stops };
        drop(state);
        Ok((Self { channel, seat, place }, followed))
    }

    /// What comes next. Nothing is lost when the wait is given up.
    pub(crate) async fn next(&mut self) -> Relayed {
        loop {
            match poll_fn(|cx| self.channel.poll_read(self.seat, self.place, u64::MAX, cx)).await {
                Read::Message(frame) => {
                    self.place += 1;
                    return Relayed::Message(frame);
                }
                // The mirror sees by the numbers what is missing.
                Read::Behind(first, _) => self.place = first,
                Read::End => return Relayed::Stopped(self.go_on()),
            }
        }
    }

    /// Goes on after the queue was stopped, until it was stopped again.
    fn go_on(&self) -> u64 {
        let mut state = locked(&self.channel.state);
        let (at, stops) = (state.stopped_at, state.stops);
        state.seats[self.seat as usize].end = if at > self.place { at } else { u64::MAX };
        stops
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let mut state = locked(&self.channel.state);
        state.followers -= 1;
        let waker = state.leave_seat(self.seat);
        drop(state);
        drop(waker);
    }
}

impl Queues {
    /// Publishes a message that another process has written.
    pub(crate) fn pass(
        &self,
        channel: &Channel,
        event: Option<&str>,
        json: &[u8],
    ) -> Result<EventId, QueueError> {
        let limit = channel.options().message;
        if json.len() > limit {
            return Err(QueueError::TooLong { queue: Arc::clone(channel.name()), limit });
        }
        Ok(self.publish(channel, Draft::received(event, json)?))
    }
}

/// The subscribers of another process, as it has reported them; dropping it ends them.
#[derive(Debug)]
pub(crate) struct Elsewhere {
    channel: Arc<Channel>,
    count: usize,
    names: HashMap<Arc<str>, usize>,
}

impl Elsewhere {
    pub(crate) fn new(channel: Arc<Channel>) -> Self {
        Self { channel, count: 0, names: HashMap::new() }
    }

    /// Takes over what a process says, and answers whether it has any subscribers left.
    pub(crate) fn apply(&mut self, report: Report) -> bool {
        let mut state = locked(&self.channel.state);
        state.elsewhere = state.elsewhere.saturating_sub(self.count).saturating_add(report.count);
        self.count = report.count;
        if report.all {
            self.names.drain().for_each(|(who, count)| state.disappear(&who, count));
        }
        for (who, count) in report.names {
            state.disappear(&who, self.names.remove(&who).unwrap_or(0));
            if count > 0 {
                state.appear(&who, count);
                self.names.insert(who, count);
            }
        }
        self.count > 0 || !self.names.is_empty()
    }
}

impl Drop for Elsewhere {
    fn drop(&mut self) {
        self.apply(Report { count: 0, all: true, names: Vec::new() });
    }
}
