//! The cluster: a master that never runs code of the app, an agent, and workers that serve.
//!
//! In reading order: [`control`] is how a running cluster is asked for something.

pub mod control;
mod ipc;
pub mod pidfile;
pub mod run_dir;
pub mod sd_notify;
