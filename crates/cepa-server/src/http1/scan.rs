//! The careful reading of a head that has not come in one piece or is broken: finds where to decide, and why.
//!
//! [`decode_head`](super::decode_head) parses a head that is whole at once and never comes here. All other
//! bytes are looked at once, in order, by [`HeadScan`], however they are cut; the parser runs again only when the
//! scan has found the one place that decides. So a head that trickles in costs linear time,
//! and the same bytes get the same answer in every cut.

use super::Reject;
use super::bounds::{HeadLimits, LONGEST_METHOD};
use super::lines::{Fault, TOKEN};

/// How far the search for the end of a head has come.
///
/// Keep one per connection and hand it to [`decode_head`](super::decode_head) with the same unconsumed bytes
/// (and more) each time; it resets itself at the end of a head. A fresh one is always correct, only slower.
///
/// Four bytes each, since every idle connection has one: a head of 4 GiB is past any limit.
#[derive(Debug, Clone, Default)]
pub struct HeadScan {
    seen: u32,
    line: u32,
    start: u32,
}

/// A [`HeadScan`] at work.
struct Search {
    /// Bytes looked at; the next look starts here.
    seen: usize,
    /// Length of the request line with its CRLF; 0 until it is complete.
    line: usize,
    /// Where the current line starts.
    start: usize,
}

/// The place that decides about a head: all bytes before `at` are needed to judge it, and no others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stop {
    pub(super) at: usize,
    /// What is wrong there if the bytes before it are in order; `None`: the head ends there.
    pub(super) fault: Option<Reject>,
}

impl HeadScan {
    /// Whether no byte has been looked at.
    pub(super) fn is_fresh(&self) -> bool {
        self.seen == 0
    }

    /// Looks at the bytes that are new; `text` starts at the request line.
    pub(super) fn advance(&mut self, text: &[u8], limits: &HeadLimits) -> Option<Stop> {
        let [seen, line, start] = [self.seen, self.line, self.start].map(|at| at as usize);
        let mut search = Search { seen, line, start };
        let stop = search.advance(text, limits);
        let [seen, line, start] = [search.seen, search.line, search.start].map(|at| at as u32);
        *self = Self { seen, line, start };
        stop
    }
}

impl Search {
    fn advance(&mut self, text: &[u8], limits: &HeadLimits) -> Option<Stop> {
        loop {
            let end = if self.line == 0 {
                limits.request_line
            } else {
                self.line.saturating_add(limits.header_bytes)
            };
            let end = end.min(u32::MAX as usize);
            let window = &text[..text.len().min(end)];
            let rest = window.get(self.seen..).unwrap_or_default();
            let found = rest.iter().position(|&byte| (byte < b' ' && byte != b'\t') || byte == 0x7f);
            self.seen += found.unwrap_or(rest.len());
            let (length, fault) = match window.get(self.seen..).unwrap_or_default() {
                [b'\r', b'\n', ..] if self.line == 0 => {
                    self.seen += 2;
                    self.line = self.seen;
                    self.start = self.seen;
                    continue;
                }
                [b'\r', b'\n', ..] if self.start == self.seen => (2, None),
                [b'\r', b'\n', ..] => {
                    self.seen += 2;
                    self.start = self.seen;
                    continue;
                }
                [] | [b'\r'] if window.len() < end => return None,
                [] | [b'\r'] => return Some(self.limit(window)),
                [b'\r', ..] => (2, Some(Reject::BareCr)),
                [b'\n', ..] => (1, Some(Reject::BareLf)),
                _ => (1, Some(Reject::ControlByte)),
            };
            return Some(Stop { at: self.seen + length, fault });
        }
    }

    /// The stop at the end of a window that is full.
    fn limit(&self, window: &[u8]) -> Stop {
        let fault = if self.line > 0 {
            Reject::FieldsTooLarge
        } else if window.iter().take(LONGEST_METHOD + 1).any(|&byte| byte == b' ') {
            Reject::TargetTooLong
        } else {
            Reject::MethodTooLong
        };
        Stop { at: window.len(), fault: Some(fault) }
    }
}

/// Names what is wrong with these bytes; `None` if one more byte may still change it.
pub(super) fn explain(text: &[u8], fault: Fault) -> Option<Reject> {
    match fault {
        Fault::Token => Some(explain_token(text)),
        Fault::Version => explain_version(text),
        Fault::LineEnd => Some(explain_line_end(text)),
        Fault::Name => Some(explain_name(text)),
        Fault::Value => Some(Reject::FieldValue),
        Fault::TooMany => Some(Reject::TooManyFields),
    }
}

/// No version, no target, or no method.
fn explain_token(text: &[u8]) -> Reject {
    let method = text.iter().take_while(|&&byte| TOKEN.contains(byte)).count();
    if method > LONGEST_METHOD {
        return Reject::MethodTooLong;
    }
    if method == 0 || text.get(method) != Some(&b' ') {
        return Reject::Method;
    }
    let target = text[method + 1..].iter().take_while(|&&byte| byte > b' ' && byte != 0x7f).count();
    match text.get(method + 1 + target) {
        Some(b'\r' | b'\n') if target > 0 => Reject::Version,
        _ => Reject::Target,
    }
}

/// A version that is not 1.0 or 1.1: well formed with its line end, malformed, or not all there.
fn explain_version(text: &[u8]) -> Option<Reject> {
    const SHAPE: &[u8] = b"HTTP/0.0\r\n";
    let version = after_target(text);
    let fits = version.iter().zip(SHAPE).all(|(byte, shape)| match shape {
        b'0' => byte.is_ascii_digit(),
        _ => byte == shape,
    });
    match fits {
        false => Some(Reject::Version),
        true if version.len() < SHAPE.len() => None,
        true => Some(Reject::VersionUnsupported),
    }
}

/// Something else than CRLF after the version, or a CR alone where the head could have ended.
fn explain_line_end(text: &[u8]) -> Reject {
    if after_target(text).get("HTTP/1.1".len()) == Some(&b'\r') { Reject::BareCr } else { Reject::Version }
}

/// What is wrong with the first field line that has no proper name.
fn explain_name(text: &[u8]) -> Reject {
    for line in text.split(|&byte| byte == b'\n').skip(1) {
        let name = line.iter().take_while(|&&byte| TOKEN.contains(byte)).count();
        match line.get(name) {
            Some(b':') if name > 0 => {}
            Some(b' ' | b'\t') if name > 0 => return Reject::SpaceBeforeColon,
            Some(b' ' | b'\t') => return Reject::FoldedLine,
            _ => return Reject::FieldName,
        }
    }
    Reject::FieldName
}

/// The rest of the text after the second space.
fn after_target(text: &[u8]) -> &[u8] {
    text.splitn(3, |&byte| byte == b' ').nth(2).unwrap_or_default()
}
