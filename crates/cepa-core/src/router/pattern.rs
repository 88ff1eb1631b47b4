//! Route patterns: `/users/{id:int}`, `/{from}-{to}`, `/files/{*path}`.

mod error;
mod parse;

use std::{fmt, str::FromStr, sync::Arc};

pub use error::{PatternError, PatternFault};

use super::{params::ParamNames, segment::Segment};

/// The parsed path of a route.
///
/// A pattern starts with `/` and is made of segments between slashes:
///
/// | in a pattern | matches |
/// | --- | --- |
/// | `users` | these bytes |
/// | `{id}` | one or more bytes of one segment |
/// | `{id:int}` `{id:uuid}` `{name:alpha}` `{post:slug}` | the same, only `[0-9]`, a UUID, `[A-Za-z]`, `[a-z0-9-]` |
/// | `{from}-{to}`, `v{major}.json` | literals and parameters in one segment; earlier parameters take as much as they can |
/// | `{*path}` | one or more bytes, slashes kept; a segment of its own, once in a pattern, anywhere |
/// | `{{` and `}}` | a literal brace |
///
/// Names are `[A-Za-z_][A-Za-z0-9_]*` and unique in a pattern. A pattern has at most
/// [`MAX_PATTERN_LEN`](super::MAX_PATTERN_LEN) bytes and [`MAX_PARAMS`](super::MAX_PARAMS) parameters.
///
/// Literals are compared with the *raw* request path, byte by byte. A literal is therefore kept as
/// clients send it: what the path percent-encode set of the WHATWG URL standard (1.3) holds, such as
/// spaces, braces and non-ASCII characters, is percent-encoded with upper-case digits. Escapes
/// already in the pattern stay as they are.
///
/// ```
/// use cepa_core::router::Pattern;
///
/// let show = Pattern::parse("/users/{id:int}")?;
/// assert_eq!(show.url(&[("id", "42"), ("tab", "posts")])?, "/users/42?tab=posts");
///
/// let error = Pattern::parse("/users/:id").unwrap_err();
/// assert_eq!(error.to_string(), r#"route pattern "/users/:id", byte 7: a segment cannot start with ":"; write {name} for a parameter, {*name} for the rest of the path"#);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Pattern {
    text: Box<str>,
    segments: Box<[Segment]>,
    names: ParamNames,
}

impl Pattern {
    /// Parses the text of a pattern; an error says what is wrong, where, and what to write instead.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        parse::parse(text)
    }

    /// The text the pattern was parsed from.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The names of the parameters, in the order they stand in the pattern.
    pub fn names(&self) -> &ParamNames {
        &self.names
    }

    /// Whether a [`Tree`](super::Tree) would ask this pattern before another that matches the same path.
    pub(super) fn is_more_specific(&self, than: &Self) -> bool {
        let rest = (self.segments.len(), than.segments.len());
        for pair in self.segments.iter().zip(&than.segments) {
            match pair {
                // Both are that part of the path, maybe in another case.
                (Segment::Literal(_), Segment::Literal(_)) => {}
                // The one with more segments after it comes first.
                (Segment::Rest, Segment::Rest) if rest.0 != rest.1 => return rest.0 > rest.1,
                (one, other) if one != other => return one < other,
                _ => {}
            }
        }
        false
    }

    pub(super) fn segments(&self) -> &[Segment] {
        &self.segments
    }

    fn new(text: &str, segments: Vec<Segment>, names: Vec<Box<str>>) -> Self {
        Self { text: text.into(), segments: segments.into(), names: Arc::from(names) }
    }
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        Self::parse(text)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pattern").field(&self.text).finish()
    }
}
