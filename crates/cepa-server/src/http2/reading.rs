//! The request body on its way from the stream to the app.
//!
//! The window that a piece has used is given back when the app takes it, so that the client is held up by the app
//! and by nothing else. What nobody will read is thrown away, and its window given back at once.

use std::task::{Context, Poll, ready};

use bytes::Bytes;
use cepa_core::{Connection, Error, Sender};
use h2::RecvStream;
use http::{HeaderMap, StatusCode};

use super::link::Link;
use crate::{http1::is_forbidden_trailer, limits::Limits, pace::Pace};

/// An unread request body of up to this many bytes is read and thrown away; a longer one is refused by a reset.
const DRAINED: u64 = 64 * 1024;

/// See the module.
pub(super) struct Reading {
    /// Gone once everything is read, or nothing more will be.
    stream: Option<RecvStream>,
    /// Gone once nobody reads the body any more.
    sender: Option<Sender>,
    pace: Pace,
    length: Option<u64>,
    /// The client waits for `100 Continue`.
    continues: bool,
    thrown: u64,
}

/// What comes next on a stream.
enum Piece {
    Data(Bytes),
    End(Option<HeaderMap>),
    Broken,
}

impl Reading {
    pub(super) fn new(stream: RecvStream, sender: Sender, length: Option<u64>, continues: bool) -> Self {
        let (stream, sender) = (Some(stream), Some(sender));
        Self { stream, sender, pace: Pace::default(), length, continues, thrown: 0 }
    }

    /// Hands over what is there if the app waits for it; whether it got something.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>, link: &Link, now: u32) -> bool {
        let Some(sender) = &mut self.sender else {
            // Pending or not: there is nobody to be told.
            let _ = self.poll_rest(cx);
            return false;
        };
        match sender.poll_wanted(cx) {
            Poll::Pending => return false,
            Poll::Ready(true) => {}
            Poll::Ready(false) => {
                let _ = self.poll_rest(cx);
                return false;
            }
        }
        if std::mem::take(&mut self.continues) {
            link.inform(StatusCode::CONTINUE, &HeaderMap::new());
        }
        match self.poll_piece(cx) {
            Poll::Pending => {
                self.pace.wait(now);
                return false;
            }
            Poll::Ready(Piece::Data(data)) => {
                self.pace.came(data.len(), now);
                if let Some(sender) = &mut self.sender {
                    sender.send(data);
                }
                // The end may follow at once, so that the app is not woken once more for it alone.
                if self.stream.as_ref().is_some_and(RecvStream::is_end_stream) {
                    self.finish(None);
                }
            }
            Poll::Ready(Piece::End(Some(trailers))) if trailers.keys().any(is_forbidden_trailer) => {
                self.fail(Error::new(400, "a field is not allowed in trailers"));
            }
            Poll::Ready(Piece::End(trailers)) => self.finish(trailers),
            Poll::Ready(Piece::Broken) => self.fail(Error::new(400, "the request body was cut off")),
        }
        true
    }

    /// Throws away the rest of a body that nobody reads; ready when that is done, or is too much.
    ///
    /// Once the response is complete and the stream is let go, `h2` resets what is left of it with NO_ERROR (RFC
    /// 9113, section 8.1).
    pub(super) fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.sender = None;
        self.pace.stop();
        let most = self.pace.bytes() + self.thrown + DRAINED;
        // A client that waits for 100 may send its body after the final response, or may not.
        if self.continues || self.length.is_some_and(|length| length > most) {
            self.stream = None;
        }
        while self.stream.is_some() {
            match ready!(self.poll_piece(cx)) {
                Piece::Data(data) => self.thrown += data.len() as u64,
                Piece::End(_) | Piece::Broken => self.stream = None,
            }
            if self.thrown > DRAINED {
                self.stream = None;
            }
        }
        Poll::Ready(())
    }

    fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Piece> {
        let Some(stream) = &mut self.stream else { return Poll::Ready(Piece::End(None)) };
        loop {
            match ready!(stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // Fails when the stream is gone, and then there is no window.
                    let _ = stream.flow_control().release_capacity(data.len());
                    if !data.is_empty() {
                        return Poll::Ready(Piece::Data(data));
                    }
                }
                Some(Err(_)) => return Poll::Ready(Piece::Broken),
                None => break,
            }
        }
        Poll::Ready(ready!(stream.poll_trailers(cx)).map_or(Piece::Broken, Piece::End))
    }

    fn finish(&mut self, trailers: Option<HeaderMap>) {
        self.stream = None;
        if let Some(sender) = self.sender.take() {
            sender.finish(trailers);
        }
    }

    /// Ends the body with an error, which the app gets.
    pub(super) fn fail(&mut self, error: Error) {
        self.stream = None;
        self.pace.stop();
        if let Some(sender) = self.sender.take() {
            sender.fail(error);
        }
    }

    /// Seconds until the client is too slow, 0 when it is.
    pub(super) fn deadline(&self, now: u32, limits: &Limits) -> Option<u32> {
        self.pace.deadline(now, limits)
    }
}
