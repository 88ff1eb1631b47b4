//! A body that is compressed while it is sent.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use cepa_core::{Body, Error};
use http_body::{Body as HttpBody, Frame};

use super::encoder::Encoder;

/// Bytes that are compressed in one turn, about a millisecond of work; then others on this thread have theirs.
const TURN: usize = 32 << 10;

/// Bytes that are sent without waiting for more.
const ENOUGH: usize = 16 << 10;

/// Reads another body and compresses it. What has been read is held back only as long as more is there at once.
pub(super) struct Compressed {
    source: Body,
    /// `None` after the end.
    encoder: Option<Encoder>,
    /// Read, but not compressed yet.
    rest: Bytes,
    /// Whether the compressor may hold something back.
    holds_back: bool,
    trailers: Option<Frame<Bytes>>,
}

impl Compressed {
    pub(super) fn new(source: Body, encoder: Encoder) -> Self {
        Self { source, encoder: Some(encoder), rest: Bytes::new(), holds_back: false, trailers: None }
    }

    /// Ends the compressed data and gives the last of it.
    fn finish(&mut self) -> io::Result<Vec<u8>> {
        self.encoder.take().map_or_else(|| Ok(Vec::new()), Encoder::finish)
    }

    fn compress(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(encoder) = &mut self.encoder else { return Ok(None) };
        let turn = self.rest.split_to(self.rest.len().min(TURN));
        encoder.write(&turn)?;
        self.holds_back = true;
        Ok((encoder.ready() >= ENOUGH).then(|| encoder.take()))
    }

    /// What can be sent while nothing more is to be read.
    fn flush(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(encoder) = self.encoder.as_mut().filter(|_| self.holds_back) else { return Ok(None) };
        encoder.flush()?;
        self.holds_back = false;
        Ok(Some(encoder.take()).filter(|bytes| !bytes.is_empty()))
    }
}

type Polled = Poll<Option<Result<Frame<Bytes>, Error>>>;

fn data(bytes: Vec<u8>) -> Polled {
    Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
}

impl HttpBody for Compressed {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Polled {
        let this = &mut *self;
        let mut turn = 0;
        while this.encoder.is_some() {
            if !this.rest.is_empty() {
                if turn >= TURN {
                    cx.waker().wake_by_ref();
                    return Poll::Pending;
                }
                turn += this.rest.len();
                match this.compress()? {
                    Some(bytes) => return data(bytes),
                    None => continue,
                }
            }
            match Pin::new(&mut this.source).poll_frame(cx) {
                Poll::Pending => match this.flush()? {
                    // The source has the waker, and is asked again when this was sent.
                    Some(bytes) => return data(bytes),
                    None => return Poll::Pending,
                },
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) => this.rest = bytes,
                    Err(trailers) => this.trailers = Some(trailers),
                },
                Poll::Ready(Some(Err(error))) => {
                    this.encoder = None;
                    return Poll::Ready(Some(Err(error)));
                }
                Poll::Ready(None) => return data(this.finish()?),
            }
        }
        Poll::Ready(this.trailers.take().map(Ok))
    }
}
