//! The life of a program: stages in order, in each of them the hooks of the plugins and then those of the app.

mod choice;
mod config;
mod panicking;
mod started;

use std::{fmt, mem, panic::Location, pin::pin, sync::Arc, time::Duration};

use cepa_core::{App, BuildError, Error, LocalBoxFuture, Onion, Result};
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{error, info, warn};

pub(crate) use self::panicking::Panicked;
pub use self::{config::LifecycleConfig, started::Started};
use super::{
    Boot, Stage,
    background::{Background, Begun},
};
use crate::{
    acme,
    config::ConfigError,
    plugin::{Erased, PluginError},
    told,
};

/// Why an app did not start.
#[derive(Debug, thiserror::Error)]
pub enum LifecycleError {
    /// The plugins do not fit together.
    #[error(transparent)]
    Plugins(#[from] PluginError),
    /// The configuration cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The function that makes the app has failed, or a plugin that adds to it.
    #[error("{}", told(.0))]
    App(Error),
    /// The app cannot be built.
    #[error(transparent)]
    Build(#[from] BuildError),
    /// The file of the jobs cannot be used.
    #[cfg(feature = "cluster")]
    #[error(transparent)]
    Jobs(#[from] cepa_cluster::jobs::JobsError),
    /// A hook has failed.
    #[error("{hook}: {}", told(error))]
    Hook {
        /// The hook, and whose it is.
        hook: String,
        /// What it failed with.
        error: Error,
    },
    /// A hook was added for a stage that was over.
    #[error("a hook for {stage} was added when that was over\n  at {place}")]
    Missed {
        /// The stage.
        stage: Stage,
        /// Where it was added.
        place: &'static Location<'static>,
    },
}

/// A program between its configuration and its end.
pub(crate) struct Lifecycle {
    boot: Boot,
    /// Those that are on, in their order; the app stands behind them.
    plugins: Vec<Box<dyn Erased>>,
    config: LifecycleConfig,
    /// How many units have loaded.
    loaded: usize,
    /// What goes on beside requests.
    begun: Option<Begun>,
}

impl Lifecycle {
    /// Settles which plugins there are and what the configuration is.
    pub(crate) async fn configure(mut boot: Boot) -> Result<Self, LifecycleError> {
        let config = boot.config.section("lifecycle")?;
        let plugins = choice::choose(&mut boot)?;
        let name = |plugin: &dyn Erased| format!("plugin {}", plugin.name());
        let defaults: Vec<_> = plugins.iter().map(|plugin| (name(&**plugin), plugin.defaults())).collect();
        boot.config.put_below(&defaults)?;
        plugins.iter().for_each(|plugin| boot.config.know(plugin.name()));
        let mut life = Self { boot, plugins, config, loaded: 0, begun: None };
        life.run(Stage::ConfigWillLoad).await?;
        life.boot.is_open = false;
        // They may have changed it.
        life.config = life.boot.config.section("lifecycle")?;
        life.run(Stage::ConfigDidLoad).await?;
        Ok(life)
    }

    pub(crate) fn boot(&self) -> &Boot {
        &self.boot
    }

    /// Makes and builds the app. It opens nothing.
    pub(crate) fn build(
        &mut self,
        app: impl FnOnce(&mut Boot) -> Result<App>,
    ) -> Result<Arc<Onion>, LifecycleError> {
        let (boot, plugins) = (&mut self.boot, &mut self.plugins);
        boot.hooks.unit = plugins.len();
        let mut app = panicking::caught(|| app(boot)).map_err(LifecycleError::App)?;
        for (unit, plugin) in plugins.iter_mut().enumerate() {
            boot.hooks.unit = unit;
            app = panicking::caught(|| plugin.extend(boot, app)).map_err(LifecycleError::App)?;
        }
        app = acme::around(app, boot)?;
        #[cfg(feature = "bus")]
        let app = cepa_bus::resume(app);
        let onion = app.provide_later(Arc::clone(&boot.provided)).build()?;
        // Only now is it known which sections there are.
        boot.config.check_sections()?;
        boot.background.check(&boot.config)?;
        Ok(onion)
    }

    /// Opens what the app needs. Whatever comes of it, [`close`](Self::close) is next or last.
    pub(crate) async fn load(&mut self) -> Result<(), LifecycleError> {
        self.run(Stage::DidLoad).await?;
        Background::open(&mut self.boot).await?;
        self.run(Stage::WillReady).await?;
        // Nobody else fills it.
        let _ = self.boot.provided.set(mem::take(&mut self.boot.providing));
        Ok(())
    }

    /// The listeners are bound.
    pub(crate) async fn ready(&mut self) -> Result<(), LifecycleError> {
        self.run(Stage::DidReady).await
    }

    /// The server accepts, in all workers.
    pub(crate) async fn server_ready(&mut self) -> Result<(), LifecycleError> {
        self.run(Stage::ServerDidReady).await
    }

    /// Begins what goes on beside requests, on this thread.
    pub(crate) fn begin(&mut self, onion: &Arc<Onion>) {
        self.begun = Some(self.boot.background.begin(onion, self.config.background));
    }

    /// What is done beside requests, to do some of it by hand.
    #[cfg(feature = "cluster")]
    pub(crate) fn background(&self) -> &Background {
        &self.boot.background
    }

    /// Says what the workers of this machine have in common, and when those of this generation were started.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_one_of(&mut self, machine: cepa_bus::Bus, started: std::time::SystemTime) {
        self.boot.background.machine = Some((machine, started));
    }

    /// Says whose agent keeps the file of the jobs.
    #[cfg(feature = "cluster")]
    pub(crate) fn has_agent(&mut self, bus: cepa_bus::Bus) {
        self.boot.background.agent = Some(bus);
    }

    /// Begins nothing more beside requests.
    pub(crate) fn end(&self) {
        self.begun.iter().for_each(Begun::end);
    }

    async fn run(&mut self, stage: Stage) -> Result<(), LifecycleError> {
        for unit in 0..=self.plugins.len() {
            self.boot.hooks.unit = unit;
            let owner = self.owner(unit);
            if let Some(plugin) = self.plugins.get_mut(unit) {
                let hook = Named { stage, owner: &owner, place: None };
                hook.run(self.config.slow, || plugin.run(stage, &mut self.boot)).await?;
            }
            while let Some(hook) = self.boot.hooks.next(stage) {
                let named = Named { stage, owner: &owner, place: Some(hook.place) };
                named.run(self.config.slow, || (hook.run)(&mut self.boot)).await?;
            }
            if stage == Stage::DidLoad {
                self.loaded = unit + 1;
            }
        }
        match self.boot.hooks.missed(stage) {
            Some((stage, place)) => Err(LifecycleError::Missed { stage, place }),
            None => Ok(()),
        }
    }

    fn owner(&self, unit: usize) -> String {
        match self.plugins.get(unit) {
            Some(plugin) => format!("the plugin `{}`", plugin.name()),
            None => "the app".to_owned(),
        }
    }

    /// Closes what was opened, the last first. What fails is logged, and so is what the time does not suffice for.
    pub(crate) async fn close(mut self) {
        if let Some(begun) = self.begun.take() {
            begun.ended().await;
        }
        let limit = self.config.close;
        // A time that cannot be counted to is none.
        let deadline = Instant::now().checked_add(limit).filter(|_| !limit.is_zero());
        match deadline {
            None => self.close_all().await,
            Some(deadline) => {
                if timeout_at(deadline, self.close_all()).await.is_err() {
                    error!(target: "cepa", "before_close has not ended within {limit:?}: what is left is given up");
                }
            }
        }
        // Last: those that close may still add a job.
        self.boot.background.close().await;
    }

    async fn close_all(&mut self) {
        for unit in (0..=self.plugins.len()).rev() {
            self.boot.hooks.unit = unit;
            let owner = self.owner(unit);
            let stage = Stage::BeforeClose;
            // Whoever adds one has something to close, loaded or not.
            while let Some(hook) = self.boot.hooks.next(stage) {
                let named = Named { stage, owner: &owner, place: Some(hook.place) };
                logged(named.run(self.config.slow, || (hook.run)(&mut self.boot)).await);
            }
            if let Some(plugin) = self.plugins.get_mut(unit).filter(|_| unit < self.loaded) {
                let named = Named { stage, owner: &owner, place: None };
                logged(named.run(self.config.slow, || plugin.run(stage, &mut self.boot)).await);
            }
        }
    }
}

fn logged(ended: Result<(), LifecycleError>) {
    if let Err(error) = ended {
        error!(target: "cepa", "{error}");
    }
}

/// A hook as messages name it.
struct Named<'a> {
    stage: Stage,
    owner: &'a str,
    place: Option<&'static Location<'static>>,
}

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.stage, self.owner)?;
        self.place.map_or(Ok(()), |place| write!(f, " ({}:{})", place.file(), place.line()))
    }
}

impl Named<'_> {
    /// Waits for the hook, and says so in the log while that takes long. A panic is a failure like others.
    async fn run<'a>(
        &self,
        slow: Duration,
        hook: impl FnOnce() -> LocalBoxFuture<'a, Result>,
    ) -> Result<(), LifecycleError> {
        let begun = Instant::now();
        let mut hook = pin!(panicking::caught_within(hook));
        let slow = if slow.is_zero() { Duration::MAX } else { slow };
        let ended = match timeout(slow, &mut hook).await {
            Ok(ended) => ended,
            Err(_) => {
                warn!(target: "cepa", "{self} has been at work for {slow:?}; waiting for it");
                hook.await
            }
        };
        let took = begun.elapsed();
        if took > slow {
            info!(target: "cepa", "{self} took {took:.1?}");
        }
        ended.map_err(|error| LifecycleError::Hook { hook: self.to_string(), error })
    }
}

#[cfg(test)]
mod tests;
