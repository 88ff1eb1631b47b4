//! What the core of the master acts on, as it sees it: processes, sockets, and those who wait for an answer.

use std::io;

use super::core::Facts;
use crate::{config::ClusterConfig, control::Answer};

/// A process, by a number that is not used again.
pub(crate) type Id = u64;

/// Who waits for an answer.
pub(crate) type Ticket = u64;

/// What a process is started for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Agent,
    Worker,
    /// Says whether the program on disk could go on in the place of this one, and ends.
    Probe,
}

/// What a process is started with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Spec {
    pub(crate) kind: Kind,
    pub(crate) slot: u32,
    pub(crate) generation: u64,
    /// Of the plan of a reload, and not of the one that serves.
    pub(crate) is_new: bool,
}

/// What a process is told, without anything that comes with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tell {
    Go,
    Drain,
    Cut,
    Reopen,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Signal {
    Terminate,
    Kill,
}

/// What the configuration says to the core.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rules {
    /// How many slots there are.
    pub(crate) workers: u32,
    /// Seconds that a worker has for its drain, and to close what it has opened; `None` is any number.
    pub(crate) drain: Option<u64>,
    pub(crate) cluster: ClusterConfig,
}

/// The course of a cluster that serves, for whoever supervises it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Course {
    /// It serves, and takes what it is asked for.
    Serving { generation: u64, workers: u32 },
    /// It serves on, because what was to be new has failed.
    Kept { reason: String },
    /// A reload or an upgrade is under way.
    Reloading,
    /// It ends.
    Stopping,
}

/// Everything that the core acts on.
pub(crate) trait World {
    /// Makes a process, and gives its number in the system.
    fn spawn(&mut self, id: Id, spec: Spec) -> io::Result<u32>;
    fn tell(&mut self, id: Id, what: Tell);
    /// Has a worker run a schedule, and say what came of it by this number.
    fn run_schedule(&mut self, id: Id, number: u64, name: &str);
    /// Drains `from`, with a line by which its connections go to `to`.
    fn hand_over(&mut self, from: Id, to: Id);
    fn kill(&mut self, id: Id, signal: Signal);
    /// Reads the configuration, and binds what is new in it; processes that are made from now on are of it.
    fn plan(&mut self) -> Result<Rules, String>;
    /// The plan is the one that serves now, or it is given up.
    fn settle(&mut self, kept: bool);
    /// Serves from now on, as far as others are concerned.
    fn ready(&mut self);
    /// What whoever supervises the cluster wants to know.
    fn tell_supervisor(&mut self, _: &Course) {}
    /// Accepts nothing more.
    fn stop_listening(&mut self);
    fn reopen(&mut self);
    fn answer(&mut self, ticket: Ticket, answer: Answer);
    /// Goes on as the program that is on disk; gives why not, or nothing at all.
    fn upgrade(&mut self, facts: &Facts, ticket: Option<Ticket>) -> String;
}
