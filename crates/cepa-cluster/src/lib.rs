//! The cluster: a master that never runs code of the app, an agent, and workers that serve.
//!
//! In reading order: a process finds out what it is by its [`Seat`]. Without one it may become the [`Master`], which
//! makes the others of the same [`Program`]; with one it is a [`Worker`], the [`Agent`], or the master going on as another
//! program. [`ClusterConfig`] says how all that is to be, [`control`] is how a running cluster is asked for something, and
//! the [`RunFolder`] where it is found.

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
