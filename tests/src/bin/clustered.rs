//! The program that the tests of the cluster run: an app whose answers say which process they come from.

use std::{env, fs, process, thread, time::Duration};

use cepa::{
    bus::{Bus, Live},
    prelude::*,
};

/// Every answer names its process, so that a client knows whose connection it has.
async fn stamp(ctx: &mut Ctx, next: Next<'_>) -> Result {
    next.run(ctx).await?;
    ctx.set("x-pid", process::id().to_string())
}

fn app(_: &mut Boot) -> Result<App> {
    // A file of the test's folder says how this start goes.
    let text = fs::read_to_string("how").unwrap_or_default();
    let version = match text.trim().split_once(' ').unwrap_or((text.trim(), "")) {
        ("fail", reason) => return Err(Error::new(500, reason.to_owned())),
        ("abort", _) => process::abort(),
        ("hang", _) => loop {
            thread::park();
        },
        (version, _) => version.to_owned(),
    };
    cepa::tracing::info!("the app is built");
    Ok(App::new()
        .with(stamp)
        .provide(Bus::new())
        .get("/events", async |ctx: &mut Ctx| -> Result {
            let queue = ctx.provided::<Bus>()?.queue::<String>("events")?;
            ctx.sse(&queue)
        })
        .get("/", async move |_: &mut Ctx| version.clone())
        .post("/echo", async |ctx: &mut Ctx| -> Result {
            let ms = ctx.query_value("ms").and_then(|ms| ms.parse().ok()).unwrap_or(0);
            if ms > 0 {
                tokio::time::sleep(Duration::from_millis(ms)).await;
            }
            let body = ctx.bytes().await?;
            ctx.set_body(body)
        })
        .get("/slow/{ms}", async |ctx: &mut Ctx| {
            let time = Duration::from_millis(ctx.param("ms").and_then(|ms| ms.parse().ok()).unwrap_or(0));
            tokio::time::sleep(time).await;
            "slow"
        })
        .get("/never", async |_: &mut Ctx| std::future::pending::<&str>().await)
        .get("/stuck", async |_: &mut Ctx| -> Result<&str> {
            fs::write("stuck", "")?;
            loop {
                thread::park();
            }
        })
        .get("/abort", async |_: &mut Ctx| -> &str { process::abort() })
        .get("/env/{name}", async |ctx: &mut Ctx| {
            let name = ctx.param("name").unwrap_or_default();
            env::var(&*name).unwrap_or_default()
        }))
}

fn main() -> ExitCode {
    cepa::run(app)
}
