//! What an operator does with a cluster: it is found by its run folder, and asked over its control socket.

mod launch;
mod progress;
mod show;

use std::{
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use cepa_cluster::{
    ClusterConfig, FolderError, Found, RunFolder,
    control::{Client, ControlError, Request},
    daemon::DaemonError,
    schedule::Outcome,
};
use cepa_server::ServerConfig;
use serde::Deserialize;
use serde_json::Value;

use self::launch::Typed;
use crate::{
    boot::{Boot, BootError, LifecycleConfig, Surroundings},
    config::ConfigError,
};

/// How long a master that runs is waited for to open its control socket.
const SOON: Duration = Duration::from_secs(2);
/// How often to look.
const PAUSE: Duration = Duration::from_millis(20);
/// What a cluster gets for its end, beyond the times of its configuration.
const GRACE: Duration = Duration::from_secs(15);

/// What is asked of a cluster.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Operation {
    /// A start as a daemon.
    Launch,
    Stop,
    Restart,
    Reload,
    Upgrade,
    Status(Shown),
    Reopen,
}

/// How a status is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Shown {
    pub(crate) json: bool,
    pub(crate) watch: bool,
}

/// Why an operation has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OperateError {
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Folder(#[from] FolderError),
    #[error("{name} is not running: {}", nobody(path, *left_by))]
    NotRunning { name: String, path: PathBuf, left_by: Option<Option<u32>> },
    #[error("{name} runs{}, but does not answer at {}: {error}", as_process(*pid), path.display())]
    Silent { name: String, pid: Option<u32>, path: PathBuf, error: ControlError },
    #[error("{name}{} has not ended within {} s; kill -9 ends it at once", as_process(*pid), after.as_secs())]
    Late { name: String, pid: Option<u32>, after: Duration },
    #[error(transparent)]
    Control(#[from] ControlError),
    #[error(transparent)]
    Daemon(#[from] DaemonError),
    #[error("nothing was stopped, because what is to be started has a fault: {0}")]
    Check(String),
    #[error("the program cannot be started: {0}")]
    Program(#[source] io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
}

fn nobody(pid_file: &Path, left_by: Option<Option<u32>>) -> String {
    let path = pid_file.display();
    match left_by {
        None => format!("there is no {path}"),
        Some(None) => format!("{path} was left behind"),
        Some(Some(pid)) => format!("{path} was left behind by process {pid}, which has ended"),
    }
}

fn as_process(pid: Option<u32>) -> String {
    pid.map_or_else(String::new, |pid| format!(" (process {pid})"))
}

/// Does what is asked, and gives the text that answers it.
pub(crate) fn operate(operation: &Operation, mut surroundings: Surroundings) -> Result<String, OperateError> {
    // Before the current directory changes.
    let typed = Typed::of_process().map_err(OperateError::Program)?;
    surroundings.enter()?;
    let cluster = Cluster::of(&Boot::new(surroundings)?)?;
    let name = &cluster.name;
    match operation {
        Operation::Launch => cluster.launch(&typed),
        Operation::Restart => cluster.restart(&typed),
        Operation::Stop => match cluster.stop()? {
            true => Ok(format!("{name} has stopped\n")),
            // What was wanted is so.
            false => Ok(format!("{name} is not running\n")),
        },
        Operation::Reload => {
            let value = cluster.ask(Request::Reload, "reloading")?;
            Ok(format!("{name} is reloaded: {}\n", generation(&value)))
        }
        Operation::Upgrade => {
            let value = cluster.ask(Request::Upgrade, "upgrading")?;
            Ok(format!("{name} is upgraded: {}\n", generation(&value)))
        }
        Operation::Reopen => {
            cluster.ask(Request::Reopen, "opening logs")?;
            Ok(format!("{name} writes to new log files\n"))
        }
        Operation::Status(shown) => cluster.status(*shown),
    }
}

/// Runs a schedule in a worker of the cluster, and says what came of it; `None` if no cluster runs.
pub(crate) fn run_schedule(name: &str, surroundings: &Surroundings) -> Result<Option<Outcome>, OperateError> {
    let cluster = Cluster::of(&Boot::new(surroundings.clone())?)?;
    match cluster.pid() {
        Err(OperateError::NotRunning { .. }) => return Ok(None),
        pid => pid?,
    };
    let answer = cluster.ask(Request::RunSchedule { name: name.to_owned() }, name)?;
    let outcome = answer.get("outcome").cloned().unwrap_or_default();
    let outcome = Outcome::deserialize(outcome).map_err(ControlError::Strange)?;
    Ok(Some(outcome))
}

/// There is nothing but the command in this process.
#[allow(clippy::disallowed_methods)]
fn pause(time: Duration) {
    thread::sleep(time);
}

/// What a reload has made.
fn generation(answer: &Value) -> String {
    match answer.get("generation") {
        Some(generation) => format!("generation {generation} serves"),
        None => "new workers serve".to_owned(),
    }
}

/// A cluster, which may run or not.
#[derive(Debug)]
struct Cluster {
    name: String,
    config: ClusterConfig,
    folder: RunFolder,
    /// How long its end may take; `None` is any time.
    end: Option<Duration>,
}

impl Cluster {
    fn of(boot: &Boot) -> Result<Self, OperateError> {
        let config: ClusterConfig = boot.settings().section("cluster")?;
        // A fault in what was perhaps written since it was started is no reason not to stop it.
        let server: Result<ServerConfig, _> = boot.settings().section("server");
        let folder = RunFolder::new(&boot.root().join(&config.run_dir), boot.name())?;
        let drain = server.ok().map(|server| server.limits.drain).filter(|drain| !drain.is_zero());
        let life: Result<LifecycleConfig, _> = boot.settings().section("lifecycle");
        let close = life.ok().and_then(|life| life.last());
        let end = drain.zip(close).map(|(drain, close)| {
            drain.saturating_add(close).saturating_add(config.kill_after).saturating_add(GRACE)
        });
        Ok(Self { name: boot.name().to_owned(), config, folder, end })
    }

    /// The process of the master, if that can be known.
    fn pid(&self) -> Result<Option<u32>, OperateError> {
        let left_by = match self.folder.running()? {
            Found::Running(pid) => return Ok(pid),
            Found::Stale(pid) => Some(pid),
            Found::Nothing => None,
        };
        Err(OperateError::NotRunning { name: self.name.clone(), path: self.folder.pid_file(), left_by })
    }

    /// Connects to the master.
    fn connect(&self) -> Result<Client, OperateError> {
        let until = Instant::now() + SOON;
        loop {
            let pid = self.pid()?;
            let path = self.folder.control();
            match Client::connect(&path) {
                Ok(client) => return Ok(client),
                Err(error) if Instant::now() > until => {
                    return Err(OperateError::Silent { name: self.name.clone(), pid, path, error });
                }
                // It is just being started, or about to be gone.
                Err(_) => pause(PAUSE),
            }
        }
    }

    /// Asks for something, and shows what is being done meanwhile.
    fn ask(&self, request: Request, doing: &str) -> Result<Value, OperateError> {
        let mut client = self.connect()?;
        let followed =
            progress::follow(doing, self.folder.control(), None, move |said| client.ask(&request, said));
        Ok(followed.expect("it is waited for without a limit")?)
    }

    /// Ends it; says whether there was something to end.
    fn stop(&self) -> Result<bool, OperateError> {
        let pid = match self.pid() {
            Err(OperateError::NotRunning { .. }) => return Ok(false),
            pid => pid?,
        };
        let client = match self.connect() {
            Ok(client) => Some(client),
            Err(OperateError::NotRunning { .. }) => return Ok(false),
            // Something has cleaned up its socket.
            Err(OperateError::Silent { .. }) if self.folder.terminate()? => None,
            Err(error) => return Err(error),
        };
        let folder = self.folder.clone();
        let ended = progress::follow("stopping", self.folder.control(), self.end, move |said| {
            let asked = client.map_or(Ok(()), |mut client| {
                client.ask(&Request::Stop, said).and_then(|_| client.wait_for_the_end())
            });
            // Whoever was asked by somebody else as well may be gone without an answer.
            match asked {
                Ok(()) | Err(ControlError::Lost(_)) => {}
                Err(error) => return Err(OperateError::from(error)),
            }
            // Its lock goes with the last of it; whoever has the lock then is another, started again by a supervisor.
            while matches!(folder.running()?, Found::Running(now) if now == pid) {
                pause(PAUSE);
            }
            Ok(true)
        });
        match (ended, self.end) {
            (None, Some(after)) => Err(OperateError::Late { name: self.name.clone(), pid, after }),
            (None, None) => unreachable!("it is waited for without a limit"),
            (Some(result), _) => result,
        }
    }
}
