//! The driver of a connection: takes requests from `h2`, and ends the connection when one of its limits says so.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use h2::{Reason, server::Connection};

use super::{
    exchange,
    streams::Streams,
    ticks::{before, remaining},
    wire::Wire,
};
use crate::timer::Entry;
use crate::transport::Transport;

/// Time for the last GOAWAY to be written, and for the peer to close.
const CLOSING: Duration = Duration::from_secs(2);

/// Time for the peer to acknowledge that no more requests are taken, once none is at work.
const LEAVING: Duration = Duration::from_secs(5);

/// Requests that are taken at a time, before other connections of the thread have their turn.
const TURN: u32 = 64;

/// A connection after its preface.
pub(super) struct Driver<S: Transport> {
    h2: Connection<Wire<S>, Bytes>,
    streams: Rc<Streams>,
    timer: Entry,
    born: u32,
    served: u64,
    stage: Stage,
}

/// How far the end of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Serving,
    /// A GOAWAY without an error was sent at this tick: streams finish, new ones are no longer opened.
    Leaving(u32),
    /// The last GOAWAY was sent at this tick.
    Closing(u32),
}

/// What a limit of the connection asks for once it is passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Act {
    Leave,
    Close(Reason),
    Cut,
}

impl<S: Transport> Driver<S> {
    pub(super) fn new(h2: Connection<Wire<S>, Bytes>, streams: Rc<Streams>, timer: Entry) -> Self {
        let born = timer.timers().now_tick();
        Self { h2, streams, timer, born, served: 0, stage: Stage::Serving }
    }

    /// Ready when the connection is over; dropping the driver closes it.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.timer.expired() && self.expired().is_ready() {
            return Poll::Ready(());
        }
        if self.streams.floor.is_draining() {
            self.leave();
        }
        self.streams.gauge.begin_turn();
        let mut taken = 0;
        loop {
            if taken == TURN {
                cx.waker().wake_by_ref();
                break;
            }
            match self.h2.poll_accept(cx) {
                Poll::Ready(Some(Ok((request, respond)))) => {
                    taken += 1;
                    self.served += 1;
                    exchange::begin(cx, request, respond, &self.streams);
                    let most = self.streams.floor.limits.requests_per_connection;
                    if most > 0 && self.served >= most {
                        self.leave();
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    tracing::debug!(target: "cepa::http2", %error, "connection failed");
                    return Poll::Ready(());
                }
                Poll::Ready(None) => return Poll::Ready(()),
                Poll::Pending => match self.streams.gauge.fault() {
                    Some(reason) if !matches!(self.stage, Stage::Closing(_)) => self.close(reason),
                    _ => break,
                },
            }
        }
        self.set_deadline();
        Poll::Pending
    }

    fn now(&self) -> u32 {
        self.timer.timers().now_tick()
    }

    /// Takes no more requests; those that were begun finish.
    fn leave(&mut self) {
        if self.stage == Stage::Serving {
            self.stage = Stage::Leaving(self.now());
            self.h2.graceful_shutdown();
        }
    }

    /// Ends the connection with all its streams.
    fn close(&mut self, reason: Reason) {
        if !matches!(self.stage, Stage::Closing(_)) {
            if reason != Reason::NO_ERROR {
                tracing::debug!(target: "cepa::http2", %reason, "connection ended");
            }
            self.stage = Stage::Closing(self.now());
            self.h2.abrupt_shutdown(reason);
        }
    }

    /// Ready when the connection is to be cut.
    fn expired(&mut self) -> Poll<()> {
        let now = self.now();
        let due = self.deadlines(now).into_iter().flatten().find(|(seconds, _)| *seconds == 0);
        match due {
            Some((_, Act::Cut)) => return Poll::Ready(()),
            Some((_, Act::Close(reason))) => self.close(reason),
            Some((_, Act::Leave)) => self.leave(),
            None => {}
        }
        Poll::Pending
    }

    fn set_deadline(&mut self) {
        let next = self.deadlines(self.now()).into_iter().flatten().map(|(seconds, _)| seconds).min();
        match next {
            Some(seconds) => self.timer.set(before(seconds)),
            None => self.timer.clear(),
        }
    }

    /// Seconds until each limit is passed, the most pressing ones first.
    fn deadlines(&self, now: u32) -> [Option<(u32, Act)>; 7] {
        let (limits, gauge) = (&self.streams.floor.limits, &self.streams.gauge);
        let within = |limit, since: Option<u32>, act| Some((remaining(limit, since?, now)?, act));
        let (serving, leaving, closing) = match self.stage {
            _ if gauge.gave_up().is_some() => (None, None, gauge.gave_up()),
            Stage::Serving => (Some(self.born), None, None),
            Stage::Leaving(since) => (None, Some(since), None),
            Stage::Closing(since) => (None, None, Some(since)),
        };
        let open = |since: Option<u32>| since.filter(|_| closing.is_none());
        let idle = self.streams.idle_since();
        let blocked = gauge.blocked();
        // While nothing can be written, h2 may leave what it answers unread.
        let unfinished = gauge.unfinished().filter(|_| blocked.is_none());
        let left = leaving.zip(idle).map(|(leaving, idle)| leaving.max(idle));
        [
            within(CLOSING, closing, Act::Cut),
            within(limits.write_stall, blocked, Act::Cut),
            within(limits.http2.preface, open(gauge.unsettled()), Act::Close(Reason::PROTOCOL_ERROR)),
            within(limits.header_time, open(unfinished), Act::Close(Reason::ENHANCE_YOUR_CALM)),
            within(LEAVING, left, Act::Close(Reason::NO_ERROR)),
            within(limits.connection_age, serving, Act::Leave),
            within(limits.idle, serving.and(idle), Act::Leave),
        ]
    }
}
