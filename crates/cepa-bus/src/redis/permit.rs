//! How much may be under way at once.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use crate::BackendError;

/// How much may be under way at once, in pieces and in bytes.
#[derive(Debug)]
pub(super) struct Room {
    most: usize,
    most_bytes: usize,
    taken: Arc<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    pieces: AtomicUsize,
    bytes: AtomicUsize,
}

/// A piece that is under way, until it is dropped.
#[derive(Debug)]
pub(super) struct Permit(Option<(Arc<Taken>, usize)>);

impl Room {
    pub(super) fn new(most: usize, most_bytes: usize) -> Self {
        Self { most, most_bytes, taken: Arc::default() }
    }

    /// Takes room for a piece of so many bytes. One that alone is larger than all room is let through by itself.
    pub(super) fn permit(&self, bytes: usize) -> Result<Permit, BackendError> {
        // One number by itself orders nothing else, hence `Relaxed`.
        let pieces = self.taken.pieces.fetch_add(1, Relaxed);
        let before = self.taken.bytes.fetch_add(bytes, Relaxed);
        let permit = Permit(Some((Arc::clone(&self.taken), bytes)));
        let has_room = pieces < self.most && (before == 0 || before.saturating_add(bytes) <= self.most_bytes);
        if has_room { Ok(permit) } else { Err(BackendError::Busy) }
    }
}

impl Permit {
    /// For what is bounded by something else.
    pub(super) const fn none() -> Self {
        Self(None)
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if let Some((taken, bytes)) = &self.0 {
            taken.pieces.fetch_sub(1, Relaxed);
            taken.bytes.fetch_sub(*bytes, Relaxed);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_bytes_are_bounded_and_given_back() {
        let room = Room::new(2, 10);
        let first = room.permit(6).unwrap();
        assert_eq!(room.permit(6).unwrap_err(), BackendError::Busy);
        let second = room.permit(4).unwrap();
        assert_eq!(room.permit(0).unwrap_err(), BackendError::Busy);
        drop((first, second));
        let alone = room.permit(100).unwrap();
        assert_eq!(room.permit(1).unwrap_err(), BackendError::Busy);
        drop(alone);
        room.permit(10).unwrap();
    }
}
