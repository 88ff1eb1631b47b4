//! The memory in which field values lie.

use std::cell::RefCell;

use bytes::{Bytes, BytesMut};

/// Heads are copied one behind the other into pieces of this size. While a request lives, so does the piece
/// that its head lies in; this bounds what one that is parked for hours can hold.
const PIECE: usize = 4 * 1024;

/// A head longer than this gets memory of its own.
const SHARED: usize = PIECE / 2;

thread_local! {
    static STORE: RefCell<BytesMut> = RefCell::new(BytesMut::new());
}

/// A copy of `text` to take slices of.
///
/// Once all heads in a piece are gone, its memory is used again: requests that are answered one after
/// the other allocate nothing here.
pub(super) fn copy(text: &[u8]) -> Bytes {
    if text.len() > SHARED {
        return Bytes::copy_from_slice(text);
    }
    STORE.with_borrow_mut(|store| {
        if store.capacity() < text.len() {
            store.reserve(PIECE);
        }
        store.extend_from_slice(text);
        store.split().freeze()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_do_not_touch_each_other() {
        let texts: Vec<Vec<u8>> = (0..200u8).map(|at| vec![at; usize::from(at) * 20]).collect();
        let copies: Vec<Bytes> = texts.iter().map(|text| copy(text)).collect();
        assert!(texts.iter().zip(&copies).all(|(text, copy)| text == copy));
    }

    #[test]
    fn memory_is_used_again() {
        let first = copy(b"first").as_ptr() as usize;
        let near = (0..10_000).filter(|_| (copy(&[b'x'; 100]).as_ptr() as usize).abs_diff(first) < 2 * PIECE);
        assert!(near.count() > 9_000);
    }
}
