//! The cluster: a master that never runs code of the app, an agent, and workers that serve.
//!
//! In reading order: [`control`] is how a running cluster is asked for something, [`status`] how its answer looks;
//! [`daemon`] starts a master apart from the terminal, and [`sd_notify`] tells systemd how it is.

mod config;
pub mod control;
pub mod daemon;
mod folder;
mod ipc;
mod master;
pub mod sd_notify;
pub mod status;

pub use self::{
    config::{ClusterConfig, ClusterConfigError, Recycle},
    folder::{FolderError, Found, RunFolder},
};
