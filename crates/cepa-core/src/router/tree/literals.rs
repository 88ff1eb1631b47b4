//! The literal children of a node: a hash table from a segment to the nodes it may lead to.

/// An open-addressing table from the hash of a label to a node; never more than half full.
///
/// It holds no labels: the caller compares the label of the node, which it reads next anyway. Only
/// patterns fill the table, so no request can make its chains longer.
#[derive(Clone, Debug, Default)]
pub(super) struct Literals {
    /// A power of two of slots, or none.
    slots: Box<[Slot]>,
    len: usize,
}

#[derive(Clone, Copy, Debug, Default)]
struct Slot {
    hash: u32,
    /// 0, which is the root and nobody's child, marks a free slot.
    child: u32,
}

impl Literals {
    /// Adds a child that is not in the table.
    pub(super) fn insert(&mut self, hash: u32, child: u32) {
        self.len += 1;
        if self.len * 2 > self.slots.len() {
            let grown = vec![Slot::default(); (self.len * 2).next_power_of_two()].into_boxed_slice();
            for slot in std::mem::replace(&mut self.slots, grown) {
                if slot.child != 0 {
                    self.put(slot);
                }
            }
        }
        self.put(Slot { hash, child });
    }

    fn put(&mut self, slot: Slot) {
        let mask = self.slots.len() - 1;
        let mut at = slot.hash as usize & mask;
        while self.slots[at].child != 0 {
            at = (at + 1) & mask;
        }
        self.slots[at] = slot;
    }

    /// The children whose label has this hash.
    pub(super) fn candidates(&self, hash: u32) -> impl Iterator<Item = u32> {
        let mask = self.slots.len().wrapping_sub(1);
        let mut at = hash as usize;
        std::iter::from_fn(move || {
            loop {
                let slot = self.slots.get(at & mask)?;
                at += 1;
                if slot.child == 0 {
                    return None;
                }
                if slot.hash == hash {
                    return Some(slot.child);
                }
            }
        })
    }
}

/// The end of the segment that starts at `from`, and the hash of its bytes in either ASCII case.
///
/// FNV-1a, folding the bit that tells ASCII cases apart: `@` meets the backquote there, which costs
/// a comparison and no mistake.
pub(super) fn scan_segment(path: &[u8], from: usize) -> (usize, u32) {
    let mut hash = 0x811c_9dc5_u32;
    let mut end = from;
    for &byte in &path[from..] {
        if byte == b'/' {
            break;
        }
        hash = (hash ^ u32::from(byte | 0x20)).wrapping_mul(0x0100_0193);
        end += 1;
    }
    (end, hash)
}
