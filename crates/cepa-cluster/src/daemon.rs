//! Daemons: a master apart from the terminal it was started at, whose starter is told how the start goes.
//!
//! The two are joined by a pair of sockets, one of which the master finds as its standard input. What comes over it are
//! the lines that also answer a request at the control socket.

use std::{
    cell::RefCell,
    env,
    fs::{File, OpenOptions},
    io::{self, BufReader, Read, Seek, SeekFrom, Write},
    os::{
        fd::OwnedFd,
        unix::{fs::OpenOptionsExt, net::UnixStream},
    },
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    rc::Rc,
    time::Duration,
};

use rustix::net::{AddressFamily, sockopt::socket_domain};
use serde_json::json;

use crate::{
    config::ClusterConfig,
    control::{self, Answer, ControlError, line},
    folder::{FolderError, RunFolder},
    privileges::{Identity, PrivilegeError},
    program::ROLE,
    seat::read_nothing,
};

/// What a daemon is told that it is.
const DAEMON: &str = "daemon";

/// How much is shown of what a daemon has printed that has not become ready.
const LAST_WORDS: u64 = 4096;

/// How long the master waits for a starter that does not read.
const PATIENCE: Duration = Duration::from_millis(250);

/// Why there is no daemon.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    /// The run folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// What is made for the cluster cannot be given to its user.
    #[error(transparent)]
    Privileges(#[from] PrivilegeError),
    /// The file for what it prints cannot be written.
    #[error("{}: {error}", path.display())]
    Output {
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The program cannot be started.
    #[error("the program cannot be started: {0}")]
    Spawn(#[source] io::Error),
    /// It has said why not.
    #[error("{0}")]
    Failed(String),
    /// It has ended without a word to its starter.
    #[error("it has ended before it was ready ({status}){}", last_words(said, path))]
    Ended {
        /// How.
        status: ExitStatus,
        /// The end of what it has printed.
        said: String,
        /// Where all of that is.
        path: PathBuf,
    },
}

fn last_words(said: &str, path: &Path) -> String {
    match said.trim_end() {
        "" => String::new(),
        said => format!("; the last lines of {}:\n{said}", path.display()),
    }
}

/// Starts a program whose master is to be a daemon, and waits until that is ready; gives its process.
///
/// What the daemon prints is added to [`RunFolder::output`], which only the user of the cluster may read.
///
/// # Errors
/// Where it does not become ready; it has ended then.
pub fn launch(
    mut program: Command,
    folder: &RunFolder,
    config: &ClusterConfig,
    progress: impl FnMut(&str),
) -> Result<u32, DaemonError> {
    let output = folder.output();
    let failed = |error| DaemonError::Output { path: output.clone(), error };
    let identity = Identity::of(config)?;
    let made = folder.make()?;
    let log = OpenOptions::new().append(true).create(true).mode(0o600).open(&output).map_err(failed)?;
    if let Some(identity) = identity {
        identity.own(&output).map_err(PrivilegeError::from)?;
        if made {
            identity.own(folder.dir()).map_err(PrivilegeError::from)?;
        }
    }
    let before = log.metadata().map_err(failed)?.len();
    let (ours, theirs) = UnixStream::pair().map_err(DaemonError::Spawn)?;
    program.env(ROLE, DAEMON).stdin(OwnedFd::from(theirs));
    program.stdout(log.try_clone().map_err(failed)?).stderr(log);
    let mut child = program.spawn().map_err(DaemonError::Spawn)?;
    // With it goes the copy of the end that is the daemon's.
    drop(program);
    match control::answered(&mut BufReader::new(ours), progress) {
        Ok(_) => Ok(child.id()),
        Err(ControlError::Refused(reason)) => {
            // It is about to end; its pid file and its sockets are gone when it has.
            let _ = child.wait();
            Err(DaemonError::Failed(reason))
        }
        Err(_) => {
            let status = child.wait().map_err(DaemonError::Spawn)?;
            let said = since(&output, before).map_err(failed)?;
            Err(DaemonError::Ended { status, said, path: output })
        }
    }
}

/// The last lines of a file behind a place in it.
fn since(path: &Path, before: u64) -> io::Result<String> {
    let mut file = File::open(path)?;
    let from = before.max(file.metadata()?.len().saturating_sub(LAST_WORDS));
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.take(LAST_WORDS).read_to_end(&mut bytes)?;
    Ok(control::printable(&String::from_utf8_lossy(&bytes)))
}

/// Who has started the master and waits until it is ready; or nobody, for one in the foreground. A clone is the same.
#[derive(Clone, Debug)]
pub struct Starter {
    line: Rc<RefCell<Option<UnixStream>>>,
}

impl Starter {
    /// That of this process. One that [`launch`] has made leaves its session, and with it the terminal.
    ///
    /// # Errors
    /// Where that fails.
    pub fn of_process() -> io::Result<Self> {
        if env::var_os(ROLE).is_none_or(|role| role != DAEMON) {
            return Ok(Self::over(None));
        }
        // Programs that it starts in its turn inherit the variable, but no line, and are not mistaken.
        if socket_domain(rustix::stdio::stdin()).ok() != Some(AddressFamily::UNIX) {
            return Ok(Self::over(None));
        }
        let line = UnixStream::from(rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3)?);
        read_nothing()?;
        line.set_write_timeout(Some(PATIENCE))?;
        rustix::process::setsid()?;
        Ok(Self::over(Some(line)))
    }

    fn over(line: Option<UnixStream>) -> Self {
        Self { line: Rc::new(RefCell::new(line)) }
    }

    /// Whether there is somebody.
    pub fn is_there(&self) -> bool {
        self.line.borrow().is_some()
    }

    /// The cluster serves; there is nothing more to be told.
    pub fn ready(&self) {
        self.tell_at_last(&Answer::Ok(json!({})));
    }

    /// The cluster does not start, and ends.
    pub fn failed(&self, reason: &str) {
        self.tell_at_last(&Answer::Error(reason.to_owned()));
    }

    fn tell_at_last(&self, answer: &Answer) {
        if let Some(mut stream) = self.line.take() {
            // One that is gone, or does not read, does not want to know.
            let _ = stream.write_all(line(answer).as_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", script]);
        shell
    }

    fn launch_in(root: &Path, program: Command, told: &mut Vec<String>) -> Result<u32, DaemonError> {
        let folder = RunFolder::new(&root.join("run"), "app").unwrap();
        launch(program, &folder, &ClusterConfig::default(), |text| told.push(text.to_owned()))
    }

    fn launched(script: &str) -> (Result<u32, DaemonError>, Vec<String>) {
        let (root, mut told) = (tempfile::tempdir().unwrap(), Vec::new());
        std::fs::create_dir(root.path().join("run")).unwrap();
        std::fs::write(root.path().join("run/app.log"), "an earlier life\n").unwrap();
        (launch_in(root.path(), shell(script), &mut told), told)
    }

    #[test]
    fn the_starter_is_told_how_it_goes() {
        let (pid, told) = launched(
            "test \"$CEPA_ROLE\" = daemon || exit 9; \
             echo '{\"progress\":\"one\"}' >&0; echo '{\"progress\":\"two\"}' >&0; echo '{\"ok\":{}}' >&0",
        );
        assert!(pid.unwrap() > 0);
        assert_eq!(told, ["one", "two"]);
        let (failed, _) = launched("echo '{\"error\":\"the moon is full\"}' >&0; exit 1");
        assert_eq!(failed.unwrap_err().to_string(), "the moon is full");
    }

    #[test]
    fn one_that_ends_without_a_word_is_quoted() {
        let (failed, _) = launched("printf 'on \\033[31mfire\\n' >&2; exit 3");
        let error = failed.unwrap_err().to_string();
        assert!(error.starts_with("it has ended before it was ready (exit status: 3); the last lines of "));
        assert!(error.ends_with("app.log:\non  [31mfire"), "{error:?}");
        let (failed, _) = launched("kill -9 $$");
        assert_eq!(failed.unwrap_err().to_string(), "it has ended before it was ready (signal: 9 (SIGKILL))");
    }

    #[test]
    fn what_cannot_be_started_is_said() {
        let root = tempfile::tempdir().unwrap();
        let error = launch_in(root.path(), Command::new("/no/such/program"), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("the program cannot be started: "), "{error}");
        std::fs::remove_dir_all(root.path().join("run")).unwrap();
        std::fs::write(root.path().join("run"), "").unwrap();
        let error = launch_in(root.path(), Command::new("true"), &mut Vec::new()).unwrap_err();
        assert!(error.to_string().starts_with("cluster.run_dir: "), "{error}");
    }

    #[test]
    fn the_last_word_is_said_once_and_holds_nobody_up() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let starter = Starter::over(Some(theirs));
        let same = starter.clone();
        starter.ready();
        same.failed("later");
        assert!(!same.is_there());
        let mut said = String::new();
        (&ours).read_to_string(&mut said).unwrap();
        assert_eq!(said, "{\"ok\":{}}\n");

        let (ours, theirs) = UnixStream::pair().unwrap();
        drop(ours);
        Starter::over(Some(theirs)).failed("nobody hears");

        let (_ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_write_timeout(Some(PATIENCE)).unwrap();
        Starter::over(Some(theirs)).failed(&"x".repeat(10_000_000));
    }
}
