//! What waits to be written: at most one message, or small ones up to [`ROOM`], one Pong, one Ping and the Close.

use std::{
    io,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use cepa_core::Io;

use super::scratch;
use crate::{Close, encode::encode_control, frame::Opcode};

/// Bytes that may wait when another frame is put behind them.
const ROOM: usize = 8 * 1024;

#[derive(Debug, Default)]
pub(super) struct Output {
    /// What goes out now: frames, the last of which may go on in `rest`.
    bytes: Vec<u8>,
    written: usize,
    /// What follows it.
    rest: Bytes,
    /// Answers the last ping; those before it need no answer of their own (RFC 6455, section 5.5.3).
    pong: Option<Vec<u8>>,
    ping: bool,
    close: Option<Box<Close>>,
    unflushed: bool,
}

impl Output {
    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        let is_written = self.written == self.bytes.len() && self.rest.is_empty() && !self.unflushed;
        is_written && self.pong.is_none() && !self.ping && self.close.is_none()
    }

    /// Whether a frame may be put in before what is there is written.
    pub(super) fn has_room(&self) -> bool {
        self.rest.is_empty() && self.bytes.len() - self.written <= ROOM
    }

    /// Puts a frame in: `fill` appends its beginning and gives the rest. There must be room.
    pub(super) fn push(&mut self, fill: impl FnOnce(&mut Vec<u8>) -> Bytes) {
        debug_assert!(self.rest.is_empty(), "a frame is still being written");
        if self.written == self.bytes.len() {
            (self.bytes, self.written) = (scratch::take_output(), 0);
        }
        self.rest = fill(&mut self.bytes);
    }

    pub(super) fn pong(&mut self, payload: Vec<u8>) {
        self.pong = Some(payload);
    }

    pub(super) fn ping(&mut self) {
        self.ping = true;
    }

    pub(super) fn close(&mut self, close: Close) {
        self.close = Some(Box::new(close));
    }

    /// Bytes of the buffer that is held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Writes what waits; also, whether some of it was taken.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, io: &mut dyn Io) -> (Poll<io::Result<()>>, bool) {
        let mut moved = false;
        let polled = self.poll_write(cx, io, &mut moved);
        if polled.is_pending() && self.bytes.capacity() > self.bytes.len() - self.written {
            // The thread's buffer is not this connection's to keep.
            let bytes = std::mem::take(&mut self.bytes);
            self.bytes = bytes[self.written..].to_vec();
            self.written = 0;
            scratch::put_output(bytes);
        }
        (polled, moved)
    }

    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut dyn Io,
        moved: &mut bool,
    ) -> Poll<io::Result<()>> {
        loop {
            while self.written < self.bytes.len() || self.rest.has_remaining() {
                let head = &self.bytes[self.written..];
                let polled = io.poll_write(cx, if head.is_empty() { &self.rest } else { head });
                let taken = match polled {
                    Poll::Ready(Ok(0)) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Poll::Ready(Ok(taken)) => taken,
                    other => return other.map_ok(|_| ()),
                };
                (*moved, self.unflushed) = (true, true);
                if self.written < self.bytes.len() {
                    self.written += taken;
                } else {
                    self.rest.advance(taken);
                }
            }
            if self.bytes.capacity() > 0 {
                scratch::put_output(std::mem::take(&mut self.bytes));
                self.written = 0;
            }
            self.rest = Bytes::new();
            if !self.next_control() {
                break;
            }
        }
        if self.unflushed {
            match io.poll_flush(cx) {
                Poll::Ready(Ok(())) => self.unflushed = false,
                other => return other,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Puts in the next control frame; `false` if none waits.
    fn next_control(&mut self) -> bool {
        if self.pong.is_none() && !self.ping && self.close.is_none() {
            return false;
        }
        let (pong, ping, close) = (self.pong.take(), std::mem::take(&mut self.ping), self.close.take());
        self.push(|out| {
            if let Some(payload) = pong {
                encode_control(out, Opcode::Pong, &payload);
            }
            if ping && close.is_none() {
                encode_control(out, Opcode::Ping, b"");
            }
            if let Some(close) = close {
                encode_control(out, Opcode::Close, &close.payload());
            }
            Bytes::new()
        });
        true
    }
}
