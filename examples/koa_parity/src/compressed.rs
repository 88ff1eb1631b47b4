//! Compressed bodies: what `koa-compress` does.

use cepa::layers::{
    When,
    compress::{self, Coding, Decision, compress},
};
use cepa_core::{App, Body, Ctx, Result};
use http::header;
use serde_json::{Value, json};

/// `/z`. As recorded: without Zstandard, and always piece by piece, so that no coded body has a length.
pub(crate) fn z() -> App {
    let codings =
        |codings: &[Coding]| compress::Options { codings: codings.to_vec(), whole: 0, ..Default::default() };
    let all = codings(&[Coding::Br, Coding::Gzip, Coding::Deflate]);
    let without_brotli = codings(&[Coding::Gzip, Coding::Deflate]);
    App::new()
        .with(compress(all).expect("the options are right").except("/z/nobr"))
        .with(compress(without_brotli).expect("the options are right").only("/z/nobr"))
        .get("/z/text", async |ctx: &mut Ctx| letters(ctx))
        .get("/z/nobr", async |ctx: &mut Ctx| letters(ctx))
        .get("/z/json", async |ctx: &mut Ctx| -> Value { json!({ "s": letters(ctx) }) })
        .get("/z/bin", async |ctx: &mut Ctx| letters(ctx).into_bytes())
        .get("/z/type", typed)
        .get("/z/stream", stream)
        .get("/z/off", async |ctx: &mut Ctx| decided(ctx, Decision::Never))
        .get("/z/local", async |ctx: &mut Ctx| decided(ctx, Decision::Always))
        .get("/z/force", async |ctx: &mut Ctx| -> Result<String> {
            ctx.set_type("image/png")?;
            Ok(decided(ctx, Decision::Always))
        })
        .get("/z/notransform", async |ctx: &mut Ctx| with(ctx, header::CACHE_CONTROL, "public, no-transform"))
        .get("/z/encoded", async |ctx: &mut Ctx| with(ctx, header::CONTENT_ENCODING, "x-custom"))
        .get("/z/partial", async |ctx: &mut Ctx| -> Result<String> {
            ctx.set_status(206)?;
            with(ctx, header::CONTENT_RANGE, "bytes 0-1/2")
        })
}

/// As many letters as the query asks for.
fn letters(ctx: &Ctx) -> String {
    let count = ctx.query_value("n").and_then(|count| count.parse().ok()).unwrap_or(2048);
    "abcdefgh".chars().cycle().take(count).collect()
}

fn decided(ctx: &mut Ctx, decision: Decision) -> String {
    ctx.insert(decision);
    letters(ctx)
}

fn with(ctx: &mut Ctx, name: http::HeaderName, value: &'static str) -> Result<String> {
    ctx.set(name, value)?;
    Ok(letters(ctx))
}

async fn typed(ctx: &mut Ctx) -> Result<String> {
    let kind = ctx.query_value("t").unwrap_or_default().into_owned();
    ctx.set_type(&kind)?;
    Ok(letters(ctx))
}

async fn stream(ctx: &mut Ctx) -> Result<Body> {
    ctx.set_type("text")?;
    let letters = letters(ctx);
    Ok(Body::from_async(async |mut out| {
        out.write(letters).await;
        Ok(())
    }))
}
