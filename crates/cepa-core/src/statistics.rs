//! What an app has done since it was built: how many requests, how many of them failed, how much and how fast.
//!
//! Every [`Onion`](crate::Onion) that is called counts; [`Onion::statistics`](crate::Onion::statistics) reads. Each thread
//! writes counters of its own, so that counting costs a request some forty instructions, and no lock, no allocation and
//! no look at the clock: of the requests of a thread the first few thousand are timed, and later about one of 128.

mod began;
mod slot;
mod tally;
mod times;

use serde::{Deserialize, Serialize};

pub use self::times::Times;
pub(crate) use self::{began::Began, tally::Tally};

/// The figures of one app, of one process or of several [merged](Self::merge).
///
/// A request counts for the app it was made to, and, if that hands it to one of its [`Hosts`](crate::Hosts), for the app of
/// the host as well.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Statistics {
    /// In how many processes the app is loaded.
    pub loads: u64,
    /// Requests that were answered.
    pub hits: u64,
    /// Requests that were begun and wait for something. Those at work right now, at most one on a thread, are not among them.
    pub instances: u64,
    /// Requests of `hits` whose answer was a failure of the server (5xx), or a panic.
    pub errors: u64,
    /// Requests that ended before their answer: the client has gone, or their time was over.
    pub cut: u64,
    /// Bytes of bodies of answers, those of unknown length as they are sent.
    pub bytes: u64,
    /// Time from the head of a request to its answer; the body of an answer may be sent after that.
    pub time: Times,
}

impl Statistics {
    /// Adds the figures of the same app elsewhere.
    pub fn merge(&mut self, other: &Self) {
        let sums = [
            (&mut self.loads, other.loads),
            (&mut self.hits, other.hits),
            (&mut self.instances, other.instances),
            (&mut self.errors, other.errors),
            (&mut self.cut, other.cut),
            (&mut self.bytes, other.bytes),
        ];
        for (sum, more) in sums {
            *sum = sum.saturating_add(more);
        }
        self.time.merge(&other.time);
    }

    /// Bytes of an answer in the mean, rounded down; 0 where nothing was answered.
    pub fn bytes_per_hit(&self) -> u64 {
        self.bytes.checked_div(self.hits).unwrap_or_default()
    }
}
