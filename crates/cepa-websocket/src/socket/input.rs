//! What comes from the client: bytes that were read and wait to be decoded, and turns, so that others have theirs.

use std::{
    io,
    task::{Context, Poll, ready},
};

use cepa_core::Io;

use super::{clock::Clock, scratch};
use crate::{Decoder, Event, ProtocolError};

/// How many reads, events and steps of the decoder are worked on before others get their turn: a client that never
/// stops sending must not hold up the thread.
const STEPS: u32 = 64;

pub(super) struct Input {
    decoder: Decoder,
    /// Bytes that came and are not decoded yet, and how many of them are.
    left: Vec<u8>,
    decoded: usize,
    /// Reads, events and steps of the decoder until others get their turn.
    steps: u32,
}

/// What reading comes to, when it does not come to an event.
pub(super) enum Failure {
    End,
    Io(io::Error),
    Protocol(ProtocolError),
}

impl Input {
    pub(super) fn new(decoder: Decoder) -> Self {
        Self { decoder, left: Vec::new(), decoded: 0, steps: STEPS }
    }

    /// Whether a frame or a message has begun and not ended.
    pub(super) fn is_partial(&self) -> bool {
        self.decoder.is_partial()
    }

    /// Whether nothing has come that was not given out.
    pub(super) fn is_at_rest(&self) -> bool {
        self.left.is_empty() && !self.is_partial()
    }

    pub(super) fn compresses(&self) -> bool {
        self.decoder.compresses()
    }

    /// Throws away what was read.
    pub(super) fn clear(&mut self) {
        (self.left, self.decoded) = (Vec::new(), 0);
    }

    /// Takes a step towards the next event.
    pub(super) fn poll(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut dyn Io,
        clock: &mut Clock,
    ) -> Poll<Result<Option<Event>, Failure>> {
        if self.steps == 0 {
            self.steps = STEPS;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        self.steps -= 1;
        if self.left.is_empty() { self.read(cx, io, clock) } else { Poll::Ready(self.decode_left()) }
    }

    /// Reads once, into a buffer of the thread; what is not decoded at once is kept.
    fn read(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut dyn Io,
        clock: &mut Clock,
    ) -> Poll<Result<Option<Event>, Failure>> {
        scratch::with_input(|input| {
            let length = match ready!(io.poll_read(cx, input)) {
                Ok(0) => return Poll::Ready(Err(Failure::End)),
                Ok(length) => length,
                Err(error) => return Poll::Ready(Err(Failure::Io(error))),
            };
            clock.read();
            let (taken, event) = self.decoder.decode(&mut input[..length]).map_err(Failure::Protocol)?;
            self.count_steps();
            if taken < length {
                self.left = input[taken..length].to_vec();
            }
            Poll::Ready(Ok(event))
        })
    }

    fn decode_left(&mut self) -> Result<Option<Event>, Failure> {
        let left = &mut self.left[self.decoded..];
        let (taken, event) = self.decoder.decode(left).map_err(Failure::Protocol)?;
        self.count_steps();
        self.decoded += taken;
        if self.decoded == self.left.len() {
            self.clear();
        }
        Ok(event)
    }

    fn count_steps(&mut self) {
        self.steps = self.decoder.steps().map_or(0, |steps| self.steps.saturating_sub(steps));
    }

    /// Bytes of the buffer that is held.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        self.left.capacity()
    }
}
