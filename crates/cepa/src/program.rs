//! A program around an app: from the command line to the exit code.

mod check;
mod failure;
mod once;
mod own;
mod serving;

#[cfg(feature = "dev")]
use std::ffi::OsString;
use std::{
    env, fmt,
    io::{self, Write},
    mem,
    process::ExitCode,
    time::Duration,
};

use cepa_core::{App, Result};
use cepa_server::cgi::process;
use tokio::runtime::LocalRuntime;

#[cfg(feature = "cluster")]
pub(crate) use self::own::SoundLog;
#[cfg(feature = "dev")]
pub(crate) use self::serving::{scheme, url};
pub(crate) use self::{
    failure::Failure,
    own::{Logging, Own},
};
use crate::{
    Plugin,
    acme::{self, Certificates},
    boot::{self, Boot, Lifecycle, LifecycleError, Settle, Surroundings},
    command::{self, Command},
    dev,
    plugin::Erased,
    routes,
    signals::Signals,
};
#[cfg(feature = "cluster")]
use crate::{operate, start};

/// A program around an app, with the name and version that `--help` and `--version` show, and its plugins.
///
/// [`program!`](crate::program!) makes one of the package it is written in; [`run`](crate::run) takes the name of
/// the program's file and needs no version.
///
/// ```no_run
/// use cepa::prelude::*;
///
/// fn app(_: &mut Boot) -> Result<App> {
///     Ok(App::new().get("/", async |_: &mut Ctx| "Hello, onion"))
/// }
///
/// fn main() -> ExitCode {
///     cepa::program!().run(app)
/// }
/// ```
pub struct Program {
    pub(crate) name: String,
    pub(crate) version: String,
    /// The configuration file of the folder that it works in, if that is named on its command line.
    file: Option<&'static str>,
    settle: Option<Settle>,
    /// Commands that are read elsewhere, and what they do.
    elsewhere: Vec<(String, String)>,
    plugins: Vec<Box<dyn Erased>>,
}

/// The [`Program`] of the package that this is written in.
#[macro_export]
macro_rules! program {
    () => {
        $crate::Program::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"))
    };
}

impl Program {
    /// A program of this name and version.
    pub fn new(name: impl Into<String>, version: impl Into<String>) -> Self {
        let (name, version) = (name.into(), version.into());
        Self { name, version, file: None, settle: None, elsewhere: Vec::new(), plugins: Vec::new() }
    }

    /// A program that hosts folders: one may be named behind each command, and the program works in it as if it had been
    /// started there. `file`, of that folder, is the lowest layer of the configuration.
    #[must_use]
    pub fn hosts_folders(mut self, file: &'static str) -> Self {
        self.file = Some(file);
        self
    }

    /// Adds a plugin. The order is that of what they need, else that in which they were added.
    #[must_use]
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        self.plugins.push(Box::new(plugin));
        self
    }

    /// Changes the configuration by [`Boot::set`] before anybody reads it, in every process of a cluster: in the master and
    /// the agent too, which have no [`Plugin`].
    #[must_use]
    pub fn settle(mut self, settle: fn(&mut Boot) -> Result) -> Self {
        self.settle = Some(settle);
        self
    }

    /// Names a command, and what it does, that whoever calls [`run`](Self::run) has read before: shells complete it too.
    #[must_use]
    pub fn read_elsewhere(mut self, command: impl Into<String>, about: impl Into<String>) -> Self {
        self.elsewhere.push((command.into(), about.into()));
        self
    }

    /// The program that the process was started as.
    pub(crate) fn of_process() -> Self {
        Self::new(boot::process_name(), concat!("(cepa ", env!("CARGO_PKG_VERSION"), ")"))
    }

    /// Does what the command line asks for, with the app that `app` builds; see [`run`](crate::run).
    pub fn run(mut self, app: impl FnOnce(&mut Boot) -> Result<App>) -> ExitCode {
        if process::is_cgi() {
            return self.run_for_cgi(app);
        }
        let hosts = self.file.is_some();
        let asked = command::parse(env::args_os(), &self.name, &self.version, hosts);
        let (command, mut surroundings) = match asked {
            Ok(asked) => asked,
            Err(text) => return usage(&text),
        };
        (surroundings.file, surroundings.settle) = (self.file, self.settle);
        match &command {
            Command::Completions(shell) => {
                let script = command::completions(*shell, &self.name, hosts, &self.elsewhere);
                return self.end(Ok(script));
            }
            #[cfg(feature = "cluster")]
            Command::Start => return start::start(self, surroundings, app),
            #[cfg(feature = "cluster")]
            Command::Operate(operation) => {
                return self.end(operate::operate(operation, surroundings).map_err(Failure::from));
            }
            _ => {}
        }
        let text = surroundings.enter().map_err(Failure::from);
        #[cfg(feature = "cluster")]
        if let (Command::RunSchedule(name), Ok(())) = (&command, &text) {
            match operate::run_schedule(name, &surroundings) {
                // There is no cluster: this process does it.
                Ok(None) => {}
                Ok(Some(outcome)) => return self.end(once::told_of_run(name, outcome)),
                Err(error) => return self.end(Err(error.into())),
            }
        }
        let plugins = mem::take(&mut self.plugins);
        let text = text.and_then(|()| perform(&command, surroundings, plugins, app));
        self.end(text)
    }

    #[cfg(feature = "cluster")]
    pub(crate) fn take_plugins(&mut self) -> Vec<Box<dyn Erased>> {
        mem::take(&mut self.plugins)
    }

    /// Says how it ended.
    pub(crate) fn end(&self, text: Result<String, Failure>) -> ExitCode {
        match text.and_then(|text| print(&text)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                let _ = writeln!(io::stderr(), "error: {failure}");
                if let Some(dev) = dev::served() {
                    dev.failed(&failure.to_string());
                }
                ExitCode::FAILURE
            }
        }
    }
}

/// The exit code of a program that was not asked for anything that it can do, or for its help.
fn usage(text: &clap::Error) -> ExitCode {
    // Nobody is left to be told that this cannot be printed.
    let _ = text.print();
    ExitCode::from(if text.use_stderr() { 2 } else { 0 })
}

/// The command `dev` for the package of the current directory, whose program need not have been built before.
///
/// The arguments are those behind `dev`, as of a program that [`run`](crate::run) makes. For programs that develop
/// others, such as `cepa`.
#[cfg(feature = "dev")]
pub fn develop(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = ["cepa", "dev"].map(OsString::from).into_iter().chain(arguments);
    let program = Program::new("cepa", env!("CARGO_PKG_VERSION"));
    match command::parse(line, &program.name, &program.version, false) {
        Ok((command, surroundings)) => {
            // What is asked for has no app of its own.
            program.end(perform(&command, surroundings, Vec::new(), |_| Ok(App::new())))
        }
        Err(text) => usage(&text),
    }
}

impl Program {
    /// Answers the one request that a front server has started the program for. Its arguments are those of the client
    /// (RFC 3875, section 4.4), so they are no command line.
    fn run_for_cgi(self, app: impl FnOnce(&mut Boot) -> Result<App>) -> ExitCode {
        let (folder, env, dir, flags) = (None, None, None, Vec::new());
        let surroundings =
            Surroundings { name: self.name, folder, file: self.file, settle: self.settle, env, dir, flags };
        match perform(&Command::Cgi, surroundings, self.plugins, app) {
            Ok(_) => ExitCode::SUCCESS,
            Err(failure) => {
                // The log of the front server is told why, the client is not. Neither may be there any more.
                let _ = writeln!(io::stderr(), "error: {failure}");
                let _ = io::stdout().write_all(process::FAILED);
                ExitCode::FAILURE
            }
        }
    }
}

/// Does what is asked, and gives the text that answers it.
fn perform(
    command: &Command,
    surroundings: Surroundings,
    plugins: Vec<Box<dyn Erased>>,
    app: impl FnOnce(&mut Boot) -> Result<App>,
) -> Result<String, Failure> {
    #[cfg(feature = "dev")]
    match command {
        Command::Dev { wanted, cargo, flags } => {
            dev::run(wanted, cargo.clone(), flags.clone(), surroundings)?;
            return Ok(String::new());
        }
        Command::ServeDev => {
            dev::open().map_err(dev::DevError::from)?;
            return perform(&Command::Serve, surroundings, plugins, app);
        }
        _ => {}
    }
    let boot = Boot::new(surroundings)?.with_plugins(plugins);
    // What the hooks begin lives on this thread, as long as the program.
    let runtime = LocalRuntime::new().map_err(Failure::Runtime)?;
    let performed = perform_on(&runtime, command, boot, app);
    // Work that blocks gets a moment; it cannot be interrupted.
    runtime.shutdown_timeout(LAST_WORK);
    performed
}

/// How long the end of the program waits for work that blocks.
pub(crate) const LAST_WORK: Duration = Duration::from_secs(1);

fn perform_on(
    runtime: &LocalRuntime,
    command: &Command,
    boot: Boot,
    app: impl FnOnce(&mut Boot) -> Result<App>,
) -> Result<String, Failure> {
    let mut life = runtime.block_on(Lifecycle::configure(boot))?;
    let Own { log, mut server, .. } = Own::of(life.boot())?;
    let log = match command {
        Command::Routes | Command::Explain(_) | Command::Check | Command::Dump => Logging(None),
        _ => Logging::start(&log.0)?,
    };
    let mut onion = life.build(app)?;
    if let Some(dev) = dev::served() {
        acme::made_in_dev(&mut server);
        dev.listen(&mut server);
        onion = dev.around(onion).map_err(LifecycleError::from)?;
    }
    match command {
        Command::Serve => {
            // Before there is anything that a signal would have to end in order.
            let signals = Signals::take(log.0.clone()).map_err(Failure::Signals)?;
            let certificates = Certificates::of(life.boot(), &server)?;
            let lived = runtime.block_on(serving::live(life, onion, server, certificates, &signals));
            lived.map(|()| String::new())
        }
        Command::Cgi => once::answer_cgi(runtime, life, onion, &server),
        Command::Routes => Ok(routes::table(&onion)),
        Command::Explain(question) => Ok(routes::explanation(&onion, question)),
        Command::Check => check::check(life.boot(), &onion, &server),
        #[cfg(feature = "cluster")]
        Command::RunSchedule(name) => runtime.block_on(once::run_schedule(life, &onion, name)),
        Command::Dump => {
            let summary = check::check(life.boot(), &onion, &server)?;
            Ok(format!("# {summary}{}", check::dump(life.boot())?))
        }
        // What needs no app, or is about a cluster, is done elsewhere.
        _ => Ok(String::new()),
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("name", &self.name)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Prints what was asked for. A reader that has had enough, such as `head`, is no failure.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Failure::Output(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests;
