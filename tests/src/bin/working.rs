//! The program that the tests of jobs and schedules run: an app that writes in a journal what it does, and in which process.

use std::{
    fs::OpenOptions,
    future::pending,
    io::Write,
    process,
    time::{Duration, UNIX_EPOCH},
};

use cepa::{
    bus::{Bus, BusConfig, Delivery, Share},
    jobs::JobsError,
    prelude::*,
};

/// Writes a line, whole.
fn journal(line: &str) -> Result {
    let mut file = OpenOptions::new().append(true).create(true).open("journal")?;
    Ok(file.write_all(format!("{line} {}\n", process::id()).as_bytes())?)
}

/// Does what is of the kind `note`: `hang` at the first attempt never ends, `slow` takes a while.
async fn note(job: &mut JobCtx, word: String) -> Result {
    let number = job.job().map_or(0, |number| number.0);
    journal(&format!("begun {number} {word} {}", job.attempt()))?;
    match &*word {
        "hang" if job.attempt() == 1 => pending().await,
        "slow" => tokio::time::sleep(Duration::from_millis(300)).await,
        _ => tokio::time::sleep(Duration::from_millis(5)).await,
    }
    journal(&format!("done {number} {word} {}", job.attempt()))
}

/// Adds a job, and says its number or why there is none.
async fn add(ctx: &mut Ctx) -> Result<String> {
    let (kind, word) = (ctx.param("kind").unwrap_or_default().into_owned(), ctx.text().await?);
    match ctx.provided::<Jobs>()?.add(&kind, &word).await {
        Ok(number) => Ok(number.to_string()),
        Err(JobsError::Away(_) | JobsError::Unanswered) => Err(ctx.error(503, "not now")),
        Err(error) => Err(error.into()),
    }
}

async fn counts(ctx: &mut Ctx) -> Result<String> {
    let all = ctx.provided::<Jobs>()?.counts().await?;
    let (waiting, running, dead) = all
        .iter()
        .fold((0, 0, 0), |sum, counts| (sum.0 + counts.waiting, sum.1 + counts.running, sum.2 + counts.dead));
    Ok(format!("{waiting} {running} {dead}"))
}

/// What the log has from its start, as far as it has come.
async fn log(ctx: &mut Ctx) -> Result<String> {
    let mut subscriber = ctx.provided::<Bus>()?.queue::<u64>("log")?.subscribe_from_start()?;
    let mut all = String::new();
    while let Ok(Some(next)) = tokio::time::timeout(Duration::from_millis(100), subscriber.next()).await {
        if let Delivery::Message(message) = next {
            all += &format!("{} ", message.value().map_err(|error| Error::new(500, error.to_string()))?);
        }
    }
    Ok(all)
}

/// The schedules: one that ticks in one of the workers, and some to run by hand.
fn schedules(boot: &mut Boot) -> Result {
    boot.schedule("tick", Schedule::every(Duration::from_millis(200))?.one(), async |job: &mut JobCtx| {
        let planned = job.planned().duration_since(UNIX_EPOCH).unwrap_or_default();
        journal(&format!("tick {}", planned.as_millis()))
    })?;
    let by_hand = || Ok::<_, Error>(Schedule::every(Duration::from_secs(86_400))?.enabled(false));
    boot.schedule("fine", by_hand()?, async |_: &mut JobCtx| journal("fine"))?;
    boot.schedule("bad", by_hand()?, async |job: &mut JobCtx| Err(job.error(500, "no luck")))?;
    boot.schedule("slow", by_hand()?, async |_: &mut JobCtx| {
        journal("slow")?;
        tokio::time::sleep(Duration::from_millis(700)).await;
        Ok(())
    })?;
    boot.schedule("hang", by_hand()?, async |_: &mut JobCtx| {
        journal("hang")?;
        pending().await
    })
}

fn app(boot: &mut Boot) -> Result<App> {
    boot.job("note", JobOptions { backoff: Duration::from_millis(50), ..JobOptions::default() }, note)?;
    if std::fs::exists("how")? {
        // What only a new worker knows.
        boot.job("new", JobOptions::default(), async |_: &mut JobCtx, word: String| {
            journal(&format!("new {word}"))
        })?;
    }
    schedules(boot)?;
    let config: BusConfig = boot.config("bus")?;
    let bus = Bus::connect(&config)?;
    let visits: Share<u64> = bus.share("visits", || 0)?.durable();
    let queue = bus.queue::<u64>("log")?;
    Ok(App::new()
        .with(stamp)
        .provide(bus)
        .post("/jobs/{kind}", add)
        .get("/jobs", counts)
        .post("/visits", async move |_: &mut Ctx| -> Result<String> {
            let now = visits
                .update(|count| {
                    *count += 1;
                    *count
                })
                .await?;
            queue.notify(&now).await?;
            Ok(now.to_string())
        })
        .get("/log", log))
}

/// Every answer names its process.
async fn stamp(ctx: &mut Ctx, next: Next<'_>) -> Result {
    next.run(ctx).await?;
    ctx.set("x-pid", process::id().to_string())
}

fn main() -> ExitCode {
    cepa::run(app)
}
