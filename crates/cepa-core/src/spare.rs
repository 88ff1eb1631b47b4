//! Memory for headers that is used again: a header map made anew costs two allocations, for each request twice.

use std::cell::RefCell;

use http::HeaderMap;

/// Maps, and lists of fields with their text, that one thread keeps.
const KEPT: usize = 16;
/// Entries for which a kept map or list may have room; one that has grown beyond is given back.
const ROOM: usize = 64;
/// Bytes for which a kept text may have room.
const TEXT: usize = 4 * 1024;

/// The headers as they came; none once the map was changed.
#[derive(Default)]
pub(crate) struct Lines {
    pub(crate) text: Vec<u8>,
    pub(crate) fields: Vec<Field>,
}

/// Where a field lies in the text of all.
#[derive(Clone, Copy)]
pub(crate) struct Field {
    pub(crate) name: (u32, u32),
    pub(crate) value: (u32, u32),
}

impl Lines {
    #[inline]
    pub(crate) fn clear(&mut self) {
        self.text.clear();
        self.fields.clear();
    }
}

thread_local! {
    #[expect(clippy::vec_box, reason = "the boxes are what is kept: requests and responses hold their maps in one")]
    static SPARE: RefCell<Vec<Box<HeaderMap>>> = const { RefCell::new(Vec::new()) };
    static SPARE_LINES: RefCell<Vec<Lines>> = const { RefCell::new(Vec::new()) };
}

/// An empty header map, with the memory of an earlier one if the thread has one to spare.
pub(crate) fn spare_map() -> Box<HeaderMap> {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes a header map that is no longer needed, to be handed out again by [`spare_map`].
pub(crate) fn reuse_map(mut map: Box<HeaderMap>) {
    let room = map.capacity();
    if room == 0 || room > ROOM {
        return;
    }
    map.clear();
    // A thread that ends has no store any more; the map is dropped then.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(map);
        }
    });
}

/// An empty list of fields, and an empty text.
#[inline]
pub(crate) fn spare_lines() -> Lines {
    SPARE_LINES.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes a list of fields and a text that are no longer needed.
#[inline]
pub(crate) fn reuse_lines(mut lines: Lines) {
    let room = lines.fields.capacity();
    if room == 0 || room > ROOM || lines.text.capacity() > TEXT {
        return;
    }
    lines.clear();
    let _ = SPARE_LINES.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(lines);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header::HOST};

    #[test]
    fn a_map_comes_back_empty_and_with_its_room() {
        let mut map = HeaderMap::new();
        map.append(HOST, HeaderValue::from_static("a"));
        map.append(HOST, HeaderValue::from_static("b"));
        let room = map.capacity();
        reuse_map(Box::new(map));
        let again = spare_map();
        assert!(again.is_empty() && again.capacity() == room);
    }

    #[test]
    fn a_map_without_room_or_with_too_much_is_not_kept() {
        reuse_map(Box::default());
        reuse_map(Box::new(HeaderMap::with_capacity(1000)));
        assert_eq!(spare_map().capacity(), 0);
    }

    #[test]
    fn only_so_many_are_kept() {
        for _ in 0..2 * KEPT {
            reuse_map(Box::new(HeaderMap::with_capacity(4)));
        }
        assert_eq!(SPARE.with_borrow(Vec::len), KEPT);
    }
}
