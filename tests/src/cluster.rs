//! A cluster of real processes for a test.

use std::{
    fs, io,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::process::ExitStatusExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use cepa_cluster::control::{Client, ControlError, ProcessStatus, Request, Role, State, Status};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{stats::eventually, wire::PATIENCE};

/// A cluster that is to be started: of one program, in a folder of its own, on a port that the system chooses.
#[derive(Debug)]
pub struct Starting {
    program: PathBuf,
    folder: TempDir,
    settings: Vec<String>,
    env: Vec<(String, String)>,
    listen: Option<String>,
}

/// A cluster at work; it is killed when this is dropped.
#[derive(Debug)]
pub struct Cluster {
    master: Child,
    program: PathBuf,
    folder: TempDir,
    log: Log,
    address: Option<SocketAddr>,
    /// All processes that were seen, so that none is left behind unseen.
    seen: Vec<u32>,
}

/// What a cluster has written to its standard error.
#[derive(Clone, Debug, Default)]
pub struct Log(Arc<Mutex<String>>);

impl Log {
    /// All of it so far.
    pub fn text(&self) -> String {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn read(&self, from: impl io::Read + Send + 'static) {
        let log = self.clone();
        thread::spawn(move || {
            let mut from = BufReader::new(from);
            let mut line = Vec::new();
            while matches!(from.read_until(b'\n', &mut line), Ok(1..)) {
                let text = String::from_utf8_lossy(&line).into_owned();
                log.0.lock().unwrap_or_else(PoisonError::into_inner).push_str(&text);
                line.clear();
            }
        });
    }
}

impl Starting {
    /// A cluster of `program`.
    ///
    /// # Panics
    /// When there is no folder for it.
    pub fn new(program: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        let (program, listen) = (program.into(), Some("127.0.0.1:0".to_owned()));
        Self { program, folder, settings: Vec::new(), env: Vec::new(), listen }
    }

    /// With a setting, `cluster.workers=2`.
    #[must_use]
    pub fn set(mut self, setting: &str) -> Self {
        self.settings.push(setting.to_owned());
        self
    }

    /// With a variable of the environment.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Listening elsewhere.
    #[must_use]
    pub fn listen(mut self, address: &str) -> Self {
        self.listen = Some(address.to_owned());
        self
    }

    /// Listening where its configuration says.
    #[must_use]
    pub fn listen_as_configured(mut self) -> Self {
        self.listen = None;
        self
    }

    /// Of another program.
    #[must_use]
    pub fn program(mut self, program: &Path) -> Self {
        self.program = program.to_owned();
        self
    }

    /// The folder that it will work in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Starts the program, and does not wait.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(self) -> Cluster {
        let Self { program, folder, settings, env, listen } = self;
        let mut command = Command::new(&program);
        command.arg("start").current_dir(folder.path());
        if let Some(listen) = listen {
            command.args(["--listen", &listen]);
        }
        for setting in settings {
            command.args(["--set", &setting]);
        }
        command.envs(env).env("CEPA_ENV", "test").stdin(Stdio::null()).stderr(Stdio::piped());
        let mut master = command.spawn().expect("the program starts");
        let log = Log::default();
        log.read(master.stderr.take().expect("it is piped"));
        Cluster { master, program, folder, log, address: None, seen: Vec::new() }
    }

    /// Starts the cluster, and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(self) -> Cluster {
        let mut cluster = self.spawn();
        cluster.wait_until_it_serves();
        cluster
    }
}

impl Cluster {
    /// Waits until all of its workers serve.
    ///
    /// # Panics
    /// When they do not.
    pub fn wait_until_it_serves(&mut self) {
        let started = Instant::now();
        loop {
            if let Some(ended) = self.master.try_wait().expect("it is our child") {
                panic!("the cluster has ended, {ended}:\n{}", self.log.text());
            }
            if let Some(status) = self.try_status().filter(is_serving) {
                self.address = status.master.listen.first().and_then(|address| address.parse().ok());
                return;
            }
            assert!(started.elapsed() < PATIENCE, "the cluster does not serve:\n{}", self.log.text());
            crate::stats::pause(Duration::from_millis(5));
        }
    }

    /// The port it listens on.
    ///
    /// # Panics
    /// When it has none.
    pub fn address(&self) -> SocketAddr {
        self.address.expect("it listens on a port")
    }

    /// The folder that it works in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The program that it runs.
    pub fn program(&self) -> &Path {
        &self.program
    }

    /// Says how the next start of a worker goes, see the program.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn how(&self, text: &str) {
        fs::write(self.folder().join("how"), text).expect("the folder is there");
    }

    /// The process of the master.
    pub fn pid(&self) -> u32 {
        self.master.id()
    }

    /// What it has written to its standard error.
    pub fn log(&self) -> String {
        self.log.text()
    }

    /// A connection to its control socket.
    ///
    /// # Errors
    /// Nobody is there.
    pub fn control(&self) -> Result<Client, ControlError> {
        let name = self.program.file_name().unwrap_or_default();
        Client::connect(&self.folder().join("run").join(name).with_extension("sock"))
    }

    /// Asks it for something.
    ///
    /// # Errors
    /// See [`ControlError`].
    pub fn ask(&self, request: &Request) -> Result<serde_json::Value, ControlError> {
        self.control()?.ask(request, |_| ())
    }

    fn try_status(&mut self) -> Option<Status> {
        let status = self.control().ok()?.status().ok()?;
        self.seen.extend(status.processes.iter().map(|process| process.pid));
        Some(status)
    }

    /// What runs.
    ///
    /// # Panics
    /// When it does not say.
    pub fn status(&mut self) -> Status {
        self.try_status().expect("the master answers")
    }

    /// The workers that serve, by slot.
    ///
    /// # Panics
    /// When the master does not answer.
    pub fn serving(&mut self) -> Vec<ProcessStatus> {
        let processes = self.status().processes.into_iter();
        processes.filter(|process| process.role == Role::Worker && process.state == State::Serving).collect()
    }

    /// Waits until it serves and nothing else goes on: nobody starts, nobody leaves.
    ///
    /// # Panics
    /// When that does not come.
    pub fn wait_until_it_is_calm(&mut self) {
        eventually("the cluster is calm", || {
            self.try_status()
                .is_some_and(|status| status.processes.iter().all(|process| process.state == State::Serving))
        });
    }

    /// Sends the master a signal.
    ///
    /// # Panics
    /// When it is gone.
    pub fn signal(&self, what: Signal) {
        signal(self.pid(), what);
    }

    /// Waits until the master has ended; asserts that nothing is left of the cluster.
    ///
    /// # Panics
    /// When something is, or it does not end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut ended = None;
        eventually("the master ends", || {
            ended = self.master.try_wait().expect("it is our child");
            ended.is_some()
        });
        for pid in &self.seen {
            assert!(!is_alive(*pid), "{pid} is left behind:\n{}", self.log.text());
        }
        let left: Vec<_> = fs::read_dir(self.folder().join("run"))
            .map(|files| files.flatten().map(|file| file.file_name()).collect())
            .unwrap_or_default();
        assert!(left.is_empty(), "{left:?} is left behind:\n{}", self.log.text());
        ended.expect("it has ended")
    }

    /// Stops it, and asserts that nothing is left of it.
    ///
    /// # Panics
    /// When it does not end well.
    pub fn stop(mut self) {
        if let Some(status) = self.try_status() {
            assert!(status.master.pid == self.pid());
        }
        self.signal(Signal::TERM);
        let ended = self.ended();
        assert_eq!(ended.code(), Some(0), "signal {:?}:\n{}", ended.signal(), self.log.text());
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Its children see that it is gone; those who cannot see are ended as well.
        let _ = self.master.kill();
        let _ = self.master.wait();
        let status = self.seen.iter().filter(|pid| is_alive(**pid));
        status.for_each(|pid| signal(*pid, Signal::KILL));
    }
}

fn is_serving(status: &Status) -> bool {
    let workers: Vec<_> = status.processes.iter().filter(|process| process.role == Role::Worker).collect();
    !workers.is_empty() && workers.iter().all(|worker| worker.state == State::Serving)
}

/// Sends a process a signal; one that is gone misses it.
pub fn signal(pid: u32, what: Signal) {
    let Some(pid) = i32::try_from(pid).ok().and_then(Pid::from_raw) else { return };
    let _ = kill_process(pid, what);
}

/// The state of a process by its letter, see proc(5).
pub fn state(pid: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}

/// Whether a process lives; one that only waits to be waited for does not.
pub fn is_alive(pid: u32) -> bool {
    !matches!(state(pid), None | Some('Z' | 'X'))
}
