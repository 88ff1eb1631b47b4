//! What is on its way to the client: bytes, then a large piece written from where it is, then a stream.

use std::{
    io::{self, IoSlice},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Buf, Bytes};
use cepa_core::{Body, Parked};
use http_body::{Body as _, Frame};
use tokio::io::AsyncWrite;

use super::{Framing, chunk, chunk_end, chunk_head, last_chunk};

/// A response body up to this size is copied behind its head; a larger one is written from where it is.
pub(super) const COPIED: usize = 8 * 1024;
use crate::{floor::Floor, moved::Rest};

/// A stream is asked for more while fewer bytes than this wait to be written.
const AHEAD: usize = 32 * 1024;

/// See the module.
#[derive(Default)]
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// How much of `bytes` is written.
    written: usize,
    /// Written after `bytes`.
    large: Bytes,
    /// `large` is the data of a chunk, whose end is still to be written.
    in_chunk: bool,
    stream: Option<Stream>,
    /// Written, but perhaps not yet flushed: TLS holds what the socket did not take.
    unflushed: bool,
    /// Something was written since [`has_moved`](Self::has_moved) was asked.
    moved: bool,
    /// The socket takes nothing since: a tick counted by whoever asks.
    stalled: Option<u32>,
    progress: bool,
}

struct Stream {
    body: Body,
    framing: Framing,
    /// Bytes that the declared length still asks for.
    left: u64,
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

    pub(super) fn push(&mut self, bytes: &[u8]) {
        debug_assert!(self.large.is_empty(), "nothing is written behind a large piece");
        self.bytes.extend_from_slice(bytes);
    }

    pub(super) fn push_bytes(&mut self, bytes: Bytes) {
        self.large = bytes;
    }

    pub(super) fn set_stream(&mut self, body: Body, framing: Framing) {
        let left = match framing {
            Framing::Length(length) => length,
            Framing::Chunked | Framing::UntilClose | Framing::None => u64::MAX,
        };
        self.stream = Some(Stream { body, framing, left });
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stream.is_none() && !self.is_held_up()
    }

    /// Whether everything that there is has been sent, and a stream is to bring more.
    pub(super) fn awaits_stream(&self) -> bool {
        self.stream.is_some() && !self.is_held_up()
    }

    /// Has the stream leave for another process, if it can; with how the rest is framed.
    pub(super) fn park(&mut self) -> Option<(Parked, Rest)> {
        let stream = self.stream.as_mut()?;
        let rest = match stream.framing {
            Framing::Chunked => Rest::Chunked,
            Framing::UntilClose => Rest::UntilClose,
            Framing::Length(_) | Framing::None => return None,
        };
        let parked = catch_unwind(AssertUnwindSafe(|| stream.body.park())).ok().flatten()?;
        if !parked.fits() {
            // It is not read any more: this is its end.
            stream.body = parked.farewell.into();
            return None;
        }
        self.stream = None;
        Some((parked, rest))
    }

    /// Whether something was written since this was last asked.
    pub(super) fn has_moved(&mut self) -> bool {
        std::mem::take(&mut self.moved)
    }

    /// Whether there is something that the socket does not take.
    fn is_held_up(&self) -> bool {
        self.waiting() > 0 || self.unflushed
    }

    fn waiting(&self) -> usize {
        self.bytes.len() - self.written + self.large.len()
    }

    /// Ready when everything is written; `Err` when that cannot be.
    pub(super) fn poll_write<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> io::Result<Poll<()>>
    where
        S: AsyncWrite + Unpin,
    {
        loop {
            let streams = self.fill(cx)?;
            let all = self.write_some(cx, io)?;
            if !all {
                return Ok(Poll::Pending);
            }
            if self.stream.is_none() && self.waiting() == 0 {
                break;
            }
            if !streams && self.waiting() == 0 {
                // The stream has nothing now: let the client have what there is. Pending either way.
                let _ = self.flush(cx, io)?;
                // It may be parked for hours, and there may be a million of it.
                if self.bytes.is_empty() {
                    self.bytes = Vec::new();
                }
                return Ok(Poll::Pending);
            }
        }
        self.flush(cx, io)
    }

    fn flush<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> io::Result<Poll<()>>
    where
        S: AsyncWrite + Unpin,
    {
        if self.unflushed {
            match Pin::new(io).poll_flush(cx)? {
                Poll::Pending => return Ok(Poll::Pending),
                Poll::Ready(()) => self.unflushed = false,
            }
        }
        Ok(Poll::Ready(()))
    }

    /// Writes until everything is written (`true`) or the socket takes no more.
    fn write_some<S>(&mut self, cx: &mut Context<'_>, io: &mut S) -> io::Result<bool>
    where
        S: AsyncWrite + Unpin,
    {
        while self.waiting() > 0 {
            let slices = [IoSlice::new(&self.bytes[self.written..]), IoSlice::new(&self.large)];
            let slices = if slices[0].is_empty() { &slices[1..] } else { &slices[..] };
            let polled = Pin::new(&mut *io).poll_write_vectored(cx, slices)?;
            let Poll::Ready(length) = polled else { return Ok(false) };
            if length == 0 {
                return Err(io::ErrorKind::WriteZero.into());
            }
            (self.unflushed, self.progress, self.moved) = (true, true, true);
            let of_bytes = length.min(self.bytes.len() - self.written);
            self.written += of_bytes;
            self.large.advance(length - of_bytes);
        }
        self.bytes.clear();
        self.written = 0;
        if std::mem::take(&mut self.in_chunk) {
            chunk_end(&mut self.bytes);
        }
        Ok(true)
    }

    /// Takes pieces from the stream; whether it may have more at once.
    fn fill(&mut self, cx: &mut Context<'_>) -> io::Result<bool> {
        while self.large.is_empty() && self.waiting() < AHEAD {
            let Some(stream) = &mut self.stream else { return Ok(false) };
            // A panic is the stream's failure, like that of a handler: it must not take the task along unheard.
            let polled = catch_unwind(AssertUnwindSafe(|| Pin::new(&mut stream.body).poll_frame(cx)));
            let polled = polled.map_err(|_| io::Error::other("the response stream panicked"))?;
            match polled {
                Poll::Pending => return Ok(false),
                Poll::Ready(Some(Ok(frame))) => self.take_frame(frame)?,
                Poll::Ready(Some(Err(error))) => {
                    tracing::warn!(target: "cepa::http1", %error, "a response stream failed");
                    return Err(io::Error::other("the response stream failed"));
                }
                Poll::Ready(None) => self.end_stream()?,
            }
        }
        Ok(true)
    }

    fn take_frame(&mut self, frame: Frame<Bytes>) -> io::Result<()> {
        let Some(stream) = &mut self.stream else { return Ok(()) };
        match frame.into_data() {
            Ok(data) if data.is_empty() => {}
            Ok(data) => {
                let length = data.len() as u64;
                if length > stream.left {
                    tracing::error!(target: "cepa::http1", "a response stream is longer than its content-length");
                    return Err(io::Error::other("the response stream is too long"));
                }
                stream.left -= length;
                let chunked = stream.framing == Framing::Chunked;
                match (std::num::NonZeroUsize::new(data.len()), data.len() <= COPIED) {
                    (_, true) if chunked => chunk(&mut self.bytes, &data),
                    (Some(length), false) if chunked => {
                        chunk_head(&mut self.bytes, length);
                        (self.large, self.in_chunk) = (data, true);
                    }
                    (_, true) => self.bytes.extend_from_slice(&data),
                    (_, false) => self.large = data,
                }
            }
            Err(frame) => {
                if let (Ok(trailers), Framing::Chunked) = (frame.into_trailers(), stream.framing) {
                    last_chunk(&mut self.bytes, Some(&trailers));
                    self.stream = None;
                }
            }
        }
        Ok(())
    }

    fn end_stream(&mut self) -> io::Result<()> {
        let Some(stream) = &self.stream else { return Ok(()) };
        match stream.framing {
            Framing::Chunked => last_chunk(&mut self.bytes, None),
            Framing::Length(_) if stream.left > 0 => {
                tracing::error!(target: "cepa::http1", "a response stream is shorter than its content-length");
                // The stream stays: this answer is not finished.
                return Err(io::Error::other("the response stream is too short"));
            }
            Framing::Length(_) | Framing::UntilClose | Framing::None => {}
        }
        self.stream = None;
        Ok(())
    }

    /// Seconds until the client has taken nothing for too long.
    pub(super) fn deadline(&mut self, now: u32, limit: Duration) -> Option<u32> {
        let limit = Floor::limit(limit)?;
        if !self.is_held_up() {
            self.stalled = None;
            return None;
        }
        if std::mem::take(&mut self.progress) || self.stalled.is_none() {
            self.stalled = Some(now);
        }
        let stalled = now.wrapping_sub(self.stalled?);
        Some((limit.as_secs() as u32).saturating_sub(stalled))
    }

    /// Whether the client has taken nothing for too long.
    pub(super) fn stalls(&self, now: u32, limit: Duration) -> bool {
        let Some(limit) = Floor::limit(limit) else { return false };
        !self.progress
            && self.is_held_up()
            && self.stalled.is_some_and(|since| u64::from(now.wrapping_sub(since)) > limit.as_secs())
    }
}
