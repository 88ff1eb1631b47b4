//! The tree of routes: finds the values stored under patterns for a request path.

mod literals;
mod lookup;
mod words;

use std::cmp::Reverse;

use super::{
    params::ParamSpans,
    pattern::Pattern,
    segment::{Kind, Mixed, Segment},
};
use literals::Literals;
use lookup::Lookup;
use words::Words;

/// How a tree compares paths with patterns. The default compares exactly.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TreeOptions {
    /// Literals match in either ASCII case. Constraints and values keep their case.
    pub ignore_case: bool,
    /// One slash at the end is optional, in patterns and in paths. The pattern `/` keeps its own.
    pub lenient_slash: bool,
}

/// Values under patterns, found by path.
///
/// One node per segment. A lookup goes from the most specific to the least specific branch and comes
/// back when a branch turns out wrong, so the first match is the most specific one from left to right:
///
/// 1. a literal segment,
/// 2. literals mixed with parameters; more literal bytes first, then more constrained parameters,
///    then more literal bytes in front,
/// 3. a constrained parameter: `uuid`, `int`, `alpha`, `slug`,
/// 4. `{name}`,
/// 5. `{*name}`; the one with more segments after it first.
///
/// The order in which patterns were inserted makes no difference.
///
/// # Cost
///
/// A lookup takes no memory. Its time does not blow up for any path: a node stands at a fixed
/// distance from the start of the path, or from its end if it is below a `{*name}`, so it is entered
/// at most once, whatever failed before. In a node the segment is read once for all literals together,
/// once for each constraint, and once for each byte of a mixed branch; segments after a `{*name}` are
/// counted from the end of the path. That bounds a lookup by the length of the path times the size of
/// the tree; one that meets no wrong branch reads the path about once. The stack is bounded by the
/// segments of the longest pattern.
///
/// ```
/// use cepa_core::router::{ParamSpans, Pattern, Tree, TreeOptions};
///
/// let mut tree = Tree::new(TreeOptions { lenient_slash: true, ..TreeOptions::default() });
/// for (pattern, value) in [("/users/{id}", "show"), ("/users/new", "new"), ("/{*rest}", "other")] {
///     tree.insert(&Pattern::parse(pattern)?, value).unwrap();
/// }
/// let mut spans = ParamSpans::new();
/// assert_eq!(tree.get("/users/new/", &mut spans), Some(&"new"));
///
/// // All that match, the most specific first.
/// let mut all = Vec::new();
/// tree.find_map("/users/new", &mut spans, |value, _| -> Option<()> {
///     all.push(*value);
///     None
/// });
/// assert_eq!(all, ["new", "show", "other"]);
/// # Ok::<(), cepa_core::router::PatternError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Tree<T> {
    options: TreeOptions,
    root: Node<T>,
}

/// A pattern was inserted that matches the same paths as one that is there.
#[derive(Debug)]
pub struct Conflict<'t, T> {
    /// The value under that pattern.
    pub existing: &'t mut T,
    /// The value that was not inserted.
    pub rejected: T,
}

#[derive(Clone, Debug)]
struct Node<T> {
    literals: Literals<T>,
    /// What follows besides literals, in order of precedence.
    branches: Vec<(Branch, Node<T>)>,
    value: Option<T>,
}

/// A segment that is not a literal. The derived order is the order of precedence.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Branch {
    Mixed(Mixed),
    One(Kind),
    /// `{*name}` with so many segments after it. Counting them here fixes where it ends in a path, so
    /// that no lookup has to try one end after the other.
    Rest(Reverse<usize>),
}

impl<T> Default for Node<T> {
    fn default() -> Self {
        Self { literals: Literals::default(), branches: Vec::new(), value: None }
    }
}

impl<T> Node<T> {
    /// The node below a branch, made if it is not there.
    fn branch(&mut self, branch: Branch) -> &mut Self {
        let at = match self.branches.binary_search_by(|(known, _)| known.cmp(&branch)) {
            Ok(at) => at,
            Err(at) => {
                self.branches.insert(at, (branch, Self::default()));
                at
            }
        };
        &mut self.branches[at].1
    }
}

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self::new(TreeOptions::default())
    }
}

impl<T> Tree<T> {
    /// An empty tree.
    pub fn new(options: TreeOptions) -> Self {
        Self { options, root: Node::default() }
    }

    /// Stores `value` under `pattern`.
    ///
    /// Patterns of one shape conflict: `/a/{x}` and `/a/{y}`, with `ignore_case` also `/a` and `/A`,
    /// with `lenient_slash` also `/a` and `/a/`. The tree is then unchanged, and the conflict lends
    /// the value that is there, to report it or to add to it.
    pub fn insert(&mut self, pattern: &Pattern, value: T) -> Result<(), Conflict<'_, T>> {
        let segments = match pattern.segments() {
            [front @ .., Segment::Literal(last)]
                if self.options.lenient_slash && last.is_empty() && !front.is_empty() =>
            {
                front
            }
            segments => segments,
        };
        let ignore_case = self.options.ignore_case;
        let mut node = &mut self.root;
        for (index, segment) in segments.iter().enumerate() {
            node = match segment {
                Segment::Literal(text) => node.literals.get_or_insert(text.as_bytes(), ignore_case),
                Segment::Mixed(mixed) if ignore_case => {
                    node.branch(Branch::Mixed(mixed.to_ascii_lowercase()))
                }
                Segment::Mixed(mixed) => node.branch(Branch::Mixed(mixed.clone())),
                Segment::One(kind) => node.branch(Branch::One(*kind)),
                Segment::Rest => node.branch(Branch::Rest(Reverse(segments.len() - index - 1))),
            };
        }
        match &mut node.value {
            Some(existing) => Err(Conflict { existing, rejected: value }),
            free => {
                *free = Some(value);
                Ok(())
            }
        }
    }

    /// The value under the most specific pattern that matches; `spans` then holds its parameters.
    ///
    /// A path without a leading `/`, or longer than 4 GiB, matches nothing.
    pub fn get<'t>(&'t self, path: &str, spans: &mut ParamSpans) -> Option<&'t T> {
        self.find_map(path, spans, |value, _| Some(value))
    }

    /// Calls `accept` with every value whose pattern matches, the most specific first, until it
    /// returns something; `spans` then holds the parameters of that match.
    ///
    /// A router asks this way for the first route that has the method of a request, and for the
    /// methods of all routes when none has it.
    pub fn find_map<'t, R>(
        &'t self,
        path: impl AsRef<[u8]>,
        spans: &mut ParamSpans,
        accept: impl FnMut(&'t T, &ParamSpans) -> Option<R>,
    ) -> Option<R> {
        let path = path.as_ref();
        let found = if path.first() == Some(&b'/') && u32::try_from(path.len()).is_ok() {
            let words = Words::new(path, self.options.ignore_case);
            Lookup { options: self.options, words, spans, accept }.walk(&self.root, 1, 0)
        } else {
            None
        };
        if found.is_none() {
            spans.truncate(0);
        }
        found
    }
}

#[cfg(test)]
mod tests;
