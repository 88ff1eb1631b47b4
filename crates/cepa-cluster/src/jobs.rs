//! Jobs: work that is written down, and done whatever happens to the process.
//!
//! In reading order: [`Jobs`] is where work is added, and looked at; a [`JobHandler`] does what is of one kind, as its
//! [`JobOptions`] say; a [`JobRunner`] takes jobs and runs them. The file is `store`, the thread that has it `keeper`.

mod config;
mod handler;
mod keeper;
mod queue;
mod runner;
mod store;

pub use self::{
    config::{JobKindConfig, JobOptions, JobsConfig},
    handler::{GiveUp, JobHandler},
    queue::{Jobs, JobsError},
    runner::JobRunner,
    store::{DeadJob, JobCounts, JobId},
};
