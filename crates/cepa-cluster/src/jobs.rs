//! Jobs: work that is written down, and done whatever happens to the process.
//!
//! In reading order: [`Jobs`] is where work is added, and looked at; a [`JobHandler`] does what is of one kind, as its
//! [`JobOptions`] say; a [`JobRunner`] takes jobs and runs them. The file is `store`, the thread that has it `keeper`. In a
//! cluster that thread is the agent's, which `agent` asks; `redis` is another keeper, without a file.

mod agent;
mod config;
#[cfg(test)]
mod contract;
mod handler;
mod keeper;
mod place;
mod queue;
#[cfg(feature = "redis")]
mod redis;
mod runner;
mod store;

pub use self::{
    agent::JobService,
    config::{JobKindConfig, JobOptions, JobStore, JobsConfig},
    handler::{GiveUp, JobHandler},
    queue::{Jobs, JobsError},
    runner::JobRunner,
    store::{DeadJob, JobCounts, JobId},
};
