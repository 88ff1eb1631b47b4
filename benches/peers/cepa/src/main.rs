//! Cepa: one worker thread with its own listener per core; HTTP/1.1 and HTTP/2 by prior knowledge
//! on the same port.
use std::{error::Error, net::Ipv4Addr, time::Duration};

use cepa::{
    ServerConfig,
    prelude::*,
    server::{
        ListenConfig,
        limits::Limits,
        listen::{Address, BindOptions},
    },
};
use peer_common::*;

async fn plaintext(_: &mut Ctx) -> &'static str {
    HELLO
}

async fn json(_: &mut Ctx) -> Json<Message> {
    Json(Message::new())
}

async fn user(ctx: &mut Ctx) -> Result<Json<User<String>>> {
    Ok(Json(User { id: ctx.params()? }))
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

fn app() -> App {
    let stack = (0..8).fold(Router::new(), |router, _| router.with(noop)).get("/", plaintext);
    let app = App::new()
        .get("/plaintext", plaintext)
        .get("/json", json)
        .post("/echo", echo)
        .nest("/stack", stack);
    routes(|name| format!("{{{name}}}")).iter().enumerate().fold(app, |app, (at, path)| match at {
        USERS_INDEX => app.get(path, user),
        _ => app.get(path, other),
    })
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let args = args();
    let address = Address::Tcp((Ipv4Addr::LOCALHOST, args.port).into());
    let options = BindOptions { backlog: BACKLOG, ..BindOptions::default() };
    let config = ServerConfig {
        listen: vec![ListenConfig { options, ..ListenConfig::from(address) }],
        workers: args.workers,
        server_header: Some("cepa".to_owned()),
        limits: Limits {
            // the contract: an idle connection outlives ten minutes
            idle: Duration::from_secs(660),
            // the load generators keep their connections for a whole run
            connections: 1_000_000,
            requests_per_connection: 0,
            connection_age: Duration::ZERO,
            ..Limits::default()
        },
    };
    let running = cepa::serve(app().build()?, config)?;
    cepa::stop_on_signals(running.stopper())?;
    Ok(running.join()?)
}
