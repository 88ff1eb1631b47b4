//! The smallest app: a layer, a route, and the program around them.

use cepa::prelude::*;

fn app(_: &mut Boot) -> Result<App> {
    Ok(App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            let started = Instant::now();
            next.run(ctx).await?;
            ctx.set("x-response-time", format!("{} ms", started.elapsed().as_millis()))
        })
        .get("/", async |_: &mut Ctx| "Hello, onion"))
}

fn main() -> ExitCode {
    cepa::run(app)
}
