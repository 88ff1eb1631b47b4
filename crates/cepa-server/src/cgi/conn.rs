//! One connection: its socket, its deadline, and who is at its other end. It holds no buffer.

use std::{net::SocketAddr, rc::Rc, task::Waker, time::Duration};

use cepa_core::{Headers, Peer};

use super::{Codec, Head, exchange::Parked};
use crate::{floor::Floor, timer::Entry, transport::Transport};

/// Who has connected.
#[derive(Debug)]
pub(crate) struct Front {
    pub(crate) peer: Peer,
    pub(crate) local: Option<SocketAddr>,
    /// Whether it is believed what it says of its clients.
    pub(crate) is_trusted: bool,
}

/// A connection, between requests or while one gathers.
pub(super) struct Conn<S, C> {
    pub(super) io: S,
    pub(super) codec: C,
    pub(super) floor: Rc<Floor>,
    pub(super) front: Front,
    pub(super) timer: Entry,
    /// Bytes that came and were not decoded yet.
    pub(super) left: Vec<u8>,
    /// What goes on of earlier requests while the next one comes.
    pub(super) parked: Option<Box<Parked>>,
    /// The request that is not handed over yet.
    pub(super) gathered: Option<Box<Gathered>>,
    pub(super) served: u32,
    born: u32,
    pub(super) waits: Waits,
}

/// A request whose variables are read.
pub(super) struct Gathered {
    pub(super) head: Head,
    pub(super) headers: Headers,
    /// What of the body has come.
    pub(super) body: Vec<u8>,
}

impl Gathered {
    /// Whether there is surely a body to come. Where nobody has said so the front server ends an empty one at once.
    pub(super) fn is_begun(&self) -> bool {
        self.head.length.is_some() || self.head.streamed || !self.body.is_empty()
    }
}

/// What a connection waits for; says which limit its deadline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    FirstByte,
    Head,
    /// The next request, since the tick in which the one before was answered.
    Next(u32),
    /// Whatever the exchange waits for, which sets the timer as it likes.
    Exchange,
}

impl<S: Transport, C: Codec> Conn<S, C> {
    pub(super) fn new(io: S, codec: C, floor: Rc<Floor>, front: Front) -> Self {
        let timer = floor.timers.register(Waker::noop().clone());
        let born = floor.timers.now_tick();
        let (left, parked, gathered, served, waits) = (Vec::new(), None, None, 0, Waits::FirstByte);
        let conn = Self { io, codec, floor, front, timer, left, parked, gathered, served, born, waits };
        conn.wait_for(conn.floor.limits.first_byte);
        conn
    }

    pub(super) fn now(&self) -> u32 {
        self.timer.timers().now_tick()
    }

    fn wait_for(&self, limit: Duration) {
        match Floor::limit(limit) {
            Some(time) => self.timer.set(time),
            None => self.timer.clear(),
        }
    }

    /// Sets the deadline of what comes next.
    pub(super) fn await_next(&mut self, answered: bool) {
        let limits = &self.floor.limits;
        if self.codec.has_begun() {
            // The time for a head counts from its first byte; more bytes of it do not prolong it.
            if answered || self.waits != Waits::Head {
                self.waits = Waits::Head;
                self.wait_for(limits.header_time);
            }
        } else if answered || self.waits == Waits::Head {
            // Also behind what was left of an answered request.
            let waits = Waits::Next(self.now());
            if self.waits != waits {
                self.waits = waits;
                self.wait_for(limits.idle);
            }
        }
    }

    /// Whether the connection may serve another request after this one.
    pub(super) fn keeps(&self) -> bool {
        let limits = &self.floor.limits;
        let most = limits.requests_per_connection;
        let age = Duration::from_secs(self.now().wrapping_sub(self.born).into());
        self.codec.keeps()
            && !self.floor.is_draining()
            && (most == 0 || u64::from(self.served) < most)
            && (limits.connection_age.is_zero() || age < limits.connection_age)
    }
}
