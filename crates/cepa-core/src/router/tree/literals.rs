//! The literal children of a node: a hash table from a segment to the node below it.

use super::{
    Node,
    words::{WORD, Words},
};

/// 2^64 divided by the golden ratio: multiplying by it spreads low bits over high ones.
const MIX: u64 = 0x9e37_79b9_7f4a_7c15;

/// An open-addressing table from the key of a label to the node below it; never more than half full.
///
/// Only patterns fill it, so no request can make its chains longer.
#[derive(Clone, Debug)]
pub(super) struct Literals<T> {
    /// A power of two of slots, or none.
    slots: Vec<Option<Literal<T>>>,
    len: usize,
}

#[derive(Clone, Debug)]
struct Literal<T> {
    key: u64,
    label: Box<[u8]>,
    child: Box<Node<T>>,
}

impl<T> Default for Literals<T> {
    fn default() -> Self {
        Self { slots: Vec::new(), len: 0 }
    }
}

impl<T> Literals<T> {
    /// The node below the literal `segment`, whose key is `key`.
    #[inline(always)]
    pub(super) fn get(&self, segment: &[u8], key: u64, ignore_case: bool) -> Option<&Node<T>> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = first_slot(key);
        loop {
            let literal = self.slots.get(at & mask)?.as_ref()?;
            if literal.key == key && literal.is(segment, ignore_case) {
                return Some(&literal.child);
            }
            at = at.wrapping_add(1);
        }
    }

    /// The node below the literal `label`, made if it is not there.
    pub(super) fn get_or_insert(&mut self, label: &[u8], ignore_case: bool) -> &mut Node<T> {
        let (_, key) = Words::new(label, ignore_case).segment(0);
        if self.get(label, key, ignore_case).is_none() {
            self.len += 1;
            if self.len * 2 > self.slots.len() {
                self.grow();
            }
        }
        let at = self.find_slot(key, |literal| literal.is(label, ignore_case));
        let new = || Literal { key, label: label.into(), child: Box::default() };
        &mut self.slots[at].get_or_insert_with(new).child
    }

    fn grow(&mut self) {
        let slots = std::iter::repeat_with(|| None).take((self.len * 2).next_power_of_two()).collect();
        for literal in std::mem::replace(&mut self.slots, slots).into_iter().flatten() {
            let at = self.find_slot(literal.key, |_| false);
            self.slots[at] = Some(literal);
        }
    }

    /// The slot of the literal with `key` that is the `wanted` one, or else the free slot for it.
    fn find_slot(&self, key: u64, wanted: impl Fn(&Literal<T>) -> bool) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = first_slot(key) & mask;
        while self.slots[at].as_ref().is_some_and(|literal| literal.key != key || !wanted(literal)) {
            at = (at + 1) & mask;
        }
        at
    }
}

fn first_slot(key: u64) -> usize {
    (key.wrapping_mul(MIX) >> 32) as usize
}

impl<T> Literal<T> {
    /// Whether this is the literal `segment`, which has the same key.
    fn is(&self, segment: &[u8], ignore_case: bool) -> bool {
        if self.label.len() != segment.len() {
            return false;
        }
        if ignore_case || segment.len() > 2 * WORD {
            return self.is_byte_by_byte(segment, ignore_case);
        }
        let ends = |text: &[u8]| Some((*text.first_chunk::<WORD>()?, *text.last_chunk::<WORD>()?));
        segment.len() <= WORD || ends(&self.label) == ends(segment)
    }

    #[inline(never)]
    fn is_byte_by_byte(&self, segment: &[u8], ignore_case: bool) -> bool {
        if ignore_case { self.label.eq_ignore_ascii_case(segment) } else { *self.label == *segment }
    }
}

#[cfg(test)]
mod tests;
