//! Starting a cluster as a daemon.

use std::{
    env,
    ffi::OsString,
    io,
    path::PathBuf,
    process::{Command, Stdio},
};

use cepa_cluster::{FolderError, Found, Program, daemon};

use super::{Cluster, OperateError, progress};
use crate::command::{self, Command as Asked};

/// What was typed, and where.
#[derive(Debug)]
pub(super) struct Typed {
    program: Program,
    arguments: Vec<OsString>,
    folder: PathBuf,
}

impl Typed {
    pub(super) fn of_process() -> io::Result<Self> {
        Ok(Self {
            program: Program::of_process()?,
            arguments: env::args_os().collect(),
            folder: env::current_dir()?,
        })
    }

    /// What starts the program with another command line, as if that had been typed.
    fn instead(&self, arguments: &[OsString]) -> Command {
        let mut program = self.program.command(arguments);
        program.current_dir(&self.folder);
        program
    }

    /// The command line with another word, or none, in the place of one, so that it asks for `what`.
    fn asking_for(&self, what: &Asked, word: &str, instead: Option<&str>) -> Vec<OsString> {
        let places = self.arguments.iter().enumerate().skip(1).filter(|(_, argument)| *argument == word);
        let lines = places.map(|(place, _)| {
            let mut line = self.arguments.clone();
            line.splice(place..=place, instead.map(OsString::from));
            line
        });
        command::that_asks_for(what, lines).unwrap_or_else(|| self.arguments.clone())
    }
}

impl Cluster {
    /// Starts it.
    pub(super) fn launch(&self, typed: &Typed) -> Result<String, OperateError> {
        self.launch_by(typed.instead(&typed.asking_for(&Asked::Start, "--daemon", None)))
    }

    /// Stops it, if it runs, and starts it.
    pub(super) fn restart(&self, typed: &Typed) -> Result<String, OperateError> {
        let check = typed.asking_for(&Asked::Check, "restart", Some("check"));
        let checked = typed.instead(&check).stdin(Stdio::null()).output().map_err(OperateError::Program)?;
        if !checked.status.success() {
            let said = String::from_utf8_lossy(&checked.stderr);
            let fault = said.trim_end().trim_start_matches("error: ");
            return Err(OperateError::Check(fault.to_owned()));
        }
        self.stop()?;
        self.launch_by(typed.instead(&typed.asking_for(&Asked::Start, "restart", Some("start"))))
    }

    fn launch_by(&self, program: Command) -> Result<String, OperateError> {
        // Also so that the daemon that runs does not find the complaint in its log.
        if let Found::Running(pid) = self.folder.running()? {
            return Err(FolderError::Running(pid).into());
        }
        let (folder, config) = (self.folder.clone(), self.config.clone());
        let launched = progress::follow("starting", self.folder.control(), None, move |said| {
            daemon::launch(program, &folder, &config, said)
        });
        let pid = launched.expect("it is waited for without a limit")?;
        Ok(format!("{} serves as process {pid}\n", self.name))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_changed_where_it_is_the_command_and_not_where_it_is_a_value() {
        let line = |text: &str| text.split(' ').map(OsString::from).collect::<Vec<_>>();
        for (typed, what, word, instead, line_instead) in [
            ("app restart", Asked::Start, "restart", Some("start"), "app start"),
            ("app --env restart restart", Asked::Start, "restart", Some("start"), "app --env restart start"),
            (
                "restart restart --env restart",
                Asked::Check,
                "restart",
                Some("check"),
                "restart check --env restart",
            ),
            ("app restart --workers 2", Asked::Check, "restart", Some("check"), "app check --workers 2"),
            ("app start --daemon", Asked::Start, "--daemon", None, "app start"),
            (
                "app start --set --daemon --daemon",
                Asked::Start,
                "--daemon",
                None,
                "app start --set --daemon --daemon",
            ),
            (
                "app start --env d --daemon --workers 1",
                Asked::Start,
                "--daemon",
                None,
                "app start --env d --workers 1",
            ),
        ] {
            let typed = Typed {
                program: Program::of_process().unwrap(),
                arguments: line(typed),
                folder: PathBuf::new(),
            };
            assert_eq!(typed.asking_for(&what, word, instead), line(line_instead), "{typed:?}");
        }
    }
}
