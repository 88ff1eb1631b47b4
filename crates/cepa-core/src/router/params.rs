//! What a match has bound: the values of a pattern's parameters, as spans of the request path.

use std::{borrow::Cow, fmt, iter::zip, ops::Range, sync::Arc};

use super::MAX_PARAMS;
use crate::percent;

/// The names of a pattern's parameters in order, shared by the pattern and every match of it.
pub type ParamNames = Arc<[Box<str>]>;

/// Where the values of a match stand in the path, in the order of the pattern's parameters.
///
/// The offsets are bytes from the start of the path that was matched. The type owns no memory:
/// it is made on the stack, filled by a [`Tree`](super::Tree), and copied to where it is kept.
#[derive(Clone, Copy)]
pub struct ParamSpans {
    len: u8,
    spans: [(u32, u32); MAX_PARAMS],
}

impl ParamSpans {
    /// No values.
    pub const fn new() -> Self {
        Self { len: 0, spans: [(0, 0); MAX_PARAMS] }
    }

    /// The start and the end of each value.
    pub fn as_slice(&self) -> &[(u32, u32)] {
        &self.spans[..usize::from(self.len)]
    }

    /// Takes over the values of another match; copies those only, as most matches have few.
    #[inline]
    pub(crate) fn copy_from(&mut self, other: &Self) {
        self.len = other.len;
        for (span, other) in zip(&mut self.spans, other.as_slice()) {
            *span = *other;
        }
    }

    pub(super) fn truncate(&mut self, len: usize) {
        debug_assert!(len <= MAX_PARAMS, "a pattern has no more than MAX_PARAMS parameters");
        self.len = len.min(MAX_PARAMS) as u8;
    }

    /// Sets a value beyond or below the length; [`truncate`](Self::truncate) says which count.
    ///
    /// A tree only looks into paths whose offsets fit in 32 bits.
    pub(super) fn set(&mut self, index: usize, span: Range<usize>) {
        self.spans[index] = (span.start as u32, span.end as u32);
    }
}

impl Default for ParamSpans {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for ParamSpans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// The parameters of a matched route: names, and values in the path they were matched in.
///
/// A view that is free to make and to copy; values are decoded only when they are asked for.
///
/// ```
/// use cepa_core::router::{ParamSpans, Params, Pattern, Tree};
///
/// let mut tree = Tree::default();
/// let pattern = Pattern::parse("/{org}/{*file}")?;
/// let names = pattern.names().clone();
/// tree.insert(&pattern, "show").unwrap();
///
/// let path = "/cepa/src/caf%C3%A9.rs";
/// let mut spans = ParamSpans::new();
/// assert_eq!(tree.get(path, &mut spans), Some(&"show"));
///
/// let params = Params::new(&names, &spans, path);
/// assert_eq!(params.get("org"), Some("cepa"));
/// assert_eq!(params.get("file"), Some("src/caf%C3%A9.rs"));
/// assert_eq!(params.decoded("file").as_deref(), Some("src/café.rs"));
/// assert_eq!(params.get("nobody"), None);
/// # Ok::<(), cepa_core::router::PatternError>(())
/// ```
#[derive(Clone, Copy, Default)]
pub struct Params<'a> {
    names: &'a [Box<str>],
    spans: &'a [(u32, u32)],
    path: &'a str,
}

impl<'a> Params<'a> {
    /// Joins the names of the pattern that matched, the spans of that match, and the path matched.
    ///
    /// A span that does not fit the path, because it is another path, has no value.
    pub fn new(names: &'a ParamNames, spans: &'a ParamSpans, path: &'a str) -> Self {
        Self { names, spans: spans.as_slice(), path }
    }

    /// The value of `name` as it stands in the path, still percent-encoded.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        let index = self.names.iter().position(|known| **known == *name)?;
        self.value(*self.spans.get(index)?)
    }

    /// The value of `name`, percent-decoded; one that does not decode to UTF-8 is left as it is.
    ///
    /// A decoded value may hold any character, slashes, `..` and control characters included.
    pub fn decoded(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).map(percent::decode_component)
    }

    /// Names and decoded values, in the order of the pattern.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> + use<'a> {
        let this = *self;
        zip(this.names, this.spans)
            .filter_map(move |(name, &span)| Some((&**name, percent::decode_component(this.value(span)?))))
    }

    /// How many parameters there are.
    pub fn len(&self) -> usize {
        self.names.len().min(self.spans.len())
    }

    /// Whether the route has no parameters.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn value(&self, (start, end): (u32, u32)) -> Option<&'a str> {
        self.path.get(start as usize..end as usize)
    }
}

impl fmt::Debug for Params<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.iter()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::router::{Pattern, Tree};

    #[test]
    fn values_come_in_the_order_of_the_pattern() {
        let pattern = Pattern::parse("/{b}/{a}-{c}").unwrap();
        let mut tree = Tree::default();
        tree.insert(&pattern, ()).unwrap();
        let mut spans = ParamSpans::new();
        let path = "/1/x%2Fy-%E0%A4";
        tree.get(path, &mut spans).unwrap();
        let params = Params::new(pattern.names(), &spans, path);
        let all: Vec<_> = params.iter().collect();
        assert_eq!(all, [("b", "1".into()), ("a", "x/y".into()), ("c", "%E0%A4".into())]);
        assert_eq!(params.len(), 3);
        assert_eq!(params.get("a"), Some("x%2Fy"));
        assert_eq!(format!("{params:?}"), r#"{"b": "1", "a": "x/y", "c": "%E0%A4"}"#);
    }

    #[test]
    fn no_route_has_no_parameters_and_a_foreign_path_no_values() {
        assert!(Params::default().is_empty());
        assert_eq!(Params::default().get("id"), None);
        let names: ParamNames = Arc::from([Box::from("id")]);
        let mut spans = ParamSpans::new();
        spans.set(0, 4..6);
        spans.truncate(1);
        assert_eq!(Params::new(&names, &spans, "/abé").get("id"), None, "outside the path");
        assert_eq!(Params::new(&names, &spans, "/abéé").get("id"), None, "inside a character");
        assert_eq!(Params::new(&names, &spans, "/abcdef").decoded("id").as_deref(), Some("de"));
    }
}
