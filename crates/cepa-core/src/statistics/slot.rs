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

/// How many numbers there are; the last one belongs to all threads for which none was left.
pub(super) fn slots() -> usize {
    static SLOTS: OnceLock<usize> = OnceLock::new();
    // Workers are as many as the processors; twice that is room for threads that an app makes itself.
    *SLOTS.get_or_init(|| 2 * thread::available_parallelism().map_or(8, usize::from) + 1)
}

/// The number of this thread. No other living thread has it, but for the last one.
#[inline]
pub(super) fn slot() -> usize {
    match SLOT.get() {
        NONE => take(),
        slot => slot,
    }
}

#[cold]
fn take() -> usize {
    let shared = slots() - 1;
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    let slot = free.unwrap_or_else(|| {
        let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
        let next = *given;
        if next < shared {
            *given += 1;
        }
        next.min(shared)
    });
    SLOT.set(slot);
    if slot < shared {
        // A thread that is about to end has no store any more to keep a lease in, and drops it at once: then it counts
        // with those without a number.
        let lease = Lease(slot);
        let _ = LEASE.try_with(|kept| kept.set(Some(lease)));
    }
    SLOT.get()
}

/// Gives the number back when the thread ends.
struct Lease(usize);

impl Drop for Lease {
    fn drop(&mut self) {
        SLOT.set(slots() - 1);
        FREE.lock().unwrap_or_else(PoisonError::into_inner).push(self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;

    use super::*;

    #[test]
    fn living_threads_share_no_number_but_the_last() {
        for _ in 0..3 {
            let threads = slots() + 4;
            let barrier = Barrier::new(threads);
            let mut seen: Vec<usize> = thread::scope(|scope| {
                let all: Vec<_> = (0..threads)
                    .map(|_| {
                        scope.spawn(|| {
                            let mine = slot();
                            barrier.wait();
                            assert_eq!(slot(), mine);
                            mine
                        })
                    })
                    .collect();
                all.into_iter().map(|thread| thread.join().unwrap()).collect()
            });
            seen.sort_unstable();
            let shared = slots() - 1;
            let own = seen.iter().filter(|slot| **slot < shared).count();
            seen.dedup();
            assert_eq!(seen.iter().filter(|slot| **slot < shared).count(), own, "{seen:?}");
            assert_eq!(seen.last(), Some(&shared), "there were more threads than numbers");
        }
    }
}
