//! From parameter values back to a path, and pairs to a query.

use std::fmt;

use super::{
    pattern::Pattern,
    segment::{Kind, Segment, is_dot_segment},
};
use crate::{form, percent};

/// Why a pattern could not be filled.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UrlError {
    /// No value was given for a parameter.
    Missing {
        /// The pattern.
        pattern: Box<str>,
        /// The parameter.
        name: Box<str>,
    },
    /// More values were given by position than the pattern has parameters.
    Surplus {
        /// The pattern.
        pattern: Box<str>,
        /// How many parameters it has.
        expected: usize,
        /// How many values there were.
        given: usize,
    },
    /// With this value the URL would not lead back to the pattern.
    Value {
        /// The pattern.
        pattern: Box<str>,
        /// The parameter.
        name: Box<str>,
        /// What is wrong with the value.
        why: &'static str,
    },
}

impl fmt::Display for UrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing { pattern, name } => {
                write!(f, "a URL for {pattern:?} needs a value for parameter {name:?}")
            }
            Self::Surplus { pattern, expected, given } => {
                write!(f, "a URL for {pattern:?} takes {expected} values by position, {given} were given")
            }
            Self::Value { pattern, name, why } => {
                write!(f, "a URL for {pattern:?} cannot take this value for parameter {name:?}: {why}")
            }
        }
    }
}

impl std::error::Error for UrlError {}

impl Pattern {
    /// The path for these parameter values; pairs the pattern does not name become the query.
    ///
    /// Values are percent-encoded as JavaScript's `encodeURIComponent` does, that of `{*name}` keeps
    /// its slashes. Of two pairs for one parameter the first counts; query pairs keep their order and
    /// may repeat (see [`append_query`]).
    ///
    /// The path always matches the pattern and always stays on the site, or it is an error: a value
    /// that is missing, is empty, is not of its kind (`{id:int}`), makes a `.` or `..` segment (clients
    /// resolve these), or makes the path start with `//` (clients take a host from it).
    ///
    /// ```
    /// use cepa_core::router::Pattern;
    ///
    /// let pattern = Pattern::parse("/users/{id}/files/{*path}")?;
    /// let url = pattern.url(&[("id", "a b/c"), ("path", "x/é"), ("page", "2")])?;
    /// assert_eq!(url, "/users/a%20b%2Fc/files/x/%C3%A9?page=2");
    /// assert!(pattern.url(&[("id", "..")]).is_err());
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn url(&self, params: &[(&str, &str)]) -> Result<String, UrlError> {
        let value = |_, name: &str| params.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
        let mut url = self.fill(value)?;
        let named = |key: &str| self.names().iter().any(|name| **name == *key);
        append_query(&mut url, params.iter().copied().filter(|(key, _)| !named(key)));
        Ok(url)
    }

    /// The path for values in the order of the pattern's parameters; the rules are those of [`url`](Self::url).
    pub fn url_positional(&self, values: &[&str]) -> Result<String, UrlError> {
        let (expected, given) = (self.names().len(), values.len());
        if given > expected {
            return Err(UrlError::Surplus { pattern: self.as_str().into(), expected, given });
        }
        self.fill(|index, _| values.get(index).copied())
    }

    fn fill<'v>(&self, value: impl Fn(usize, &str) -> Option<&'v str>) -> Result<String, UrlError> {
        let mut fill =
            Fill { pattern: self, value, url: String::with_capacity(2 * self.as_str().len()), next: 0 };
        for segment in self.segments() {
            fill.segment(segment)?;
        }
        if fill.url.starts_with("//") {
            return Err(fill.refused(0, "it would make the path start with \"//\""));
        }
        Ok(fill.url)
    }
}

/// A URL in the making.
struct Fill<'p, F> {
    pattern: &'p Pattern,
    value: F,
    url: String,
    /// The parameter that comes next.
    next: usize,
}

impl<'v, F: Fn(usize, &str) -> Option<&'v str>> Fill<'_, F> {
    fn segment(&mut self, segment: &Segment) -> Result<(), UrlError> {
        self.url.push('/');
        let from = self.url.len();
        match segment {
            Segment::Literal(text) => {
                self.url.push_str(text);
                return Ok(());
            }
            Segment::One(kind) => self.param(*kind)?,
            Segment::Mixed(mixed) => {
                self.url.push_str(mixed.head());
                for (kind, after) in mixed.params() {
                    self.param(*kind)?;
                    self.url.push_str(after);
                }
            }
            Segment::Rest => {
                let value = self.take()?;
                percent::push_component(&mut self.url, value, true);
            }
        }
        if self.url[from..].split('/').any(is_dot_segment) {
            return Err(self.refused(self.next - 1, "it would make a \".\" or \"..\" segment"));
        }
        Ok(())
    }

    fn param(&mut self, kind: Kind) -> Result<(), UrlError> {
        let value = self.take()?;
        if !kind.accepts(value.as_bytes()) {
            return Err(self.refused(self.next - 1, "it is not of the kind the pattern asks for"));
        }
        percent::push_component(&mut self.url, value, false);
        Ok(())
    }

    /// The value of the next parameter, which is not empty.
    fn take(&mut self) -> Result<&'v str, UrlError> {
        let index = self.next;
        self.next += 1;
        let name = &self.pattern.names()[index];
        match (self.value)(index, name) {
            Some("") => Err(self.refused(index, "it is empty")),
            Some(value) => Ok(value),
            None => Err(UrlError::Missing { pattern: self.pattern.as_str().into(), name: name.clone() }),
        }
    }

    fn refused(&self, index: usize, why: &'static str) -> UrlError {
        UrlError::Value {
            pattern: self.pattern.as_str().into(),
            name: self.pattern.names()[index].clone(),
            why,
        }
    }
}

/// Appends pairs to a URL as its query, or to the query it has.
///
/// Encoding is application/x-www-form-urlencoded (WHATWG URL, 5.2): `a=1&b=x+y`. No pairs append
/// nothing. The URL must not have a fragment.
///
/// ```
/// let mut url = String::from("/users/3");
/// cepa_core::router::append_query(&mut url, [("limit", "1"), ("q", "x y")]);
/// assert_eq!(url, "/users/3?limit=1&q=x+y");
/// ```
pub fn append_query<'p>(url: &mut String, pairs: impl IntoIterator<Item = (&'p str, &'p str)>) {
    let mut separator = match url.find('?') {
        None => Some('?'),
        Some(mark) if mark + 1 == url.len() || url.ends_with('&') => None,
        Some(_) => Some('&'),
    };
    for (key, value) in pairs {
        url.extend(separator.replace('&'));
        form::push_pair(url, key, value);
    }
}

#[cfg(test)]
mod tests;
