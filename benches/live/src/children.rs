//! The processes that this one leads, each by lines on its standard input and output.

use std::{
    io::{BufRead, BufReader, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A process of this same program. It ends with the one that leads it, whose end closes its standard input.
pub struct Process {
    child: Child,
    orders: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Process {
    pub fn start(args: &[&str]) -> crate::Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child = command.args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let orders = child.stdin.take().ok_or("its input is a pipe")?;
        let answers = BufReader::new(child.stdout.take().ok_or("its output is a pipe")?);
        Ok(Self { child, orders, answers })
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn order(&mut self, line: &str) -> crate::Result {
        Ok(writeln!(self.orders, "{line}")?)
    }

    /// Waits for a line that begins with a word, and answers the rest of it.
    pub fn answer(&mut self, word: &str) -> crate::Result<String> {
        let mut line = String::new();
        if self.answers.read_line(&mut line)? == 0 {
            return Err(format!("process {} has ended before it was {word}", self.pid()).into());
        }
        match line.trim_end().split_once(' ') {
            Some((first, rest)) if first == word => Ok(rest.to_owned()),
            _ => Err(format!("process {} said {line:?} instead of {word}", self.pid()).into()),
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself; both then have nothing to do.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The process numbers of some.
pub fn pids(processes: &[Process]) -> Vec<u32> {
    processes.iter().map(Process::pid).collect()
}
