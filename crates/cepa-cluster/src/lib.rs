//! The cluster: a master that never runs code of the app, an agent, and workers that serve.
//!
//! In reading order: [`control`] is how a running cluster is asked for something.

mod agent;
mod config;
pub mod control;
mod folder;
mod ipc;
mod master;
mod memory;
mod privileges;
mod program;
mod seat;
mod worker;

pub use self::{
    agent::{Agent, probe},
    config::{ClusterConfig, ClusterConfigError, Recycle},
    folder::{FolderError, Instance, RunFolder},
    master::{Launch, Master, MasterError, Plan, PlanFn},
    privileges::PrivilegeError,
    program::Program,
    seat::{Part, Seat},
    worker::{Worker, WorkerError},
};
