//! Compressors that a thread keeps for the next message: few, and not for long.

use std::{
    cell::{Cell, RefCell},
    time::Duration,
};

use flate2::{Compress, Decompress};
use tokio::time::Instant;

/// Of each kind, a thread keeps so many.
const MOST: usize = 4;
/// One that nobody has wanted for so long is let go.
const AGE: Duration = Duration::from_secs(60);

thread_local! {
    static COMPRESSORS: Spare<(u32, u8, Compress)> = const { Spare::new() };
    static DECOMPRESSORS: Spare<Decompress> = const { Spare::new() };
    static USERS: Cell<usize> = const { Cell::new(0) };
}

/// What is kept, with the moment it came back; the last that came is lent first, so that the others grow old.
struct Spare<T>(RefCell<Vec<(Instant, T)>>);

impl<T> Spare<T> {
    const fn new() -> Self {
        Self(RefCell::new(Vec::new()))
    }

    fn take(&self, fits: impl Fn(&T) -> bool) -> Option<T> {
        let mut kept = self.0.borrow_mut();
        let at = kept.iter().rposition(|(_, item)| fits(item))?;
        Some(kept.remove(at).1)
    }

    fn put(&self, item: T) {
        self.sweep();
        let mut kept = self.0.borrow_mut();
        if kept.len() == MOST {
            kept.remove(0);
        }
        kept.push((Instant::now(), item));
    }

    fn sweep(&self) {
        let mut kept = self.0.borrow_mut();
        if !kept.is_empty() {
            let now = Instant::now();
            kept.retain(|(since, _)| now.duration_since(*since) < AGE);
        }
    }
}

/// A compressor of this level and window, if one is kept.
pub(super) fn compressor(level: u32, bits: u8) -> Option<Compress> {
    COMPRESSORS.with(|spare| spare.take(|kept| (kept.0, kept.1) == (level, bits))).map(|kept| kept.2)
}

/// Keeps a compressor.
pub(super) fn put_compressor(level: u32, bits: u8, mut inner: Compress) {
    inner.reset();
    COMPRESSORS.with(|spare| spare.put((level, bits, inner)));
}

/// A decompressor of the largest window, if one is kept.
pub(super) fn decompressor() -> Option<Decompress> {
    DECOMPRESSORS.with(|spare| spare.take(|_| true))
}

/// Keeps a decompressor of the largest window.
pub(super) fn put_decompressor(mut inner: Decompress) {
    inner.reset(false);
    DECOMPRESSORS.with(|spare| spare.put(inner));
}

/// Lets go what nobody has wanted for a while. It takes somebody who calls: every WebSocket does now and then.
pub(crate) fn sweep() {
    COMPRESSORS.with(Spare::sweep);
    DECOMPRESSORS.with(Spare::sweep);
}

/// One half of a connection that compresses; with the last of the thread goes all that was kept for them.
pub(super) struct User(());

impl User {
    pub(super) fn new() -> Self {
        USERS.set(USERS.get() + 1);
        Self(())
    }
}

impl Drop for User {
    fn drop(&mut self) {
        let left = USERS.get() - 1;
        USERS.set(left);
        if left == 0 {
            // At the end of a thread they may have gone before.
            let _ = COMPRESSORS.try_with(|spare| spare.0.take());
            let _ = DECOMPRESSORS.try_with(|spare| spare.0.take());
        }
    }
}

/// How many compressors and decompressors are kept.
#[cfg(test)]
pub(super) fn kept() -> (usize, usize) {
    (COMPRESSORS.with(|spare| spare.0.borrow().len()), DECOMPRESSORS.with(|spare| spare.0.borrow().len()))
}
