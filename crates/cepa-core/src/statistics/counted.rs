//! A body whose bytes are counted as they are sent, because nobody knew before how many they would be.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body as HttpBody, Frame, SizeHint};

use crate::{Body, Error, Onion, Park, Parked, Result};

/// A body, and for whom it is counted.
pub(crate) struct Counted {
    pub(crate) body: Body,
    pub(crate) onion: Arc<Onion>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(data) = frame.data_ref()
        {
            self.onion.tally.add_bytes(data.len() as u64);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// What goes on elsewhere is counted there no more: nobody began a request in that process.
impl Park for Counted {
    fn park(mut self: Pin<&mut Self>) -> Option<Parked> {
        self.body.park()
    }
}
