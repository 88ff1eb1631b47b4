//! Work that handlers leave for the time after their answers.
//!
//! It is counted from when it is taken, so that the end of the drain waits for it, and begins once the answer is on its
//! way, as a task of its own: the connection and its next requests do not wait for it.

use std::{cell::Cell, fmt, rc::Rc};

use cepa_core::LocalBoxFuture;
use tokio::task::spawn_local;

use crate::floor::Floor;

type Work = LocalBoxFuture<'static, ()>;

/// What the requests of one connection, or stream, have deferred and that has not begun.
#[derive(Default)]
pub(crate) struct Deferred(Cell<Vec<(Work, Count)>>);

impl Deferred {
    /// Takes work, unless there is too much.
    pub(crate) fn add(&self, floor: &Rc<Floor>, work: Work) -> Result<(), Work> {
        let Some(count) = Count::take(floor) else { return Err(work) };
        let mut all = self.0.take();
        all.push((work, count));
        self.0.set(all);
        Ok(())
    }

    /// Begins what was taken. It runs once the task that calls this waits.
    #[inline]
    pub(crate) fn begin(&self) {
        let all = self.0.take();
        if !all.is_empty() {
            begin(all);
        }
    }
}

#[cold]
fn begin(all: Vec<(Work, Count)>) {
    for (work, count) in all {
        spawn_local(async move {
            let _count = count;
            work.await;
        });
    }
}

/// Counts work as not done for as long as it lives.
struct Count(Rc<Floor>);

impl Count {
    fn take(floor: &Rc<Floor>) -> Option<Self> {
        let count = floor.deferred.get();
        if count >= floor.limits.deferred {
            return None;
        }
        floor.deferred.set(count + 1);
        Some(Self(Rc::clone(floor)))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.deferred.set(self.0.deferred.get() - 1);
        self.0.wake_if_empty();
    }
}

impl fmt::Debug for Deferred {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Deferred")
    }
}
