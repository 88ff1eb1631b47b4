//! The grammar of a request head: finds its lines and their parts, and lets no other bytes stand in them
//! (RFC 9112, sections 3 and 5).
//!
//! Lines end in CRLF and nothing else does; no line is folded; a name is a token right before its colon. What the
//! parts mean is judged elsewhere.

use std::ops::Range;

use http::Version;

use super::target::plain;

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
    /// So many bytes at the start of the target are [plain](plain).
    pub(super) plain: usize,
    pub(super) version: Version,
    /// Bytes of the line with its CRLF.
    pub(super) length: usize,
}

/// Reads the request line at the start of `text`.
#[inline]
pub(super) fn request_line(text: &[u8]) -> Result<RequestLine<'_>, Stop> {
    let method = match text {
        [b'G', b'E', b'T', b' ', ..] => 3,
        _ => text.iter().position(|&byte| !is_token_byte(byte)).ok_or(Stop::Partial)?,
    };
    if method == 0 || text[method] != b' ' {
        return Err(Stop::Broken(Fault::Token));
    }
    let (method, rest) = (&text[..method], &text[method + 1..]);
    // Of most targets that is all, and nobody needs to look at them again.
    let plain = plain(rest);
    let ends = |&byte: &u8| byte <= b' ' || byte == 0x7f;
    let target = plain + rest[plain..].iter().position(ends).ok_or(Stop::Partial)?;
    if target == 0 || rest[target] != b' ' {
        return Err(Stop::Broken(Fault::Token));
    }
    let (target, rest) = (&rest[..target], &rest[target + 1..]);
    let version = match rest.first_chunk() {
        Some(b"HTTP/1.1") => Version::HTTP_11,
        Some(b"HTTP/1.0") => Version::HTTP_10,
        None if b"HTTP/1.0".starts_with(rest) || b"HTTP/1.1".starts_with(rest) => return Err(Stop::Partial),
        _ => return Err(Stop::Broken(Fault::Version)),
    };
    match &rest["HTTP/1.1".len()..] {
        [b'\r', b'\n', ..] => {}
        [] | [b'\r'] => return Err(Stop::Partial),
        [b'\n', ..] => return Err(Stop::BareLf),
        _ => return Err(Stop::Broken(Fault::LineEnd)),
    }
    let length = method.len() + 1 + target.len() + 1 + "HTTP/1.1\r\n".len();
    Ok(RequestLine { method, target, plain, version, length })
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
        match text[at..] {
            [b'\r', b'\n', ..] => return Ok(at + 2),
            [] | [b'\r'] => return Err(Stop::Partial),
            [b'\n', ..] => return Err(Stop::BareLf),
            [b'\r', ..] => return Err(Stop::Broken(Fault::LineEnd)),
            _ if count == most => return Err(Stop::Broken(Fault::TooMany)),
            _ => {}
        }
        let name = text[at..].iter().position(|&byte| !is_token_byte(byte)).ok_or(Stop::Partial)?;
        let colon = at + name;
        if name == 0 || text[colon] != b':' {
            return Err(Stop::Broken(Fault::Name));
        }
        let end = line_end(text, colon + 1).ok_or(Stop::Partial)?;
        match text[end..] {
            [b'\r', b'\n', ..] => {}
            [b'\r'] => return Err(Stop::Partial),
            [b'\n', ..] => return Err(Stop::BareLf),
            _ => return Err(Stop::Broken(Fault::Value)),
        }
        take(at..colon, trimmed(text, colon + 1..end));
        at = end + 2;
        count += 1;
    }
}

/// Without the spaces and tabs at either end.
#[inline]
fn trimmed(text: &[u8], Range { mut start, mut end }: Range<usize>) -> Range<usize> {
    while start < end && is_blank(text[start]) {
        start += 1;
    }
    while start < end && is_blank(text[end - 1]) {
        end -= 1;
    }
    start..end
}

fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t')
}

/// Where the first byte from `at` on is that may not stand in a value: a control byte other than a tab.
///
/// Sixteen bytes are looked at together while there is none among them, then eight.
#[inline]
fn line_end(text: &[u8], mut at: usize) -> Option<usize> {
    loop {
        let left = text.get(at..)?;
        if let Some(block) = left.first_chunk::<16>()
            && !block.iter().fold(false, |any, &byte| any | is_control(byte))
        {
            at += 16;
            continue;
        }
        match left.first_chunk() {
            Some(word) => match first_control(u64::from_le_bytes(*word)) {
                8 => at += 8,
                index if left[index] == b'\t' => at += index + 1,
                index => return Some(at + index),
            },
            None => {
                let index = left.iter().position(|&byte| is_control(byte) && byte != b'\t')?;
                return Some(at + index);
            }
        }
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

/// Whether the byte may stand in a token (RFC 9110, section 5.6.2).
#[inline]
pub(super) fn is_token_byte(byte: u8) -> bool {
    IN_TOKENS[usize::from(byte)]
}

const IN_TOKENS: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = b'!';
    while byte < 0x7f {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            );
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests;
