//! A post office: what it accepts is delivered, whatever becomes of the process in between.
//!
//! A request adds a job and is answered at once; the job is done afterwards, again if it fails, and noted in a ledger. The
//! ledger is a plugin, which opens a file before the first request and closes it after the last job. A schedule looks
//! after what could not be delivered.

pub mod ledger;

use cepa::{jobs::JobCounts, prelude::*, tracing::warn};
use ledger::Ledger;
use serde::{Deserialize, Serialize};

/// What is to be delivered.
#[derive(Debug, Deserialize, Serialize)]
pub struct Parcel {
    to: String,
}

/// The app.
pub fn app(boot: &mut Boot) -> Result<App> {
    let options = JobOptions { concurrency: 8, backoff: Duration::from_millis(200), ..JobOptions::default() };
    boot.job("deliver", options, deliver)?;
    boot.schedule("complain", Schedule::cron("0 9 * * MON-FRI")?.cluster(), complain)?;
    Ok(App::new().post("/parcels", accept).get("/parcels", count))
}

/// Takes a parcel, and answers with its number once it is safe.
async fn accept(ctx: &mut Ctx) -> Result<String> {
    let to = ctx.text().await?;
    ctx.assert(!to.is_empty(), 422, "write on it where it is to go")?;
    let number = ctx.provided::<Jobs>()?.add("deliver", &Parcel { to }).await?;
    ctx.set_status(202)?;
    // Nobody has to wait for this, and nothing is lost if it is not done.
    let ledger = ctx.provided::<Ledger>()?.clone();
    ctx.defer(async move { ledger.note(format!("accepted {number}")).await })?;
    Ok(number.to_string())
}

/// Delivers one.
async fn deliver(job: &mut JobCtx, parcel: Parcel) -> Result {
    // The way there.
    tokio::time::sleep(Duration::from_millis(5)).await;
    match &*parcel.to {
        "nowhere" => return Err(job.give_up("there is no such place")),
        "a busy place" if job.attempt() == 1 => return Err(job.error(503, "come back later")),
        _ => {}
    }
    // A job may be done twice, if the process ends before that is written. Its number says that it is the same one.
    let number = job.job().map_or(0, |number| number.0);
    job.provided::<Ledger>()?.note(format!("delivered {number} to {}", parcel.to)).await
}

/// How many wait, are on their way, and have come back.
async fn count(ctx: &mut Ctx) -> Result<String> {
    let counts = ctx.provided::<Jobs>()?.counts().await?;
    let JobCounts { waiting, running, dead, .. } = counts.into_iter().next().unwrap_or_default();
    Ok(format!("{waiting} waiting, {running} on their way, {dead} came back"))
}

/// Says in the log what could not be delivered.
async fn complain(job: &mut JobCtx) -> Result {
    for parcel in job.provided::<Jobs>()?.dead("deliver", None).await? {
        warn!("parcel {} came back: {}", parcel.id, parcel.error);
    }
    Ok(())
}
