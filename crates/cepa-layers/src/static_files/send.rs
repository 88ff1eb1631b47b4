//! A body of pieces of a file and bytes between them, read as the client takes it.

use std::{
    collections::VecDeque,
    fs::File,
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};
use rustix::buffer::spare_capacity;
use tokio::task::{JoinHandle, spawn_blocking};

use super::{entry::Content, range::Span};

/// Bytes that are read at once: large enough for the disk, small enough for a hundred thousand clients.
const PIECE: u64 = 64 << 10;

/// What is sent, in turn. At most one piece of a file is in memory.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    parts: VecDeque<Part>,
    /// Bytes that are still to come.
    left: u64,
    reading: Option<JoinHandle<io::Result<Bytes>>>,
}

#[derive(Debug)]
enum Part {
    Bytes(Bytes),
    File(Arc<File>, Span),
}

impl Pieces {
    pub(super) fn bytes(&mut self, bytes: impl Into<Bytes>) {
        let bytes = bytes.into();
        self.left += bytes.len() as u64;
        self.parts.push_back(Part::Bytes(bytes));
    }

    /// A span of a file, which lies inside of it.
    pub(super) fn span(&mut self, content: &Content, span: Span) {
        match content {
            Content::Memory(bytes) => self.bytes(slice(bytes, span)),
            Content::Disk(file, _) => {
                self.left += span.end - span.start;
                self.parts.push_back(Part::File(Arc::clone(file), span));
            }
        }
    }
}

/// A span of bytes in memory, inside of which it lies.
pub(super) fn slice(bytes: &Bytes, span: Span) -> Bytes {
    bytes.slice(span.start as usize..span.end as usize)
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Self::Data>>>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let bytes = ready!(Pin::new(reading).poll(cx));
                self.reading = None;
                let bytes = bytes.map_err(io::Error::other).flatten();
                return Poll::Ready(Some(bytes.map(|bytes| self.frame(bytes))));
            }
            match self.parts.pop_front() {
                None => return Poll::Ready(None),
                Some(Part::Bytes(bytes)) => return Poll::Ready(Some(Ok(self.frame(bytes)))),
                Some(Part::File(_, Span { start, end })) if start == end => {}
                Some(Part::File(file, Span { start, end })) => {
                    let until = end.min(start + PIECE);
                    self.parts.push_front(Part::File(Arc::clone(&file), Span { start: until, end }));
                    let span = Span { start, end: until };
                    self.reading = Some(spawn_blocking(move || read(&file, span)));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

impl Pieces {
    fn frame(&mut self, bytes: Bytes) -> Frame<Bytes> {
        self.left -= bytes.len() as u64;
        Frame::data(bytes)
    }
}

/// Reads a span whole. A file that has become shorter is an error, which breaks the response off.
fn read(file: &File, span: Span) -> io::Result<Bytes> {
    let len = (span.end - span.start) as usize;
    let mut bytes = Vec::with_capacity(len);
    while bytes.len() < len {
        let at = span.start + bytes.len() as u64;
        match rustix::io::pread(file, spare_capacity(&mut bytes), at) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            // The vector may have been given more room than was asked for.
            Ok(_) => bytes.truncate(len),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(bytes.into())
}
