//! CGI scripts (RFC 3875): programs below a folder, each started for one request.
//!
//! With the feature `cgi`.
//!
//! ```
//! use cepa_core::App;
//! use cepa_layers::{cgi, cgi::Options};
//!
//! # let root: std::path::PathBuf = concat!(env!("CARGO_MANIFEST_DIR"), "/src").into();
//! // `/cgi-bin/report.sh/2024` runs `report.sh` with the PATH_INFO `/2024`.
//! let app = App::new().mount("/cgi-bin", cgi(Options { root, ..Options::default() })?);
//! # Ok::<(), cgi::InvalidOptions>(())
//! ```
//!
//! - The first part of the path that is a file is the script; it must be executable. Hidden files, and what a symbolic link
//!   leads to outside of the folder, are as if they were not there.
//! - A script gets the variables of its request, `PATH`, those that the options name, and no others of this process. It
//!   runs in its own folder, in a process group of its own.
//! - Its time, memory, output and number are bounded. When the time is up, or the client has gone, its group is killed.
//! - Its memory is bounded by `RLIMIT_AS`, which is set right after it was started and holds for each process by itself. A
//!   folder of scripts is as trusted as the app: this is against mistakes, and no prison.
//! - What it writes to its standard error is logged.
//! - One whose name begins with `nph-` writes a head as HTTP has it, and so may any other.
//!
//! A script that cannot be started, or whose answer is none, is a 502, one that takes too long a 504; a 503 says that as many
//! run as may.

mod run;

use std::{borrow::Cow, collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use cepa_core::{Body, Ctx, Error, Handler, LocalBoxFuture, Result, percent, units};
use serde::Deserialize;
use tokio::{sync::Semaphore, task::spawn_blocking, time::Instant};

use self::run::{Program, Running};
use crate::{
    files::{Named, Root, disk_error},
    gateway::{Asked, Exchange, answer, variables},
};
pub use crate::{
    files::{RootError, Symlinks},
    gateway::Failure,
};

/// Which scripts run, and what they may take.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The folder of the scripts, default `cgi`.
    pub root: PathBuf,
    /// Which symbolic links are followed: `never`, `inside` (the default) or `anywhere`.
    pub symlinks: Symlinks,
    /// Further variables, by name; one that has the name of another takes its place.
    pub variables: BTreeMap<String, String>,
    /// The variable `PATH`, default `/usr/local/bin:/usr/bin:/bin`.
    pub path: String,
    /// Whether scripts get the password that the client has sent (`HTTP_AUTHORIZATION`), default false.
    pub authorization: bool,
    /// Most scripts at a time over all workers, default 32: 503.
    pub processes: usize,
    /// Time from the start of a script to the end of its answer, default 30 s: 504, or the answer breaks off.
    #[serde(with = "units::duration")]
    pub time: Duration,
    /// Most memory of each of its processes, default 512 MiB; 0: any.
    #[serde(with = "units::size")]
    pub memory: u64,
    /// Most bytes of an answer, default 64 MiB: 502, or the answer breaks off.
    #[serde(with = "units::size")]
    pub output: u64,
    /// Most bytes of a body whose length the client does not say, default 1 MiB: 413.
    #[serde(with = "units::size")]
    pub unsized_body: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            root: PathBuf::from("cgi"),
            symlinks: Symlinks::Inside,
            variables: BTreeMap::new(),
            path: "/usr/local/bin:/usr/bin:/bin".to_owned(),
            authorization: false,
            processes: 32,
            time: Duration::from_secs(30),
            memory: 512 << 20,
            output: 64 << 20,
            unsized_body: 1 << 20,
        }
    }
}

/// Why no scripts can be run with some options.
#[derive(Debug, thiserror::Error)]
pub enum InvalidOptions {
    /// The folder.
    #[error(transparent)]
    Root(#[from] RootError),
    /// A number or a time that must be above 0.
    #[error("`{0}` must be above 0")]
    Zero(&'static str),
    /// The name or the value of a variable that cannot be one.
    #[error("{0:?} cannot be a variable")]
    Variable(String),
}

/// A handler that runs the scripts of a folder; it is mounted.
///
/// # Errors
/// What is wrong with the options.
pub fn cgi(options: Options) -> Result<Cgi, InvalidOptions> {
    for (name, zero) in [
        ("processes", options.processes == 0),
        ("time", options.time.is_zero()),
        ("output", options.output == 0),
    ] {
        if zero {
            return Err(InvalidOptions::Zero(name));
        }
    }
    for (name, value) in &options.variables {
        if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
            return Err(InvalidOptions::Variable(name.clone()));
        }
    }
    let root = Root::new(&options.root, options.symlinks)?;
    // A script is run by its place, in a folder of its own.
    let folder = options.root.canonicalize();
    let folder = folder.map_err(|cause| RootError { path: options.root.clone(), cause })?;
    let running = Arc::new(Semaphore::new(options.processes));
    Ok(Cgi(Arc::new(Inner { options, root, folder, running })))
}

/// See [`cgi()`]; a clone is the same.
#[derive(Clone, Debug)]
pub struct Cgi(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    options: Options,
    root: Root,
    folder: PathBuf,
    running: Arc<Semaphore>,
}

/// A script by its path below the folder, and what follows it.
struct Script {
    name: String,
    info: String,
}

impl Inner {
    async fn run(self: &Arc<Self>, ctx: &mut Ctx) -> Result {
        let script = self.find(ctx).await?;
        let permit = Arc::clone(&self.running).try_acquire_owned();
        let permit = permit.map_err(|_| Failure::Busy(self.options.processes).into_error())?;
        let mut body = ctx.request.take_body();
        if body.len().is_none() {
            body = Body::from(body.bytes(self.options.unsized_body).await?);
        }
        let path = self.folder.join(&script.name);
        let mut name = format!("{}/", ctx.mount_path());
        percent::push_component(&mut name, &script.name, true);
        let authorization = self.options.authorization;
        let asked = Asked { script: &name, info: script.info.as_bytes(), length: body.len(), authorization };
        let mut variables = variables(ctx, &asked);
        variables.push(("PATH".to_owned(), self.options.path.clone().into_bytes()));
        variables.push(("DOCUMENT_ROOT".to_owned(), self.folder.as_os_str().as_encoded_bytes().to_vec()));
        variables.push(("SCRIPT_FILENAME".to_owned(), path.as_os_str().as_encoded_bytes().to_vec()));
        for (name, value) in &self.options.variables {
            variables.retain(|(known, _)| known != name);
            variables.push((name.clone(), value.clone().into_bytes()));
        }
        let program = Running::start(&path, variables, self.options.memory, permit)?;
        let silence = self.options.time;
        let exchange =
            Exchange::new(program, Program, Vec::new(), body, silence, |program, _| program.leave());
        let mut exchange = exchange.limit(self.options.output).until(Instant::now() + self.options.time);
        let head = exchange.head(silence).await?;
        answer(ctx, head, Body::new(exchange)).await
    }

    /// The first part of the path that is a file.
    async fn find(self: &Arc<Self>, ctx: &Ctx) -> Result<Script> {
        let path = ctx.path();
        let name = match Named::read(path.strip_prefix('/').unwrap_or(path), false) {
            Named::Name(name) => name,
            Named::Nothing => return Err(Error::status_only(404)),
            Named::Outside => return Err(Error::status_only(403)),
            Named::Nul => return Err(Error::status_only(400)),
        };
        let path = format!("{}{}", name.path, if name.is_directory { "/" } else { "" });
        let inner = Arc::clone(self);
        spawn_blocking(move || inner.look(&path)).await?
    }

    /// Goes down the path. Blocks.
    fn look(&self, path: &str) -> Result<Script> {
        use std::os::unix::fs::PermissionsExt;

        /// Folders within each other.
        const DEEPEST: usize = 32;
        let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
        for end in ends.take(DEEPEST) {
            let name = &path[..end];
            let opened = self.root.open(name).map_err(disk_error)?;
            let Some(opened) = opened else { break };
            if opened.meta.is_dir() {
                continue;
            }
            if !opened.meta.is_file() || opened.meta.permissions().mode() & 0o111 == 0 {
                return Err(Error::status_only(403));
            }
            return Ok(Script { name: name.to_owned(), info: path[end..].to_owned() });
        }
        Err(Error::status_only(404))
    }
}

impl Handler<()> for Cgi {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(self.0.run(ctx))
    }

    fn name(&self) -> Cow<'static, str> {
        "cgi".into()
    }
}

#[cfg(test)]
mod tests;
