//! The command `dev`: serves an app while it is written.
//!
//! One process watches and builds ([`watch`], [`build`]); it keeps the listening sockets ([`sockets`]) and runs the program
//! that was built last ([`process`]), which takes over from the one before once it serves. The other side of that is
//! [`mod@served`], in the program. What pages know of all this is in [`page`]; while there is no program that works, a
//! [`stand_in`] answers.

mod build;
mod config;
mod line;
mod page;
mod process;
mod project;
mod served;
mod sockets;
mod stand_in;
mod supervisor;
mod terminal;
mod watch;

use std::{
    cell::RefCell,
    env,
    ffi::OsString,
    io,
    path::{self, Path},
    process::Command,
    rc::Rc,
};

use cepa_server::{ServerConfig, listen::ListenError};
use tokio::{
    runtime::LocalRuntime,
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::spawn_local,
};

pub use self::config::DevConfig;
use self::{
    project::Project,
    supervisor::{Event, Supervisor},
    watch::{Change, Layout, Watch},
};
pub(crate) use self::{
    project::{ProjectError, Wanted},
    served::{Served, open, served},
};
use crate::{
    boot::{Boot, BootError, EnvName, Surroundings},
    config::ConfigError,
};

/// Why `dev` cannot go on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    #[error(transparent)]
    Project(#[from] ProjectError),
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error("files cannot be watched: {0}")]
    Watch(#[from] notify::Error),
    #[error(transparent)]
    System(#[from] io::Error),
}

/// What a program is started with.
struct Start {
    surroundings: Surroundings,
    env: EnvName,
    flags: Vec<OsString>,
}

impl Start {
    /// The configuration as the program will have it.
    fn config(&self) -> Result<(ServerConfig, DevConfig), DevError> {
        let boot = Boot::new(Surroundings { env: Some(self.env.clone()), ..self.surroundings.clone() })?;
        Ok((boot.settings().section("server")?, boot.settings().section("dev")?))
    }

    fn command(&self, program: &Path) -> Command {
        let mut command = Command::new(program);
        command.arg("--env").arg(self.env.as_str());
        if let Some(folder) = &self.surroundings.dir {
            command.arg("--config").arg(folder);
        }
        command.args(&self.flags).arg("serve-dev");
        command
    }
}

/// Serves an app while it is written, until a signal ends it.
///
/// `cargo` are arguments for its builds, `flags` those of the program but for the folder of its configuration and its
/// environment.
///
/// # Errors
/// There is no package, or nothing that can be served.
pub(crate) fn run(
    wanted: &Wanted,
    cargo: Vec<OsString>,
    flags: Vec<OsString>,
    mut surroundings: Surroundings,
) -> Result<(), DevError> {
    let project = Project::find(wanted, &env::current_dir()?)?;
    // What was typed is meant from where it was typed; what the program reads lies in the folder of its package.
    surroundings.dir = surroundings.dir.map(path::absolute).transpose()?;
    env::set_current_dir(&project.folder)?;
    // Builds are such as are made to be developed, however this program was built.
    let env = match surroundings.env.take() {
        Some(env) => env,
        None => EnvName::of_variable()?.unwrap_or_else(EnvName::development),
    };
    let settings = path::absolute(surroundings.dir.as_deref().unwrap_or(Path::new("config")))?;
    let start = Start { surroundings, env, flags };
    let (_, config) = start.config()?;
    let layout = Layout { project, config, settings, files: Default::default() };
    let runtime = LocalRuntime::new()?;
    let ended = runtime.block_on(develop(start, layout, cargo));
    // Nothing is left to be waited for, but threads that wait for a watcher or a terminal.
    runtime.shutdown_background();
    ended
}

async fn develop(start: Start, layout: Layout, cargo: Vec<OsString>) -> Result<(), DevError> {
    let (events, mut happening) = mpsc::unbounded_channel();
    take_signals(&events)?;
    let (mut watch, mut paths) = Watch::new()?;
    watch.follow(&layout)?;
    let layout = Rc::new(RefCell::new(layout));
    let (changes, watched) = (events.clone(), Rc::clone(&layout));
    spawn_local(async move {
        loop {
            let (paths, change) = watch::next(&mut paths, &watched).await;
            if changes.send(Event::Files(paths, change)).is_err() {
                return;
            }
        }
    });
    let mut supervisor = Supervisor::new(start, Rc::clone(&layout), cargo, events)?;
    supervisor.handle(Event::Changed(Change::Rebuild));
    loop {
        match happening.recv().await {
            Some(Event::Told) | None => break,
            Some(Event::Files(paths, change)) => {
                watch.forget(&paths);
                if let Some(change) = change {
                    supervisor.handle(Event::Changed(change));
                }
            }
            Some(event) => supervisor.handle(event),
        }
        // What there is to be watched may have changed with it.
        watch.follow(&layout.borrow())?;
    }
    let force = async { while !matches!(happening.recv().await, Some(Event::Told) | None) {} };
    supervisor.end(force).await;
    Ok(())
}

fn take_signals(events: &mpsc::UnboundedSender<Event>) -> io::Result<()> {
    for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
        let (mut signal, events) = (signal(kind)?, events.clone());
        spawn_local(
            async move { while signal.recv().await.is_some() && events.send(Event::Told).is_ok() {} },
        );
    }
    Ok(())
}
