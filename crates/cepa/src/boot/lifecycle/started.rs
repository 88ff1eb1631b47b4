//! An app that is ready without being served.

use std::{fmt, sync::Arc};

use cepa_core::{App, Onion, Result, test::Client};

use super::{Lifecycle, LifecycleError};
use crate::Boot;

/// An app that is ready: its hooks have run, and wait for its end.
///
/// For tests, and for programs with a command line of their own; [`run`](crate::run) does all of it.
pub struct Started {
    life: Lifecycle,
    onion: Arc<Onion>,
}

impl Boot {
    /// Starts an app without serving it: runs all hooks up to `did_ready`.
    ///
    /// It is called within a tokio runtime, which lasts as long as what the hooks open.
    ///
    /// # Errors
    /// What is wrong with the configuration, the plugins or the app, and the first hook that fails; what had been
    /// opened is closed then.
    pub async fn start(self, app: impl FnOnce(&mut Boot) -> Result<App>) -> Result<Started, LifecycleError> {
        let mut life = Lifecycle::configure(self).await?;
        let onion = life.build(app)?;
        let mut ended = life.load().await;
        if ended.is_ok() {
            ended = life.ready().await;
        }
        match ended {
            Ok(()) => Ok(Started { life, onion }),
            Err(error) => {
                life.close().await;
                Err(error)
            }
        }
    }
}

impl Started {
    /// The app, for [`serve`](crate::serve()).
    pub fn onion(&self) -> &Arc<Onion> {
        &self.onion
    }

    /// The boot that it was started from.
    pub fn boot(&self) -> &Boot {
        self.life.boot()
    }

    /// A client that calls the app in memory, without a socket.
    pub fn client(&self) -> Client {
        Client::new(Arc::clone(&self.onion))
    }

    /// Runs the hooks `server_did_ready`.
    ///
    /// # Errors
    /// The first hook that fails.
    pub async fn serving(&mut self) -> Result<(), LifecycleError> {
        self.life.server_ready().await
    }

    /// Runs a schedule once, in place; the others do not run.
    ///
    /// # Errors
    /// There is none of this name.
    #[cfg(feature = "cluster")]
    pub async fn run_schedule(
        &self,
        name: &str,
    ) -> Result<cepa_cluster::schedule::Outcome, cepa_cluster::schedule::ScheduleError> {
        self.life.background().run_schedule(name, &self.onion).await
    }

    /// Does the jobs that are due, one after the other, until none is; answers how many attempts there were.
    ///
    /// # Errors
    /// The file cannot be read or written.
    #[cfg(feature = "cluster")]
    pub async fn run_jobs(&self) -> Result<usize, cepa_cluster::jobs::JobsError> {
        self.life.background().run_jobs(&self.onion).await
    }

    /// Runs the hooks `before_close`, after the last request.
    pub async fn close(self) {
        self.life.close().await;
    }
}

impl fmt::Debug for Started {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Started").field("boot", self.boot()).finish_non_exhaustive()
    }
}
