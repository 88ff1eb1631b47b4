//! A request in SCGI, the protocol of <https://python.ca/scgi/protocol.txt>.

use std::{mem, ops::Range};

use crate::cgi::{Reject, decimal};

/// What came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The request, with all its variables: [`Decoder::take_variables`].
    Request,
    /// A part of its body, which lies there in the input.
    Data(Range<usize>),
    /// The end of its body.
    End,
}

/// Reads the request that a front server sends.
#[derive(Debug)]
pub struct Decoder {
    stage: Stage,
    text: Vec<u8>,
    most: usize,
}

#[derive(Debug, Clone, Copy)]
enum Stage {
    /// In the length of the netstring, of which so much has come.
    Length(Option<usize>),
    /// So many bytes of variables are still to come, then a comma.
    Variables(usize),
    Comma,
    /// So many bytes of the body are still to come.
    Body(u64),
    Over,
}

impl Decoder {
    /// A decoder of a connection from its start. The variables take at most `most` bytes.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { stage: Stage::Length(None), text: Vec::new(), most }
    }

    /// Decodes up to the next event, and says how many bytes of the input it took; without an event that is all of
    /// them, or the request is over.
    ///
    /// # Errors
    /// A request that is none; nothing more may be decoded then.
    pub fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<Event>), Reject> {
        let mut at = 0;
        loop {
            let left = &input[at..];
            match (self.stage, left) {
                (Stage::Body(0), _) => {
                    self.stage = Stage::Over;
                    return Ok((at, Some(Event::End)));
                }
                (_, []) => return Ok((at, None)),
                (Stage::Length(length), [byte, ..]) => {
                    self.stage = self.length(length, *byte)?;
                    at += 1;
                }
                (Stage::Variables(more), _) => {
                    let here = left.len().min(more);
                    self.text.extend_from_slice(&left[..here]);
                    at += here;
                    self.stage = if here == more { Stage::Comma } else { Stage::Variables(more - here) };
                }
                (Stage::Comma, [b',', ..]) => {
                    self.stage = Stage::Body(body_length(&self.text)?);
                    return Ok((at + 1, Some(Event::Request)));
                }
                (Stage::Comma, _) => return Err(Reject::Netstring),
                (Stage::Body(more), _) => {
                    let here = usize::try_from(more).unwrap_or(usize::MAX).min(left.len());
                    self.stage = Stage::Body(more - here as u64);
                    return Ok((at + here, Some(Event::Data(at..at + here))));
                }
                (Stage::Over, _) => return Ok((at, None)),
            }
        }
    }

    /// Whether a part of the request has come.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        !matches!(self.stage, Stage::Length(None))
    }

    fn length(&self, length: Option<usize>, byte: u8) -> Result<Stage, Reject> {
        match (length, byte) {
            (Some(length @ 1..), b':') => Ok(Stage::Variables(length)),
            (None | Some(1..), b'0'..=b'9') => {
                let length = length.unwrap_or(0) * 10 + usize::from(byte - b'0');
                if length > self.most {
                    Err(Reject::VariablesTooLarge)
                } else {
                    Ok(Stage::Length(Some(length)))
                }
            }
            _ => Err(Reject::Netstring),
        }
    }

    /// Takes the variables of the request that has just come, as [`Pairs`].
    pub fn take_variables(&mut self) -> Vec<u8> {
        mem::take(&mut self.text)
    }
}

/// What the first variable says, and whether this is SCGI at all.
fn body_length(text: &[u8]) -> Result<u64, Reject> {
    let mut pairs = Pairs::new(text);
    let length = match pairs.next() {
        Some(Ok((b"CONTENT_LENGTH", length))) => decimal(length).ok_or(Reject::ContentLength)?,
        _ => return Err(Reject::Scgi),
    };
    let is_scgi = pairs.any(|pair| pair == Ok((b"SCGI", b"1")));
    if is_scgi { Ok(length) } else { Err(Reject::Scgi) }
}

/// Names and values, each ended by a NUL, up to the first that is not, which is an error and the last.
#[derive(Debug, Clone)]
pub struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    /// The pairs in `text`.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self(text)
    }

    fn part(&mut self) -> Option<&'a [u8]> {
        let end = self.0.iter().position(|&byte| byte == 0)?;
        let part = &self.0[..end];
        self.0 = &self.0[end + 1..];
        Some(part)
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Reject>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let pair = self.part().filter(|name| !name.is_empty()).zip(self.part());
        Some(pair.ok_or_else(|| {
            self.0 = &[];
            Reject::Variables
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MOST: usize = 1024;

    fn events(bytes: &[u8], step: usize) -> (Vec<Event>, Vec<u8>, Option<Reject>) {
        let (mut decoder, mut events, mut body) = (Decoder::new(MOST), Vec::new(), Vec::new());
        for piece in bytes.chunks(step.max(1)) {
            let mut at = 0;
            loop {
                match decoder.decode(&piece[at..]) {
                    Err(reject) => return (events, body, Some(reject)),
                    Ok((_, None)) => break,
                    Ok((used, Some(event))) => {
                        match event {
                            Event::Data(range) => {
                                body.extend_from_slice(&piece[at + range.start..at + range.end]);
                            }
                            event => events.push(event),
                        }
                        at += used;
                    }
                }
            }
        }
        (events, body, None)
    }

    fn request(variables: &str, body: &str) -> Vec<u8> {
        format!("{}:{variables},{body}", variables.len()).into_bytes()
    }

    #[test]
    fn a_request_comes_to_the_same_in_every_cut() {
        let bytes =
            request("CONTENT_LENGTH\x0027\0SCGI\x001\0REQUEST_METHOD\0POST\0", "What is the answer to life?");
        for step in 1..=bytes.len() {
            let (events, body, fault) = events(&bytes, step);
            assert_eq!((events, fault), (vec![Event::Request, Event::End], None), "{step}");
            assert_eq!(body, b"What is the answer to life?");
        }
        let empty = request("CONTENT_LENGTH\x000\0SCGI\x001\0", "what comes behind is not read");
        assert_eq!(events(&empty, 9), (vec![Event::Request, Event::End], Vec::new(), None));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        for (bytes, reject) in [
            (b"GET / HTTP/1.1".to_vec(), Reject::Netstring),
            (b":".to_vec(), Reject::Netstring),
            (b"0:,".to_vec(), Reject::Netstring),
            (b"012:".to_vec(), Reject::Netstring),
            (b"-1:".to_vec(), Reject::Netstring),
            (b"1025:".to_vec(), Reject::VariablesTooLarge),
            (b"99999999999999999999999999".to_vec(), Reject::VariablesTooLarge),
            (b"3:a\0b;".to_vec(), Reject::Netstring),
            (request("SCGI\x001\0CONTENT_LENGTH\x000\0", ""), Reject::Scgi),
            (request("CONTENT_LENGTH\x000\0", ""), Reject::Scgi),
            (request("CONTENT_LENGTH\x000\0SCGI\x002\0", ""), Reject::Scgi),
            (request("CONTENT_LENGTH\0\0SCGI\x001\0", ""), Reject::ContentLength),
            (request("CONTENT_LENGTH\x00-1\0SCGI\x001\0", ""), Reject::ContentLength),
            (request("CONTENT_LENGTH\x000", ""), Reject::Scgi),
        ] {
            for step in [1, bytes.len()] {
                assert_eq!(events(&bytes, step).2, Some(reject), "{:?}", String::from_utf8_lossy(&bytes));
            }
        }
        assert_eq!(Pairs::new(b"a\0b").next(), Some(Err(Reject::Variables)));
        assert_eq!(Pairs::new(b"\0b\0").next(), Some(Err(Reject::Variables)));
    }

    proptest! {
        #[test]
        fn any_bytes_are_decoded_or_refused_however_they_are_cut(
            bytes in "([0-9]{1,3}:)?(CONTENT_LENGTH\0[0-9]{0,2}\0SCGI\x001\0)?\\PC{0,20},?\\PC{0,20}", step in 1usize..30,
        ) {
            let sized = request(&bytes, "body");
            for bytes in [bytes.as_bytes(), &sized] {
                prop_assert_eq!(events(bytes, step), events(bytes, bytes.len()));
            }
        }
    }
}
