//! A folder that an operator works in, by the commands of a program.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use cepa_cluster::control::Status;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::{
    cluster::{is_alive, signal},
    stats::eventually,
};

/// A folder that an operator works in. What runs there is ended with it.
#[derive(Debug)]
pub struct Site {
    program: PathBuf,
    folder: TempDir,
    /// All processes that were seen, so that none is left behind unseen.
    seen: BTreeSet<u32>,
}

/// What a command has said.
#[derive(Debug)]
pub struct Said {
    /// Its exit code; none if a signal has ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub error: String,
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { code: output.status.code(), out: text(output.stdout), error: text(output.stderr) }
    }
}

impl Said {
    /// What was said by a command that has done what it was told.
    ///
    /// # Panics
    /// When it has failed.
    pub fn done(self) -> String {
        assert_eq!(self.code, Some(0), "{self:?}");
        self.out
    }

    /// Why a command has failed.
    ///
    /// # Panics
    /// When it has not.
    pub fn failed(self) -> String {
        assert_eq!((self.code, &*self.out), (Some(1), ""), "{self:?}");
        let (before, error) = self.error.split_once("error: ").unwrap_or_else(|| panic!("{self:?}"));
        // What was being done, a line each.
        assert!(before.lines().all(|line| line.contains("ing: ")), "{before}");
        error.trim_end().to_owned()
    }
}

impl Site {
    /// A folder in which `program` is used, with two workers on a port that the system chooses.
    ///
    /// # Panics
    /// When there is no folder for it.
    pub fn new(program: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        Self { program: program.into(), folder, seen: BTreeSet::new() }
    }

    /// Where a file of that name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Says how the next start of a worker goes, see the program.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn how(&self, text: &str) {
        fs::write(self.path("how"), text).expect("the folder is there");
    }

    /// The program with a command line.
    pub fn command(&self, line: &str) -> Command {
        self.command_of(&self.program, line)
    }

    /// Another program with a command line, in the same surroundings.
    pub fn command_of(&self, program: impl AsRef<Path>, line: &str) -> Command {
        let mut command = Command::new(program.as_ref());
        command.args(line.split_ascii_whitespace()).current_dir(self.folder.path()).stdin(Stdio::null());
        command.env("CEPA_ENV", "test").env("CEPA__CLUSTER__WORKERS", "2");
        command.env("CEPA__SERVER__LISTEN", "['127.0.0.1:0']");
        command
    }

    /// A copy of the program in the folder, both open to all users: where it stands otherwise they may not go.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn program_for_all(&self) -> PathBuf {
        fs::set_permissions(self.folder.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let copy = self.path(&self.program.file_name().unwrap_or_default().to_string_lossy());
        // By another process: a file that is open for writing in this one is busy in all that it is starting.
        let made = Command::new("cp").arg(&self.program).arg(&copy).status();
        assert!(made.is_ok_and(|status| status.success()), "there is cp, and room for the copy");
        copy
    }

    /// Runs the program to its end.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&self, line: &str) -> Said {
        self.command(line).output().expect("the program starts").into()
    }

    /// What runs; all of it is remembered.
    ///
    /// # Panics
    /// When nothing does.
    pub fn status(&mut self) -> Status {
        let text = self.run("status --json").done();
        let status: Status = serde_json::from_str(&text).expect("a status is printed");
        self.seen.insert(status.master.pid);
        self.seen.extend(status.processes.iter().map(|process| process.pid));
        status
    }

    /// Remembers a process.
    pub fn has_seen(&mut self, pid: u32) {
        self.seen.insert(pid);
    }

    /// How many of those that were seen live.
    pub fn alive(&self) -> usize {
        self.seen.iter().filter(|pid| is_alive(**pid)).count()
    }

    /// Asserts that whoever was seen is gone or going, and that the files are.
    ///
    /// # Panics
    /// When something is left.
    pub fn assert_empty(&self) {
        eventually("all are gone", || self.alive() == 0);
        let files = fs::read_dir(self.path("run")).expect("the run folder is there");
        let left: Vec<_> = files.flatten().map(|file| file.file_name()).collect();
        let log = self.program.with_extension("log");
        assert_eq!(left, [log.file_name().unwrap_or_default()]);
    }

    /// What a daemon has printed.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path("run/clustered.log")).unwrap_or_default()
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        // Its children see that it is gone.
        let pid = fs::read_to_string(self.path("run/clustered.pid")).unwrap_or_default();
        if let Some(pid) = pid.lines().next().and_then(|pid| pid.parse().ok()) {
            signal(pid, Signal::KILL);
        }
        self.seen.iter().filter(|pid| is_alive(**pid)).for_each(|pid| signal(*pid, Signal::KILL));
    }
}
