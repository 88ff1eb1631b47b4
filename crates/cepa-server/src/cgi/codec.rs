//! What tells the protocols apart that carry CGI variables.

use std::{ops::Range, time::Duration};

use cepa_core::Headers;

use super::{Head, Reject, ResponseHead, Rules};

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event {
    /// A request, whose head is to be [read](Codec::read_head).
    Request,
    /// A part of its body, which lies there in the input.
    Data(Range<usize>),
    /// A part of its body that the codec has made: [`take_made`](Codec::take_made).
    Made,
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
    /// What comes while a request is answered belongs to the next one, and is kept.
    const AHEAD: bool = false;
    /// How long, and how much, the other end may go on sending after the last answer.
    const PATIENCE: (Duration, usize) = (Duration::from_secs(2), 512 * 1024);
    /// The most bytes of an answer in one piece.
    const MOST_PIECE: usize = usize::MAX;

    /// Decodes up to the next event, and says how many bytes of the input it took. What the protocol itself answers is
    /// appended to `replies`.
    fn decode(&mut self, input: &[u8], replies: &mut Vec<u8>) -> Result<(usize, Option<Event>), Reject>;

    /// What apps are told of the connection.
    fn door(&self) -> &'static str {
        Self::DOOR
    }

    /// Takes the part of a body that has just been made.
    fn take_made(&mut self) -> Vec<u8> {
        Vec::new()
    }

    /// The app waits for the body. Called as long as it does.
    fn pull(&mut self, out: &mut Vec<u8>) {
        let _ = out;
    }

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

    /// Whether the client may ask again although the streams of its earlier requests go on.
    fn listens(&self) -> bool {
        false
    }

    /// Refuses a request in words of the protocol; `false` where a status is understood as well.
    fn refuse(&mut self, why: &str, out: &mut Vec<u8>) -> bool {
        let _ = (why, out);
        false
    }

    /// Appends the head of the answer, and opens a piece for its body behind it.
    fn head(&self, head: &ResponseHead<'_>, out: &mut Vec<u8>) -> usize {
        let opened = self.open(out);
        head.encode(out);
        opened
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

    /// The stream of an answer has nothing more to send for now; `endless` if nobody has said how much is to come.
    fn pause(&mut self, endless: bool, out: &mut Vec<u8>) {
        let _ = (endless, out);
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
