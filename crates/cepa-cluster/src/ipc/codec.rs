//! Messages in a stream of bytes and descriptors; no socket.
//!
//! A message is a head of five bytes (the length of the text, big-endian, in four; the number of descriptors in one) and
//! its text. The descriptors travel with the first byte of it, so that they are there when the text is.

use std::collections::VecDeque;

use serde::{Serialize, de::DeserializeOwned};

/// The longest text of a message.
pub(crate) const LONGEST: usize = 1 << 20;
/// The most descriptors that one message brings.
pub(crate) const MOST_DESCRIPTORS: usize = 64;
const HEAD: usize = 5;

/// Why a line has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum IpcError {
    #[error("a message of {0} bytes is longer than {LONGEST}")]
    TooLong(usize),
    #[error("a message brings {0} descriptors, and {MOST_DESCRIPTORS} is the most")]
    TooMany(usize),
    #[error("descriptors of a message are missing")]
    Missing,
    #[error("a message says what nobody understands: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the other end does not read")]
    Full,
    #[error("the line has failed: {0}")]
    Io(#[from] std::io::Error),
}

/// A message as it is sent: its bytes, and what travels with the first of them.
#[derive(Debug)]
pub(crate) struct Frame<F> {
    pub(crate) bytes: Vec<u8>,
    pub(crate) descriptors: Vec<F>,
}

impl<F> Frame<F> {
    pub(crate) fn new(message: &impl Serialize, descriptors: Vec<F>) -> Result<Self, IpcError> {
        let mut bytes = vec![0; HEAD];
        serde_json::to_writer(&mut bytes, message)?;
        let length = bytes.len() - HEAD;
        if length > LONGEST {
            return Err(IpcError::TooLong(length));
        }
        if descriptors.len() > MOST_DESCRIPTORS {
            return Err(IpcError::TooMany(descriptors.len()));
        }
        bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
        bytes[4] = descriptors.len() as u8;
        Ok(Self { bytes, descriptors })
    }
}

/// What has come and is not yet a message.
#[derive(Debug)]
pub(crate) struct Decoder<F> {
    bytes: Vec<u8>,
    descriptors: VecDeque<F>,
}

impl<F> Default for Decoder<F> {
    fn default() -> Self {
        Self { bytes: Vec::new(), descriptors: VecDeque::new() }
    }
}

impl<F> Decoder<F> {
    /// Takes what was read at once.
    pub(crate) fn feed(&mut self, bytes: &[u8], descriptors: impl IntoIterator<Item = F>) {
        self.bytes.extend_from_slice(bytes);
        self.descriptors.extend(descriptors);
    }

    /// Whether nothing has come of a message that is not all there.
    pub(crate) fn is_empty(&self) -> bool {
        self.bytes.is_empty() && self.descriptors.is_empty()
    }

    /// The next message, if it is all there. After an error the line is of no use any more.
    pub(crate) fn next<T: DeserializeOwned>(&mut self) -> Result<Option<(T, Vec<F>)>, IpcError> {
        let Some((head, rest)) = self.bytes.split_first_chunk::<HEAD>() else {
            return if self.descriptors.len() > MOST_DESCRIPTORS {
                Err(IpcError::TooMany(self.descriptors.len()))
            } else {
                Ok(None)
            };
        };
        let length = u32::from_be_bytes([head[0], head[1], head[2], head[3]]) as usize;
        let count = usize::from(head[4]);
        if length > LONGEST {
            return Err(IpcError::TooLong(length));
        }
        // Those of a message that follows may be there already.
        let most = count + MOST_DESCRIPTORS;
        if count > MOST_DESCRIPTORS || self.descriptors.len() > most {
            return Err(IpcError::TooMany(count.max(self.descriptors.len())));
        }
        let Some(text) = rest.get(..length) else { return Ok(None) };
        if self.descriptors.len() < count {
            return Err(IpcError::Missing);
        }
        let message = serde_json::from_slice(text)?;
        let descriptors = self.descriptors.drain(..count).collect();
        self.bytes.drain(..HEAD + length);
        if self.bytes.is_empty() {
            self.bytes = Vec::new();
        }
        Ok(Some((message, descriptors)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn frame(text: &str, descriptors: Vec<u32>) -> Frame<u32> {
        Frame::new(&text, descriptors).unwrap()
    }

    #[test]
    fn what_is_too_much_is_refused_on_both_ends() {
        assert!(matches!(Frame::<u32>::new(&"x".repeat(LONGEST), Vec::new()), Err(IpcError::TooLong(_))));
        assert!(matches!(Frame::new(&"", vec![0; 65]), Err(IpcError::TooMany(65))));

        let refused = |bytes: &[u8], descriptors: usize| {
            let mut decoder = Decoder::default();
            decoder.feed(bytes, vec![0; descriptors]);
            decoder.next::<String>().unwrap_err()
        };
        assert!(matches!(refused(&[0, 16, 0, 1, 0], 0), IpcError::TooLong(_)));
        assert!(matches!(refused(&[0, 0, 0, 2, 65], 0), IpcError::TooMany(65)));
        assert!(matches!(refused(&[0, 0, 0, 2, 1, b'"', b'"'], 0), IpcError::Missing));
        assert!(matches!(refused(&[], 65), IpcError::TooMany(65)));
        assert!(matches!(refused(&[0, 0, 0, 2, 1], 66), IpcError::TooMany(66)));
        assert!(matches!(refused(&[0, 0, 0, 1, 0, b'{'], 0), IpcError::Json(_)));
    }

    #[test]
    fn a_length_takes_no_memory_before_its_bytes_are_there() {
        let mut decoder = Decoder::<u32>::default();
        decoder.feed(&[0, 16, 0, 0, 0], []);
        assert!(decoder.next::<String>().unwrap().is_none());
        assert!(decoder.bytes.capacity() < 100);
    }

    proptest! {
        #[test]
        fn however_the_stream_is_cut_the_messages_are_the_same(
            texts in prop::collection::vec(("\\PC{0,40}", 0_usize..4), 0..6),
            cuts in prop::collection::vec(1_usize..30, 1..60),
        ) {
            let mut next = 0;
            let sent: Vec<(String, Vec<u32>)> = texts.into_iter().map(|(text, count)| {
                let descriptors = (next..next + count as u32).collect();
                next += count as u32;
                (text, descriptors)
            }).collect();
            let mut decoder = Decoder::default();
            let (mut got, mut cuts) = (Vec::new(), cuts.iter().cycle());
            for (text, descriptors) in &sent {
                let Frame { bytes, descriptors } = frame(text, descriptors.clone());
                let (mut rest, mut with) = (&bytes[..], Some(descriptors));
                while !rest.is_empty() {
                    let (piece, after) = rest.split_at(rest.len().min(*cuts.next().unwrap()));
                    decoder.feed(piece, with.take().unwrap_or_default());
                    rest = after;
                    while let Some(message) = decoder.next::<String>().unwrap() {
                        got.push(message);
                    }
                }
            }
            prop_assert_eq!(got, sent);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), count in 0_usize..100) {
            let mut decoder = Decoder::default();
            decoder.feed(&bytes, vec![0_u32; count]);
            while let Ok(Some(_)) = decoder.next::<serde_json::Value>() {}
        }
    }
}
