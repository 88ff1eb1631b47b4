//! The cluster: a master that never runs code of the app, an agent, and workers that serve.
//!
//! In reading order: a process finds out what it is by its [`Seat`]. Without one it may become the [`Master`], which
//! makes the others of the same [`Program`]; with one it is a [`Worker`], the [`Agent`], or the master going on as another
//! program. [`ClusterConfig`] says how all that is to be, [`control`] is how a running cluster is asked for something, and
//! the [`RunFolder`] where it is found. [`daemon`] starts a master apart from the terminal, [`status`] is the table of what
//! runs, and [`sd_notify`] tells systemd how it is.

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
