//! A number common to all workers.

use std::sync::{
    Arc,
    atomic::{AtomicI64, Ordering::Relaxed},
};

use crate::names::Named;

/// A number common to all workers, see [`Bus::counter`](crate::Bus::counter). It wraps around.
#[derive(Clone, Debug)]
pub struct Counter(pub(crate) Arc<CounterCell>);

#[derive(Debug, Default)]
pub(crate) struct CounterCell(AtomicI64);

// One number by itself orders nothing else, hence `Relaxed`.
impl Counter {
    /// Adds to it, and answers the sum.
    pub async fn add(&self, number: i64) -> i64 {
        self.0.0.fetch_add(number, Relaxed).wrapping_add(number)
    }

    /// The number.
    pub async fn get(&self) -> i64 {
        self.0.0.load(Relaxed)
    }

    /// Replaces the number, and answers the one before.
    pub async fn set(&self, number: i64) -> i64 {
        self.0.0.swap(number, Relaxed)
    }

    /// Replaces the number if it is `expected`; if not, the error is the number that is there.
    pub async fn compare_and_set(&self, expected: i64, number: i64) -> Result<(), i64> {
        self.0.0.compare_exchange(expected, number, Relaxed, Relaxed).map(drop)
    }
}

impl Named for CounterCell {
    fn is_spent(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}
