//! Cepa: one worker thread with its own listener per core; HTTP/1.1 and HTTP/2 by prior knowledge
//! on the same port.
use cepa::layers::send_file;
use cepa::prelude::*;
use peer_common::*;
use std::{process::ExitCode, time::Duration};

async fn plaintext(_: &mut Ctx) -> &'static str {
    HELLO
}

async fn json(_: &mut Ctx) -> Json<Message> {
    Json(Message::new())
}

async fn user(ctx: &mut Ctx) -> Result<Json<User<String>>> {
    Ok(Json(User { id: ctx.param("id")?.to_owned() }))
}

async fn other(_: &mut Ctx) -> &'static str {
    "other"
}

async fn echo(ctx: &mut Ctx) -> Result<Json<Payload>> {
    Ok(Json(ctx.json().await?))
}

async fn noop(ctx: &mut Ctx, next: Next<'_>) -> Result {
    next.run(ctx).await
}

fn app(_: &mut Boot) -> Result<App> {
    let mut app = App::new()
        .get("/plaintext", plaintext)
        .get("/json", json)
        .post("/echo", echo)
        .get("/file", send_file(file_path()))
        .mount("/stack", (0..8).fold(App::new(), |app, _| app.with(noop)).get("/", plaintext));
    for (i, path) in routes(|name| format!("{{{name}}}")).iter().enumerate() {
        app = if i == USERS_INDEX { app.get(path, user) } else { app.get(path, other) };
    }
    Ok(app)
}

fn main() -> ExitCode {
    let args = args();
    cepa::Server::new(app)
        .listen(([127, 0, 0, 1], args.port))
        .backlog(BACKLOG)
        .workers(args.workers)
        .server_header("cepa")
        // the contract: an idle connection outlives ten minutes
        .idle_timeout(Duration::from_secs(660))
        .run()
}
