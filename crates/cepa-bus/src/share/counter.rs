//! A number common to all workers.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
};

use super::{ShareError, Shares};
use crate::{
    NameError,
    far::{Change, Far},
    names::{self, Key, Named},
};

/// A number common to all workers, see [`Bus::counter`](crate::Bus::counter). It wraps around.
///
/// # Errors
/// In memory there are none; a backend elsewhere may be out of reach.
#[derive(Clone)]
pub struct Counter(Place);

#[derive(Clone)]
enum Place {
    Near(Arc<CounterCell>),
    Far(Arc<dyn Far>, Key),
}

#[derive(Debug, Default)]
pub(crate) struct CounterCell(AtomicI64);

impl CounterCell {
    /// Does one thing to it, and answers as [`Change`] says.
    pub(crate) fn change(&self, change: Change) -> i64 {
        // One number by itself orders nothing else, hence `Relaxed`.
        match change {
            Change::Get => self.0.load(Relaxed),
            Change::Add(number) => self.0.fetch_add(number, Relaxed).wrapping_add(number),
            Change::Set(number) => self.0.swap(number, Relaxed),
            Change::Swap(expected, number) => {
                self.0.compare_exchange(expected, number, Relaxed, Relaxed).unwrap_or_else(|present| present)
            }
        }
    }
}

impl Counter {
    pub(crate) fn open(shares: &Shares, app: &Arc<str>, name: &str) -> Result<Self, NameError> {
        let Some(far) = &shares.far else {
            return Ok(Self(Place::Near(shares.counters.open(app, name, |_| CounterCell::default())?)));
        };
        names::check(name)?;
        Ok(Self(Place::Far(Arc::clone(far), Key { app: Arc::clone(app), name: name.into() })))
    }

    async fn change(&self, change: Change) -> Result<i64, ShareError> {
        match &self.0 {
            Place::Near(cell) => Ok(cell.change(change)),
            Place::Far(far, key) => far.count(key, change).await,
        }
    }

    /// Adds to it, and answers the sum.
    pub async fn add(&self, number: i64) -> Result<i64, ShareError> {
        self.change(Change::Add(number)).await
    }

    /// The number.
    pub async fn get(&self) -> Result<i64, ShareError> {
        self.change(Change::Get).await
    }

    /// Replaces the number, and answers the one before.
    pub async fn set(&self, number: i64) -> Result<i64, ShareError> {
        self.change(Change::Set(number)).await
    }

    /// Replaces the number if it is `expected`, and answers the one before: `expected` if it was replaced, else what is
    /// there.
    pub async fn compare_and_set(&self, expected: i64, number: i64) -> Result<i64, ShareError> {
        self.change(Change::Swap(expected, number)).await
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Near(cell) => write!(f, "Counter({})", cell.0.load(Relaxed)),
            Place::Far(_, key) => write!(f, "Counter({:?})", key.name),
        }
    }
}

impl Named for CounterCell {
    fn is_spent(&self) -> bool {
        self.0.load(Relaxed) == 0
    }
}
