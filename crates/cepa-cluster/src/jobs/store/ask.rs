//! What can be asked of a store, and what it answers. Times are milliseconds since 1970.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The number of a job, unique in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct JobId(pub u64);

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A wish. Those that end an attempt name it: whoever has lost a job to another cannot end it.
///
/// `now` is the clock of the one who asks. Where a store goes by another, it moves the other times with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) enum Ask {
    /// Adds a job, unless there are `most` already.
    Add {
        kind: String,
        payload: String,
        due: u64,
        now: u64,
        most: u64,
    },
    /// Leases what is due, of some kinds, to somebody with a random number.
    Take {
        slots: Vec<Slots>,
        holder: u64,
        now: u64,
        until: u64,
    },
    Extend {
        leases: Vec<(u64, u32)>,
        now: u64,
        until: u64,
    },
    /// Ends the leases of a holder that it does not know of, because their answer has never come.
    Recover {
        holder: u64,
        held: Vec<(u64, u32)>,
        now: u64,
    },
    /// Ends the leases of somebody who is gone; the attempts were made.
    Release {
        leases: Vec<(u64, u32)>,
        now: u64,
    },
    Done {
        id: u64,
        attempt: u32,
    },
    Retry {
        id: u64,
        attempt: u32,
        error: String,
        now: u64,
        due: u64,
    },
    Bury {
        id: u64,
        attempt: u32,
        error: String,
    },
    /// Gives a lease back, as if the attempt had not been.
    Return {
        id: u64,
        attempt: u32,
        now: u64,
    },
    /// Dead jobs of a kind, from the oldest on.
    Dead {
        kind: String,
        after: Option<JobId>,
        most: usize,
    },
    Revive {
        id: u64,
        now: u64,
    },
    Discard {
        id: u64,
    },
    Count,
}

impl Ask {
    /// Whether something may be due afterwards that was not before.
    pub(crate) fn makes_due(&self) -> bool {
        matches!(
            self,
            Self::Add { .. }
                | Self::Recover { .. }
                | Self::Release { .. }
                | Self::Retry { .. }
                | Self::Return { .. }
                | Self::Revive { .. }
        )
    }

    /// Whether it may be asked again where nobody knows whether it was heard: a second time it changes nothing.
    pub(crate) fn may_be_repeated(&self) -> bool {
        !matches!(self, Self::Add { .. } | Self::Take { .. } | Self::Revive { .. } | Self::Discard { .. })
    }
}

/// How many jobs of a kind are wanted, and how often one is tried.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Slots {
    pub(crate) kind: String,
    pub(crate) free: usize,
    pub(crate) attempts: u32,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) enum Answer {
    Added(JobId),
    Full(u64),
    /// What was leased, and when more of the same kinds is due.
    Taken {
        jobs: Vec<Taken>,
        next: Option<u64>,
    },
    /// Leases that are not the asker's any more.
    Lost(Vec<u64>),
    Noted,
    /// There is no such job, or not in this state.
    Unknown,
    Dead(Vec<DeadJob>),
    Counts(Vec<JobCounts>),
}

/// A job to work on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Taken {
    pub(crate) id: u64,
    pub(crate) kind: String,
    pub(crate) payload: String,
    pub(crate) due: u64,
    pub(crate) attempt: u32,
}

/// A job that has failed for good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DeadJob {
    /// Its number.
    pub id: JobId,
    /// Its kind.
    pub kind: String,
    /// What it was given, as JSON.
    pub payload: String,
    /// When it was added, in milliseconds since 1970.
    pub added: u64,
    /// How often it was tried.
    pub attempts: u32,
    /// What it failed with in the end.
    pub error: String,
}

/// How many jobs of a kind there are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobCounts {
    /// The kind.
    pub kind: String,
    /// Those that wait, for their time, another attempt or a free place.
    pub waiting: u64,
    /// Those that are worked on.
    pub running: u64,
    /// Those that have failed for good.
    pub dead: u64,
}
