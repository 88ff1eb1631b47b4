//! The cluster: a master that never runs code of the app, an agent, and workers that serve; and what happens beside
//! requests.
//!
//! In reading order: a process finds out what it is by its [`Seat`]. Without one it may become the [`Master`], which
//! makes the others of the same [`Program`]; with one it is a [`Worker`], the [`Agent`], or the master going on as another
//! program. [`ClusterConfig`] says how all that is to be, [`control`] is how a running cluster is asked for something, and
//! the [`RunFolder`] where it is found. [`daemon`] starts a master apart from the terminal, [`status`] is the table of what
//! runs, and [`sd_notify`] tells systemd how it is.
//!
//! In a cluster or alone: [`schedule`] runs code of the app at times; [`jobs`] are written down and done whatever happens;
//! a [`JobCtx`] is what both run with.

mod agent;
mod config;
pub mod control;
pub mod daemon;
mod folder;
mod ipc;
mod job_ctx;
pub mod jobs;
mod master;
mod memory;
mod privileges;
mod program;
mod reason;
pub mod schedule;
pub mod sd_notify;
mod seat;
pub mod status;
mod worker;

pub use self::{
    agent::{Agent, probe},
    config::{ClusterConfig, ClusterConfigError, Recycle},
    folder::{FolderError, Found, RunFolder},
    job_ctx::JobCtx,
    jobs::{JobOptions, Jobs},
    master::{Launch, Master, MasterError, Plan, PlanFn},
    privileges::PrivilegeError,
    program::Program,
    schedule::Schedule,
    seat::{Part, Seat},
    worker::{Turn, Worker, WorkerError},
};

/// Takes a mutex whose holder may have panicked: no code of an app runs under those of this crate.
fn locked<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
