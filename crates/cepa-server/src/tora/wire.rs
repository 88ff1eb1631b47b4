//! Messages: a byte that says what it is, three of length (little-endian), as many bytes as that.

use std::ops::Range;

/// Bytes before the text of a message.
pub const HEADER: usize = 4;
/// The most bytes of text that three bytes can count.
pub const MOST_TEXT: usize = 0xff_ffff;
/// The most bytes of a [`Code::Print`]: mod_tora appends a byte, in a buffer whose size is a power of two.
pub const MOST_PRINT: usize = 0x1_ffff;

macro_rules! codes {
    ($($(#[$about:meta])* $code:ident $(= $byte:literal)?,)*) => {
        /// What a message is. Those up to [`Execute`](Self::Execute) make a request; *front* is the front server.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        #[repr(u8)]
        pub enum Code {
            $($(#[$about])* $code $(= $byte)?,)*
        }

        impl Code {
            const ALL: &[Self] = &[$(Self::$code),*];
        }
    };
}

codes! {
    /// The file that the front server has found.
    File = 1,
    /// The path.
    Uri,
    /// The address of the client.
    ClientIp,
    /// The query as it was sent.
    GetParams,
    /// The body, if it is no form of parts.
    PostData,
    /// The name of a header; the value comes next.
    HeaderKey,
    /// Its value; in an answer the only one.
    HeaderValue,
    /// Its value; in an answer one more.
    HeaderAddValue,
    /// The name of a parameter, decoded; the value comes next.
    ParamKey,
    /// Its value, decoded.
    ParamValue,
    /// The host without its port.
    HostName,
    /// The method.
    HttpMethod,
    /// The end: of the request, of the answer, of a form of parts.
    Execute,
    /// The end of an answer that has failed, and why.
    Error,
    /// A part of the answer's body.
    Print,
    /// A line for the log of the front server.
    Log,
    /// The client is to have what was printed.
    Flush,
    /// Status 302 with this `Location`.
    Redirect,
    /// The status in decimal digits.
    ReturnCode,
    /// The front server is to send the form of parts, in messages of at most so many bytes.
    QueryMultipart,
    /// The file name of the part that comes next.
    PartFilename,
    /// A part begins: the name of its field.
    PartKey,
    /// A piece of the part.
    PartData,
    /// The part ends.
    PartDone,
    /// A look whether the server is there: it closes the connection.
    TestConnect,
    /// The end of an answer of which more is to come: the connection stays.
    Listen,
    /// The host that a direct client asks for.
    HostResolve,
}

impl Code {
    /// The code of a byte. They are numbered without a gap, from 1 on.
    #[must_use]
    pub fn of(byte: u8) -> Option<Self> {
        Self::ALL.get(usize::from(byte).checked_sub(1)?).copied()
    }
}

/// Appends a message; of a text longer than [`MOST_TEXT`] what fits.
pub fn push(out: &mut Vec<u8>, code: Code, text: &[u8]) {
    let text = &text[..text.len().min(MOST_TEXT)];
    header(out, code, text.len());
    out.extend_from_slice(text);
}

/// Appends what stands before a text of at most [`MOST_TEXT`] bytes.
pub(super) fn header(out: &mut Vec<u8>, code: Code, length: usize) {
    let [first, second, third, _] = (length as u32).to_le_bytes();
    out.extend_from_slice(&[code as u8, first, second, third]);
}

/// Appends a key and its value.
pub(super) fn push_pair(out: &mut Vec<u8>, [key, value]: [Code; 2], pair: (&[u8], &[u8])) {
    push(out, key, pair.0);
    push(out, value, pair.1);
}

/// Writes a name or a value as in a query (`application/x-www-form-urlencoded`).
pub(super) fn escape(text: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in text {
        match byte {
            b' ' => out.push(b'+'),
            b'-' | b'.' | b'_' | b'*' => out.push(byte),
            byte if byte.is_ascii_alphanumeric() => out.push(byte),
            byte => out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]),
        }
    }
}

/// A part of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// One begins, with its code and how long it is; one without text is over with that.
    Begin(u8, usize),
    /// Some of its text, which lies there in the input.
    Text(Range<usize>),
}

/// Cuts bytes into messages. It keeps no text.
#[derive(Debug, Clone, Default)]
pub struct Messages {
    header: [u8; HEADER],
    /// Bytes of the header that have come.
    have: usize,
    /// Bytes of the text that are still to come.
    left: usize,
}

impl Messages {
    /// The next piece, and how many bytes of the input it ends at; without a piece that is all of them.
    pub fn next(&mut self, input: &[u8]) -> (usize, Option<Piece>) {
        if self.left > 0 {
            let here = self.left.min(input.len());
            self.left -= here;
            return (here, (here > 0).then_some(Piece::Text(0..here)));
        }
        let here = (HEADER - self.have).min(input.len());
        self.header[self.have..self.have + here].copy_from_slice(&input[..here]);
        self.have += here;
        if self.have < HEADER {
            return (here, None);
        }
        let [code, first, second, third] = self.header;
        self.left = u32::from_le_bytes([first, second, third, 0]) as usize;
        self.have = 0;
        (here, Some(Piece::Begin(code, self.left)))
    }

    /// Whether the last message has come to its end, and the next has not begun.
    #[must_use]
    pub fn is_between(&self) -> bool {
        self.left == 0 && self.have == 0
    }

    /// Whether the text of the last message is all there.
    pub(super) fn is_text_over(&self) -> bool {
        self.left == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn codes_are_what_they_are_on_the_wire() {
        for byte in 0..=u8::MAX {
            let code = Code::of(byte);
            assert_eq!(code.map(|code| code as u8), (1..=27).contains(&byte).then_some(byte));
        }
        let named =
            [(Code::Execute, 13), (Code::Print, 15), (Code::QueryMultipart, 20), (Code::HostResolve, 27)];
        assert!(named.iter().all(|(code, byte)| *code as u8 == *byte));
    }

    fn texts(bytes: &[u8], step: usize) -> Vec<(u8, Vec<u8>)> {
        let (mut messages, mut found) = (Messages::default(), Vec::<(u8, Vec<u8>)>::new());
        for piece in bytes.chunks(step) {
            let mut at = 0;
            while at < piece.len() {
                let (used, part) = messages.next(&piece[at..]);
                match part {
                    None => assert_eq!(at + used, piece.len()),
                    Some(Piece::Begin(code, _)) => found.push((code, Vec::new())),
                    Some(Piece::Text(range)) => {
                        found.last_mut().unwrap().1.extend_from_slice(&piece[at..][range]);
                    }
                }
                at += used;
            }
        }
        found
    }

    proptest! {
        #[test]
        fn messages_are_found_again_however_they_are_cut(
            sent in prop::collection::vec((1u8..28, prop::collection::vec(any::<u8>(), 0..300)), 0..8),
            step in 1usize..700,
        ) {
            let mut bytes = Vec::new();
            for (code, text) in &sent {
                push(&mut bytes, Code::of(*code).unwrap(), text);
            }
            prop_assert_eq!(texts(&bytes, step), sent);
        }

        #[test]
        fn any_bytes_are_messages(bytes: Vec<u8>, step in 1usize..40) {
            prop_assert_eq!(texts(&bytes, step), texts(&bytes, bytes.len().max(1)));
        }
    }
}
