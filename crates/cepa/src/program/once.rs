//! Commands that open what the app needs for one thing: a request of CGI, a run of a schedule.

use std::sync::Arc;

#[cfg(feature = "cluster")]
use cepa_cluster::schedule::Outcome;
use cepa_core::Onion;
use cepa_server::{ServerConfig, cgi::process};
use tokio::runtime::LocalRuntime;

use super::Failure;
use crate::boot::Lifecycle;

/// Opens what the app needs, runs a schedule, and closes.
#[cfg(feature = "cluster")]
pub(super) async fn run_schedule(
    mut life: Lifecycle,
    onion: &Arc<Onion>,
    name: &str,
) -> Result<String, Failure> {
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
pub(super) fn told_of_run(name: &str, outcome: Outcome) -> Result<String, Failure> {
    match outcome {
        Outcome::Done => Ok(format!("{name}: done\n")),
        outcome => Err(Failure::Run(name.to_owned(), outcome)),
    }
}

/// Opens what the app needs, answers the one request that there is, and closes.
pub(super) fn answer_cgi(
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
