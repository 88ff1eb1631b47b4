//! Who waits for a client to go.

use std::{cell::Cell, task::Waker};

/// Tasks to wake.
#[derive(Default)]
pub(crate) struct Watchers(Cell<Vec<Waker>>);

impl Watchers {
    /// Has a task woken by the next [`wake`](Self::wake).
    pub(crate) fn add(&self, task: &Waker) {
        let mut tasks = self.0.take();
        if !tasks.iter().any(|known| known.will_wake(task)) {
            tasks.push(task.clone());
        }
        self.0.set(tasks);
    }

    /// Wakes all, and forgets them.
    #[inline]
    pub(crate) fn wake(&self) {
        let tasks = self.0.take();
        if !tasks.is_empty() {
            wake(tasks);
        }
    }
}

#[cold]
fn wake(tasks: Vec<Waker>) {
    tasks.into_iter().for_each(Waker::wake);
}
