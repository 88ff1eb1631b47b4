//! The hand-over of a request body from a door to the app: one chunk at a time, on demand.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use crate::{Error, Result};

/// A request body that a door fills as the app asks for it; it is read as a [`Body`](super::Body).
///
/// It is `Send`, although doors and apps share a thread, so that it can be handed to services that
/// insist on it; the lock is never contended.
#[derive(Debug)]
pub struct Incoming {
    slot: Arc<Mutex<Slot>>,
    /// Bytes of the declared length still to come; `None` when chunked.
    remaining: Option<u64>,
    limit: u64,
}

/// The door's end of an [`Incoming`] body.
#[derive(Debug)]
pub struct Sender(Arc<Mutex<Slot>>);

#[derive(Debug, Default)]
struct Slot {
    /// At most one chunk waits here: that is the back-pressure.
    data: Option<Bytes>,
    end: Option<End>,
    /// The reader is waiting; the door may read from its socket.
    wanted: bool,
    reader: Option<Waker>,
    door: Option<Waker>,
    reader_gone: bool,
    door_gone: bool,
}

#[derive(Debug)]
enum End {
    Complete(Option<HeaderMap>),
    Failed(Error),
    /// The end was delivered.
    Delivered,
}

/// A body of `length` bytes (`None`: unknown) that may be read up to `limit`, and the end to fill it.
pub fn channel(length: Option<u64>, limit: u64) -> (Sender, Incoming) {
    let slot = Arc::new(Mutex::new(Slot::default()));
    (Sender(Arc::clone(&slot)), Incoming { slot, remaining: length, limit })
}

fn lock(slot: &Mutex<Slot>) -> MutexGuard<'_, Slot> {
    // Nothing panics while the lock is held, so a poisoned slot is still whole.
    slot.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Sender {
    /// Ready once the reader waits for data (`true`) or is gone (`false`).
    pub fn poll_wanted(&mut self, cx: &mut Context<'_>) -> Poll<bool> {
        let mut slot = lock(&self.0);
        if slot.reader_gone {
            return Poll::Ready(false);
        }
        if slot.wanted && slot.data.is_none() {
            return Poll::Ready(true);
        }
        if !slot.door.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.door = Some(cx.waker().clone());
        }
        Poll::Pending
    }

    /// Whether the reader waits for data right now.
    pub fn is_wanted(&self) -> bool {
        let slot = lock(&self.0);
        slot.wanted && slot.data.is_none() && !slot.reader_gone
    }

    /// Whether nobody will read any more.
    pub fn is_reader_gone(&self) -> bool {
        lock(&self.0).reader_gone
    }

    /// Hands over a chunk. Call it only after [`poll_wanted`](Self::poll_wanted) said `true`.
    pub fn send(&mut self, data: Bytes) {
        let mut slot = lock(&self.0);
        if slot.reader_gone {
            return;
        }
        debug_assert!(slot.data.is_none(), "a chunk is sent only when one is wanted");
        slot.data = Some(data);
        slot.wake_reader();
    }

    /// Ends the body.
    pub fn finish(self, trailers: Option<HeaderMap>) {
        let mut slot = lock(&self.0);
        slot.end = Some(End::Complete(trailers));
        slot.wake_reader();
    }

    /// Ends the body with an error, which the reader gets.
    pub fn fail(self, error: Error) {
        let mut slot = lock(&self.0);
        slot.end = Some(End::Failed(error));
        slot.wake_reader();
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        let mut slot = lock(&self.0);
        slot.door_gone = true;
        slot.wake_reader();
    }
}

impl Slot {
    fn wake_reader(&mut self) {
        self.wanted = false;
        if let Some(waker) = self.reader.take() {
            waker.wake();
        }
    }
}

impl Incoming {
    /// The most bytes that may be read, as the door says.
    pub(super) fn limit(&self) -> u64 {
        self.limit
    }

    pub(super) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let mut slot = lock(&self.slot);
        if let Some(data) = slot.data.take() {
            if let Some(remaining) = &mut self.remaining {
                *remaining = remaining.saturating_sub(data.len() as u64);
            }
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if let Some(end) = &mut slot.end {
            return Poll::Ready(match std::mem::replace(end, End::Delivered) {
                End::Complete(Some(trailers)) => Some(Ok(Frame::trailers(trailers))),
                End::Complete(None) | End::Delivered => None,
                End::Failed(error) => Some(Err(error)),
            });
        }
        if slot.door_gone {
            slot.end = Some(End::Delivered);
            return Poll::Ready(Some(Err(Error::new(400, "the request body was cut off"))));
        }
        slot.wanted = true;
        if !slot.reader.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            slot.reader = Some(cx.waker().clone());
        }
        if let Some(door) = slot.door.take() {
            door.wake();
        }
        Poll::Pending
    }

    pub(super) fn is_end_stream(&self) -> bool {
        self.remaining == Some(0)
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        self.remaining.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        let mut slot = lock(&self.slot);
        slot.reader_gone = true;
        slot.data = None;
        if let Some(door) = slot.door.take() {
            door.wake();
        }
    }
}
