//! The cluster: a master that never runs code of the app, an agent, and workers that serve.
//!
//! In reading order: [`control`] is how a running cluster is asked for something, [`status`] how its answer looks;
//! [`daemon`] starts a master apart from the terminal, and [`sd_notify`] tells systemd how it is.

mod agent;
mod config;
pub mod control;
pub mod daemon;
mod folder;
mod ipc;
mod master;
mod memory;
mod privileges;
mod program;
pub mod sd_notify;
mod seat;
pub mod status;
mod worker;

pub use self::{
    agent::{Agent, probe},
    config::{ClusterConfig, ClusterConfigError, Recycle},
    folder::{FolderError, Found, RunFolder},
    master::{Launch, Master, MasterError, Plan, PlanFn},
    privileges::PrivilegeError,
    program::Program,
    seat::{Part, Seat},
    worker::{Worker, WorkerError},
};
