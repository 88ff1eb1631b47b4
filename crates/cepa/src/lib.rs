//! Cepa: web apps as an onion of layers, served by a server of its own.
//!
//! ```no_run
//! use cepa::prelude::*;
//!
//! fn app(_: &mut Boot) -> Result<App> {
//!     Ok(App::new()
//!         .with(async |ctx: &mut Ctx, next: Next<'_>| {
//!             let started = Instant::now();
//!             next.run(ctx).await?;
//!             ctx.set("x-response-time", format!("{} ms", started.elapsed().as_millis()))
//!         })
//!         .get("/", async |_: &mut Ctx| "Hello, onion"))
//! }
//!
//! fn main() -> ExitCode {
//!     cepa::run(app)
//! }
//! ```
//!
//! In reading order: [`run`] makes a program of an app, with a command line; a [`Boot`] tells the app its
//! configuration, and is told what to do before the first request and after the last; a [`Plugin`] is a part of a
//! program that does so by itself; [`serve()`] is for programs that have a command line of their own. What apps are written with is in
//! the [`prelude`], all of it in [`core`]; the layers are in `layers`; the server is in [`server`].
//!
//! `bus` has shares and queues, `websocket` what its name says; both are features, on by default.
//! The feature `layers`, on by default, is for `cepa::layers`; which of them need a feature of the same name is said there.

#[cfg(feature = "acme")]
mod acme;
#[cfg(not(feature = "acme"))]
#[path = "no_acme.rs"]
mod acme;
mod boot;
mod command;
mod config;
#[cfg(feature = "dev")]
mod dev;
#[cfg(not(feature = "dev"))]
#[path = "no_dev.rs"]
mod dev;
#[cfg(any(test, doctest))]
mod guide;
#[cfg(feature = "cluster")]
mod operate;
mod plugin;
pub mod prelude;
mod program;
mod routes;
mod secret;
mod signals;
#[cfg(feature = "cluster")]
mod start;
mod told;

use std::{process::ExitCode, sync::Arc};

// `tokio` is not among them: an app that uses it chooses its features in a dependency of its own, and cargo makes
// the two one.
pub use bytes;
/// Certificates by ACME, for programs that [`serve()`] by themselves.
#[cfg(feature = "acme")]
pub use cepa_acme as certificates;
/// Shares, queues and a messenger, and the event streams and long polls of queues.
#[cfg(feature = "bus")]
pub use cepa_bus as bus;
/// The cluster that the command `start` runs: its configuration, its run folder, and how it is asked for something.
#[cfg(feature = "cluster")]
pub use cepa_cluster as cluster;
/// Schedules and jobs.
#[cfg(feature = "cluster")]
pub use cepa_cluster::{JobCtx, JobOptions, Jobs, Schedule, jobs, schedule};
pub use cepa_core as core;
pub use cepa_core::{App, Ctx, Error, Next, Onion, Result, Service, cookie, router};
#[cfg(feature = "layers")]
pub use cepa_layers as layers;
/// The log that the section `log` of the configuration describes, for programs that [`serve()`] by themselves.
pub use cepa_log as log;
pub use cepa_server as server;
pub use cepa_server::{Running, ServerConfig, ServerError};
/// WebSocket.
#[cfg(feature = "websocket")]
pub use cepa_websocket as websocket;
pub use http;
/// What apps log with: `cepa::tracing::info!(..)`.
pub use tracing;

use self::told::told;
pub use self::{
    acme::CertificatesError,
    boot::{Boot, LifecycleConfig, LifecycleError, Stage, Started},
    config::ConfigError,
    plugin::{Plugin, PluginError},
    program::Program,
    secret::Secret,
};
#[cfg(feature = "dev")]
pub use self::{dev::DevConfig, program::develop};

/// Makes a program of an app: does what the command line asks for, and gives the exit code.
///
/// | command | does |
/// | --- | --- |
/// | `serve`, or none | serves the app, all workers as threads of this process |
/// | `dev` | serves the app while it is written: builds it anew when a file changes, and has pages reload |
/// | `start` | serves the app with many processes: a master, an agent, workers; `--daemon` leaves the terminal |
/// | `stop`, `restart` | ends the cluster when its requests are finished; starts it again, as a daemon |
/// | `reload`, `upgrade` | replaces the workers, or the master too, by what is on disk now, and loses no request |
/// | `status` | shows the processes, with `--watch` each second, with `--json` for programs |
/// | `reopen` | opens the files of the cluster's logs anew |
/// | `routes` | lists the routes; with `--explain PATH` the layers and the handler of one request |
/// | `check` | reads the configuration, builds the app, loads certificates, binds nothing; with `--dump` prints the configuration |
/// | `run-schedule NAME` | runs a [schedule](Schedule) of the app once, and fails as it does |
/// | `completions SHELL` | prints what a shell needs to complete command lines |
///
/// Flags are a layer of the configuration, see [`Boot`], and the same for all commands; `--help` lists them.
///
/// Relative paths, that of the folder `config` too, start in the current directory; under `cargo run` in the folder of
/// the package, wherever in a workspace that is typed, if program and package have the same name. What is typed after
/// `--config` starts where it is typed.
///
/// `serve` logs as the section `log` says: to standard error, or to consoles and files by category, see
/// [`log::LogConfig`]. `level` is `info` by default, and may name targets (`"info,my_app=debug"`); `format` is `text`,
/// in colour on a terminal unless `NO_COLOR` is set, or `json`. A subscriber of `tracing` that the program has set
/// before stays. SIGTERM and SIGINT drain it: connections get `server.limits.drain` to finish, or until a second
/// signal. SIGHUP opens the files of the log anew; the configuration is not read again.
///
/// A program that a front server starts as a CGI program (`GATEWAY_INTERFACE` and `REQUEST_METHOD` are set) answers that
/// one request, whatever stands on its command line, where the request of a client may have come.
///
/// The exit code is 0 if all is well (a drain included), 1 if something has failed, with one message on standard
/// error, and 2 if the command line is wrong.
pub fn run(app: impl FnOnce(&mut Boot) -> Result<App>) -> ExitCode {
    Program::of_process().run(app)
}

/// Serves a built app, for programs that have a command line of their own, and for tests.
///
/// It takes no signal and writes no log; [`Running`] is where it listens, and what ends it.
///
/// ```
/// use cepa::{ServerConfig, prelude::*};
///
/// let app = App::new().get("/", async |_: &mut Ctx| "Hello, onion");
/// let listen = vec!["127.0.0.1:0".parse::<cepa::server::listen::Address>()?.into()];
/// let config = ServerConfig { listen, workers: 1, ..ServerConfig::default() };
///
/// let running = cepa::serve(app.build()?, config)?;
/// println!("http://{}", running.endpoints()[0]);
/// running.stop()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// An address, certificate or limit that cannot be used, or threads that cannot be made.
pub fn serve(onion: Arc<Onion>, config: ServerConfig) -> Result<Running, ServerError> {
    server::Server::bind(config, onion)?.start()
}

/// Takes SIGTERM and SIGINT to end a server: the first drains it, a second one cuts it.
///
/// For programs that [`serve()`] by themselves; [`run`] does it too.
///
/// # Errors
/// When the signals cannot be taken.
pub fn stop_on_signals(stopper: server::Stopper) -> std::io::Result<()> {
    signals::Signals::take(None)?.stop(stopper);
    Ok(())
}

/// The program of the README compiles.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
