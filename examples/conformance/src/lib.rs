//! The app that protocol suites are pointed at: it echoes bodies and messages, and serves a file of 2 MiB.

use bytes::Bytes;
use cepa::prelude::*;
use cepa_websocket::{Options, Socket, WebSocketExt as _, deflate::Deflate};

/// Bytes of `/file`.
pub const FILE: usize = 2 << 20;

/// `/` echoes the body of any method, or says hello where there is none; `/file` is [`FILE`] bytes long; `/ws` and
/// `/ws/context` echo messages of up to 16 MiB, compressed each by itself, and with context takeover.
pub fn app() -> App {
    let file: Bytes = (0..FILE).map(|at| b'a' + (at % 26) as u8).collect();
    let (alone, context) = (websocket(false), websocket(true));
    App::new()
        .all("/", echo)
        .get("/file", async move |ctx: &mut Ctx| -> Result {
            ctx.set_etag("2-mib")?;
            ctx.set_body(file.clone())
        })
        .get("/ws", async move |ctx: &mut Ctx| ctx.websocket(&alone, echo_messages))
        .get("/ws/context", async move |ctx: &mut Ctx| ctx.websocket(&context, echo_messages))
}

/// Suites send larger messages, in more pieces, and faster than the defaults allow.
fn websocket(context_takeover: bool) -> Options {
    Options {
        message: 16 << 20,
        fragments: 1 << 20,
        rate: 0,
        deflate: Some(Deflate { context_takeover, ..Deflate::default() }),
        ..Options::default()
    }
}

async fn echo_messages(socket: &mut Socket) -> Result {
    while let Some(message) = socket.recv().await? {
        socket.send(message).await?;
    }
    Ok(())
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
