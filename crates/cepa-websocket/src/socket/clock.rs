//! What a socket waits for, and how long: one timer for all of it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

use super::now;
use crate::{Limits, Options};

/// How long a window of the rate is.
const WINDOW: Duration = Duration::from_secs(1);
/// Further than anything waits for.
const FAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The times of [`Options`], and the rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Times {
    rate: u32,
    message: Millis,
    ping: Millis,
    pong: Millis,
    stall: Millis,
    close: Millis,
}

/// A time in a quarter of a `Duration`'s room, up to 49 days.
#[derive(Clone, Copy, Debug)]
struct Millis(u32);

impl Millis {
    fn new(time: Duration) -> Self {
        Self(u32::try_from(time.as_millis()).unwrap_or(u32::MAX).max(1))
    }

    /// Zero is no limit.
    fn or_never(time: Duration) -> Self {
        if time.is_zero() { Self(u32::MAX) } else { Self::new(time) }
    }

    fn after(self, since: Instant) -> Instant {
        since + Duration::from_millis(u64::from(self.0))
    }
}

impl Times {
    pub(crate) fn new(options: &Options) -> Self {
        let close = if options.close_time.is_zero() { Duration::from_secs(5) } else { options.close_time };
        Self {
            rate: if options.rate == 0 { u32::MAX } else { options.rate },
            message: Millis::or_never(options.message_time),
            ping: Millis::or_never(options.ping),
            pong: Millis::or_never(options.pong),
            stall: Millis::or_never(options.write_stall),
            close: Millis::new(close),
        }
    }
}

impl Options {
    pub(crate) fn limits(&self) -> Limits {
        Limits { message: self.message, fragments: self.fragments, ratio: self.ratio }
    }
}

/// What the time has come for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Messages are taken again.
    Rate,
    /// The client is to be pinged.
    Ping,
    /// It has not answered a ping.
    Pong,
    /// A message has taken too long.
    Message,
    /// It takes nothing.
    Stall,
    /// It does not end.
    End,
}

#[derive(Debug)]
pub(super) struct Clock {
    times: Times,
    /// When something last came.
    came: Instant,
    /// When the client was pinged, if nothing has come since.
    pinged: Option<Instant>,
    /// When the message that is being read began.
    message: Option<Instant>,
    /// Since when the client takes nothing.
    stalled: Option<Instant>,
    /// When the end began, or the drain of the server.
    ending: Option<Instant>,
    /// Messages of this window, and when it began.
    taken: u32,
    window: Instant,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Clock {
    pub(super) fn new(times: Times) -> Self {
        let came = now();
        Self {
            times,
            came,
            pinged: None,
            message: None,
            stalled: None,
            ending: None,
            taken: 0,
            window: came,
            timer: None,
        }
    }

    /// Something has come.
    pub(super) fn read(&mut self) {
        self.came = now();
        self.pinged = None;
        if self.came.duration_since(self.window) >= WINDOW {
            (self.taken, self.window) = (0, self.came);
        }
    }

    /// A message has come.
    pub(super) fn message(&mut self) {
        self.message = None;
        self.control();
    }

    /// A ping or a pong has come.
    pub(super) fn control(&mut self) {
        self.taken = self.taken.saturating_add(1);
    }

    /// Whether enough messages came in this window.
    pub(super) fn is_over_rate(&self) -> bool {
        self.taken >= self.times.rate
    }

    /// Something was to be written: whether it still is, and whether some of it was taken.
    pub(super) fn written(&mut self, waits: bool, moved: bool) {
        if !waits {
            self.stalled = None;
        } else if moved || self.stalled.is_none() {
            self.stalled = Some(now());
        }
    }

    /// The end begins.
    pub(super) fn start_end(&mut self) {
        self.ending = Some(now());
    }

    /// Ready with what is to be done; otherwise the task is woken in time.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, open: bool, reads: bool, partial: bool) -> Poll<Due> {
        if !partial {
            self.message = None;
        } else if self.message.is_none() {
            self.message = Some(self.came);
        }
        loop {
            let (at, due) = self.next(open, reads);
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            // A timer that fires too early costs less than one that is set anew with each message.
            if timer.deadline() > at {
                timer.as_mut().reset(at);
            }
            ready!(timer.as_mut().poll(cx));
            // What the thread keeps to compress with has no timer of its own.
            #[cfg(feature = "deflate")]
            crate::deflate::sweep();
            let now = now();
            if at > now {
                timer.as_mut().reset(at);
                continue;
            }
            match due {
                Due::Rate => (self.taken, self.window) = (0, now),
                Due::Ping => self.pinged = Some(now),
                _ => {}
            }
            return Poll::Ready(due);
        }
    }

    /// What comes next, and when.
    fn next(&self, open: bool, reads: bool) -> (Instant, Due) {
        let Times { message, ping, pong, stall, close, .. } = self.times;
        let after =
            |since: Option<Instant>, time: Millis, due: Due| since.map(|since| (time.after(since), due));
        // While it is open: until it must have come to rest, because the server drains.
        let ending = self.ending.or((!open).then_some(self.came));
        let over = reads && self.is_over_rate();
        // What a client sends while it is not heard is no reason to end it.
        let heard = open && reads && !over;
        let alive = if self.pinged.is_some() {
            after(self.pinged, pong, Due::Pong)
        } else {
            after(Some(self.came), ping, Due::Ping)
        };
        let all = [
            after(ending, close, Due::End),
            after(self.stalled, stall, Due::Stall),
            over.then_some((self.window + WINDOW, Due::Rate)),
            alive.filter(|_| heard),
            after(self.message, message, Due::Message).filter(|_| heard),
        ];
        let never = (self.came + FAR, Due::Rate);
        all.into_iter().flatten().min_by_key(|(at, _)| *at).unwrap_or(never)
    }
}
