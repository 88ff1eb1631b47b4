//! The bodies of an exchange: the one that is sent, and the one that is received.

use std::{
    cell::{Cell, RefCell},
    fmt, io,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use cepa_core::{Body, Error};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{Failure, Stage, pool::Place};

/// How far the body that is sent has come, seen from outside of the connection that sends it.
#[derive(Debug)]
pub(crate) struct Progress {
    last: Cell<Instant>,
    /// Whether the source was asked for more and has none yet.
    is_starved: Cell<bool>,
    /// What the source of the body failed with.
    failed: RefCell<Option<Error>>,
}

impl Progress {
    pub(crate) fn new() -> Rc<Self> {
        let last = Cell::new(Instant::now());
        Rc::new(Self { last, is_starved: Cell::default(), failed: RefCell::default() })
    }

    /// Begins to count: the time it took to get a connection is none of the body's.
    pub(super) fn begin(&self) {
        self.last.set(Instant::now());
        self.is_starved.set(false);
    }

    /// When something was last taken from the body.
    pub(crate) fn last(&self) -> Instant {
        self.last.get()
    }

    /// Whether the other end would take more than the source of the body gives: then what stands still does so for no
    /// fault of the other end.
    pub(crate) fn is_starved(&self) -> bool {
        self.is_starved.get()
    }

    /// What the source of the body failed with: then the exchange failed for no fault of the other end.
    pub(crate) fn take_failure(&self) -> Option<Error> {
        self.failed.take()
    }
}

/// A body that is sent.
pub(crate) struct Outgoing {
    body: Body,
    progress: Rc<Progress>,
}

impl Outgoing {
    pub(crate) fn new(body: Body, progress: Rc<Progress>) -> Self {
        Self { body, progress }
    }

    pub(crate) fn into_body(self) -> Body {
        self.body
    }
}

impl HttpBody for Outgoing {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        self.progress.is_starved.set(frame.is_pending());
        let frame = ready!(frame);
        self.progress.last.set(Instant::now());
        Poll::Ready(frame.map(|frame| {
            frame.map_err(|error| {
                self.progress.failed.replace(Some(error));
                io::Error::other("the body to be sent failed")
            })
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of an answer, which holds the place of its connection: over HTTP/2 nothing else tells that it is in use.
pub(crate) struct Arriving {
    body: Incoming,
    _place: Place,
}

impl Arriving {
    pub(super) fn new(body: Incoming, place: Place) -> Self {
        Self { body, _place: place }
    }
}

/// How long is waited for an answer's body, and how much of it is taken.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wait {
    /// Most time without a piece.
    pub(crate) pause: Option<Duration>,
    /// When all of it must be there.
    pub(crate) deadline: Option<Instant>,
    /// Most bytes.
    pub(crate) most: u64,
}

/// A body that is received; `K` is kept until it has ended. After a failure nothing more comes, and the connection is let
/// go.
pub(crate) struct Received<K> {
    /// `None` once it has ended.
    body: Option<Arriving>,
    wait: Wait,
    left: u64,
    timer: Option<Pin<Box<Sleep>>>,
    /// The time of the pause at hand, and what it means when it is up.
    until: Option<(Instant, Stage)>,
    kept: Option<K>,
}

impl<K> Received<K> {
    pub(crate) fn new(body: Arriving, wait: Wait, kept: K) -> Self {
        Self { body: Some(body), wait, left: wait.most, timer: None, until: None, kept: Some(kept) }
    }

    fn poll_time(&mut self, cx: &mut Context<'_>) -> Poll<Failure> {
        if self.until.is_none() {
            let pause = self.wait.pause.map(|pause| (Instant::now() + pause, Stage::Pause));
            let total = self.wait.deadline.map(|deadline| (deadline, Stage::Total));
            self.until = [pause, total].into_iter().flatten().min_by_key(|(time, _)| *time);
        }
        let Some((time, stage)) = self.until else { return Poll::Pending };
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(time)));
        if timer.deadline() != time {
            timer.as_mut().reset(time);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Failure::Timeout(stage))
    }

    /// Whether all of it should have been there. A timer tells that only to who waits, and a sender that is always
    /// ahead lets nobody wait.
    fn is_late(&self) -> bool {
        self.wait.deadline.is_some_and(|deadline| deadline <= Instant::now())
    }

    fn end(&mut self) {
        self.body = None;
        self.kept = None;
        self.timer = None;
    }
}

impl<K: Unpin> HttpBody for Received<K> {
    type Data = Bytes;
    type Error = Failure;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Failure>>> {
        let this = &mut *self;
        let Some(arriving) = &mut this.body else { return Poll::Ready(None) };
        let frame = match Pin::new(&mut arriving.body).poll_frame(cx) {
            Poll::Ready(Some(Ok(_))) if this.is_late() => Some(Err(Failure::Timeout(Stage::Total))),
            Poll::Ready(frame) => frame.map(|frame| frame.map_err(Failure::Http)),
            Poll::Pending => Some(Err(ready!(this.poll_time(cx)))),
        };
        this.until = None;
        let length = match &frame {
            Some(Ok(frame)) => frame.data_ref().map_or(0, |data| data.len() as u64),
            _ => 0,
        };
        let frame = match this.left.checked_sub(length) {
            Some(left) => {
                this.left = left;
                frame
            }
            None => Some(Err(Failure::TooLong(this.wait.most))),
        };
        if !matches!(frame, Some(Ok(_))) {
            this.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(|arriving| arriving.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or(SizeHint::with_exact(0), |arriving| arriving.body.size_hint())
    }
}

impl<K> fmt::Debug for Received<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Received").field("wait", &self.wait).finish_non_exhaustive()
    }
}
