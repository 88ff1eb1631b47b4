//! What one segment of a pattern accepts: parameter kinds, and literals mixed with parameters.

use std::{cmp::Reverse, ops::Range};

use super::MAX_PARAMS;

/// One part of a pattern between two slashes. The derived order is the order of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Segment {
    /// Exactly these bytes; empty only as the last segment, for a pattern that ends with a slash.
    Literal(Box<str>),
    /// Literals and parameters in one segment.
    Mixed(Mixed),
    /// `{name}` alone.
    One(Kind),
    /// `{*name}`: one or more bytes, slashes included.
    Rest,
}

/// What the text of a parameter must look like. The order is the order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// 8-4-4-4-12 hexadecimal digits in either case (RFC 9562, section 4).
    Uuid,
    /// ASCII digits.
    Int,
    /// ASCII letters.
    Alpha,
    /// ASCII lower-case letters, digits and `-`.
    Slug,
    /// Anything but a slash.
    Any,
}

const UUID_LEN: usize = 36;

impl Kind {
    /// The kind a constraint names, as in `{id:int}`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "int" => Self::Int,
            "uuid" => Self::Uuid,
            "slug" => Self::Slug,
            "alpha" => Self::Alpha,
            _ => return None,
        })
    }

    /// Whether `value`, which holds no slash, is one or more bytes of this kind.
    pub(super) fn accepts(self, value: &[u8]) -> bool {
        match self {
            Self::Any => !value.is_empty(),
            Self::Uuid => is_uuid(value),
            _ => !value.is_empty() && value.iter().all(|&byte| self.has(byte)),
        }
    }

    /// Whether a value of this kind may contain `byte`.
    fn has(self, byte: u8) -> bool {
        match self {
            Self::Any => true,
            Self::Int => byte.is_ascii_digit(),
            Self::Alpha => byte.is_ascii_alphabetic(),
            Self::Slug => matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'),
            Self::Uuid => byte.is_ascii_hexdigit() || byte == b'-',
        }
    }
}

fn is_uuid(value: &[u8]) -> bool {
    value.len() == UUID_LEN
        && value.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A segment of literals and parameters, such as `{from}-{to}` or `v{major:int}.json`.
///
/// The derived order is the order of precedence: more literal bytes first, then more constrained
/// parameters, then more literal bytes in front; what remains only makes the order total.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Mixed {
    literal_len: Reverse<usize>,
    constrained: Reverse<usize>,
    head_len: Reverse<usize>,
    head: Box<str>,
    /// Each parameter with the literal after it, which is empty only after the last.
    params: Box<[(Kind, Box<str>)]>,
}

impl Mixed {
    pub(super) fn new(head: &str, params: Vec<(Kind, String)>) -> Self {
        let literal_len = head.len() + params.iter().map(|(_, after)| after.len()).sum::<usize>();
        let constrained = params.iter().filter(|(kind, _)| *kind != Kind::Any).count();
        Self {
            literal_len: Reverse(literal_len),
            constrained: Reverse(constrained),
            head_len: Reverse(head.len()),
            head: head.into(),
            params: params.into_iter().map(|(kind, after)| (kind, after.into())).collect(),
        }
    }

    pub(super) fn head(&self) -> &str {
        &self.head
    }

    pub(super) fn params(&self) -> &[(Kind, Box<str>)] {
        &self.params
    }

    pub(super) fn to_ascii_lowercase(&self) -> Self {
        let params = self.params.iter().map(|(kind, after)| (*kind, after.to_ascii_lowercase())).collect();
        Self::new(&self.head.to_ascii_lowercase(), params)
    }

    /// Matches a whole segment and reports the range of each parameter within it.
    ///
    /// Of several ways to match, the one that makes the first parameter longest wins, then the
    /// second, and so on. Time is linear in `segment.len()` times the bytes of this pattern.
    pub(super) fn fit(
        &self,
        segment: &[u8],
        ignore_case: bool,
        bind: impl FnMut(usize, Range<usize>),
    ) -> bool {
        literal_at(segment, 0, &self.head, ignore_case)
            && Fit { mixed: self, segment, ignore_case, tried: [usize::MAX; MAX_PARAMS], bind }
                .from(0, self.head.len())
    }
}

/// Whether `segment` holds `literal` at `at`.
fn literal_at(segment: &[u8], at: usize, literal: &str, ignore_case: bool) -> bool {
    let Some(found) = segment.get(at..at + literal.len()) else { return false };
    if ignore_case { found.eq_ignore_ascii_case(literal.as_bytes()) } else { found == literal.as_bytes() }
}

/// One attempt to lay a [`Mixed`] over a segment: backtracking that never looks at a place twice.
///
/// For each parameter the starts that are tried only ever go down, because ends are tried from the
/// longest to the shortest. When a run of allowed bytes reaches the start tried before, every end
/// beyond that start has been tried and failed (any part of a run is a run), so the search of a run
/// stops there. So each parameter meets each byte once.
struct Fit<'m, F> {
    mixed: &'m Mixed,
    segment: &'m [u8],
    ignore_case: bool,
    /// For each parameter the lowest start that has failed.
    tried: [usize; MAX_PARAMS],
    bind: F,
}

impl<F: FnMut(usize, Range<usize>)> Fit<'_, F> {
    /// Matches the parameters from `level` on against the segment from `start` on.
    fn from(&mut self, level: usize, start: usize) -> bool {
        let (kind, after) = &self.mixed.params[level];
        let limit = self.segment.len().min(self.tried[level]);
        self.tried[level] = start;
        if level + 1 == self.mixed.params.len() {
            return self.last(*kind, after, start, limit);
        }
        let ends = match kind {
            Kind::Uuid => {
                let end = start + UUID_LEN;
                if !self.segment.get(start..end).is_some_and(is_uuid) {
                    return false;
                }
                end..=end
            }
            _ => start + 1..=start + self.run(*kind, start, limit),
        };
        for end in ends.rev() {
            if literal_at(self.segment, end, after, self.ignore_case)
                && self.from(level + 1, end + after.len())
            {
                (self.bind)(level, start..end);
                return true;
            }
        }
        false
    }

    /// The last parameter has one possible end: where the literal after it closes the segment.
    fn last(&mut self, kind: Kind, after: &str, start: usize, limit: usize) -> bool {
        let Some(end) = self.segment.len().checked_sub(after.len()) else { return false };
        // A run that reaches the start tried before would fail at the byte where that one failed.
        let fits = match kind {
            Kind::Uuid => self.segment.get(start..end).is_some_and(is_uuid),
            _ => start < end && end <= limit && self.run(kind, start, end) == end - start,
        };
        if fits && literal_at(self.segment, end, after, self.ignore_case) {
            (self.bind)(self.mixed.params.len() - 1, start..end);
            return true;
        }
        false
    }

    /// How many bytes from `start` on, up to `limit`, may be part of a value of `kind`.
    fn run(&self, kind: Kind, start: usize, limit: usize) -> usize {
        let window = self.segment.get(start..limit).unwrap_or_default();
        window.iter().position(|&byte| !kind.has(byte)).unwrap_or(window.len())
    }
}

/// Whether clients resolve this segment away before they send a path (WHATWG URL, 4.4).
pub(super) fn is_dot_segment(segment: &str) -> bool {
    [".", "..", "%2e", ".%2e", "%2e.", "%2e%2e"].iter().any(|dots| segment.eq_ignore_ascii_case(dots))
}
