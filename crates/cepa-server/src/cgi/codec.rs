//! What tells the protocols apart that carry CGI variables.

use std::ops::Range;

use cepa_core::Headers;

use super::{Head, Reject, Rules};

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A request, whose head is to be [read](Codec::read_head).
    Request,
    /// A part of its body, which lies there in the input.
    Data(Range<usize>),
    /// The end of its body.
    End,
    /// The front server gives the request up.
    Abort,
    /// Nothing more is to be read.
    Close,
}

/// One end of a connection, without its socket.
pub(crate) trait Codec: Unpin + 'static {
    /// The name of the protocol, as apps see it.
    const DOOR: &'static str;
    /// A request is there before anything was read.
    const STARTS: bool = false;
    /// After a request more is read, to see that the other end has gone.
    const WATCHES: bool = true;
    /// See [`Rules::script_is_mount`].
    const SCRIPT_IS_MOUNT: bool = false;
    /// The most bytes of an answer in one piece.
    const MOST_PIECE: usize = usize::MAX;

    /// Decodes up to the next event, and says how many bytes of the input it took. What the protocol itself answers is
    /// appended to `replies`.
    fn decode(&mut self, input: &[u8], replies: &mut Vec<u8>) -> Result<(usize, Option<Event>), Reject>;

    /// Reads the head of the request that has just come.
    fn read_head(&mut self, rules: Rules<'_>, headers: &mut Headers) -> Result<Head, Reject>;

    /// Whether a request has begun.
    fn has_begun(&self) -> bool;

    /// Whether there is a request that can be answered.
    fn is_asked(&self) -> bool;

    /// Whether the front server wants the connection kept after the request at hand.
    fn keeps(&self) -> bool {
        false
    }

    /// Appends what stands before a piece of the answer.
    fn piece(&self, length: usize, out: &mut Vec<u8>) {
        let _ = (length, out);
    }

    /// The same for a piece that is appended next, whose length is not known yet.
    fn open(&self, out: &mut Vec<u8>) -> usize {
        out.len()
    }

    /// Ends the piece that was opened there, of at most [`MOST_PIECE`](Self::MOST_PIECE) bytes.
    fn close(&self, opened: usize, out: &mut Vec<u8>) {
        let _ = (opened, out);
    }

    /// Ends the answer, and the request with it.
    fn end(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

    /// Appends a line for the log of the front server, where the protocol can carry one.
    fn note(&self, text: &str, out: &mut Vec<u8>) {
        let _ = (text, out);
    }
}
