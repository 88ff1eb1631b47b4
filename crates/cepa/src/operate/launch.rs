//! Starting a cluster as a daemon.

use std::{
    env,
    ffi::OsString,
    os::unix::process::CommandExt,
    path::Path,
    process::{Command, Stdio},
};

use cepa_cluster::daemon;

use super::{Cluster, OperateError, progress};
use crate::command;

impl Cluster {
    /// Starts it with the arguments of this process.
    pub(super) fn launch(&self, typed_in: Option<&Path>) -> Result<String, OperateError> {
        self.launch_by(program(env::args_os().collect(), typed_in)?)
    }

    /// Stops it, if it runs, and starts it.
    pub(super) fn restart(&self, typed_in: Option<&Path>) -> Result<String, OperateError> {
        let typed: Vec<_> = env::args_os().collect();
        let as_another = |name| command::renamed(&typed, "restart", name).unwrap_or_else(|| typed.clone());
        let check = program(as_another("check"), typed_in)?.stdin(Stdio::null()).output();
        let check = check.map_err(OperateError::Program)?;
        if !check.status.success() {
            return Err(OperateError::Check(String::from_utf8_lossy(&check.stderr).trim_end().to_owned()));
        }
        self.stop()?;
        self.launch_by(program(as_another("start"), typed_in)?)
    }

    fn launch_by(&self, program: Command) -> Result<String, OperateError> {
        self.folder.make()?;
        let output = self.folder.output();
        let launched = progress::follow("starting", self.folder.control(), None, move |said| {
            daemon::launch(program, &output, said)
        });
        let pid = launched.expect("it is waited for without a limit")?;
        Ok(format!("{} serves as process {pid}\n", self.name))
    }
}

/// This program, with other arguments, as if it had been started where this one was.
fn program(arguments: Vec<OsString>, typed_in: Option<&Path>) -> Result<Command, OperateError> {
    let mut program = Command::new(env::current_exe().map_err(OperateError::Program)?);
    let mut arguments = arguments.into_iter();
    if let Some(name) = arguments.next() {
        program.arg0(name);
    }
    program.args(arguments);
    if let Some(folder) = typed_in {
        program.current_dir(folder);
    }
    Ok(program)
}
