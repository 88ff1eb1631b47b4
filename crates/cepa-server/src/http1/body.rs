//! Decodes the body of a request: says where its data lies, without copying it.

use super::chunked::{ChunkLimits, ChunkedDecoder};
use super::event::{BodyEvent, take_data};
use super::{BodyLength, Reject};

/// Finds the data in the bytes after a head.
///
/// Holds no data: an idle decoder and one in the middle of a chunk are equally small. Only trailers are kept, up
/// to [`ChunkLimits::trailer_bytes`]. How large the body may become is for the caller to watch.
#[derive(Debug)]
pub struct BodyDecoder {
    framing: Framing,
}

#[derive(Debug)]
enum Framing {
    Length(u64),
    Chunked(ChunkedDecoder),
}

impl BodyDecoder {
    /// A decoder for the body that a [`Head`](super::Head) announces.
    #[must_use]
    pub fn new(length: BodyLength, limits: ChunkLimits) -> Self {
        let framing = match length {
            BodyLength::None => Framing::Length(0),
            BodyLength::Length(length) => Framing::Length(length),
            BodyLength::Chunked => Framing::Chunked(ChunkedDecoder::new(limits)),
        };
        BodyDecoder { framing }
    }

    /// Reads on: how many bytes of `input` are done with, and what has been found.
    ///
    /// `None` means that all of `input` is consumed and the body goes on. `End` may come without any input and
    /// comes again on every further call. If the peer closes before `End`, the body is incomplete.
    ///
    /// # Errors
    ///
    /// The first fault in the chunked framing or the trailers, then the same on every further call.
    ///
    /// ```
    /// use cepa_server::http1::{BodyDecoder, BodyEvent, BodyLength, ChunkLimits};
    ///
    /// let mut body = BodyDecoder::new(BodyLength::Chunked, ChunkLimits::default());
    /// let input = b"5\r\nonion\r\n0\r\n\r\nGET /";
    /// assert_eq!(body.decode(input), Ok((8, Some(BodyEvent::Data(3..8)))));
    /// assert_eq!(body.decode(&input[8..]), Ok((7, Some(BodyEvent::End))));
    /// ```
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<BodyEvent>), Reject> {
        match &mut self.framing {
            Framing::Length(0) => Ok((0, Some(BodyEvent::End))),
            Framing::Length(left) => Ok(take_data(left, input, 0)),
            Framing::Chunked(chunked) => chunked.decode(input),
        }
    }

    /// Whether the whole body has been decoded.
    #[must_use]
    pub fn is_end(&self) -> bool {
        match &self.framing {
            Framing::Length(left) => *left == 0,
            Framing::Chunked(chunked) => chunked.is_end(),
        }
    }
}
