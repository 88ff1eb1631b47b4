//! The cluster: a master that never runs code of the app, an agent, and workers that serve.
//!
//! In reading order: [`control`] is how a running cluster is asked for something.

mod config;
pub mod control;
pub mod daemon;
mod ipc;
pub mod pidfile;
pub mod run_dir;
pub mod sd_notify;
pub mod status;

pub use config::{ClusterConfig, ClusterConfigError, Recycle};
