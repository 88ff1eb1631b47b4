//! What is on its way to the front server: bytes, then a large piece written from where it is, then a stream.

use std::{
    io::{self, IoSlice},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use cepa_core::Body;
use http_body::Body as _;
use tokio::io::AsyncWrite;

use super::{Codec, respond::Rest};
use crate::floor::Floor;

/// A piece up to this size is copied; a larger one is written from where it is.
const COPIED: usize = 8 * 1024;

/// A stream is asked for more while fewer bytes than this wait to be written.
const AHEAD: usize = 32 * 1024;

/// Room for writing that a stream keeps while it has nothing to send.
const PARKED: usize = 512;

/// See the module.
#[derive(Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// How much of `bytes` is written.
    written: usize,
    /// The piece that is written after `bytes`.
    piece: Bytes,
    /// What is to be cut into pieces next.
    large: Bytes,
    /// Mostly one; those of earlier requests that go on.
    streams: Vec<Stream>,
    /// The one that is asked first, so that each has its turn.
    first: usize,
    /// The streams have nothing to send, and the codec knows it.
    paused: bool,
    /// Once everything is written, so is the end of the answer.
    ends: bool,
    /// What the protocol itself has to say, between two pieces.
    replies: Vec<u8>,
    /// Written, but perhaps not yet flushed.
    unflushed: bool,
    /// Something was written since [`has_moved`](Self::has_moved) was asked.
    moved: bool,
    /// The socket takes nothing since: a tick counted by whoever asks.
    stalled: Option<u32>,
    progress: bool,
}

pub(super) struct Stream {
    body: Body,
    /// Bytes that the declared length still asks for.
    left: Option<u64>,
}

impl Outgoing {
    /// Bytes to go on with where some were written already, perhaps not flushed.
    pub(super) fn rest(bytes: Vec<u8>) -> Self {
        Self { bytes, unflushed: true, ..Self::default() }
    }

    pub(super) fn prepend(&mut self, mut bytes: Vec<u8>) {
        bytes.extend_from_slice(&self.bytes);
        self.bytes = bytes;
    }

    /// Where the head of an answer is to be appended. Nothing may be in the middle of a piece.
    pub(super) fn head(&mut self) -> &mut Vec<u8> {
        debug_assert!(self.piece.is_empty(), "a head comes before all pieces");
        &mut self.bytes
    }

    /// What follows the head, and that it is all.
    pub(super) fn set_rest(&mut self, rest: Rest) {
        self.ends = true;
        match rest {
            Rest::Nothing => {}
            Rest::Bytes(bytes) => self.large = bytes,
            Rest::Stream(body, left) => self.streams.push(Stream { body, left }),
        }
    }

    /// Goes on with the streams of earlier requests.
    pub(super) fn add_streams(&mut self, streams: &mut Vec<Stream>) {
        self.ends = true;
        self.streams.append(streams);
    }

    pub(super) fn take_streams(&mut self) -> Vec<Stream> {
        self.ends = false;
        mem::take(&mut self.streams)
    }

    /// What the protocol itself has to say.
    pub(super) fn replies(&mut self) -> &mut Vec<u8> {
        &mut self.replies
    }

    pub(super) fn is_empty(&self) -> bool {
        self.streams.is_empty() && self.large.is_empty() && !self.ends && !self.is_held_up()
    }

    /// Whether everything that there is has been sent, and a stream is to bring more.
    pub(super) fn awaits_stream(&self) -> bool {
        !self.streams.is_empty() && !self.is_held_up()
    }

    /// Whether something was written since this was last asked.
    pub(super) fn has_moved(&mut self) -> bool {
        mem::take(&mut self.moved)
    }

    /// Whether there is something that the socket does not take.
    fn is_held_up(&self) -> bool {
        self.waiting() > 0 || self.unflushed
    }

    /// Bytes that wait to be written.
    pub(super) fn waiting(&self) -> usize {
        self.bytes.len() - self.written + self.piece.len() + self.replies.len()
    }

    /// Ready when everything is written; `Err` when that cannot be.
    pub(super) fn poll_write<S, C>(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut S,
        codec: &mut C,
    ) -> io::Result<Poll<()>>
    where
        S: AsyncWrite + Unpin,
        C: Codec,
    {
        loop {
            let more = self.fill(cx, codec)?;
            if !self.write_some(cx, io)? {
                return Ok(Poll::Pending);
            }
            if self.streams.is_empty() && self.large.is_empty() && !self.ends && self.waiting() == 0 {
                return self.flush(cx, io);
            }
            if !more && self.waiting() == 0 {
                // The stream has nothing now: let the client have what there is. Pending either way.
                let _ = self.flush(cx, io)?;
                // It may be parked for hours, and one burst needs no more than this again.
                self.bytes.shrink_to(PARKED);
                return Ok(Poll::Pending);
            }
        }
    }

    fn flush<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, io: &mut S) -> io::Result<Poll<()>> {
        if self.unflushed {
            match Pin::new(io).poll_flush(cx)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(()) => self.unflushed = false,
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Writes until everything is written (`true`) or the socket takes no more.
    fn write_some<S: AsyncWrite + Unpin>(&mut self, cx: &mut Context<'_>, io: &mut S) -> io::Result<bool> {
        while self.bytes.len() - self.written + self.piece.len() > 0 {
            let slices = [IoSlice::new(&self.bytes[self.written..]), IoSlice::new(&self.piece)];
            let slices = if slices[0].is_empty() { &slices[1..] } else { &slices[..] };
            let polled = Pin::new(&mut *io).poll_write_vectored(cx, slices)?;
            let Poll::Ready(length) = polled else { return Ok(false) };
            if length == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            (self.unflushed, self.progress, self.moved) = (true, true, true);
            let of_bytes = length.min(self.bytes.len() - self.written);
            self.written += of_bytes;
            self.piece.advance(length - of_bytes);
        }
        self.bytes.clear();
        self.written = 0;
        Ok(true)
    }

    /// Takes what there is to be written; whether there may be more at once.
    fn fill<C: Codec>(&mut self, cx: &mut Context<'_>, codec: &mut C) -> io::Result<bool> {
        while self.piece.is_empty() && self.bytes.len() - self.written < AHEAD {
            self.bytes.append(&mut self.replies);
            if !self.large.is_empty() {
                let piece = self.large.split_to(self.large.len().min(C::MOST_PIECE));
                codec.piece(piece.len(), &mut self.bytes);
                self.paused = false;
                if piece.len() <= COPIED {
                    self.bytes.extend_from_slice(&piece);
                } else {
                    self.piece = piece;
                }
                continue;
            }
            if self.streams.is_empty() {
                if mem::take(&mut self.ends) {
                    codec.end(&mut self.bytes);
                }
                return Ok(false);
            }
            match self.poll_streams(cx)? {
                Poll::Ready(data) => self.large = data,
                Poll::Pending => {
                    if !mem::replace(&mut self.paused, true) {
                        codec.pause(self.streams.iter().all(|stream| stream.left.is_none()), &mut self.bytes);
                    }
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    /// The next piece of any stream, which is empty when one has ended.
    fn poll_streams(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<Bytes>> {
        let count = self.streams.len();
        for at in (0..count).map(|step| (self.first + step) % count) {
            let Poll::Ready(data) = self.streams[at].poll_next(cx)? else { continue };
            self.first = at + 1;
            if data.is_none() {
                self.streams.remove(at);
            }
            return Ok(Poll::Ready(data.unwrap_or_default()));
        }
        Ok(Poll::Pending)
    }

    /// Seconds until the other end has taken nothing for too long.
    pub(super) fn deadline(&mut self, now: u32, limit: Duration) -> Option<u32> {
        let limit = Floor::limit(limit)?;
        if !self.is_held_up() {
            self.stalled = None;
            return None;
        }
        if mem::take(&mut self.progress) || self.stalled.is_none() {
            self.stalled = Some(now);
        }
        let stalled = now.wrapping_sub(self.stalled?);
        Some((limit.as_secs() as u32).saturating_sub(stalled))
    }

    /// Whether the other end has taken nothing for too long.
    pub(super) fn stalls(&self, now: u32, limit: Duration) -> bool {
        let Some(limit) = Floor::limit(limit) else { return false };
        !self.progress
            && self.is_held_up()
            && self.stalled.is_some_and(|since| u64::from(now.wrapping_sub(since)) > limit.as_secs())
    }
}

impl Stream {
    /// The next piece; `None` at the end.
    fn poll_next(&mut self, cx: &mut Context<'_>) -> io::Result<Poll<Option<Bytes>>> {
        // A panic is the stream's failure, like that of a handler: it must not take the task along unheard.
        let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut self.body).poll_frame(cx)));
        match polled.map_err(|_| io::Error::other("the response stream panicked"))? {
            Poll::Pending => Ok(Poll::Pending),
            Poll::Ready(Some(Ok(frame))) => {
                // There is no place for trailers.
                let data = frame.into_data().unwrap_or_default();
                self.take(data.len() as u64)?;
                Ok(Poll::Ready(Some(data)))
            }
            Poll::Ready(Some(Err(error))) => {
                tracing::warn!(target: "cepa::cgi", %error, "a response stream failed");
                Err(io::Error::other("the response stream failed"))
            }
            Poll::Ready(None) => {
                self.check_end()?;
                Ok(Poll::Ready(None))
            }
        }
    }

    fn take(&mut self, length: u64) -> io::Result<()> {
        if let Some(left) = &mut self.left {
            *left = left.checked_sub(length).ok_or_else(|| {
                tracing::error!(target: "cepa::cgi", "a response stream is longer than its content-length");
                io::Error::other("the response stream is too long")
            })?;
        }
        Ok(())
    }

    fn check_end(&self) -> io::Result<()> {
        if self.left.is_some_and(|left| left > 0) {
            tracing::error!(target: "cepa::cgi", "a response stream is shorter than its content-length");
            return Err(io::Error::other("the response stream is too short"));
        }
        Ok(())
    }
}
