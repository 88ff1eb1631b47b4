//! The tree of routes: finds the values stored under patterns for a request path.

mod literals;

use std::{cmp::Reverse, ops::Range};

use super::{
    params::ParamSpans,
    pattern::Pattern,
    segment::{Kind, Mixed, Segment},
};
use literals::{Literals, scan_segment};

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
/// once (twice there, if a slash at the end is optional), whatever failed before. In a node the
/// segment is read once for all literals together, and once for each byte of a mixed branch. That
/// bounds a lookup by the length of the path times the size of the tree; a lookup that meets no wrong
/// branch reads the path once. The stack is bounded by the segments of the longest pattern.
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
    nodes: Vec<Node<T>>,
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
    /// The bytes of a literal segment; empty for the root and below a branch.
    label: Box<[u8]>,
    literals: Literals,
    /// What follows besides literals, in order of precedence.
    branches: Vec<(Branch, u32)>,
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

const ROOT: u32 = 0;

impl<T> Default for Tree<T> {
    fn default() -> Self {
        Self::new(TreeOptions::default())
    }
}

impl<T> Node<T> {
    fn new(label: &str) -> Self {
        Self {
            label: label.as_bytes().into(),
            literals: Literals::default(),
            branches: Vec::new(),
            value: None,
        }
    }
}

impl<T> Tree<T> {
    /// An empty tree.
    pub fn new(options: TreeOptions) -> Self {
        Self { options, nodes: vec![Node::new("")] }
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
        let mut node = ROOT;
        for (index, segment) in segments.iter().enumerate() {
            node = match segment {
                Segment::Literal(text) => self.literal(node, text),
                Segment::Mixed(mixed) if self.options.ignore_case => {
                    self.branch(node, Branch::Mixed(mixed.to_ascii_lowercase()))
                }
                Segment::Mixed(mixed) => self.branch(node, Branch::Mixed(mixed.clone())),
                Segment::One(kind) => self.branch(node, Branch::One(*kind)),
                Segment::Rest => self.branch(node, Branch::Rest(Reverse(segments.len() - index - 1))),
            };
        }
        let slot = &mut self.nodes[node as usize].value;
        if let Some(existing) = slot {
            return Err(Conflict { existing, rejected: value });
        }
        *slot = Some(value);
        Ok(())
    }

    /// The child of `node` for a literal, made if it is not there.
    fn literal(&mut self, node: u32, text: &str) -> u32 {
        let label = if self.options.ignore_case { text.to_ascii_lowercase() } else { text.to_owned() };
        let (_, hash) = scan_segment(label.as_bytes(), 0);
        if let Some(child) = self.literal_child(&self.nodes[node as usize], hash, label.as_bytes()) {
            return child;
        }
        let child = self.add(Node::new(&label));
        self.nodes[node as usize].literals.insert(hash, child);
        child
    }

    /// The child of `node` for a branch, made if it is not there.
    fn branch(&mut self, node: u32, branch: Branch) -> u32 {
        let branches = &self.nodes[node as usize].branches;
        match branches.binary_search_by(|(known, _)| known.cmp(&branch)) {
            Ok(at) => branches[at].1,
            Err(at) => {
                let child = self.add(Node::new(""));
                self.nodes[node as usize].branches.insert(at, (branch, child));
                child
            }
        }
    }

    fn add(&mut self, node: Node<T>) -> u32 {
        let index =
            u32::try_from(self.nodes.len()).expect("2^32 nodes need more memory than any machine has");
        self.nodes.push(node);
        index
    }

    fn literal_child(&self, node: &Node<T>, hash: u32, segment: &[u8]) -> Option<u32> {
        node.literals.candidates(hash).find(|&child| {
            let label = &*self.nodes[child as usize].label;
            label == segment || self.options.ignore_case && label.eq_ignore_ascii_case(segment)
        })
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
        path: &str,
        spans: &mut ParamSpans,
        accept: impl FnMut(&'t T, &ParamSpans) -> Option<R>,
    ) -> Option<R> {
        let path = path.as_bytes();
        let found = if path.first() == Some(&b'/') && u32::try_from(path.len()).is_ok() {
            Lookup { tree: self, path, spans, accept }.enter(ROOT, 1, 0)
        } else {
            None
        };
        if found.is_none() {
            spans.truncate(0);
        }
        found
    }
}

/// One lookup under way.
struct Lookup<'t, 'a, T, F> {
    tree: &'t Tree<T>,
    path: &'a [u8],
    spans: &'a mut ParamSpans,
    accept: F,
}

impl<'t, T, R, F: FnMut(&'t T, &ParamSpans) -> Option<R>> Lookup<'t, '_, T, F> {
    /// Searches below `node` from the segment that starts at `at`; `bound` parameters are set.
    ///
    /// `at` is past the end of the path when there is no segment left, and at its end when one is
    /// left that is empty.
    fn enter(&mut self, node: u32, at: usize, bound: usize) -> Option<R> {
        let tree = self.tree;
        let node = &tree.nodes[node as usize];
        let len = self.path.len();
        if at > len {
            return self.offer(node, bound);
        }
        if at == len
            && tree.options.lenient_slash
            && let Some(found) = self.offer(node, bound)
        {
            return Some(found);
        }
        let (end, hash) = scan_segment(self.path, at);
        let segment = &self.path[at..end];
        if let Some(child) = tree.literal_child(node, hash, segment)
            && let Some(found) = self.enter(child, end + 1, bound)
        {
            return Some(found);
        }
        for (branch, child) in &node.branches {
            let found = match branch {
                Branch::One(kind) if kind.accepts(segment) => {
                    self.spans.set(bound, at..end);
                    self.enter(*child, end + 1, bound + 1)
                }
                Branch::Mixed(mixed) if self.fits(mixed, at..end, bound) => {
                    self.enter(*child, end + 1, bound + mixed.params().len())
                }
                Branch::Rest(Reverse(after)) => self.rest(*child, *after, at, bound),
                _ => None,
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    fn offer(&mut self, node: &'t Node<T>, bound: usize) -> Option<R> {
        let value = node.value.as_ref()?;
        self.spans.truncate(bound);
        (self.accept)(value, self.spans)
    }

    fn fits(&mut self, mixed: &Mixed, segment: Range<usize>, bound: usize) -> bool {
        let at = segment.start;
        mixed.fit(&self.path[segment], self.tree.options.ignore_case, |index, value| {
            self.spans.set(bound + index, at + value.start..at + value.end);
        })
    }

    /// Gives a `{*name}` that starts at `at` all but the last `after` segments.
    fn rest(&mut self, child: u32, after: usize, at: usize, bound: usize) -> Option<R> {
        let len = self.path.len();
        if after == 0 {
            return self.rest_until(child, len, at, bound);
        }
        let found = self.tail_start(len, after).and_then(|tail| self.rest_until(child, tail - 1, at, bound));
        if found.is_some() || !self.tree.options.lenient_slash || !self.path.ends_with(b"/") {
            return found;
        }
        self.tail_start(len - 1, after).and_then(|tail| self.rest_until(child, tail - 1, at, bound))
    }

    fn rest_until(&mut self, child: u32, end: usize, at: usize, bound: usize) -> Option<R> {
        if end <= at {
            return None;
        }
        self.spans.set(bound, at..end);
        self.enter(child, end + 1, bound + 1)
    }

    /// Where the last `count` segments of the first `len` bytes of the path start.
    fn tail_start(&self, len: usize, count: usize) -> Option<usize> {
        let mut slashes = self.path[..len].iter().rposition(|&byte| byte == b'/');
        for _ in 1..count {
            slashes = self.path[..slashes?].iter().rposition(|&byte| byte == b'/');
        }
        slashes.map(|slash| slash + 1)
    }
}

#[cfg(test)]
mod tests;
