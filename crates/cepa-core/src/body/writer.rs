//! A body that an async closure writes, piece by piece, as the client takes it.

use std::{
    cell::RefCell,
    future::poll_fn,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame};

use crate::{Error, LocalBoxFuture, Result};

/// The end of a streamed body at which it is written, see [`Body::from_async`](super::Body::from_async).
#[derive(Debug)]
pub struct BodyWriter(Rc<RefCell<Slot>>);

/// At most one piece is on its way from the writer to the reader: that is the back-pressure.
#[derive(Debug, Default)]
struct Slot {
    /// Empty: there is none.
    piece: Bytes,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

impl BodyWriter {
    /// Writes a piece, once the one before was taken. An empty one is passed over.
    ///
    /// When the client is gone this does not return: the closure is dropped where it waits.
    pub async fn write(&mut self, piece: impl Into<Bytes>) {
        let mut piece = piece.into();
        if piece.is_empty() {
            return;
        }
        poll_fn(|cx| {
            let mut slot = self.0.borrow_mut();
            if !slot.piece.is_empty() {
                slot.writer = Some(cx.waker().clone());
                return Poll::Pending;
            }
            slot.piece = std::mem::take(&mut piece);
            if let Some(reader) = slot.reader.take() {
                reader.wake();
            }
            Poll::Ready(())
        })
        .await;
    }
}

/// The reader's end: runs the closure whenever there is nothing to be read.
pub(super) struct Written {
    state: State,
    slot: Rc<RefCell<Slot>>,
}

enum State {
    Running(LocalBoxFuture<'static, Result>),
    /// Told once the last piece is read.
    Failed(Error),
    Ended,
}

impl Written {
    pub(super) fn new(write: impl AsyncFnOnce(BodyWriter) -> Result + 'static) -> Self {
        let slot = Rc::<RefCell<Slot>>::default();
        let writer = BodyWriter(Rc::clone(&slot));
        Self { state: State::Running(Box::pin(async move { write(writer).await })), slot }
    }

    fn take_piece(&self) -> Option<Bytes> {
        let mut slot = self.slot.borrow_mut();
        let piece = std::mem::take(&mut slot.piece);
        if let Some(writer) = slot.writer.take() {
            writer.wake();
        }
        (!piece.is_empty()).then_some(piece)
    }
}

impl HttpBody for Written {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if let Some(piece) = self.take_piece() {
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let State::Running(closure) = &mut self.state {
            match closure.as_mut().poll(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => self.state = State::Ended,
                Poll::Ready(Err(error)) => self.state = State::Failed(error),
            }
            if let Some(piece) = self.take_piece() {
                return Poll::Ready(Some(Ok(Frame::data(piece))));
            }
        }
        match std::mem::replace(&mut self.state, State::Ended) {
            State::Ended => Poll::Ready(None),
            State::Failed(error) => Poll::Ready(Some(Err(error))),
            running @ State::Running(_) => {
                self.state = running;
                // For a writer that was handed to a task of its own.
                self.slot.borrow_mut().reader = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{Body, test::block_on};

    #[test]
    fn pieces_come_in_order_and_the_return_is_the_end() {
        let mut body = Body::from_async(async |mut out| {
            out.write("one ").await;
            out.write("").await;
            out.write(vec![b't', b'w', b'o']).await;
            Ok(())
        });
        assert!(body.is_stream());
        assert_eq!(body.len(), None);
        assert_eq!(block_on(body.bytes(u64::MAX)).unwrap(), "one two");
        assert!(block_on(body.chunk()).is_none());
    }

    #[test]
    fn the_closure_runs_only_as_far_as_it_is_read() {
        let written = Rc::new(Cell::new(0));
        let count = Rc::clone(&written);
        let mut body = Body::from_async(async move |mut out| {
            loop {
                out.write("x").await;
                count.set(count.get() + 1);
            }
        });
        assert_eq!(written.get(), 0, "nothing runs before the first read");
        for read in 1..=3 {
            assert_eq!(block_on(body.chunk()).unwrap().unwrap(), "x");
            // The piece after waits in the slot.
            assert!(written.get() <= read + 1, "{} pieces were written, {read} read", written.get());
        }
    }

    #[test]
    fn an_error_aborts_the_body() {
        let mut body = Body::from_async(async |mut out| {
            out.write("begun").await;
            Err(Error::new(500, "the source dried up"))
        });
        assert_eq!(block_on(body.chunk()).unwrap().unwrap(), "begun");
        let error = block_on(body.chunk()).unwrap().unwrap_err();
        assert_eq!(error.message(), "the source dried up");
        assert!(block_on(body.chunk()).is_none(), "and ends it");
    }

    #[test]
    fn dropping_the_body_drops_the_closure() {
        let held = Rc::new(());
        let inner = Rc::clone(&held);
        let mut body = Body::from_async(async move |mut out| {
            let _held = inner;
            loop {
                out.write("x").await;
            }
        });
        assert!(block_on(body.chunk()).is_some());
        assert_eq!(Rc::strong_count(&held), 2);
        drop(body);
        assert_eq!(Rc::strong_count(&held), 1);
    }
}
