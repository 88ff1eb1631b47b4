//! The master: binds the sockets, makes the agent and the workers, watches and replaces them, and does what it is asked
//! for. It runs nothing of the app.
//!
//! `core` decides, `machine` acts, `run` is the loop that brings the two what happens. Here is how it begins.

mod core;
mod ground;
mod machine;
mod outside;
mod run;
mod signals;
mod takeover;
mod world;

use std::{
    fmt, io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    time::Duration,
};

use cepa_log::Log;
use cepa_server::{ServerConfig, listen::ListenError};
use rustix::{fs::Mode, process::umask};
use tokio::runtime::LocalRuntime;

pub(crate) use self::signals::Signals;
use self::{
    core::{Exit, Facts},
    ground::Ground,
    machine::{Parts, rules, threads},
    outside::Outside,
    takeover::Legacy,
    world::Id,
};
use crate::{
    config::ClusterConfig,
    daemon::Starter,
    folder::{FolderError, RunFolder},
    privileges::{Identity, PrivilegeError},
    program::Program,
    seat::Seat,
};

/// What a cluster is to be like, as the configuration says.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How each worker serves.
    pub server: ServerConfig,
    /// The cluster.
    pub cluster: ClusterConfig,
    /// How long a worker may close what it has opened, once it has served; `None` is any time.
    pub close: Option<Duration>,
}

/// Reads the configuration; gives what is wrong with it, for people.
pub type PlanFn = Box<dyn FnMut() -> Result<Plan, String>>;

/// What a master is started with.
pub struct Launch {
    /// The name of the program, and of its files in the run folder.
    pub name: String,
    /// Its version, for `status`.
    pub version: String,
    /// The program itself, of which the others are made.
    pub program: Program,
    /// Reads the configuration, anew for each reload.
    pub plan: PlanFn,
    /// Who waits until the cluster serves, if somebody does.
    pub starter: Starter,
}

/// Why there is no cluster, or no longer.
#[derive(Debug, thiserror::Error)]
pub enum MasterError {
    /// The configuration is wrong.
    #[error("{0}")]
    Plan(String),
    /// The run folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// An address cannot be listened on.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The user cannot be changed.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// What an earlier program of this process has left cannot be taken over.
    #[error("upgrade: {0}")]
    Takeover(String),
    /// The system has no room for the master.
    #[error("the master cannot run: {0}")]
    Io(#[from] io::Error),
    /// The cluster has not started, or could not go on.
    #[error("{0}")]
    Failed(String),
}

/// What an earlier program of this process has left to the loop: what it knew, the lines to its children, and who has
/// asked for the upgrade.
type Before = (Facts, Vec<(Id, UnixStream)>, Option<OwnedFd>);

/// A master that has everything it needs and has not made any process.
pub struct Master {
    parts: Parts,
    version: String,
    /// What an earlier program of this process has left.
    before: Option<Before>,
    signals: (LocalRuntime, Signals),
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Master").field("version", &self.version).finish_non_exhaustive()
    }
}

impl fmt::Debug for Launch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Launch")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

impl Master {
    /// Takes the run folder, binds all sockets, and becomes the user that the configuration says: everything that can
    /// fail for a reason that the operator should be told at once.
    ///
    /// Call it while the process has one thread: others would keep the user that they have.
    ///
    /// # Errors
    /// See [`MasterError`]; nothing is left behind.
    pub fn open(mut launch: Launch) -> Result<Self, MasterError> {
        let plan = (launch.plan)().map_err(MasterError::Plan)?;
        let signals = Signals::take_early()?;
        let identity = Identity::of(&plan.cluster)?;
        if let Some(mask) = plan.cluster.umask {
            umask(Mode::from_raw_mode(mask.bits() as _));
        }
        let rules = rules(&plan);
        let folder = RunFolder::new(&plan.cluster.run_dir, &launch.name)?;
        let (pid_file, made) = folder.take()?;
        let ground =
            Ground::bind(&plan.server.listen, threads(&plan.server, rules.workers), &Ground::default())?;
        let control = folder.listen(&folder.control())?;
        let bus = folder.listen(&folder.bus())?;
        if let Some(identity) = identity {
            give_away(identity, &folder, made, &ground)?;
            identity.assume()?;
        }
        let Launch { version, program, plan, starter, .. } = launch;
        let (outside, log) = (Outside::new(starter), None);
        let parts = Parts { program, plan, ground, rules, pid_file, control, bus, outside, log };
        Ok(Self { parts, version, before: None, signals })
    }

    /// Goes on with the cluster of an earlier program of this process.
    ///
    /// # Errors
    /// See [`MasterError`]. The children are alone then, and leave.
    pub fn resume(mut launch: Launch, seat: Seat) -> Result<Self, MasterError> {
        let signals = seat.signals.map_or_else(Signals::take_early, Ok)?;
        let legacy = takeover::take(&seat.line).map_err(|error| MasterError::Takeover(error.to_string()))?;
        let plan = (launch.plan)().map_err(MasterError::Plan)?;
        let Legacy { facts, pid_file, control, bus, ground, lines, asker } = legacy;
        let Launch { version, program, plan: plan_fn, starter, .. } = launch;
        let (rules, outside, log) = (rules(&plan), Outside::new(starter), None);
        let parts = Parts { program, plan: plan_fn, ground, rules, pid_file, control, bus, outside, log };
        Ok(Self { parts, version, before: Some((facts, lines, asker)), signals })
    }

    /// Runs the cluster until it ends.
    ///
    /// It takes SIGTERM and SIGINT (stop, and by a second one at once), SIGHUP (reload), SIGUSR1 (open the files of the
    /// logs anew), SIGUSR2 (upgrade).
    ///
    /// # Errors
    /// Why it has not started, or could not go on.
    pub fn run(mut self, log: Option<Log>) -> Result<(), MasterError> {
        self.parts.log = log;
        let (runtime, signals) = self.signals;
        let running = run::run(self.parts, &self.version, self.before, signals);
        match runtime.block_on(running)? {
            Exit::Asked => Ok(()),
            Exit::Failed(reason) => Err(MasterError::Failed(reason)),
        }
    }
}

/// Gives what root has made to the user that everything is to run as.
fn give_away(
    identity: Identity,
    folder: &RunFolder,
    made: bool,
    ground: &Ground,
) -> Result<(), PrivilegeError> {
    if made {
        identity.own(folder.dir())?;
    } else if !identity.owns(folder.dir())? {
        return Err(PrivilegeError::Folder);
    }
    for path in [folder.pid_file(), folder.control(), folder.bus()] {
        identity.own(&path)?;
    }
    // The socket is removed at the end, by that user.
    let mut paths = ground.endpoints().filter_map(|endpoint| match endpoint {
        cepa_server::listen::Endpoint::Unix(Some(path)) => Some(path.as_ref()),
        _ => None,
    });
    paths.try_for_each(|path: &Path| identity.own(path)).map_err(Into::into)
}
