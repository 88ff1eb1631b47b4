//! Memory for headers that is used again: a header map made anew costs two allocations, for each request twice.

use std::cell::RefCell;

use http::HeaderMap;

use crate::headers::Field;

/// Maps, and lists of fields, that one thread keeps.
const KEPT: usize = 16;
/// Entries for which a kept map or list may have room; one that has grown beyond is given back.
const ROOM: usize = 64;

thread_local! {
    static SPARE: RefCell<Vec<HeaderMap>> = const { RefCell::new(Vec::new()) };
    static SPARE_FIELDS: RefCell<Vec<Vec<Field>>> = const { RefCell::new(Vec::new()) };
}

/// An empty header map, with the memory of an earlier one if the thread has one to spare.
pub fn spare_headers() -> HeaderMap {
    SPARE.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes a header map that is no longer needed, to be handed out again by [`spare_headers`].
pub fn reuse_headers(mut headers: HeaderMap) {
    let room = headers.capacity();
    if room == 0 || room > ROOM {
        return;
    }
    headers.clear();
    // A thread that ends has no store any more; the map is dropped then.
    let _ = SPARE.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(headers);
        }
    });
}

/// An empty list of fields.
pub(crate) fn spare_fields() -> Vec<Field> {
    SPARE_FIELDS.with_borrow_mut(Vec::pop).unwrap_or_default()
}

/// Takes a list of fields that is no longer needed.
pub(crate) fn reuse_fields(mut fields: Vec<Field>) {
    if fields.capacity() == 0 || fields.capacity() > ROOM {
        return;
    }
    fields.clear();
    let _ = SPARE_FIELDS.try_with(|spare| {
        let mut spare = spare.borrow_mut();
        if spare.len() < KEPT {
            spare.push(fields);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::{HeaderValue, header::HOST};

    #[test]
    fn a_map_comes_back_empty_and_with_its_room() {
        let mut headers = HeaderMap::new();
        headers.append(HOST, HeaderValue::from_static("a"));
        headers.append(HOST, HeaderValue::from_static("b"));
        let room = headers.capacity();
        reuse_headers(headers);
        let again = spare_headers();
        assert!(again.is_empty() && again.capacity() == room);
    }

    #[test]
    fn a_map_without_room_or_with_too_much_is_not_kept() {
        reuse_headers(HeaderMap::new());
        reuse_headers(HeaderMap::with_capacity(1000));
        assert_eq!(spare_headers().capacity(), 0);
    }

    #[test]
    fn only_so_many_are_kept() {
        for _ in 0..2 * KEPT {
            reuse_headers(HeaderMap::with_capacity(4));
        }
        assert_eq!(SPARE.with_borrow(Vec::len), KEPT);
    }
}
