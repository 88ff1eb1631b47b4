//! The master: binds the sockets, makes the agent and the workers, watches and replaces them, and does what it is asked
//! for. It runs nothing of the app.
//!
//! `core` decides, `machine` acts: here is the loop that brings the two what happens.

mod core;
mod ground;
mod machine;
mod outside;
mod signals;
mod takeover;

use std::{
    fmt, io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    path::Path,
    process,
    time::Duration,
};

use cepa_log::Log;
use cepa_server::{ServerConfig, listen::ListenError};
use rustix::{fs::Mode, process::umask};
use tokio::{
    runtime::{Builder, LocalOptions},
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tracing::info;

use self::{
    core::{Core, Exit, Facts, Id},
    ground::Ground,
    machine::{Machine, Parts, Said, rules, threads},
    outside::Outside,
    signals::{Signals, Taken},
    takeover::Legacy,
};
use crate::{
    config::ClusterConfig,
    control::{
        Answer, MasterStatus, Request, Status,
        server::{Asker, Desk},
    },
    daemon::Starter,
    folder::{FolderError, RunFolder},
    memory,
    privileges::{Identity, PrivilegeError},
    program::Program,
    seat::Seat,
};

/// A tick, in which the core counts time.
const TICK: Duration = Duration::from_secs(1);

/// How long the last answers may take to be sent.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// What a cluster is to be like, as the configuration says.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How each worker serves.
    pub server: ServerConfig,
    /// The cluster.
    pub cluster: ClusterConfig,
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
        Ok(Self { parts, version, before: None })
    }

    /// Goes on with the cluster of an earlier program of this process.
    ///
    /// # Errors
    /// See [`MasterError`]. The children are alone then, and leave.
    pub fn resume(mut launch: Launch, seat: &Seat) -> Result<Self, MasterError> {
        let legacy = takeover::take(&seat.line).map_err(|error| MasterError::Takeover(error.to_string()))?;
        let plan = (launch.plan)().map_err(MasterError::Plan)?;
        let Legacy { facts, pid_file, control, bus, ground, lines, asker } = legacy;
        let Launch { version, program, plan: plan_fn, starter, .. } = launch;
        let (rules, outside, log) = (rules(&plan), Outside::new(starter), None);
        let parts = Parts { program, plan: plan_fn, ground, rules, pid_file, control, bus, outside, log };
        Ok(Self { parts, version, before: Some((facts, lines, asker)) })
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
        let runtime = Builder::new_current_thread().enable_all().build_local(LocalOptions::default())?;
        match runtime.block_on(self.serve())? {
            Exit::Asked => Ok(()),
            Exit::Failed(reason) => Err(MasterError::Failed(reason)),
        }
    }

    async fn serve(self) -> io::Result<Exit> {
        let Self { parts, version, before } = self;
        let mut signals = Signals::take()?;
        let (desk, mut asked) = Desk::open(parts.control.try_clone()?)?;
        let (send, mut said) = mpsc::channel(1024);
        let rules = parts.rules.clone();
        let mut machine = Machine::new(parts, send);
        let mut tickets = 0..;
        let mut core = match before {
            None => Core::new(machine, rules),
            Some((facts, lines, asker)) => {
                let ticket = tickets.next().filter(|_| asker.is_some());
                if let (Some(asker), Some(ticket)) = (asker, ticket) {
                    machine.askers.insert(ticket, desk.resume(asker)?);
                }
                let mut core = Core::resume(machine, rules, facts);
                for (id, line) in lines {
                    // The line of the probe is of no use any more.
                    if let Some(pid) = core.pid(id) {
                        core.world.attach(id, pid, line)?;
                    }
                }
                info!(target: "cepa::master", version, "upgrade: this program goes on");
                core.reload(ticket);
                core
            }
        };
        if core.generation() == 1 && core.now() == 0 {
            core.start();
        }
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks.reset();
        let mut watchdog = core.world.outside.watchdog();
        // Children may have ended between two programs.
        core.world.reap();
        loop {
            settle(&mut core, &said);
            if let Some(exit) = core.exit().cloned() {
                asked.close();
                drop(asked);
                desk.close(LAST_ANSWERS).await;
                return Ok(exit);
            }
            tokio::select! {
                Some(heard) = said.recv() => hear(&mut core, heard),
                Some((request, asker)) = asked.recv() => {
                    let ticket = tickets.next().unwrap_or_default();
                    answer(&mut core, ticket, &request, asker, &version);
                }
                taken = signals.next() => match taken {
                    Taken::Child => core.world.reap(),
                    Taken::Stop => core.stop(None),
                    Taken::Ask(request) => core.request(None, &request),
                },
                () = watchdog.turn() => core.world.outside.beat(),
                _ = ticks.tick() => {
                    core.world.reap();
                    let now = core.now();
                    core.world.sweep(now);
                    core.tick();
                }
            }
        }
    }
}

/// Tells the core of what has come of processes, and lets the next program go on if that can be.
fn settle(core: &mut Core<Machine>, said: &mpsc::Receiver<Said>) {
    for (id, how) in core.world.take_ended() {
        core.ended(id, &how);
    }
    if core.is_upgrade_due() && said.is_empty() && core.world.is_at_rest() {
        core.leave_to_next();
    }
}

fn hear(core: &mut Core<Machine>, (id, report): Said) {
    match report {
        Some(report) => core.report(id, report),
        None => {
            let now = core.now();
            if let Some(process) = core.world.processes.get_mut(&id) {
                process.closed = Some(now);
            }
            core.world.reap();
        }
    }
}

fn answer(core: &mut Core<Machine>, ticket: core::Ticket, request: &Request, asker: Asker, version: &str) {
    if *request != Request::Status {
        core.world.askers.insert(ticket, asker);
        return core.request(Some(ticket), request);
    }
    let master = MasterStatus {
        pid: process::id(),
        uptime_s: core.now(),
        version: version.to_owned(),
        listen: core.world.ground.endpoints().map(ToString::to_string).collect(),
        memory_bytes: memory::resident(),
    };
    let status = Status { master, generation: core.generation(), processes: core.processes() };
    let status = serde_json::to_value(status);
    asker.answer(status.map_or_else(|error| Answer::Error(error.to_string()), Answer::Ok));
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
