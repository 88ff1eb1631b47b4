//! The cluster: a master that never runs code of the app, an agent, and workers that serve.
//!
//! In reading order: [`control`] is how a running cluster is asked for something.

mod config;
pub mod control;
mod folder;
mod ipc;
mod master;

pub use self::{
    config::{ClusterConfig, ClusterConfigError, Recycle},
    folder::{FolderError, Instance, RunFolder},
};
