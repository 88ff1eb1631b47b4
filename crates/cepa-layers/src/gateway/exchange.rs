//! One request and its answer, sent and read at the same time.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use cepa_core::{Body, Error};
use http_body::{Body as HttpBody, Frame};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{
    Failure,
    head::{Head, Search},
};

/// Bytes that are read at once, and of an answer that wait for its reader.
const PIECE: usize = 16 * 1024;

/// How a request's body and an answer lie in the bytes of a connection.
pub(crate) trait Frames: Unpin {
    /// Whether the end of the body is that of what is sent.
    const SHUTS: bool = false;

    /// Appends a part of the body.
    fn data(&mut self, data: &[u8], out: &mut Vec<u8>);

    /// Appends the end of the body.
    fn end(&mut self, out: &mut Vec<u8>);

    /// Appends to `answer` what of it is in the input; `true` at its end.
    fn read(&mut self, input: &[u8], answer: &mut BytesMut) -> Result<bool, Failure>;

    /// Whether an answer may end with the connection.
    const ENDS_WITH_CONNECTION: bool;

    /// Whether the connection can serve another request once this one is answered.
    fn keeps(&self) -> bool {
        false
    }
}

/// See the module. As a body it is that of the answer.
pub(crate) struct Exchange<F, S> {
    frames: F,
    io: Option<S>,
    /// Called with the connection once the answer was read to its end, and whether it can serve another request.
    ended: Option<Box<dyn FnOnce(S, bool)>>,
    /// The body that is sent, until its end.
    body: Option<Body>,
    failed: Option<Error>,
    out: Vec<u8>,
    written: usize,
    shut: bool,
    answer: BytesMut,
    search: Search,
    /// Bytes of the answer that may still come, of how many.
    left: u64,
    most: u64,
    whole: bool,
    silence: Duration,
    /// When all of it must be done.
    deadline: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl<F: Frames, S: AsyncRead + AsyncWrite + Unpin> Exchange<F, S> {
    /// Sends `out`, then the body. `ended` gets the connection back after a whole answer.
    pub(crate) fn new(
        io: S,
        frames: F,
        out: Vec<u8>,
        body: Body,
        silence: Duration,
        ended: impl FnOnce(S, bool) + 'static,
    ) -> Self {
        Self {
            frames,
            io: Some(io),
            ended: Some(Box::new(ended)),
            body: Some(body),
            failed: None,
            out,
            written: 0,
            shut: false,
            answer: BytesMut::new(),
            search: Search::default(),
            left: u64::MAX,
            most: u64::MAX,
            whole: false,
            silence,
            deadline: None,
            timer: Box::pin(sleep_until(Instant::now() + silence)),
        }
    }

    /// Most bytes of the answer, its head included.
    #[cfg(feature = "cgi")]
    pub(crate) fn limit(mut self, most: u64) -> Self {
        (self.left, self.most) = (most, most);
        self
    }

    /// Ends what is not done by then.
    #[cfg(feature = "cgi")]
    pub(crate) fn until(mut self, deadline: Instant) -> Self {
        self.deadline = Some(deadline);
        self.wait();
        self
    }

    /// Begins to wait anew.
    fn wait(&mut self) {
        let next = Instant::now() + self.silence;
        self.timer.as_mut().reset(self.deadline.map_or(next, |deadline| deadline.min(next)));
    }

    /// Whether nothing of an answer has come, as on a kept connection that the other end has closed meanwhile.
    #[cfg(feature = "fastcgi")]
    pub(crate) fn is_fresh(&self) -> bool {
        self.left == self.most
    }

    /// Waits for the head of the answer, as long as something moves at least every `silence`; what comes after that may
    /// pause for `pause`.
    pub(crate) async fn head(&mut self, pause: Duration) -> Result<Head, Error> {
        let head = poll_fn(|cx| self.poll_head(cx)).await;
        let head = head.map_err(|failure| self.failed.take().unwrap_or_else(|| failure.into_error()))?;
        self.silence = pause;
        self.wait();
        Ok(head)
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, Failure>> {
        loop {
            if let Some((head, length)) = self.search.read(&self.answer)? {
                let _ = self.answer.split_to(length);
                return Poll::Ready(Ok(head));
            }
            if self.whole {
                return Poll::Ready(Err(Failure::Answer("it ends within its head")));
            }
            if !self.poll_on(cx)? {
                return Poll::Pending;
            }
        }
    }

    /// Sends and reads as far as it can; whether more of the answer has come, or its end.
    fn poll_on(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let sent = self.poll_send(cx)?;
        let read = self.poll_read(cx)?;
        if sent || read {
            self.wait();
        }
        if !read && self.timer.as_mut().poll(cx).is_ready() {
            return Err(Failure::Timeout(self.silence));
        }
        Ok(read)
    }

    /// Sends what there is; whether something has moved, or it is the client that is waited for.
    fn poll_send(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        let mut moved = false;
        loop {
            let Some(io) = &mut self.io else { return Ok(moved) };
            while self.written < self.out.len() {
                match Pin::new(&mut *io).poll_write(cx, &self.out[self.written..]) {
                    Poll::Pending => return Ok(moved),
                    Poll::Ready(Ok(length @ 1..)) => (self.written, moved) = (self.written + length, true),
                    Poll::Ready(_) => {
                        // Who does not want the rest may have answered nevertheless.
                        self.body = None;
                        (self.written, self.shut) = (self.out.len(), true);
                    }
                }
            }
            self.out.clear();
            self.written = 0;
            let Some(body) = &mut self.body else {
                if F::SHUTS && !self.shut {
                    // It is closed, or cannot be: either way there is nothing more to do.
                    self.shut = Pin::new(io).poll_shutdown(cx).is_ready();
                }
                return Ok(moved);
            };
            match Pin::new(body).poll_frame(cx) {
                // The door has limits of its own for a client that is slow.
                Poll::Pending => return Ok(true),
                Poll::Ready(Some(Ok(frame))) => {
                    if let Ok(data) = frame.into_data() {
                        self.frames.data(&data, &mut self.out);
                    }
                }
                Poll::Ready(Some(Err(error))) => {
                    self.failed = Some(error);
                    return Err(Failure::Broken(io::Error::other("the body of the request failed")));
                }
                Poll::Ready(None) => {
                    self.body = None;
                    self.frames.end(&mut self.out);
                }
            }
        }
    }

    /// Reads once; whether something of the answer has come, or its end.
    fn poll_read(&mut self, cx: &mut Context<'_>) -> Result<bool, Failure> {
        loop {
            let Some(io) = &mut self.io else { return Ok(false) };
            let mut buffer = [std::mem::MaybeUninit::uninit(); PIECE];
            let mut into = ReadBuf::uninit(&mut buffer);
            match Pin::new(io).poll_read(cx, &mut into) {
                Poll::Pending => return Ok(false),
                Poll::Ready(Err(error)) => return Err(Failure::Broken(error)),
                Poll::Ready(Ok(())) => {}
            }
            let input = into.filled();
            if input.is_empty() {
                if !F::ENDS_WITH_CONNECTION {
                    return Err(Failure::Broken(io::ErrorKind::UnexpectedEof.into()));
                }
                self.finish();
                return Ok(true);
            }
            let before = self.answer.len();
            let ended = self.frames.read(input, &mut self.answer)?;
            let more = (self.answer.len() - before) as u64;
            self.left = self.left.checked_sub(more).ok_or(Failure::TooLong(self.most))?;
            if ended {
                self.finish();
            }
            if ended || more > 0 {
                return Ok(true);
            }
        }
    }

    /// The answer is whole.
    fn finish(&mut self) {
        self.whole = true;
        // A connection on which the request is not sent to its end is of no further use.
        let sent = self.body.is_none() && self.out.is_empty();
        if let (Some(io), Some(ended)) = (self.io.take(), self.ended.take()) {
            ended(io, sent && self.frames.keeps());
        }
    }
}

impl<F, S> HttpBody for Exchange<F, S>
where
    F: Frames,
    S: AsyncRead + AsyncWrite + Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let this = &mut *self;
        loop {
            if !this.answer.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(this.answer.split().freeze()))));
            }
            if this.whole {
                return Poll::Ready(None);
            }
            match this.poll_on(cx) {
                Ok(true) => {}
                Ok(false) => return Poll::Pending,
                Err(failure) => {
                    this.whole = true;
                    this.io = None;
                    return Poll::Ready(Some(Err(this
                        .failed
                        .take()
                        .unwrap_or_else(|| failure.into_error()))));
                }
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.whole && self.answer.is_empty()
    }
}
