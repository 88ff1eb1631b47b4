//! One HTTP/1.1 connection: its socket, its deadline, and what is known of its client. It holds no buffer.

use std::{io, rc::Rc, task::Waker, time::Duration};

use super::{HeadScan, exchange::Left, link::Link};
use crate::{floor::Floor, moved::MovedConnection, timer::Entry, transport::Transport};

/// A connection between requests.
pub(crate) struct Conn<S> {
    pub(super) io: S,
    pub(super) link: Rc<Link>,
    pub(super) timer: Entry,
    /// Bytes that came and were not used: the beginning of the next request.
    pub(super) left: Vec<u8>,
    pub(super) scan: HeadScan,
    pub(super) served: u32,
    pub(super) born: u32,
    pub(super) waits: Waits,
    /// `left` may hold a whole request, left by an exchange.
    pub(super) unread: bool,
}

/// What an idle connection waits for; says which limit its deadline is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Waits {
    FirstByte,
    Head,
    /// The next request, since the tick in which the one before was answered.
    Next(u32),
    /// Whatever the exchange waits for, which sets the timer as it likes.
    Exchange,
}

impl<S: Transport> Conn<S> {
    pub(super) fn new(io: S, link: Rc<Link>) -> Self {
        let timer = link.floor.timers.register(Waker::noop().clone());
        let born = link.floor.timers.now_tick();
        let (left, unread) = (Vec::new(), false);
        let conn = Self {
            io,
            link,
            timer,
            left,
            scan: HeadScan::default(),
            served: 0,
            born,
            waits: Waits::FirstByte,
            unread,
        };
        conn.wait_for(conn.floor().limits.first_byte);
        conn
    }

    pub(super) fn floor(&self) -> &Rc<Floor> {
        &self.link.floor
    }

    /// A connection that has served requests in another process.
    pub(crate) fn resumed(io: S, link: Rc<Link>, served: u32, age: u32) -> Self {
        let mut conn = Self::new(io, link);
        conn.served = served;
        conn.born = conn.born.wrapping_sub(age);
        if served > 0 {
            conn.await_next(true);
        }
        conn
    }

    /// Whether a drain means that this connection goes on in another process.
    pub(super) fn moves(&self) -> bool {
        self.floor().heir().is_some() && self.link.is_plain()
    }

    /// Whether this connection has to end with what it is at, because the server drains.
    pub(super) fn is_ended_by_drain(&self) -> bool {
        self.floor().is_draining() && !self.moves()
    }

    /// Has the connection go on in another process; closes it if there is none any more.
    pub(super) fn hand_over(self) -> io::Result<()> {
        let age = self.floor().timers.now_tick().wrapping_sub(self.born);
        let floor = Rc::clone(self.floor());
        let socket = self.io.into_socket()?;
        if let Some(heir) = floor.heir() {
            heir.give_idle(MovedConnection {
                socket,
                served: self.served,
                age,
                unfinished: None,
                receipt: None,
            });
        }
        Ok(())
    }

    /// Has the connection go on in another process with the answer that has left.
    pub(super) fn leave(self, left: Left) -> io::Result<()> {
        let age = self.floor().timers.now_tick().wrapping_sub(self.born);
        let Left { unfinished, pass } = left;
        // Who waits for its end has nothing left to wait for here.
        self.link.close();
        let (socket, unfinished) = (self.io.into_socket()?, Some(Box::new(unfinished)));
        pass.send(MovedConnection { socket, served: self.served, age, unfinished, receipt: None });
        Ok(())
    }

    /// From here on an exchange sets the timer.
    pub(super) fn give_to_exchange(&mut self) {
        self.waits = Waits::Exchange;
    }

    fn wait_for(&self, limit: Duration) {
        match Floor::limit(limit) {
            Some(time) => self.timer.set(time),
            None => self.timer.clear(),
        }
    }

    /// Sets the deadline of what comes next.
    pub(super) fn await_next(&mut self, answered: bool) {
        let limits = &self.link.floor.limits;
        if !self.left.is_empty() {
            // The time for a head counts from its first byte; more bytes of it do not prolong it.
            if answered || self.waits != Waits::Head {
                self.waits = Waits::Head;
                self.wait_for(limits.header_time);
            }
        } else {
            // Within one tick the timer says so already, as long as nobody else has set it.
            let waits = Waits::Next(self.link.floor.timers.now_tick());
            if self.waits != waits {
                self.waits = waits;
                self.wait_for(limits.idle);
            }
        }
    }
}
