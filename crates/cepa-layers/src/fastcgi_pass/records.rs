//! FastCGI 1.0 as a front server speaks it: one request, the only one of its connection, as records.

use bytes::BytesMut;

use crate::gateway::{Failure, Frames, Variables};

/// The number of the request.
const ID: u16 = 1;
/// Bytes of the header of a record.
const HEADER: usize = 8;
/// The most content of a record.
const MOST_CONTENT: usize = 0xffff;
/// The longest line of a log that is kept, and the most that one request may write.
const MOST_LINE: usize = 2048;
const MOST_LOGGED: usize = 64 * 1024;

// The types of records.
const BEGIN: u8 = 1;
const END: u8 = 3;
const PARAMS: u8 = 4;
const STDIN: u8 = 5;
const STDOUT: u8 = 6;
const STDERR: u8 = 7;

/// Reads the records of an answer, and writes those of a body.
#[derive(Debug, Default)]
pub(super) struct Records {
    keep: bool,
    header: [u8; HEADER],
    filled: usize,
    /// Bytes of content, and of padding, still to come.
    content: usize,
    padding: usize,
    /// The content of the end of the request.
    end: Vec<u8>,
    log: Vec<u8>,
    logged: usize,
}

impl Records {
    /// The records that begin a request; `keep` asks to have the connection kept.
    pub(super) fn begin(variables: &Variables, keep: bool) -> (Self, Vec<u8>) {
        let mut out = Vec::with_capacity(2048);
        record(BEGIN, &[0, 1, u8::from(keep), 0, 0, 0, 0, 0], &mut out);
        let mut params = Vec::with_capacity(2048);
        for (name, value) in variables {
            for part in [name.as_bytes(), value] {
                match part.len() {
                    short @ 0..=0x7f => params.push(short as u8),
                    long => params.extend_from_slice(&(long as u32 | 1 << 31).to_be_bytes()),
                }
            }
            params.extend_from_slice(name.as_bytes());
            params.extend_from_slice(value);
        }
        for piece in params.chunks(MOST_CONTENT) {
            record(PARAMS, piece, &mut out);
        }
        record(PARAMS, &[], &mut out);
        (Self { keep, ..Self::default() }, out)
    }

    /// Takes a part of a content.
    fn take(&mut self, part: &[u8], answer: &mut BytesMut) -> Result<bool, Failure> {
        match self.header[1] {
            STDOUT => answer.extend_from_slice(part),
            STDERR => self.log(part),
            END => {
                self.end.extend_from_slice(part);
                if self.content == 0 {
                    return self.ended().map(|()| true);
                }
            }
            _ => {}
        }
        Ok(false)
    }

    fn ended(&mut self) -> Result<(), Failure> {
        self.flush_log();
        match self.end[..] {
            [_, _, _, _, 0, ..] => Ok(()),
            [_, _, _, _, 1 | 2, ..] => Err(Failure::Answer("the other server has too many requests at hand")),
            [_, _, _, _, 3, ..] => Err(Failure::Answer("the other server is no responder")),
            _ => Err(Failure::Answer("the end of the request is malformed")),
        }
    }

    fn log(&mut self, part: &[u8]) {
        for byte in part {
            match byte {
                b'\n' => self.flush_log(),
                byte if self.log.len() < MOST_LINE => self.log.push(*byte),
                _ => {}
            }
        }
    }

    fn flush_log(&mut self) {
        let line = std::mem::take(&mut self.log);
        let line = line.trim_ascii();
        self.logged += line.len();
        if !line.is_empty() && self.logged <= MOST_LOGGED {
            tracing::warn!(target: "cepa::fastcgi_pass", "{}", String::from_utf8_lossy(line).escape_debug());
        }
    }
}

fn record(kind: u8, content: &[u8], out: &mut Vec<u8>) {
    let ([id1, id0], [length1, length0]) = (ID.to_be_bytes(), (content.len() as u16).to_be_bytes());
    out.extend_from_slice(&[1, kind, id1, id0, length1, length0, 0, 0]);
    out.extend_from_slice(content);
}

impl Frames for Records {
    const ENDS_WITH_CONNECTION: bool = false;

    fn data(&mut self, data: &[u8], out: &mut Vec<u8>) {
        for piece in data.chunks(MOST_CONTENT) {
            record(STDIN, piece, out);
        }
    }

    fn end(&mut self, out: &mut Vec<u8>) {
        record(STDIN, &[], out);
    }

    fn read(&mut self, mut input: &[u8], answer: &mut BytesMut) -> Result<bool, Failure> {
        loop {
            if self.content > 0 {
                let (part, rest) = input.split_at(input.len().min(self.content));
                if part.is_empty() {
                    return Ok(false);
                }
                self.content -= part.len();
                input = rest;
                if self.take(part, answer)? {
                    // Whatever follows does not belong to this request, and the connection is not kept.
                    self.keep &= self.padding == 0 && input.is_empty();
                    return Ok(true);
                }
                continue;
            }
            let skipped = input.len().min(self.padding);
            self.padding -= skipped;
            input = &input[skipped..];
            let more = input.len().min(HEADER - self.filled);
            self.header[self.filled..self.filled + more].copy_from_slice(&input[..more]);
            self.filled += more;
            input = &input[more..];
            if self.filled < HEADER {
                return Ok(false);
            }
            self.filled = 0;
            let [version, kind, id1, id0, length1, length0, padding, _] = self.header;
            let known = version == 1 && (u16::from_be_bytes([id1, id0]) == ID || kind > STDERR);
            (self.content, self.padding) = (u16::from_be_bytes([length1, length0]).into(), padding.into());
            if !known || kind == END && self.content != 8 {
                return Err(Failure::Answer("a record is malformed"));
            }
        }
    }

    fn keeps(&self) -> bool {
        self.keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8], step: usize) -> (Vec<u8>, Option<Result<bool, String>>) {
        let (mut records, mut answer) = (Records { keep: true, ..Records::default() }, BytesMut::new());
        for piece in bytes.chunks(step.max(1)) {
            match records.read(piece, &mut answer) {
                Ok(false) => {}
                Ok(true) => return (answer.to_vec(), Some(Ok(records.keeps()))),
                Err(failure) => return (answer.to_vec(), Some(Err(failure.to_string()))),
            }
        }
        (answer.to_vec(), None)
    }

    fn padded(kind: u8, content: &[u8], padding: u8) -> Vec<u8> {
        let mut out = Vec::new();
        record(kind, content, &mut out);
        out[6] = padding;
        out.resize(out.len() + usize::from(padding), 0);
        out
    }

    #[test]
    fn an_answer_comes_to_the_same_in_every_cut() {
        let end = padded(END, &[0; 8], 0);
        let bytes = [
            padded(STDOUT, b"Status: 200\r\n\r\nhello ", 5),
            padded(STDERR, b"a warning\n", 0),
            padded(STDOUT, b"there", 255),
            padded(STDOUT, b"", 0),
            end,
        ]
        .concat();
        for step in 1..=bytes.len() {
            let (answer, ended) = read(&bytes, step);
            assert_eq!((&*answer, ended), (&b"Status: 200\r\n\r\nhello there"[..], Some(Ok(true))), "{step}");
        }
    }

    #[test]
    fn what_is_no_answer_is_a_failure() {
        let status = |status: u8| padded(END, &[0, 0, 0, 0, status, 0, 0, 0], 0);
        for bytes in [
            b"HTTP/1.1 400 Bad".to_vec(),
            padded(END, b"short", 0),
            status(1),
            status(2),
            status(3),
            status(9),
        ] {
            assert!(matches!(read(&bytes, 3).1, Some(Err(_))), "{bytes:?}");
        }
        let mut foreign = padded(STDOUT, b"of another request", 0);
        foreign[3] = 2;
        assert!(matches!(read(&foreign, 5).1, Some(Err(_))));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes: Vec<u8>, step in 1usize..40) {
            let bytes = [padded(STDOUT, b"x", 1), bytes].concat();
            prop_assert_eq!(read(&bytes, step), read(&bytes, bytes.len()));
        }
    }
}
