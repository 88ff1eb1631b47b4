//! One lookup in a tree: goes down, and comes back where a branch was wrong.

use std::{cmp::Reverse, ops::Range};

use super::{Branch, Node, TreeOptions, words::Words};
use crate::router::{params::ParamSpans, segment::Kind};

/// One lookup under way.
pub(super) struct Lookup<'a, F> {
    pub(super) options: TreeOptions,
    pub(super) words: Words<'a>,
    pub(super) spans: &'a mut ParamSpans,
    pub(super) accept: F,
}

impl<F> Lookup<'_, F> {
    /// [`walk`](Self::walk), where a choice has to be come back to.
    #[inline(never)]
    fn search<'t, T, R>(&mut self, node: &'t Node<T>, at: usize, bound: usize) -> Option<R>
    where
        F: FnMut(&'t T, &ParamSpans) -> Option<R>,
    {
        self.walk(node, at, bound)
    }

    /// Searches below `node` from the segment that starts at `at`; `bound` parameters are set.
    ///
    /// `at` is past the end of the path when no segment is left, and at its end when one is left that
    /// is empty. Where only one way remains, the loop takes it: most lookups never call `search`, and
    /// so it pays to have the loop inlined in the caller.
    #[inline(always)]
    pub(super) fn walk<'t, T, R>(
        &mut self,
        mut node: &'t Node<T>,
        mut at: usize,
        mut bound: usize,
    ) -> Option<R>
    where
        F: FnMut(&'t T, &ParamSpans) -> Option<R>,
    {
        let (words, options) = (self.words, self.options);
        loop {
            if at >= words.path.len() {
                if (at > words.path.len() || options.lenient_slash)
                    && let Some(value) = &node.value
                {
                    self.spans.truncate(bound);
                    if let Some(found) = (self.accept)(value, self.spans) {
                        return Some(found);
                    }
                }
                if at > words.path.len() {
                    return None;
                }
            }
            let (end, key) = words.segment(at);
            if let Some(child) = node.literals.get(&words.path[at..end], key, options.ignore_case) {
                if node.branches.is_empty() {
                    (node, at) = (child, end + 1);
                    continue;
                }
                if let Some(found) = self.search(child, end + 1, bound) {
                    return Some(found);
                }
            }
            let mut branches = node.branches.iter();
            (node, at, bound) = loop {
                let (branch, child) = branches.next()?;
                let (next_at, next_bound) = match branch {
                    // The most common branch, and only a comparison: not worth a call.
                    Branch::One(Kind::Any) => {
                        if at == end {
                            continue;
                        }
                        self.spans.set(bound, at..end);
                        (end + 1, bound + 1)
                    }
                    _ => match self.bind(branch, at..end, bound) {
                        Some(next) => next,
                        None => continue,
                    },
                };
                if branches.as_slice().is_empty() {
                    break (child, next_at, next_bound);
                }
                if let Some(found) = self.search(child, next_at, next_bound) {
                    return Some(found);
                }
            };
        }
    }

    /// Sets the parameters of a branch if it matches from `segment` on; the result is where the next
    /// segment starts, and how many parameters are set by then.
    #[inline(never)]
    fn bind(&mut self, branch: &Branch, segment: Range<usize>, bound: usize) -> Option<(usize, usize)> {
        let Range { start, end } = segment;
        match branch {
            Branch::One(kind) => {
                if !kind.accepts(&self.words.path[segment]) {
                    return None;
                }
                self.spans.set(bound, start..end);
                Some((end + 1, bound + 1))
            }
            Branch::Mixed(mixed) => {
                let spans = &mut *self.spans;
                let fits = mixed.fit(&self.words.path[segment], self.options.ignore_case, |index, value| {
                    spans.set(bound + index, start + value.start..start + value.end);
                });
                fits.then_some((end + 1, bound + mixed.params().len()))
            }
            Branch::Rest(Reverse(after)) => {
                let end = self.rest_end(*after)?;
                if end <= start {
                    return None;
                }
                self.spans.set(bound, start..end);
                Some((end + 1, bound + 1))
            }
        }
    }

    /// Where a `{*name}` ends that has `after` segments after it.
    fn rest_end(&self, after: usize) -> Option<usize> {
        let mut end = self.words.path.len();
        // A final slash that is optional is none of those segments: no such pattern ends with one.
        if after > 0 && self.options.lenient_slash && self.words.path.ends_with(b"/") {
            end -= 1;
        }
        for _ in 0..after {
            end = self.words.path[..end].iter().rposition(|&byte| byte == b'/')?;
        }
        Some(end)
    }
}
