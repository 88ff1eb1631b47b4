//! A program around an app: from the command line to the exit code.

use std::{
    env,
    io::{self, Write},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use cepa_core::{App, Error, Onion, Result, router::BuildError};
use cepa_log::{Log, LogConfig, LogConfigError, LogError};
use cepa_server::{Protocol, Server, ServerConfig, ServerError, cgi::process, listen::Endpoint, tls::Tls};
use serde::Deserialize;
use tracing::{dispatcher, info};

use crate::{
    boot::{self, Boot, BootError, Surroundings},
    command::{self, Command},
    config::ConfigError,
    routes,
    signals::Signals,
};

/// A program around an app, with the name and version that `--help` and `--version` show.
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
#[derive(Clone, Debug)]
pub struct Program {
    name: String,
    version: String,
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
        Self { name: name.into(), version: version.into() }
    }

    /// The program that the process was started as.
    pub(crate) fn of_process() -> Self {
        Self::new(boot::process_name(), concat!("(cepa ", env!("CARGO_PKG_VERSION"), ")"))
    }

    /// Does what the command line asks for, with the app that `app` builds; see [`run`](crate::run).
    pub fn run(self, app: impl FnOnce(&mut Boot) -> Result<App>) -> ExitCode {
        if process::is_cgi() {
            return self.run_for_cgi(app);
        }
        let (command, mut surroundings) = match command::parse(env::args_os(), &self.name, &self.version) {
            Ok(asked) => asked,
            Err(text) => {
                // Nobody is left to be told that this cannot be printed.
                let _ = text.print();
                return ExitCode::from(if text.use_stderr() { 2 } else { 0 });
            }
        };
        let text = surroundings.enter_package().map_err(Failure::from);
        let text = text.and_then(|()| perform(&command, surroundings, app));
        match text.and_then(|text| print(&text)) {
            Ok(()) => ExitCode::SUCCESS,
            Err(failure) => {
                let _ = writeln!(io::stderr(), "error: {failure}");
                ExitCode::FAILURE
            }
        }
    }
}

impl Program {
    /// Answers the one request that a front server has started the program for. Its arguments are those of the client
    /// (RFC 3875, section 4.4), so they are no command line.
    fn run_for_cgi(self, app: impl FnOnce(&mut Boot) -> Result<App>) -> ExitCode {
        let surroundings = Surroundings { name: self.name, env: None, dir: None, flags: Vec::new() };
        match perform(&Command::Cgi, surroundings, app) {
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

/// Why a command has failed.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("{}", told(.0))]
    App(Error),
    #[error(transparent)]
    Routes(#[from] BuildError),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[error("signals cannot be handled: {0}")]
    Signals(#[source] io::Error),
    #[error("a worker has failed: {0}")]
    Worker(#[source] io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
}

/// An error as the operator is told it: without the status, which means something to clients only.
fn told(error: &Error) -> String {
    let text = error.to_string();
    let status = [error.status().as_str(), " "].concat();
    let standard = [error.status().canonical_reason().unwrap_or_default(), ": "].concat();
    let text = text.strip_prefix(&status).unwrap_or(&text);
    let text = text.strip_prefix(&standard).unwrap_or(text);
    if error.downcast_ref::<ConfigError>().is_some() {
        // It names a place of its own, and that is where to look.
        return text.to_owned();
    }
    format!("{text}\n  at {}", error.place())
}

/// Does what is asked, and gives the text that answers it.
fn perform(
    command: &Command,
    surroundings: Surroundings,
    app: impl FnOnce(&mut Boot) -> Result<App>,
) -> Result<String, Failure> {
    let mut boot = Boot::new(surroundings)?;
    let SoundLog(log) = boot.settings().section("log")?;
    let server: ServerConfig = boot.settings().section("server")?;
    let log = match command {
        Command::Serve | Command::Cgi => Logging::start(&log)?,
        Command::Routes | Command::Explain(_) | Command::Check => Logging(None),
    };
    let onion = app(&mut boot).map_err(Failure::App)?.build()?;
    // Only now is it known which sections there are.
    boot.settings().check_sections()?;
    match command {
        Command::Serve => serve_until_told(&boot, onion, server, &log).map(|()| String::new()),
        Command::Cgi => Ok(process::serve(onion, &server).map(|()| String::new())?),
        Command::Routes => Ok(routes::table(&onion)),
        Command::Explain(question) => Ok(routes::explanation(&onion, question)),
        Command::Check => {
            for listen in &server.listen {
                listen.tls.as_ref().map(Tls::load).transpose().map_err(ServerError::from)?;
            }
            Ok(summary(&boot, &onion))
        }
    }
}

/// A section `log` without a fault, so that a fault is told with its place.
#[derive(Deserialize)]
#[serde(try_from = "LogConfig")]
struct SoundLog(LogConfig);

impl TryFrom<LogConfig> for SoundLog {
    type Error = LogConfigError;

    fn try_from(config: LogConfig) -> Result<Self, LogConfigError> {
        config.check()?;
        Ok(Self(config))
    }
}

/// How long the end of the program waits for the last lines of the log: a terminal or a disk that hangs does not
/// keep it.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The log of the program, which writes its last lines when it goes; `None` if the program logs elsewhere.
struct Logging(Option<Log>);

impl Logging {
    /// Begins to log. A subscriber that the program has set before stays.
    fn start(config: &LogConfig) -> Result<Self, LogError> {
        if dispatcher::has_been_set() {
            return Ok(Self(None));
        }
        let log = Log::start(config)?;
        let installed = log.install();
        Ok(Self(installed.is_ok().then_some(log)))
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(log) = &self.0 {
            log.flush(LAST_LINES);
        }
    }
}

/// Serves until a signal ends it.
fn serve_until_told(
    boot: &Boot,
    onion: Arc<Onion>,
    config: ServerConfig,
    log: &Logging,
) -> Result<(), Failure> {
    // Before there is anything that a signal would have to end in order.
    let signals = Signals::take().map_err(Failure::Signals)?;
    let schemes = config.listen.iter().map(|listen| match listen.door {
        Protocol::FastCgi => "fastcgi",
        Protocol::Scgi => "scgi",
        Protocol::Tora => "tora",
        Protocol::Http if listen.tls.is_some() => "https",
        Protocol::Http => "http",
    });
    let schemes: Vec<_> = schemes.collect();
    let server = Server::bind(config, onion)?;
    let workers = server.workers();
    let running = server.start()?;
    let urls: Vec<_> = running.endpoints().iter().zip(schemes).map(|(at, scheme)| url(scheme, at)).collect();
    signals.stop(running.stopper(), log.0.clone()).map_err(Failure::Signals)?;
    info!(target: "cepa", env = boot.env(), workers, "listening on {}; Ctrl-C stops", urls.join(", "));
    running.join().map_err(Failure::Worker)?;
    info!(target: "cepa", "stopped");
    Ok(())
}

/// What to type into a browser; a Unix socket has no URL.
fn url(scheme: &str, endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => format!("{scheme}://{address}"),
        Endpoint::Unix(_) => endpoint.to_string(),
    }
}

fn summary(boot: &Boot, onion: &Onion) -> String {
    let files: Vec<_> = boot.settings().files().iter().map(|path| path.display().to_string()).collect();
    let files = if files.is_empty() { "no configuration file".to_owned() } else { files.join(", ") };
    let routes = match onion.routes().len() {
        1 => "1 route".to_owned(),
        count => format!("{count} routes"),
    };
    format!("ok: environment {}, {files}, {routes}\n", boot.env())
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
