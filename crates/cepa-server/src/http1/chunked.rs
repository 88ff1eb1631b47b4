//! Decodes the chunked transfer coding (RFC 9112, section 7.1), strictly and byte by byte.

use super::event::{BodyEvent, take_data};
use super::lines::TOKEN;
use super::{Reject, trailers};

/// Framing bytes that a body may spend before it has carried any data, and the most it can save up.
const FRAMING_CREDIT: u32 = 16 * 1024;

/// Framing bytes that each byte of data earns. A chunk of one byte needs 5 (`1`, CRLF, CRLF); so bodies
/// in the smallest chunks pass, while extensions and leading zeros that dwarf the data do not.
const CREDIT_PER_BYTE: u32 = 8;

/// The most digits of a chunk size; so many cannot overflow 64 bits.
const MOST_DIGITS: u8 = 16;

/// How much a chunked body may take beside its data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkLimits {
    /// Bytes of the extensions of one chunk.
    pub extension_bytes: u16,
    /// Bytes of all trailer lines; more are answered with 431.
    pub trailer_bytes: u32,
    /// Number of trailers, at most 64; more are answered with 431.
    pub trailers: u16,
}

impl Default for ChunkLimits {
    /// 256 bytes of extensions, 8 KiB of trailers, 32 trailers.
    fn default() -> Self {
        ChunkLimits { extension_bytes: 256, trailer_bytes: 8 * 1024, trailers: 32 }
    }
}

#[derive(Debug)]
pub(super) struct ChunkedDecoder {
    limits: ChunkLimits,
    state: State,
    /// What is left of the chunk, or its size as far as it has been read.
    left: u64,
    /// Framing bytes that may still come.
    credit: u32,
    /// Extension bytes of this chunk.
    extension: u16,
    /// The trailer lines as they came.
    section: Vec<u8>,
}

/// What the next byte is. The names speak of the grammar of RFC 9112, section 7.1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// A digit of the chunk size; or, after the first, its end.
    Size {
        digits: u8,
    },
    /// The first byte of an extension name; `;` has been read.
    NameStart,
    Name,
    /// The first byte of an extension value; `=` has been read.
    ValueStart,
    Value,
    Quoted,
    QuotedPair,
    QuotedEnd,
    /// The LF after a chunk size and its extensions.
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// The first byte of a trailer line, or of the empty line that ends the body.
    TrailerStart,
    Trailer,
    TrailerLf,
    LastLf,
    End,
    Failed(Reject),
}

impl ChunkedDecoder {
    pub(super) fn new(limits: ChunkLimits) -> Self {
        ChunkedDecoder {
            limits,
            state: State::Size { digits: 0 },
            left: 0,
            credit: FRAMING_CREDIT,
            extension: 0,
            section: Vec::new(),
        }
    }

    pub(super) fn is_end(&self) -> bool {
        self.state == State::End && self.section.is_empty()
    }

    pub(super) fn decode(&mut self, input: &[u8]) -> Result<(usize, Option<BodyEvent>), Reject> {
        let mut at = 0;
        loop {
            match self.state {
                State::Data => return Ok(self.take(input, at)),
                State::End => return self.finish(at),
                State::Failed(reject) => return Err(reject),
                _ => {}
            }
            let Some(&byte) = input.get(at) else { return Ok((at, None)) };
            at += 1;
            self.state = self.step(byte).unwrap_or_else(State::Failed);
        }
    }

    /// Data of the current chunk, which pays for framing to come.
    fn take(&mut self, input: &[u8], at: usize) -> (usize, Option<BodyEvent>) {
        let (end, event) = take_data(&mut self.left, input, at);
        let earned = u32::try_from(end - at).unwrap_or(u32::MAX).saturating_mul(CREDIT_PER_BYTE);
        self.credit = self.credit.saturating_add(earned).min(FRAMING_CREDIT);
        if self.left == 0 {
            self.state = State::DataCr;
        }
        (end, event)
    }

    /// The trailers if there are any, then the end.
    fn finish(&mut self, at: usize) -> Result<(usize, Option<BodyEvent>), Reject> {
        let mut section = std::mem::take(&mut self.section);
        if section.is_empty() {
            return Ok((at, Some(BodyEvent::End)));
        }
        section.extend_from_slice(b"\r\n");
        match trailers::parse(&section, usize::from(self.limits.trailers)) {
            Ok(trailers) => Ok((at, Some(BodyEvent::Trailers(trailers)))),
            Err(reject) => {
                self.state = State::Failed(reject);
                Err(reject)
            }
        }
    }

    /// Takes one byte of framing.
    fn step(&mut self, byte: u8) -> Result<State, Reject> {
        match self.state {
            State::TrailerStart | State::Trailer | State::TrailerLf | State::LastLf => {
                return self.trailer(byte);
            }
            _ => self.credit = self.credit.checked_sub(1).ok_or(Reject::ChunkOverhead)?,
        }
        match (self.state, byte) {
            (State::Size { digits }, _) => self.size(digits, byte),
            (State::SizeLf, b'\n') if self.left == 0 => Ok(State::TrailerStart),
            (State::SizeLf, b'\n') => Ok(State::Data),
            (State::SizeLf, _) => Err(Reject::BareCr),
            (State::DataCr, b'\r') => Ok(State::DataLf),
            (State::DataLf, b'\n') => Ok(State::Size { digits: 0 }),
            (State::DataCr | State::DataLf, _) => Err(Reject::ChunkEnd),
            _ => self.extension(byte),
        }
    }

    fn size(&mut self, digits: u8, byte: u8) -> Result<State, Reject> {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            b'A'..=b'F' => byte - b'A' + 10,
            b'\r' if digits > 0 => return Ok(State::SizeLf),
            b';' if digits > 0 => {
                self.extension = 1;
                return Ok(State::NameStart);
            }
            _ => return Err(Reject::ChunkSize),
        };
        if digits == MOST_DIGITS {
            return Err(Reject::ChunkSize);
        }
        self.left = if digits == 0 { 0 } else { self.left << 4 } | u64::from(digit);
        Ok(State::Size { digits: digits + 1 })
    }

    /// `*( ";" token [ "=" ( token / quoted-string ) ] )`, without the white space that the grammar
    /// tolerates only for the sake of senders no one has seen.
    fn extension(&mut self, byte: u8) -> Result<State, Reject> {
        if byte == b'\r' && matches!(self.state, State::Name | State::Value | State::QuotedEnd) {
            return Ok(State::SizeLf);
        }
        self.extension = self.extension.saturating_add(1);
        if self.extension > self.limits.extension_bytes {
            return Err(Reject::ChunkExtensionTooLong);
        }
        match (self.state, byte) {
            (State::Name | State::Value | State::QuotedEnd, b';') => Ok(State::NameStart),
            (State::Name, b'=') => Ok(State::ValueStart),
            (State::NameStart | State::Name, _) if TOKEN.contains(byte) => Ok(State::Name),
            (State::ValueStart, b'"') => Ok(State::Quoted),
            (State::ValueStart | State::Value, _) if TOKEN.contains(byte) => Ok(State::Value),
            (State::Quoted, b'"') => Ok(State::QuotedEnd),
            (State::Quoted, b'\\') => Ok(State::QuotedPair),
            (State::Quoted | State::QuotedPair, _) if is_text(byte) => Ok(State::Quoted),
            _ => Err(Reject::ChunkExtension),
        }
    }

    /// Takes one byte after the last chunk.
    fn trailer(&mut self, byte: u8) -> Result<State, Reject> {
        let next = match (self.state, byte) {
            (State::TrailerStart, b'\r') => return Ok(State::LastLf),
            (State::LastLf, b'\n') => return Ok(State::End),
            (State::TrailerStart, b' ' | b'\t') => return Err(Reject::Trailer),
            (State::Trailer, b'\r') => State::TrailerLf,
            (State::TrailerLf, b'\n') => State::TrailerStart,
            (State::TrailerLf | State::LastLf, _) => return Err(Reject::BareCr),
            (_, b'\n') => return Err(Reject::BareLf),
            _ if is_text(byte) => State::Trailer,
            _ => return Err(Reject::Trailer),
        };
        if self.section.len() >= self.limits.trailer_bytes as usize {
            return Err(Reject::TrailersTooLarge);
        }
        self.section.push(byte);
        Ok(next)
    }
}

/// Whether the byte is a space, a tab or visible, ASCII or not.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

#[cfg(test)]
mod tests;
