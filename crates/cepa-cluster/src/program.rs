//! The program of this process, and how its children are made of it.

use std::{
    env,
    ffi::{OsStr, OsString},
    io,
    os::{
        fd::OwnedFd,
        unix::{net::UnixStream, process::CommandExt},
    },
    path::{self, Path, PathBuf},
    process::{Command, Stdio},
};

/// Says to a process what it is; its standard input is the line to whoever says so.
pub(crate) const ROLE: &str = "CEPA_ROLE";

/// What only the process is to know that a service manager has started.
const OF_MANAGER: [&str; 7] = [
    "LISTEN_FDS",
    "LISTEN_FDS_FIRST_FD",
    "LISTEN_FDNAMES",
    "LISTEN_PID",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// A program and its arguments.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    /// Its own name first.
    arguments: Vec<OsString>,
}

impl Program {
    /// The program that this process was started as.
    ///
    /// It is found again by the path that it was started by: where that leads over a symbolic link to another program
    /// by then, it is the other one. So this must be asked for before the current directory changes.
    ///
    /// # Errors
    /// Where the program is cannot be known.
    pub fn of_process() -> io::Result<Self> {
        let mut arguments: Vec<_> = env::args_os().collect();
        let typed = Path::new(arguments.first().map_or(OsStr::new(""), OsString::as_os_str));
        let path = if typed.components().count() > 1 {
            let path = path::absolute(typed)?;
            // Those whom it starts, and what it becomes itself, ask for it in another directory.
            arguments[0] = path.clone().into_os_string();
            path
        } else {
            let folders = env::var_os("PATH").unwrap_or_default();
            let found =
                env::split_paths(&folders).map(|folder| folder.join(typed)).find(|path| path.is_file());
            found.filter(|_| !typed.as_os_str().is_empty()).map_or_else(env::current_exe, Ok)?
        };
        Ok(Self { path, arguments })
    }

    /// What starts the program with these arguments, its own name first.
    pub fn command(&self, arguments: &[OsString]) -> Command {
        let mut command = Command::new(&self.path);
        if let Some((name, arguments)) = arguments.split_first() {
            command.arg0(name).args(arguments);
        }
        command
    }

    fn part(&self, role: &str, line: UnixStream) -> Command {
        let mut command = self.command(&self.arguments);
        command.env(ROLE, role).stdin(Stdio::from(OwnedFd::from(line)));
        command
    }

    /// Makes a process of this program, in a process group of its own: what is typed at a terminal is for the master
    /// alone. Gives its number; it is waited for by that.
    pub(crate) fn spawn(&self, role: &str, line: UnixStream, env: Option<&[String]>) -> io::Result<u32> {
        let mut command = self.part(role, line);
        command.process_group(0);
        if let Some(wanted) = env {
            for (name, _) in env::vars_os() {
                let text = name.to_string_lossy();
                if !text.starts_with("CEPA_") && !wanted.iter().any(|wanted| **wanted == *text) {
                    command.env_remove(&name);
                }
            }
        }
        for name in OF_MANAGER {
            command.env_remove(name);
        }
        // Waited for by its number, because after an upgrade that is all there is.
        #[allow(clippy::zombie_processes)]
        let child = command.spawn()?;
        Ok(child.id())
    }

    /// Goes on as this program, in the same process; gives why not, or nothing at all.
    pub(crate) fn go_on(&self, role: &str, line: UnixStream) -> io::Error {
        self.part(role, line).exec()
    }
}
