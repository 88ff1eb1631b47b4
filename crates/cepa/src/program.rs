//! A program around an app: from the command line to the exit code.

#[cfg(feature = "dev")]
use std::ffi::OsString;
use std::{
    env, fmt,
    io::{self, Write},
    mem,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

#[cfg(feature = "cluster")]
use cepa_cluster::schedule::{Outcome, ScheduleError};
use cepa_core::{App, Onion, Result};
use cepa_log::{Log, LogConfig, LogConfigError, LogError};
use cepa_server::{
    ListenConfig, Protocol, Server, ServerConfig, ServerError,
    cgi::process,
    listen::Endpoint,
    tls::{Tls, TlsConfig, TlsFolder},
};
use serde::Deserialize;
use tokio::{
    runtime::LocalRuntime,
    task::{JoinSet, spawn_blocking},
};
use toml::Value;
use tracing::{dispatcher, info};

use crate::{
    CertificatesError, Plugin,
    acme::{self, Certificates},
    boot::{self, Boot, BootError, Lifecycle, LifecycleConfig, LifecycleError, Settle, Surroundings},
    command::{self, Command},
    config::ConfigError,
    dev,
    plugin::Erased,
    routes,
    signals::Signals,
};
#[cfg(feature = "cluster")]
use crate::{
    operate::{self, OperateError},
    start,
};

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
                Ok(Some(outcome)) => return self.end(told_of_run(name, outcome)),
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

/// Why a command has failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error(transparent)]
    Boot(#[from] BootError),
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error(transparent)]
    Life(#[from] LifecycleError),
    #[error("the configuration cannot be written: {0}")]
    Dump(#[from] toml::ser::Error),
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Schedule(#[from] ScheduleError),
    #[cfg(feature = "cluster")]
    #[error("{0}: {1}")]
    Run(String, Outcome),
    #[error("the runtime cannot be made: {0}")]
    Runtime(#[source] io::Error),
    #[error(transparent)]
    Server(#[from] ServerError),
    #[error(transparent)]
    Certificates(#[from] CertificatesError),
    #[error(transparent)]
    Log(#[from] LogError),
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Operate(#[from] OperateError),
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Bus(#[from] cepa_bus::ConnectError),
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Master(#[from] cepa_cluster::MasterError),
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Process(#[from] cepa_cluster::WorkerError),
    #[cfg(feature = "cluster")]
    #[error("the program cannot be made part of a cluster: {0}")]
    Cluster(#[source] io::Error),
    /// Somebody else says why.
    #[cfg(feature = "cluster")]
    #[error("the master knows why")]
    Told,
    #[error("signals cannot be handled: {0}")]
    Signals(#[source] io::Error),
    #[error("a worker has failed: {0}")]
    Worker(#[source] io::Error),
    #[error("cannot write to standard output: {0}")]
    Output(#[source] io::Error),
    #[cfg(feature = "dev")]
    #[error(transparent)]
    Dev(#[from] dev::DevError),
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
            let lived = runtime.block_on(live(life, onion, server, certificates, &signals));
            lived.map(|()| String::new())
        }
        Command::Cgi => answer_cgi(runtime, life, onion, &server),
        Command::Routes => Ok(routes::table(&onion)),
        Command::Explain(question) => Ok(routes::explanation(&onion, question)),
        Command::Check => check(life.boot(), &onion, &server),
        #[cfg(feature = "cluster")]
        Command::RunSchedule(name) => runtime.block_on(run_schedule(life, &onion, name)),
        Command::Dump => {
            let summary = check(life.boot(), &onion, &server)?;
            Ok(format!("# {summary}{}", dump(life.boot())?))
        }
        // What needs no app, or is about a cluster, is done elsewhere.
        _ => Ok(String::new()),
    }
}

/// The sections that Cepa itself reads.
pub(crate) struct Own {
    pub(crate) log: SoundLog,
    pub(crate) server: ServerConfig,
    #[cfg(feature = "cluster")]
    pub(crate) cluster: cepa_cluster::ClusterConfig,
}

impl Own {
    pub(crate) fn of(boot: &Boot) -> Result<Self, ConfigError> {
        let settings = boot.settings();
        #[cfg(feature = "dev")]
        settings.section::<dev::DevConfig>("dev")?;
        Ok(Self {
            log: settings.section("log")?,
            server: settings.section("server")?,
            #[cfg(feature = "cluster")]
            cluster: settings.section("cluster")?,
        })
    }
}

/// A section `log` without a fault, so that a fault is told with its place.
#[derive(Deserialize)]
#[serde(try_from = "LogConfig")]
pub(crate) struct SoundLog(pub(crate) LogConfig);

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
pub(crate) struct Logging(pub(crate) Option<Log>);

impl Logging {
    /// Begins to log. A subscriber that the program has set before stays.
    pub(crate) fn start(config: &LogConfig) -> Result<Self, LogError> {
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

/// Opens what the app needs, runs a schedule, and closes.
#[cfg(feature = "cluster")]
async fn run_schedule(mut life: Lifecycle, onion: &Arc<Onion>, name: &str) -> Result<String, Failure> {
    let loaded = life.load().await;
    let outcome = match loaded {
        Ok(()) => life.background().run_schedule(name, onion).await.map_err(Failure::from),
        Err(error) => Err(error.into()),
    };
    life.close().await;
    told_of_run(name, outcome?)
}

/// What came of a schedule, for whoever has run it.
#[cfg(feature = "cluster")]
fn told_of_run(name: &str, outcome: Outcome) -> Result<String, Failure> {
    match outcome {
        Outcome::Done => Ok(format!("{name}: done\n")),
        outcome => Err(Failure::Run(name.to_owned(), outcome)),
    }
}

/// Opens what the app needs, answers the one request that there is, and closes.
fn answer_cgi(
    runtime: &LocalRuntime,
    mut life: Lifecycle,
    onion: Arc<Onion>,
    server: &ServerConfig,
) -> Result<String, Failure> {
    let opened = runtime.block_on(async {
        life.load().await?;
        life.ready().await
    });
    let answered = match opened {
        Ok(()) => process::serve(onion, server).map_err(Failure::from),
        Err(error) => Err(error.into()),
    };
    runtime.block_on(life.close());
    answered.map(|()| String::new())
}

/// Opens what the app needs, serves until a signal ends it, and closes.
async fn live(
    mut life: Lifecycle,
    onion: Arc<Onion>,
    config: ServerConfig,
    certificates: Certificates,
    signals: &Signals,
) -> Result<(), Failure> {
    let opened = tokio::select! {
        biased;
        () = signals.told() => Ok(None),
        opened = open(&mut life, Arc::clone(&onion), config) => opened.map(Some),
    };
    let ended = match opened {
        Ok(Some(server)) => serve(&mut life, &onion, server, certificates, signals).await,
        Ok(None) => Ok(()),
        Err(failure) => Err(failure),
    };
    life.close().await;
    info!(target: "cepa", "stopped");
    ended
}

/// Opens what the app needs, and listens.
async fn open(
    life: &mut Lifecycle,
    onion: Arc<Onion>,
    config: ServerConfig,
) -> Result<(Server, Vec<&'static str>), Failure> {
    life.load().await?;
    let schemes = config.listen.iter().map(scheme).collect();
    let server = Server::bind(config, onion)?;
    life.ready().await?;
    Ok((server, schemes))
}

/// Serves until a signal ends it.
async fn serve(
    life: &mut Lifecycle,
    onion: &Arc<Onion>,
    (server, schemes): (Server, Vec<&'static str>),
    certificates: Certificates,
    signals: &Signals,
) -> Result<(), Failure> {
    let workers = server.workers();
    let running = server.start()?;
    let urls: Vec<_> = running.endpoints().iter().zip(schemes).map(|(at, scheme)| url(scheme, at)).collect();
    let stopper = running.stopper();
    signals.stop(stopper.clone());
    if let Some(dev) = dev::served() {
        dev.stops(stopper.clone());
    }
    info!(target: "cepa", env = life.boot().env(), workers, "listening on {}; Ctrl-C stops", urls.join(", "));
    let ready = tokio::select! {
        biased;
        // Nobody waits for a hook that has not ended by then.
        () = signals.told() => None,
        ready = life.server_ready() => Some(ready),
    };
    match (&ready, dev::served()) {
        (Some(Ok(())), dev) => {
            life.begin(onion);
            dev.map(dev::Served::ready).unwrap_or_default();
        }
        (Some(Err(_)), _) => stopper.drain(),
        (None, _) => {}
    }
    // Ends with this function.
    let mut kept = JoinSet::new();
    kept.spawn_local(certificates.keep());
    // This thread stays free for what has begun on it.
    let mut ended = spawn_blocking(|| running.join());
    let ended = tokio::select! {
        ended = &mut ended => ended,
        () = signals.told() => {
            life.end();
            ended.await
        }
    };
    ready.transpose()?;
    ended.map_err(io::Error::other).flatten().map_err(Failure::Worker)
}

/// What the URL of a listener begins with.
pub(crate) fn scheme(listen: &ListenConfig) -> &'static str {
    match listen.door {
        Protocol::FastCgi => "fastcgi",
        Protocol::Scgi => "scgi",
        Protocol::Tora => "tora",
        Protocol::Http if listen.tls.is_some() => "https",
        Protocol::Http => "http",
    }
}

/// What to type into a browser; a Unix socket has no URL.
pub(crate) fn url(scheme: &str, endpoint: &Endpoint) -> String {
    match endpoint {
        Endpoint::Tcp(address) => format!("{scheme}://{address}"),
        Endpoint::Unix(_) => endpoint.to_string(),
    }
}

/// Looks at what only serving would find, and says what there is.
fn check(boot: &Boot, onion: &Onion, server: &ServerConfig) -> Result<String, Failure> {
    let folder = TlsFolder::new(&server.tls_dir);
    for tls in server.listen.iter().filter_map(|listen| listen.tls.as_ref()) {
        // What serving makes is not made here.
        let tls = TlsConfig { self_signed: Vec::new(), ..tls.clone() };
        if !(tls.certificates.is_empty() && tls.acme.is_empty()) {
            Tls::load(&tls, &folder).map_err(ServerError::from)?;
        }
    }
    Certificates::of(boot, server)?;
    Ok(summary(boot, onion))
}

/// The configuration as it takes effect.
fn dump(boot: &Boot) -> Result<String, Failure> {
    let mut defaults = toml::Table::new();
    defaults.insert("server".to_owned(), Value::try_from(ServerConfig::default())?);
    defaults.insert("lifecycle".to_owned(), Value::try_from(LifecycleConfig::default())?);
    #[cfg(feature = "acme")]
    if acme::is_wanted(boot)? {
        defaults.insert("acme".to_owned(), Value::try_from(cepa_acme::AcmeConfig::default())?);
    }
    #[cfg(feature = "cluster")]
    defaults.insert("jobs".to_owned(), Value::try_from(cepa_cluster::jobs::JobsConfig::default())?);
    #[cfg(feature = "dev")]
    defaults.insert("dev".to_owned(), Value::try_from(dev::DevConfig::default())?);
    let log = [("level", "info"), ("zone", "local"), ("queue", "4 MiB")];
    let log = log.map(|(key, value)| (key.to_owned(), value.into()));
    defaults.insert("log".to_owned(), Value::Table(log.into_iter().collect()));
    Ok(boot.settings().dump(&defaults))
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
