//! A body that inflates another one as it is read.

use std::{
    num::NonZeroU32,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf, Bytes};
use cepa_core::{Body, Error, Result};
use http_body::{Body as HttpBody, Frame};

use super::decoder::Decoder;

/// Bytes that are inflated at a time.
const PIECE: usize = 16 << 10;
/// Up to this size the ratio is not looked at: a form of spaces is no bomb.
const RATIO_FROM: u64 = 1 << 20;
/// How many bytes may be sent for nothing: headers, and blocks and members that hold no data.
const SLACK: u64 = 64 << 10;
/// How many of the streams of a body may hold no data: who puts logs together may have some, nobody has many.
const EMPTY: u32 = 1000;
/// How much is inflated before other requests of the thread have their turn.
const TURN: usize = 256 << 10;
/// What a byte that was read for nothing takes of a turn, in bytes inflated: tables of codes may be all that it brings.
const READ_COST: usize = 16;
/// What the start of a stream takes of a turn: that of a new decoder.
const STREAM_COST: usize = 16 << 10;

pub(super) struct Inflating {
    sent: Body,
    decoder: Decoder,
    ratio: NonZeroU32,
    /// What of the body sent is yet to be inflated.
    input: Bytes,
    piece: Box<[u8]>,
    /// The piece was full, so that the decoder may hold more.
    holds_more: bool,
    read: u64,
    written: u64,
    /// What of the bytes inflated came before the stream that is read now.
    before: u64,
    /// The streams that have ended without data.
    empty: u32,
    /// The work since the task has waited, in bytes inflated.
    turn: usize,
    state: State,
}

enum State {
    /// In a stream, or before the first.
    Inside,
    /// Behind a stream, where the body may end.
    Between,
    /// All is read, but for the trailers.
    Over(Option<Frame<Bytes>>),
}

impl Inflating {
    pub(super) fn new(sent: Body, decoder: Decoder, ratio: NonZeroU32) -> Self {
        Self {
            sent,
            decoder,
            ratio,
            input: Bytes::new(),
            piece: vec![0; PIECE].into(),
            holds_more: false,
            read: 0,
            written: 0,
            before: 0,
            empty: 0,
            turn: 0,
            state: State::Inside,
        }
    }

    /// Inflates a piece; `None` when more input is needed for one, or the turn is over.
    fn inflate(&mut self) -> Result<Option<Bytes>> {
        while self.turn < TURN && (!self.input.is_empty() || self.holds_more) {
            if matches!(self.state, State::Between) && !self.input.is_empty() {
                if !self.decoder.goes_on() {
                    return Err(broken("more follows the end of the coded body"));
                }
                self.state = State::Inside;
                self.before = self.written;
                self.turn += STREAM_COST;
            }
            // No more at a time, as it may come to nothing.
            let input = &self.input[..self.input.len().min(PIECE)];
            let step = self.decoder.step(input, &mut self.piece);
            let step = step.map_err(|_| broken("the body is not of its content coding"))?;
            self.input.advance(step.read);
            self.holds_more = step.written == self.piece.len();
            self.count(step.read, step.written)?;
            if step.ended {
                self.state = State::Between;
                self.count_stream()?;
            } else if step.read == 0 && step.written == 0 && !self.input.is_empty() {
                return Err(broken("the body is not of its content coding"));
            }
            if step.written > 0 {
                return Ok(Some(Bytes::copy_from_slice(&self.piece[..step.written])));
            }
        }
        Ok(None)
    }

    fn count(&mut self, read: usize, written: usize) -> Result {
        self.read += read as u64;
        self.written += written as u64;
        self.turn += written + READ_COST * read.saturating_sub(written);
        if self.written > RATIO_FROM && self.written / u64::from(self.ratio.get()) > self.read {
            return Err(Error::new(413, format!("the body inflates more than {} times", self.ratio)));
        }
        // No encoder makes data that much larger; else a body without content could be sent for ever.
        if self.read > self.written + self.written / 16 + SLACK {
            return Err(broken(HOLLOW));
        }
        Ok(())
    }

    /// Counts a stream that has ended.
    fn count_stream(&mut self) -> Result {
        if self.written == self.before {
            self.empty += 1;
        }
        if self.empty > EMPTY { Err(broken(HOLLOW)) } else { Ok(()) }
    }
}

const HOLLOW: &str = "the coded body holds next to nothing";

fn broken(message: &'static str) -> Error {
    Error::new(400, message)
}

impl HttpBody for Inflating {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let this = &mut *self;
        loop {
            if let State::Over(trailers) = &mut this.state {
                return Poll::Ready(trailers.take().map(Ok));
            }
            if this.turn >= TURN {
                this.turn = 0;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match this.inflate() {
                Ok(Some(piece)) => return Poll::Ready(Some(Ok(Frame::data(piece)))),
                Ok(None) if this.turn >= TURN => continue,
                Ok(None) => {}
                Err(error) => {
                    this.state = State::Over(None);
                    return Poll::Ready(Some(Err(error)));
                }
            }
            let Poll::Ready(frame) = Pin::new(&mut this.sent).poll_frame(cx) else {
                this.turn = 0;
                return Poll::Pending;
            };
            let trailers = match frame.map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => {
                    this.input = data;
                    continue;
                }
                Some(Ok(Err(trailers))) => Some(trailers),
                Some(Err(error)) => {
                    this.state = State::Over(None);
                    return Poll::Ready(Some(Err(error)));
                }
                None => None,
            };
            let is_whole = matches!(this.state, State::Between);
            this.state = State::Over(trailers.filter(|_| is_whole));
            if !is_whole {
                return Poll::Ready(Some(Err(broken("the coded body ends too early"))));
            }
        }
    }
}
