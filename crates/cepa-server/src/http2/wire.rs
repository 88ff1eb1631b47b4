//! The socket under `h2`: meters what passes, and sees when it is stuck.

use std::{
    cell::{Cell, RefCell},
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use h2::Reason;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::meter::Meter;
use crate::transport::Transport;
use crate::{limits::Http2Limits, timer::Timers};

/// Bytes that are still read, to be thrown away, after the connection was ended for an error of the peer.
const THROWN: usize = 512 * 1024;

/// Small DATA frames that are read before the streams they are for have their turn. `h2` bounds how many it keeps, by
/// ending the connection; one read may bring 1,600 more.
const TURN: u32 = 256;

/// What the driver of a connection may know of its wire, which `h2` owns.
pub(super) struct Gauge {
    meter: RefCell<Meter>,
    timers: Rc<Timers>,
    /// The tick since which the peer takes nothing.
    blocked: Cell<Option<u32>>,
    /// The last tick in which the peer did not take everything at once.
    slow: Cell<u32>,
    /// Small DATA frames that had come when the turn of the driver began.
    turn: Cell<u32>,
}

impl Gauge {
    pub(super) fn new(limits: &Http2Limits, timers: Rc<Timers>) -> Rc<Self> {
        Rc::new(Self {
            meter: RefCell::new(Meter::new(limits)),
            timers,
            blocked: Cell::default(),
            slow: Cell::default(),
            turn: Cell::default(),
        })
    }

    /// See [`Meter::fault`].
    pub(super) fn fault(&self) -> Option<Reason> {
        self.meter.borrow().fault()
    }

    /// See [`Meter::has_begun`].
    pub(super) fn has_begun(&self) -> bool {
        self.meter.borrow().has_begun()
    }

    /// See [`Meter::unsettled`].
    pub(super) fn unsettled(&self) -> Option<u32> {
        self.meter.borrow().unsettled()
    }

    /// See [`Meter::unfinished`].
    pub(super) fn unfinished(&self) -> Option<u32> {
        self.meter.borrow().unfinished()
    }

    /// See [`Meter::gave_up`].
    pub(super) fn gave_up(&self) -> Option<u32> {
        self.meter.borrow().gave_up()
    }

    /// The tick since which the peer takes no byte of what is to be written.
    pub(super) fn blocked(&self) -> Option<u32> {
        self.blocked.get()
    }

    /// The last tick in which the socket was what held up the streams.
    pub(super) fn slow(&self) -> u32 {
        if self.blocked.get().is_some() { self.timers.now_tick() } else { self.slow.get() }
    }

    /// The driver has its turn.
    pub(super) fn begin_turn(&self) {
        self.turn.set(self.meter.borrow().small());
    }

    /// Whether so many small frames came in this turn that others should take them from `h2` before more are read.
    fn is_over_turn(&self) -> bool {
        self.meter.borrow().small().wrapping_sub(self.turn.get()) >= TURN
    }

    fn read(&self, bytes: &[u8]) -> usize {
        self.meter.borrow_mut().read(bytes, self.timers.now_tick())
    }

    fn wrote<'a>(&self, slices: impl IntoIterator<Item = &'a [u8]>, mut length: usize) {
        let (mut meter, now) = (self.meter.borrow_mut(), self.timers.now_tick());
        for slice in slices {
            let part = slice.len().min(length);
            meter.wrote(&slice[..part], now);
            length -= part;
        }
    }

    fn note<T>(&self, polled: &Poll<T>) {
        if polled.is_ready() {
            self.blocked.set(None);
        } else {
            let now = self.timers.now_tick();
            self.slow.set(now);
            self.blocked.set(self.blocked.get().or(Some(now)));
        }
    }
}

/// See the module.
pub(super) struct Wire<S: Transport> {
    io: S,
    /// Bytes that were read before this was an HTTP/2 connection.
    early: Vec<u8>,
    gauge: Rc<Gauge>,
    shut: bool,
    thrown: usize,
}

impl<S: Transport> Wire<S> {
    pub(super) fn new(io: S, early: Vec<u8>, gauge: Rc<Gauge>) -> Self {
        Self { io, early, gauge, shut: false, thrown: 0 }
    }
}

impl<S: Transport> Drop for Wire<S> {
    fn drop(&mut self) {
        // The peer does not take what is there; it has had its time.
        if self.gauge.blocked().is_some() {
            self.io.abort();
        }
    }
}

impl<S: Transport> AsyncRead for Wire<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // The driver looks for a fault whenever `h2` has come to wait; nobody needs to be woken.
        if self.gauge.fault().is_some() {
            return Poll::Pending;
        }
        if self.gauge.is_over_turn() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = into.filled().len();
        if self.early.is_empty() {
            ready!(Pin::new(&mut self.io).poll_read(cx, into))?;
        } else {
            let length = self.early.len().min(into.remaining());
            into.put_slice(&self.early[..length]);
            self.early.drain(..length);
            if self.early.is_empty() {
                self.early = Vec::new();
            }
        }
        let came = into.filled().len() - before;
        let used = self.gauge.read(&into.filled()[before..]);
        into.set_filled(before + used);
        // Nothing read would mean the end of the stream.
        if used == 0 && came > 0 { Poll::Pending } else { Poll::Ready(Ok(())) }
    }
}

impl<S: Transport> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, from: &[u8]) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write(cx, from);
        self.gauge.note(&polled);
        if let Poll::Ready(Ok(length)) = polled {
            self.gauge.wrote([from], length);
        }
        polled
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        from: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let polled = Pin::new(&mut self.io).poll_write_vectored(cx, from);
        self.gauge.note(&polled);
        if let Poll::Ready(Ok(length)) = polled {
            self.gauge.wrote(from.iter().map(|slice| &**slice), length);
        }
        polled
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let polled = Pin::new(&mut self.io).poll_flush(cx);
        self.gauge.note(&polled);
        polled
    }

    /// After an error of the peer, what it still sends is read and thrown away for a while: closing with unread
    /// bytes would make the kernel reset the connection and the peer lose the GOAWAY.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(Pin::new(&mut self.io).poll_shutdown(cx))?;
            self.shut = true;
        }
        while self.gauge.gave_up().is_some() && self.thrown < THROWN {
            let mut space = [0; 4096];
            let mut into = ReadBuf::new(&mut space);
            match ready!(Pin::new(&mut self.io).poll_read(cx, &mut into)) {
                Ok(()) if !into.filled().is_empty() => self.thrown += into.filled().len(),
                Ok(()) | Err(_) => break,
            }
        }
        Poll::Ready(Ok(()))
    }
}
