//! The grammar of a request head: finds its lines and their parts, and lets no other bytes stand in them
//! (RFC 9112, sections 3 and 5).
//!
//! Lines end in CRLF and nothing else does; no line is folded; a name is a token right before its colon. What the
//! parts mean is judged elsewhere.

use std::ops::Range;

use http::Version;

use super::set::Set;
use super::target::PLAIN;

/// Why a line cannot be read, or not yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stop {
    /// More bytes are needed.
    Partial,
    /// A LF stands where CRLF must.
    BareLf,
    /// Something else is wrong.
    Broken(Fault),
}

/// What is wrong with a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// The method or the target, or the space after it.
    Token,
    /// What should be `HTTP/1.0` or `HTTP/1.1`.
    Version,
    /// A CR without its LF, or what stands between the version and the end of its line.
    LineEnd,
    /// The name of a field, or what stands between it and the colon.
    Name,
    /// A control byte in the value of a field.
    Value,
    /// One field more than there may be.
    TooMany,
}

/// The parts of a request line.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct RequestLine<'a> {
    pub(super) method: &'a [u8],
    /// Without white space and control bytes, and not empty.
    pub(super) target: &'a [u8],
    /// So many bytes at the start of the target are [`PLAIN`].
    pub(super) plain: usize,
    pub(super) version: Version,
    /// Bytes of the line with its CRLF.
    pub(super) length: usize,
}

/// Reads the request line at the start of `text`.
#[inline]
pub(super) fn request_line(text: &[u8]) -> Result<RequestLine<'_>, Stop> {
    let method = if text.starts_with(b"GET ") { 3 } else { TOKEN.run(text) };
    match text.get(method) {
        Some(b' ') if method > 0 => {}
        None => return Err(Stop::Partial),
        Some(_) => return Err(Stop::Broken(Fault::Token)),
    }
    let (method, rest) = (&text[..method], &text[method + 1..]);
    // Of most targets that is all, and nobody needs to look at them again.
    let plain = PLAIN.run(rest);
    let ends = |&byte: &u8| byte <= b' ' || byte == 0x7f;
    let target = plain + rest[plain..].iter().position(ends).ok_or(Stop::Partial)?;
    if target == 0 || rest[target] != b' ' {
        return Err(Stop::Broken(Fault::Token));
    }
    let (target, rest) = (&rest[..target], &rest[target + 1..]);
    // Nearly all of them: one comparison.
    let version = if rest.starts_with(b"HTTP/1.1\r\n") { Version::HTTP_11 } else { version_line(rest)? };
    let length = method.len() + 1 + target.len() + 1 + "HTTP/1.1\r\n".len();
    Ok(RequestLine { method, target, plain, version, length })
}

/// Reads the end of a request line, from the version on.
#[cold]
fn version_line(text: &[u8]) -> Result<Version, Stop> {
    let version = match text.first_chunk() {
        Some(b"HTTP/1.1") => Version::HTTP_11,
        Some(b"HTTP/1.0") => Version::HTTP_10,
        None if b"HTTP/1.0".starts_with(text) || b"HTTP/1.1".starts_with(text) => return Err(Stop::Partial),
        _ => return Err(Stop::Broken(Fault::Version)),
    };
    match &text["HTTP/1.1".len()..] {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] => return Err(Stop::Partial),
        [b'\n', ..] => return Err(Stop::BareLf),
        _ => return Err(Stop::Broken(Fault::LineEnd)),
    }
    Ok(version)
}

/// Reads the field lines that start at `start`, at most `most` of them, and the empty line after them; answers where
/// that ends. `take` is told where each name and each value lie, the value without the white space around it.
#[inline]
pub(super) fn field_lines(
    text: &[u8],
    start: usize,
    most: usize,
    mut take: impl FnMut(Range<usize>, Range<usize>),
) -> Result<usize, Stop> {
    let (mut at, mut count) = (start, 0);
    loop {
        let left = text.get(at..).unwrap_or_default();
        let name = TOKEN.run(left);
        match left.get(name) {
            Some(b':') if name > 0 => {}
            None => return Err(Stop::Partial),
            Some(_) if name > 0 => return Err(Stop::Broken(Fault::Name)),
            Some(_) => return last_line(left).map(|length| at + length),
        }
        if count == most {
            return Err(Stop::Broken(Fault::TooMany));
        }
        let colon = at + name;
        let end = line_end(text, colon + 1).ok_or(Stop::Partial)?;
        match text.get(end..) {
            Some([b'\r', b'\n', ..]) => {}
            Some([b'\r']) => return Err(Stop::Partial),
            Some([b'\n', ..]) => return Err(Stop::BareLf),
            _ => return Err(Stop::Broken(Fault::Value)),
        }
        take(at..colon, trimmed(text, colon + 1..end));
        at = end + 2;
        count += 1;
    }
}

/// Reads the empty line after the fields, where something stands that no name begins with; answers its length.
fn last_line(text: &[u8]) -> Result<usize, Stop> {
    match text {
        [b'\r', b'\n', ..] => Ok(2),
        [b'\r'] => Err(Stop::Partial),
        [b'\r', ..] => Err(Stop::Broken(Fault::LineEnd)),
        [b'\n', ..] => Err(Stop::BareLf),
        _ => Err(Stop::Broken(Fault::Name)),
    }
}

/// Without the spaces and tabs at either end.
#[inline]
fn trimmed(text: &[u8], Range { start, end }: Range<usize>) -> Range<usize> {
    let mut value = &text[start..end];
    while let [rest @ .., b' ' | b'\t'] = value {
        value = rest;
    }
    let end = start + value.len();
    while let [b' ' | b'\t', rest @ ..] = value {
        value = rest;
    }
    end - value.len()..end
}

/// Where the first byte from `at` on is that may not stand in a value: a control byte other than a tab.
///
/// Sixteen bytes are looked at together while there are as many, then eight.
#[inline]
fn line_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let left = text.get(at..)?;
        let index = if let Some(block) = left.first_chunk::<16>() {
            if !block.iter().fold(false, |any, &byte| any | is_control(byte)) {
                at += 16;
                continue;
            }
            let both = u128::from_le_bytes(*block);
            match first_control(both as u64) {
                8 => 8 + first_control((both >> 64) as u64),
                index => index,
            }
        } else if let Some(word) = left.first_chunk() {
            match first_control(u64::from_le_bytes(*word)) {
                8 => {
                    at += 8;
                    continue;
                }
                index => index,
            }
        } else {
            left.iter().position(|&byte| is_control(byte))?
        };
        if left[index] != b'\t' {
            return Some(at + index);
        }
        at += index + 1;
    }
}

#[inline]
fn is_control(byte: u8) -> bool {
    byte < b' ' || byte == 0x7f
}

/// Which byte of a word, counted from the lowest, is the first control byte, tabs included; 8 if none is.
#[inline]
fn first_control(word: u64) -> usize {
    const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
    const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);
    // Subtracting borrows from the top bit of a byte that is less than what is subtracted from it. It borrows from
    // the bytes above as well, so only the lowest one found counts; those with a top bit of their own are none.
    let below_space = word.wrapping_sub(ONES * 0x20);
    let delete = (word ^ (ONES * 0x7f)).wrapping_sub(ONES);
    ((below_space | delete) & !word & TOPS).trailing_zeros() as usize / 8
}

/// The bytes of a token (RFC 9110, section 5.6.2).
pub(super) static TOKEN: Set = Set::alphanumeric_and(b"!#$%&'*+-.^_`|~");

#[cfg(test)]
mod tests;
