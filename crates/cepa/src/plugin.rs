//! Plugins: parts of a program with a name, that know what they need and take part in its life.

mod erased;
mod order;

use cepa_core::{App, Result};

pub use self::order::PluginError;
pub(crate) use self::{
    erased::Erased,
    order::{Candidate, Off, order},
};
use crate::Boot;

/// A part of a program with a name: it opens what the app uses, may add to the app, and closes what it has opened.
///
/// A program is given its plugins, and runs their hooks in the order that their dependencies ask for:
///
/// | hook | when | in `check` and `routes` |
/// | --- | --- | --- |
/// | [`config_will_load`](Self::config_will_load) | the configuration is read; the last moment to [change](Boot::set) it | runs |
/// | [`config_did_load`](Self::config_did_load) | it will not change any more; the app is about to be made | runs |
/// | [`extend`](Self::extend) | the app was made | runs |
/// | [`did_load`](Self::did_load) | the app is built and sound: open stores, connect clients | |
/// | [`will_ready`](Self::will_ready) | every plugin has loaded | |
/// | [`did_ready`](Self::did_ready) | listeners are bound, nothing is accepted yet | |
/// | [`server_did_ready`](Self::server_did_ready) | the server accepts; all workers of the machine do | |
/// | [`before_close`](Self::before_close) | requests are done; in reverse order | |
///
/// They are awaited one by one, on the thread that stays for as long as the process: tasks that they spawn go on there.
/// A hook that fails ends the start, with its name in the message; then those that had loaded are closed. One that
/// takes longer than `lifecycle.slow` is named in the log.
///
/// A plugin is on if it says so ([`is_enabled`](Self::is_enabled)) and the environment is one of its
/// [`environments`](Self::environments); `[plugins.NAME] enable = true` or `false` wins over the former. What needs a
/// plugin that is off, or is not there, does not start: nothing is switched on unasked.
///
/// ```
/// use cepa::{Plugin, prelude::*};
///
/// struct Pool { /* .. */ }
/// # impl Pool {
/// #     async fn connect(_: &str) -> Result<Self> { Ok(Self {}) }
/// #     async fn close(&self) {}
/// # }
///
/// struct Database;
///
/// impl Plugin for Database {
///     fn name(&self) -> &str {
///         "database"
///     }
///
///     fn defaults(&self) -> &str {
///         "database.url = 'postgres://localhost/app'"
///     }
///
///     async fn did_load(&mut self, boot: &mut Boot) -> Result {
///         #[derive(serde::Deserialize)]
///         struct Options { url: String }
///         let options: Options = boot.config("database")?;
///         boot.provide(Pool::connect(&options.url).await?);
///         Ok(())
///     }
///
///     async fn before_close(&mut self, boot: &Boot) -> Result {
///         boot.provided::<Pool>()?.close().await;
///         Ok(())
///     }
/// }
///
/// async fn home(ctx: &mut Ctx) -> Result<&'static str> {
///     let _pool = ctx.provided::<Pool>()?;
///     Ok("connected")
/// }
///
/// fn app(_: &mut Boot) -> Result<App> {
///     Ok(App::new().get("/", home))
/// }
///
/// // In `main`: cepa::program!().plugin(Database).run(app)
/// # tokio::runtime::LocalRuntime::new()?.block_on(async {
/// let started = Boot::load("test")?.plugin(Database).start(app).await?;
/// assert_eq!(started.client().get("/").await.text(), "connected");
/// started.close().await;
/// # Ok::<(), cepa::Error>(())
/// # })?;
/// # Ok::<(), cepa::Error>(())
/// ```
pub trait Plugin: 'static {
    /// Its name: letters, digits, `-` and `_`. No other plugin of the program has it.
    fn name(&self) -> &str;

    /// The plugins that it needs; they come before it.
    fn dependencies(&self) -> &[&str] {
        &[]
    }

    /// Plugins that come before it if they are there and on.
    fn optional_dependencies(&self) -> &[&str] {
        &[]
    }

    /// The environments that it is for; with none, for all.
    fn environments(&self) -> &[&str] {
        &[]
    }

    /// Whether it is on where the configuration says nothing; it is by default.
    fn is_enabled(&self) -> bool {
        true
    }

    /// Configuration in TOML that holds where nothing else is written, with its sections.
    ///
    /// They are known sections then, as is one with the plugin's name: it may read them as late as it likes.
    fn defaults(&self) -> &str {
        ""
    }

    /// The configuration is read, and may be changed for the last time: [`Boot::set`].
    ///
    /// # Errors
    /// End the start.
    fn config_will_load(&mut self, boot: &mut Boot) -> impl Future<Output = Result> {
        let _ = boot;
        async { Ok(()) }
    }

    /// The configuration will not change any more; the app is about to be made.
    ///
    /// # Errors
    /// End the start.
    fn config_did_load(&mut self, boot: &mut Boot) -> impl Future<Output = Result> {
        let _ = boot;
        async { Ok(()) }
    }

    /// Adds to the app that was made: routes, mounts, layers inside of the app's own. It opens nothing.
    ///
    /// # Errors
    /// End the start.
    fn extend(&mut self, boot: &mut Boot, app: App) -> Result<App> {
        let _ = boot;
        Ok(app)
    }

    /// The app is built and sound. The place to open stores, to connect, and to [provide](Boot::provide) what comes of
    /// it.
    ///
    /// # Errors
    /// End the start.
    fn did_load(&mut self, boot: &mut Boot) -> impl Future<Output = Result> {
        let _ = boot;
        async { Ok(()) }
    }

    /// All that the program is made of has loaded: warm caches, check what others have opened.
    ///
    /// # Errors
    /// End the start.
    fn will_ready(&mut self, boot: &mut Boot) -> impl Future<Output = Result> {
        let _ = boot;
        async { Ok(()) }
    }

    /// The process is ready; nothing is accepted yet.
    ///
    /// # Errors
    /// End the start.
    fn did_ready(&mut self, boot: &Boot) -> impl Future<Output = Result> {
        let _ = boot;
        async { Ok(()) }
    }

    /// The server accepts connections, in all workers of the machine.
    ///
    /// # Errors
    /// End the server.
    fn server_did_ready(&mut self, boot: &Boot) -> impl Future<Output = Result> {
        let _ = boot;
        async { Ok(()) }
    }

    /// The server has served its last request. All hooks together have `lifecycle.close`, then the process ends.
    ///
    /// It runs for a plugin whose [`did_load`](Self::did_load) has succeeded, also when the start failed later.
    ///
    /// # Errors
    /// Are logged.
    fn before_close(&mut self, boot: &Boot) -> impl Future<Output = Result> {
        let _ = boot;
        async { Ok(()) }
    }
}
