//! What the fields of a request head say about its framing and its connection (RFC 9112, sections 6 and 9).

use std::ops::Range;

use http::Version;

use super::host::is_valid_host;
use super::lines::TOKEN;
use super::{BodyLength, Reject};

/// Collects, field by field, what decides how the request is framed; [`Fields::body`] and its siblings judge.
#[derive(Default)]
pub(super) struct Fields<'a> {
    host: bool,
    content_type: Option<&'a [u8]>,
    length: Option<u64>,
    encoding: Option<Encoding>,
    expect: Option<Expectation>,
    close: bool,
    keep_alive: bool,
    upgrade_option: bool,
    upgrade: bool,
}

#[derive(Clone, Copy)]
enum Encoding {
    Chunked,
    Unsupported,
    Malformed,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Expectation {
    Continue,
    Unknown,
}

impl<'a> Fields<'a> {
    /// Takes note of one field, whose name and value lie there in `text`; the value has no white space around it.
    #[inline]
    pub(super) fn note(
        &mut self,
        text: &'a [u8],
        name: Range<usize>,
        value: Range<usize>,
    ) -> Result<(), Reject> {
        let is_padded = || is_padded(text, name.end, &value);
        let (name, value) = (&text[name.clone()], &text[value.clone()]);
        let is = |known: &str| name.eq_ignore_ascii_case(known.as_bytes());
        // The length decides first: most names in a head differ from all of these in it.
        match name.len() {
            4 if is_host(name) => self.note_host(value),
            6 if is("expect") => {
                let known = self.expect.is_none() && value.eq_ignore_ascii_case(b"100-continue");
                self.expect = Some(if known { Expectation::Continue } else { Expectation::Unknown });
                Ok(())
            }
            7 if is("upgrade") => {
                self.upgrade = true;
                Ok(())
            }
            10 if is("connection") => {
                self.note_connection(value);
                Ok(())
            }
            12 if is("content-type") => match self.content_type.replace(value) {
                Some(first) if first != value => Err(Reject::ContentTypeRepeated),
                _ => Ok(()),
            },
            14 if is("content-length") => {
                if is_padded() {
                    return Err(Reject::ContentLength);
                }
                if self.length.is_some() {
                    return Err(Reject::ContentLengthRepeated);
                }
                self.length = Some(decimal(value).ok_or(Reject::ContentLength)?);
                Ok(())
            }
            17 if is("transfer-encoding") => {
                let first = self.encoding.is_none();
                self.encoding = Some(if first { encoding(value) } else { Encoding::Malformed });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn note_host(&mut self, value: &[u8]) -> Result<(), Reject> {
        if self.host {
            return Err(Reject::HostRepeated);
        }
        self.host = true;
        if is_valid_host(value) { Ok(()) } else { Err(Reject::Host) }
    }

    fn note_connection(&mut self, value: &[u8]) {
        for option in value.split(|&byte| byte == b',') {
            let option = option.trim_ascii();
            if option.eq_ignore_ascii_case(b"close") {
                self.close = true;
            } else if option.eq_ignore_ascii_case(b"keep-alive") {
                self.keep_alive = true;
            } else if option.eq_ignore_ascii_case(b"upgrade") {
                self.upgrade_option = true;
            }
        }
    }

    /// How the body is framed (RFC 9112, section 6.3), after the faults that the fields show only together.
    pub(super) fn body(&self, version: Version) -> Result<BodyLength, Reject> {
        if !self.host && version == Version::HTTP_11 {
            return Err(Reject::HostMissing);
        }
        let body = match (self.encoding, self.length) {
            (None, None) => BodyLength::None,
            (None, Some(length)) => BodyLength::Length(length),
            (Some(_), Some(_)) => return Err(Reject::LengthWithEncoding),
            (Some(_), None) if version == Version::HTTP_10 => return Err(Reject::TransferEncodingIn10),
            (Some(Encoding::Malformed), None) => return Err(Reject::TransferEncoding),
            (Some(Encoding::Unsupported), None) => return Err(Reject::TransferEncodingUnsupported),
            (Some(Encoding::Chunked), None) => BodyLength::Chunked,
        };
        if self.expect == Some(Expectation::Unknown) {
            return Err(Reject::Expectation);
        }
        Ok(body)
    }

    /// Whether the connection may serve another request after this one (RFC 9112, section 9.3).
    pub(super) fn keeps_alive(&self, version: Version) -> bool {
        !self.close && (version == Version::HTTP_11 || self.keep_alive)
    }

    /// Whether the client waits for `100 Continue`; in HTTP/1.0 it is ignored (RFC 9110, section 10.1.1).
    pub(super) fn expects_continue(&self, version: Version, body: BodyLength) -> bool {
        self.expect.is_some()
            && version == Version::HTTP_11
            && !matches!(body, BodyLength::None | BodyLength::Length(0))
    }

    /// Whether the client asks for another protocol; in HTTP/1.0 it is ignored (RFC 9110, section 7.8).
    pub(super) fn upgrades(&self, version: Version) -> bool {
        self.upgrade && self.upgrade_option && version == Version::HTTP_11
    }
}

/// Whether the name is `host`, which every head has: all four letters are compared at once, and the bit that sets is
/// what tells their cases apart.
fn is_host(name: &[u8]) -> bool {
    name.first_chunk()
        .is_some_and(|&name| u32::from_ne_bytes(name) | 0x2020_2020 == u32::from_ne_bytes(*b"host"))
}

/// Whether more than one space stands before the value of a field, or any white space behind it.
fn is_padded(text: &[u8], name_end: usize, value: &Range<usize>) -> bool {
    !value.is_empty()
        && (!matches!(text[name_end..value.start], [b':'] | [b':', b' ']) || text[value.end] != b'\r')
}

/// A plain decimal number without sign, white space or superfluous zeros.
fn decimal(value: &[u8]) -> Option<u64> {
    match value {
        [] | [b'0', _, ..] => None,
        digits => digits.iter().try_fold(0u64, |number, byte| {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                return None;
            }
            number.checked_mul(10)?.checked_add(u64::from(digit))
        }),
    }
}

fn encoding(value: &[u8]) -> Encoding {
    if value.eq_ignore_ascii_case(b"chunked") {
        Encoding::Chunked
    } else if !value.is_empty() && value.iter().all(|&byte| TOKEN.contains(byte)) {
        Encoding::Unsupported
    } else {
        Encoding::Malformed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals() {
        for (text, number) in [("0", 0), ("7", 7), ("10", 10), ("18446744073709551615", u64::MAX)] {
            assert_eq!(decimal(text.as_bytes()), Some(number));
        }
        for text in
            ["", "00", "01", "+1", "-1", " 1", "1 ", "1,1", "0x1", "1e1", "1.0", "18446744073709551616"]
        {
            assert_eq!(decimal(text.as_bytes()), None, "{text}");
        }
    }
}
