//! What an app learns about its surroundings while it is built, and what it says about its life.

#[cfg_attr(not(feature = "cluster"), path = "boot/background/none.rs")]
mod background;
mod hooks;
mod lifecycle;

use std::{
    any, env, fmt, io,
    panic::Location,
    path::{self, Path, PathBuf},
    sync::{Arc, OnceLock},
};

use cepa_core::{App, Error, Provided, Result};
use serde::de::DeserializeOwned;

pub(crate) use self::lifecycle::{Lifecycle, Panicked};
use self::{background::Background, hooks::Hooks};
pub use self::{
    hooks::Stage,
    lifecycle::{LifecycleConfig, LifecycleError, Started},
};
use crate::{
    Plugin,
    config::{Config, ConfigError, Layers, Setting},
    plugin::Erased,
};

/// What an app learns while it is built: its environment, its configuration, where it runs. It is also where the app
/// says what it provides to all requests, and what is to happen before the first of them and after the last.
///
/// ```
/// use cepa::prelude::*;
/// use serde::Deserialize;
///
/// #[derive(Deserialize)]
/// #[serde(default)]
/// struct Greeting {
///     /// Who is greeted.
///     name: String,
/// }
///
/// impl Default for Greeting {
///     fn default() -> Self {
///         Self { name: "onion".to_owned() }
///     }
/// }
///
/// fn app(boot: &mut Boot) -> Result<App> {
///     let greeting: Greeting = boot.config("greeting")?;
///     Ok(App::new().get("/", async move |_: &mut Ctx| format!("Hello, {}", greeting.name)))
/// }
///
/// let app = app(&mut Boot::load("test")?)?;
/// # cepa::core::test::block_on(async {
/// assert_eq!(app.test().get("/").await.text(), "Hello, onion");
/// # });
/// # Ok::<(), cepa::Error>(())
/// ```
///
/// # Configuration
///
/// A setting is looked for in these layers; a later one wins, tables merge at any depth, lists are replaced:
///
/// 1. the defaults of the type that is read;
/// 2. `config/default.toml`;
/// 3. `config/{env}.toml`;
/// 4. the variable `CEPA__SECTION__KEY`, such as `CEPA__SERVER__LIMITS__IDLE=30s`, for keys in lower case;
/// 5. flags: `--set server.limits.idle=30s`, and those that have a name of their own.
///
/// The values of variables and flags are TOML where they can be, otherwise text; `[1, 2]`, `true` and `"true"` are a
/// list, a truth value and text. Where the program wants text it gets what was written, so that a password of digits
/// needs no quotes. Dates and times are handed on as text.
///
/// A key that nobody reads is an error, since it is mostly a slip of the pen: in a section, if its type does not know
/// the key, whether or not it says `deny_unknown_fields` (a type with `#[serde(flatten)]` must say so itself); and
/// the section as a whole, if [`config`](Boot::config) was never called for it.
///
/// # Life
///
/// The function that makes the app opens nothing, since `check` and `routes` call it too. What has to be opened, such as
/// a database, is opened in a hook, and provided there:
///
/// ```
/// use cepa::prelude::*;
/// # struct Database;
/// # impl Database {
/// #     async fn connect() -> Result<Self> { Ok(Self) }
/// #     async fn close(&self) {}
/// # }
///
/// fn app(boot: &mut Boot) -> Result<App> {
///     boot.did_load(async |boot: &mut Boot| {
///         boot.provide(Database::connect().await?);
///         boot.before_close(async |boot: &Boot| Ok(boot.provided::<Database>()?.close().await));
///         Ok(())
///     });
///     Ok(App::new().get("/", async |ctx: &mut Ctx| ctx.provided::<Database>().map(|_| "connected")))
/// }
/// # tokio::runtime::LocalRuntime::new()?.block_on(async {
/// let started = Boot::load("test")?.start(app).await?;
/// assert_eq!(started.client().get("/").await.text(), "connected");
/// started.close().await;
/// # Ok::<(), cepa::Error>(())
/// # })?;
/// # Ok::<(), cepa::Error>(())
/// ```
///
/// The hooks, when they run and what they may do are listed at [`Plugin`]; those of the app come after those of all
/// plugins, and its `before_close` before theirs.
pub struct Boot {
    name: String,
    env: String,
    root: PathBuf,
    config: Config,
    /// Whether the configuration may still be changed.
    is_open: bool,
    plugins: Vec<Box<dyn Erased>>,
    hooks: Hooks,
    background: Background,
    /// What is provided until the app is ready, and from then on.
    providing: Provided,
    provided: Arc<OnceLock<Provided>>,
}

/// Changes a configuration that was just read, in every process of a cluster.
pub(crate) type Settle = fn(&mut Boot) -> Result;

/// What a [`Boot`] is made from.
#[derive(Clone)]
pub(crate) struct Surroundings {
    pub(crate) name: String,
    /// The folder to work in, as it was typed.
    pub(crate) folder: Option<PathBuf>,
    /// A configuration file of that folder.
    pub(crate) file: Option<&'static str>,
    /// What the program makes of the configuration before anybody reads it.
    pub(crate) settle: Option<Settle>,
    pub(crate) env: Option<EnvName>,
    /// The folder of configuration files; it must exist if it was asked for.
    pub(crate) dir: Option<PathBuf>,
    pub(crate) flags: Vec<Setting>,
}

impl Surroundings {
    /// Goes to the folder that was asked for, else to that of the package.
    pub(crate) fn enter(&mut self) -> Result<(), BootError> {
        let Some(folder) = self.folder.take() else { return self.enter_package() };
        // What was typed is meant from where it was typed.
        self.dir = self.dir.as_ref().map(path::absolute).transpose().map_err(BootError::Root)?;
        env::set_current_dir(&folder).map_err(|error| BootError::Folder(folder, error))
    }

    /// Goes to the folder of the program's package if `cargo run` has started it: its files are there, wherever in the
    /// workspace that was typed.
    fn enter_package(&mut self) -> Result<(), BootError> {
        // Whatever a program that cargo started runs in its turn inherits both; then the names differ.
        let is_ours = env::var_os("CARGO_PKG_NAME").is_some_and(|package| *package == *self.name);
        let Some(folder) = env::var_os("CARGO_MANIFEST_DIR").filter(|_| is_ours) else { return Ok(()) };
        // What was typed is meant from where it was typed.
        self.dir = self.dir.as_ref().map(path::absolute).transpose().map_err(BootError::Root)?;
        env::set_current_dir(folder).map_err(BootError::Root)
    }
}

impl Boot {
    /// The boot of an environment outside of [`run`](crate::run), for tests and for programs with a command line of
    /// their own: reads the files in `config` below the current directory, and the variables of the process.
    ///
    /// # Errors
    /// A name that no environment has, or a configuration that cannot be read.
    #[track_caller]
    pub fn load(env: &str) -> Result<Self> {
        Self::load_with(env, &[])
    }

    /// [`load`](Self::load) with settings that win over those of all files and variables, written as for `--set`: a
    /// test gives its app a place of its own to keep things.
    ///
    /// ```
    /// # use cepa::Boot;
    /// let boot = Boot::load_with("test", &["guestbook.path=/tmp/one.redb", "guestbook.page_size=5"])?;
    /// # Ok::<(), cepa::Error>(())
    /// ```
    ///
    /// # Errors
    /// As [`load`](Self::load), and a setting that is none.
    #[track_caller]
    pub fn load_with(env: &str, settings: &[&str]) -> Result<Self> {
        let env = Some(env.parse()?);
        let flags = settings.iter().map(|text| text.parse()).collect::<Result<_, _>>()?;
        let (folder, file, settle, dir) = (None, None, None, None);
        Ok(Self::new(Surroundings { name: process_name(), folder, file, settle, env, dir, flags })?)
    }

    pub(crate) fn new(from: Surroundings) -> Result<Self, BootError> {
        let root = env::current_dir().map_err(BootError::Root)?;
        let env = match from.env {
            Some(env) => env,
            None => EnvName::of_process()?,
        };
        if let Some(dir) = from.dir.as_ref().filter(|dir| !dir.is_dir()) {
            return Err(BootError::NoFolder(dir.clone()));
        }
        let config = Config::load(Layers {
            file: from.file.map(Path::new),
            dir: from.dir.as_deref().unwrap_or(Path::new("config")),
            env: &env.0,
            variables: env::vars_os().collect(),
            flags: from.flags,
        })?;
        let mut boot = Self {
            name: from.name,
            background: Background::new(&env.0),
            env: env.0,
            root,
            config,
            is_open: true,
            plugins: Vec::new(),
            hooks: Hooks::default(),
            providing: Provided::default(),
            provided: Arc::default(),
        };
        match from.settle {
            Some(settle) => settle(&mut boot).map(|()| boot).map_err(BootError::Settle),
            None => Ok(boot),
        }
    }

    /// Adds a plugin, as [`Program::plugin`](crate::Program::plugin) does.
    #[must_use]
    pub fn plugin(mut self, plugin: impl Plugin) -> Self {
        self.plugins.push(Box::new(plugin));
        self
    }

    pub(crate) fn with_plugins(mut self, plugins: Vec<Box<dyn Erased>>) -> Self {
        self.plugins.extend(plugins);
        self
    }

    /// Puts a layer below all others.
    #[cfg(feature = "cluster")]
    pub(crate) fn put_below(&mut self, origin: &str, text: &str) -> Result<(), ConfigError> {
        self.config.put_below(&[(origin.to_owned(), text)])
    }

    /// The name of the program.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The name of the environment: that of `--env`, else of the variable `CEPA_ENV`, else `development` in a build
    /// with debug assertions and `production` in one without.
    pub fn env(&self) -> &str {
        &self.env
    }

    /// The folder that the program works in, which relative paths are relative to: the current directory of the
    /// process when it started. [`run`](crate::run) says which one that is under cargo.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Reads a section of the configuration.
    ///
    /// A section that is nowhere written is read as an empty table, list or `None`, so that a type whose fields all
    /// have defaults needs none. To pass over a section that only some environments use, read it as
    /// `serde::de::IgnoredAny`.
    ///
    /// # Errors
    /// A 500 whose cause is a [`ConfigError`]: an unknown key, with the nearest known one; a missing one; a value of
    /// the wrong type. Each names the file and line, the variable or the flag.
    #[track_caller]
    pub fn config<T: DeserializeOwned>(&self, section: &str) -> Result<T> {
        Ok(self.config.section(section)?)
    }

    /// The error for a value of the configuration whose type was read, but which cannot be used: a folder that is not
    /// there, a name that two have. `key` is that of the value, such as `hosts[1].folder`, and the message names the
    /// file and line, the variable or the flag where it is written.
    #[track_caller]
    pub fn config_fault(&self, key: &str, fault: impl fmt::Display) -> Error {
        self.config.fault(key, fault.to_string()).into()
    }

    /// Has an app find what is [provided](Self::provide) to the process. The app of the program does so by itself, and with
    /// it all that is mounted in it; this is for apps that are built apart, such as those of [`Hosts`](cepa_core::Hosts).
    #[must_use]
    pub fn equip(&self, app: App) -> App {
        app.provide_later(Arc::clone(&self.provided))
    }

    /// Sets a value of the configuration, written as for `--set`; it wins over all that is written elsewhere.
    ///
    /// For [`Plugin::config_will_load`]: afterwards somebody may have read it already.
    ///
    /// # Errors
    /// A 500 for a text that is no setting, and once the configuration is settled.
    #[track_caller]
    pub fn set(&mut self, setting: &str) -> Result {
        if !self.is_open {
            return Err(Error::new(500, "the configuration is settled; change it in `config_will_load`"));
        }
        let setting: Setting = setting.parse()?;
        self.config.set(setting.at_line(Location::caller()));
        Ok(())
    }

    /// Provides a value to the whole process: to all requests by [`Ctx::provided`](cepa_core::Ctx::provided), to
    /// hooks by [`provided`](Self::provided).
    ///
    /// One value of each type; a later one takes the place of the one before. What an [`App`] itself
    /// provides goes before it, for its own requests.
    pub fn provide<T: Send + Sync + 'static>(&mut self, value: T) {
        self.providing.insert(value);
    }

    /// A value that was provided to the whole process.
    ///
    /// # Errors
    /// A 500 naming the type, when nothing has provided it yet.
    #[track_caller]
    pub fn provided<T: Send + Sync + 'static>(&self) -> Result<&T> {
        let found = self.providing.get().or_else(|| self.provided.get()?.get());
        found.ok_or_else(|| Error::new(500, format!("nothing has provided a {}", any::type_name::<T>())))
    }

    /// Runs this once the app is built and sound: see [`Plugin::did_load`].
    #[track_caller]
    pub fn did_load(&mut self, hook: impl AsyncFnOnce(&mut Boot) -> Result + 'static) {
        self.hooks.add(Stage::DidLoad, hooks::early(hook));
    }

    /// Runs this once all have loaded: see [`Plugin::will_ready`].
    #[track_caller]
    pub fn will_ready(&mut self, hook: impl AsyncFnOnce(&mut Boot) -> Result + 'static) {
        self.hooks.add(Stage::WillReady, hooks::early(hook));
    }

    /// Runs this once the process is ready: see [`Plugin::did_ready`].
    #[track_caller]
    pub fn did_ready(&mut self, hook: impl AsyncFnOnce(&Boot) -> Result + 'static) {
        self.hooks.add(Stage::DidReady, hooks::late(hook));
    }

    /// Runs this once the server accepts connections: see [`Plugin::server_did_ready`].
    #[track_caller]
    pub fn server_did_ready(&mut self, hook: impl AsyncFnOnce(&Boot) -> Result + 'static) {
        self.hooks.add(Stage::ServerDidReady, hooks::late(hook));
    }

    /// Runs this after the last request, the latest first: see [`Plugin::before_close`].
    #[track_caller]
    pub fn before_close(&mut self, hook: impl AsyncFnOnce(&Boot) -> Result + 'static) {
        self.hooks.add(Stage::BeforeClose, hooks::late(hook));
    }

    /// The configuration as a whole.
    pub(crate) fn settings(&self) -> &Config {
        &self.config
    }
}

impl fmt::Debug for Boot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the configuration: it holds secrets.
        f.debug_struct("Boot").field("name", &self.name).field("env", &self.env).finish_non_exhaustive()
    }
}

/// The name of the file that the process was started from.
pub(crate) fn process_name() -> String {
    let path = PathBuf::from(env::args_os().next().unwrap_or_default());
    path.file_name().map_or_else(|| "app".to_owned(), |name| name.to_string_lossy().into_owned())
}

/// Why there is nothing to build an app with.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BootError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("CEPA_ENV: {0}")]
    Variable(#[source] EnvNameError),
    #[error("{}: no such folder; leave out --config, or name the folder of the configuration", .0.display())]
    NoFolder(PathBuf),
    #[error("{}: {}; name a folder", .0.display(), .1)]
    Folder(PathBuf, #[source] io::Error),
    #[error("{}", crate::told(.0))]
    Settle(Error),
    #[error("the current directory cannot be used: {0}")]
    Root(#[source] io::Error),
}

/// The name of an environment, which is part of a file's name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct EnvName(String);

/// A text that is not the name of an environment.
#[derive(Debug, thiserror::Error)]
#[error("an environment has a name of 1 to 64 letters, digits, \"-\" and \"_\", other than \"default\"")]
pub(crate) struct EnvNameError;

impl std::str::FromStr for EnvName {
    type Err = EnvNameError;

    fn from_str(name: &str) -> Result<Self, EnvNameError> {
        let sound = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        let sound = sound && (1..=64).contains(&name.len()) && name != "default";
        if sound { Ok(Self(name.to_owned())) } else { Err(EnvNameError) }
    }
}

impl EnvName {
    /// The name for a process that was not told one by a flag.
    fn of_process() -> Result<Self, BootError> {
        Ok(match Self::of_variable()? {
            Some(name) => name,
            // What a release build shows to strangers must be what is meant for them.
            None if cfg!(debug_assertions) => Self::development(),
            None => Self("production".to_owned()),
        })
    }

    /// The name that the variable `CEPA_ENV` says.
    pub(crate) fn of_variable() -> Result<Option<Self>, BootError> {
        let name = env::var_os("CEPA_ENV").filter(|name| !name.is_empty());
        name.map(|name| name.to_str().unwrap_or_default().parse().map_err(BootError::Variable)).transpose()
    }

    pub(crate) fn development() -> Self {
        Self("development".to_owned())
    }

    #[cfg(feature = "dev")]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
