//! The app that protocol suites are pointed at: it echoes bodies, and serves a file of 2 MiB.

use bytes::Bytes;
use cepa::prelude::*;

/// Bytes of `/file`.
pub const FILE: usize = 2 << 20;

/// `/` echoes the body of any method, or says hello where there is none; `/file` is [`FILE`] bytes long.
pub fn app() -> App {
    let file: Bytes = (0..FILE).map(|at| b'a' + (at % 26) as u8).collect();
    App::new().all("/", echo).get("/file", async move |ctx: &mut Ctx| -> Result {
        ctx.set_etag("2-mib")?;
        ctx.set_body(file.clone())
    })
}

/// The whole body is read first, so that a fault in it is what the client hears of.
async fn echo(ctx: &mut Ctx) -> Result {
    let kind = ctx.get(header::CONTENT_TYPE).map(str::to_owned);
    let body = ctx.bytes().await?;
    if body.is_empty() {
        return ctx.set_body("Hello, onion\n");
    }
    ctx.set_body(body)?;
    match kind {
        Some(kind) => ctx.set(header::CONTENT_TYPE, kind),
        None => Ok(()),
    }
}
