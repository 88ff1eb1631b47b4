//! A process of a test's machine, which runs `tests/programs/process.rs`.

#![allow(dead_code, reason = "each program uses its part")]

use std::{
    io::{BufRead, BufReader, Lines},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A process that is killed when it is dropped.
pub(crate) struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
    /// It ends with the test, however that ends.
    _stdin: ChildStdin,
}

impl Process {
    /// Starts it, with what it is to do.
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bus-process"));
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let stdin = child.stdin.take().expect("it is piped");
        Self { child, lines, _stdin: stdin }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// What follows a word in the next line that begins with it.
    pub(crate) fn line(&mut self, word: &str) -> String {
        let line = self.lines.find_map(|line| line.ok()?.strip_prefix(word).map(str::to_owned));
        line.expect("it says so before it ends").trim().to_owned()
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.id().to_string()]).status();
        assert!(sent.expect("there is kill").success());
    }

    /// Whether each of its threads stands still, as they do some time after SIGSTOP.
    pub(crate) fn stands_still(&self) -> bool {
        let is_still = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = task.and_then(|task| std::fs::read_to_string(task.path().join("stat")));
            // What comes after the name, which is in brackets.
            stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
        };
        let tasks = format!("/proc/{}/task", self.id());
        std::fs::read_dir(tasks).expect("it has not ended").all(is_still)
    }

    /// With SIGKILL.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
