//! The nodes of the timer wheel: a slab in pages, so that growing neither copies nor leaves room for a double.

use std::{
    cell::{Cell, RefCell},
    task::Waker,
};

/// No node.
pub(super) const NIL: u32 = u32::MAX;
/// A deadline that is not set: ticks of deadlines begin at 1.
pub(super) const UNSET: u32 = 0;
/// A deadline that has passed.
pub(super) const EXPIRED: u32 = u32::MAX;
/// The seat of a node that sits in no bucket: later than every deadline.
pub(super) const UNSEATED: u32 = u32::MAX;

const PAGE: u32 = 256;

/// One entry of the wheel, or a vacant place on the free list.
pub(super) struct Node {
    /// The tick of the deadline, or `UNSET`, or `EXPIRED`.
    pub(super) deadline: Cell<u32>,
    /// The tick whose bucket holds the node: not after the deadline, or `UNSEATED`.
    pub(super) seat: Cell<u32>,
    pub(super) prev: Cell<u32>,
    /// The next node of the bucket; of a vacant place, the next vacant place.
    pub(super) next: Cell<u32>,
    /// Whom to wake; `None` in a vacant place.
    pub(super) waker: Cell<Option<Waker>>,
}

/// All nodes of one wheel, named by index.
pub(super) struct Nodes {
    pages: RefCell<Vec<Box<[Node]>>>,
    free: Cell<u32>,
}

impl Default for Nodes {
    fn default() -> Self {
        Self { pages: RefCell::default(), free: Cell::new(NIL) }
    }
}

impl Nodes {
    /// Looks at one node. `look` must run no foreign code: a waker is cloned, dropped and woken outside.
    pub(super) fn with<T>(&self, index: u32, look: impl FnOnce(&Node) -> T) -> T {
        look(&self.pages.borrow()[(index / PAGE) as usize][(index % PAGE) as usize])
    }

    /// The number of places, vacant ones included: every index is below it.
    pub(super) fn capacity(&self) -> u32 {
        self.pages.borrow().len() as u32 * PAGE
    }

    /// Makes a vacant place an entry without a deadline.
    pub(super) fn claim(&self, waker: Waker) -> u32 {
        if self.free.get() == NIL {
            self.grow();
        }
        let index = self.free.get();
        self.with(index, |node| {
            self.free.set(node.next.replace(NIL));
            node.waker.set(Some(waker));
        });
        index
    }

    /// Makes an unseated entry a vacant place.
    pub(super) fn release(&self, index: u32) {
        let waker = self.with(index, |node| {
            node.deadline.set(UNSET);
            node.next.set(self.free.replace(index));
            node.waker.take()
        });
        drop(waker);
    }

    #[cold]
    fn grow(&self) {
        let first = self.capacity();
        assert!(
            first < NIL - PAGE,
            "a process has fewer than 2^31 descriptors, and so a thread fewer entries"
        );
        let page = (first..first + PAGE).map(|index| Node {
            deadline: Cell::new(UNSET),
            seat: Cell::new(UNSEATED),
            prev: Cell::new(NIL),
            next: Cell::new(if index + 1 < first + PAGE { index + 1 } else { NIL }),
            waker: Cell::new(None),
        });
        self.pages.borrow_mut().push(page.collect());
        self.free.set(first);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_takes_32_bytes() {
        assert!(size_of::<Node>() <= 32, "{}", size_of::<Node>());
    }
}
