//! A small number for each thread, so that it has counters of its own without asking for them by name.

use std::{
    cell::Cell,
    sync::{Mutex, OnceLock, PoisonError},
    thread,
};

/// Not asked for yet.
const NONE: usize = usize::MAX;

thread_local! {
    static SLOT: Cell<usize> = const { Cell::new(NONE) };
    /// Apart from the number, which is thereby read without a look at whether it still lives.
    static LEASE: Cell<Option<Lease>> = const { Cell::new(None) };
}

/// Numbers that a thread has had and another may have.
static FREE: Mutex<Vec<usize>> = Mutex::new(Vec::new());
/// How many were ever given out.
static GIVEN: Mutex<usize> = Mutex::new(0);

/// How many numbers there are.
pub(super) fn slots() -> usize {
    static SLOTS: OnceLock<usize> = OnceLock::new();
    // Workers are as many as the processors; twice that is room for threads that an app makes itself.
    *SLOTS.get_or_init(|| 2 * thread::available_parallelism().map_or(8, usize::from))
}

/// The number of this thread, as far as it is known: no other living thread has it. At [`slots`] or above there is none, or
/// none yet.
#[inline]
pub(super) fn known() -> usize {
    SLOT.get()
}

/// The number of this thread, or `None` where all are given out.
#[cold]
pub(super) fn ask() -> Option<usize> {
    if SLOT.get() == NONE {
        take();
    }
    Some(SLOT.get()).filter(|slot| *slot < slots())
}

fn take() {
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let slot = free.unwrap_or_else(|| {
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        let next = *given;
        if next < slots() {
            *given += 1;
        }
        next
    });
    SLOT.set(slot);
    if slot < slots() {
        // A thread that is about to end has no store any more to keep a lease in, and drops it at once: then it counts
        // with those without a number.
        let lease = Lease(slot);
        let _ = LEASE.try_with(|kept| kept.set(Some(lease)));
    }
}

/// Gives the number back when the thread ends.
struct Lease(usize);

impl Drop for Lease {
    fn drop(&mut self) {
        SLOT.set(slots());
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn living_threads_share_no_number() {
        for _ in 0..3 {
            let barrier = Barrier::new(slots() + 4);
            let mut seen: Vec<usize> = thread::scope(|scope| {
                let ask = || {
                    let mine = ask();
                    barrier.wait();
                    assert_eq!(mine.unwrap_or(slots()), known());
                    mine
                };
                let all: Vec<_> = (0..slots() + 4).map(|_| scope.spawn(ask)).collect();
                all.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            // Other tests have some as well.
            assert!(!seen.is_empty() && seen.len() <= slots());
            let count = seen.len();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), count);
        }
    }
}
