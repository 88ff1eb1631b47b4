//! What the processes of a cluster say to each other.

use std::{path::PathBuf, time::Duration};

use cepa_core::Statistics;
use cepa_server::moved::Unfinished;
use serde::{Deserialize, Serialize};

use crate::schedule::Outcome;

/// Which messages, and which state of a master, this program knows; another number for each change of them.
pub(crate) const FORMAT: u32 = 2;

/// The master to an agent or a worker.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Order {
    /// Brings sockets that listen at an address, all that there are for this process or some of them.
    Sockets { address: String },
    /// Brings the socket that the agent is to serve the bus on.
    Bus,
    /// All sockets have come: make everything ready, and say so.
    Begin(Begin),
    /// Serve.
    Go,
    /// Brings a line, by which a worker that leaves hands over connections.
    Adopt,
    /// Take nothing new, finish, leave. For a worker it may bring a line, to whom connections are handed over.
    Drain,
    /// Leave now.
    Cut,
    /// Open the files of the log anew.
    Reopen,
    /// Run a schedule once, and say what came of it by this number.
    RunSchedule { run: u64, name: String },
}

/// What a process is to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Begin {
    /// [`FORMAT`] of the master.
    #[serde(default)]
    pub(crate) format: u32,
    pub(crate) slot: u32,
    pub(crate) generation: u64,
    /// When the first process of its generation was made, in milliseconds since 1970.
    #[serde(default)]
    pub(crate) started: u64,
    /// How many slots there are.
    pub(crate) workers: u32,
    /// Where the agent serves the bus.
    pub(crate) bus: Option<PathBuf>,
    /// How long the process may last beyond its drain.
    pub(crate) kill_after: Duration,
    /// Whether connections that wait are handed over.
    #[serde(default)]
    pub(crate) hand_over: bool,
}

/// An agent or a worker to the master.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// Everything is ready.
    Ready,
    /// It cannot become ready, and leaves.
    Failed { reason: String },
    /// Its event loops turn.
    Beat(Vitals),
    /// It wishes to be replaced.
    Retire { reason: String },
    /// What came of a schedule, or why it has not run.
    ScheduleRan { run: u64, ended: Result<Outcome, String> },
    /// What apps of it have done, of those in which something has changed since this was said last.
    Figures(Vec<Figures>),
}

/// What one app of a process has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Figures {
    /// The host it answers for; none for the app that all requests are made to.
    pub(crate) host: Option<String>,
    pub(crate) statistics: Statistics,
}

/// How a process is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Vitals {
    pub(crate) connections: u64,
    pub(crate) requests: u64,
    pub(crate) memory: u64,
}

/// A worker that leaves to the one that takes its place: brings connections in which nothing was read of the next
/// request, and nothing is owed but the rest of what is unfinished, in this order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MovedConnections(pub(crate) Vec<Moved>);

/// The one that takes its place to a worker that leaves: so many more connections with an unfinished answer have arrived,
/// and hear what happens.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Arrived(pub(crate) usize);

/// What goes with a connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Moved {
    /// Requests that were served on it.
    pub(crate) served: u32,
    /// Seconds since it was accepted.
    pub(crate) age: u32,
    /// What it was at, if it is not idle.
    pub(crate) unfinished: Option<Box<Unfinished>>,
}
