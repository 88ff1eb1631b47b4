//! The way through the onion: layers around a handler, errors on their way out, and a layer that does not wait.

use cepa_core::{Body, Ctx, Error, Next, Result, router::Router, router::all};

pub(super) fn routes() -> Router {
    Router::new()
        .all("/respond-false", raw)
        .route("/onion", all(nothing).with(tell).with(step_a).with(step_b).with(core).with(step_c))
        .all("/next-twice", next_twice)
        .route("/next-error-bubbles", all(fail).with(rescue))
        .route("/no-await", all(async |_: &mut Ctx| "too late").with(no_await))
}

/// The answer as a whole: nothing is added to it but its framing.
async fn raw(_: &mut Ctx) -> Result<http::Response<Body>> {
    Ok(http::Response::builder().status(203).header("x-raw", "yes").body("raw response".into())?)
}

async fn nothing(_: &mut Ctx) {}

/// What the layers of `/onion` have to tell, in the order in which they ran.
#[derive(Default)]
struct Log(Vec<&'static str>);

fn log(ctx: &mut Ctx, line: &'static str) {
    ctx.states().get_or_insert_with(Log::default).0.push(line);
}

async fn tell(ctx: &mut Ctx, next: Next<'_>) -> Result {
    next.run(ctx).await?;
    let Log(lines) = ctx.states().remove().unwrap_or_default();
    ctx.set_json(&lines)
}

async fn step_a(ctx: &mut Ctx, next: Next<'_>) -> Result {
    log(ctx, ">a");
    next.run(ctx).await?;
    log(ctx, "<a");
    Ok(())
}

async fn step_b(ctx: &mut Ctx, next: Next<'_>) -> Result {
    log(ctx, ">b");
    next.run(ctx).await?;
    log(ctx, "<b");
    Ok(())
}

async fn core(ctx: &mut Ctx, next: Next<'_>) -> Result {
    log(ctx, "core");
    next.run(ctx).await
}

async fn step_c(ctx: &mut Ctx, next: Next<'_>) -> Result {
    log(ctx, ">c");
    next.run(ctx).await?;
    log(ctx, "<c");
    Ok(())
}

/// Koa finds at run time that a layer called `next` twice. Here there is no such layer, since it does not compile
/// (see [`Middleware`](cepa_core::Middleware)); what is left to do is to answer as Koa does.
async fn next_twice(_: &mut Ctx) -> Result {
    Err(Error::new(500, "next() called multiple times"))
}

async fn fail(_: &mut Ctx) -> Result {
    Err(Error::new(500, "inner"))
}

async fn rescue(ctx: &mut Ctx, next: Next<'_>) -> Result {
    let mut log = Vec::new();
    if let Err(error) = next.run(ctx).await {
        log.push(format!("caught {}", error.message()));
    }
    log.push("finally".to_owned());
    ctx.set_json(&log)
}

/// What is not awaited never runs: the answer is a 404. The compiler warns of a `run` that is thrown away silently.
async fn no_await(ctx: &mut Ctx, next: Next<'_>) -> Result {
    drop(next.run(ctx));
    Ok(())
}
