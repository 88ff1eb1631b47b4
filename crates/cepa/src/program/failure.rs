//! Why a command has failed.

use std::io;

#[cfg(feature = "cluster")]
use cepa_cluster::schedule::{Outcome, ScheduleError};
use cepa_log::LogError;
use cepa_server::ServerError;

#[cfg(feature = "dev")]
use crate::dev;
#[cfg(feature = "cluster")]
use crate::operate::OperateError;
use crate::{
    CertificatesError,
    boot::{BootError, LifecycleError},
    config::ConfigError,
};

/// Why a command has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Life(#[from] LifecycleError),
    #[error("the configuration cannot be written: {0}")]
    Dump(#[from] toml::ser::Error),
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[cfg(feature = "cluster")]
    #[error("{0}: {1}")]
    Run(String, Outcome),
    #[error("the runtime cannot be made: {0}")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Operate(#[from] OperateError),
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Bus(#[from] cepa_bus::ConnectError),
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Master(#[from] cepa_cluster::MasterError),
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Process(#[from] cepa_cluster::WorkerError),
    #[cfg(feature = "cluster")]
    #[error("the program cannot be made part of a cluster: {0}")]
    Cluster(#[source] io::Error),
    /// Somebody else says why.
    #[cfg(feature = "cluster")]
    #[error("the master knows why")]
    Told,
    #[error("signals cannot be handled: {0}")]
    Signals(#[source] io::Error),
    #[error("a worker has failed: {0}")]
    Worker(#[source] io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    #[cfg(feature = "dev")]
    #[error(transparent)]
    Dev(#[from] dev::DevError),
}
