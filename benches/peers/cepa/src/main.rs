//! Cepa: one worker thread with its own listener per core; HTTP/1.1 and HTTP/2 by prior knowledge
//! on the same port, or what a third argument says: `fastcgi` or `scgi`.
use std::{error::Error, net::Ipv4Addr, path::PathBuf, time::Duration};

use cepa::{
    ServerConfig,
    bus::{Bus, Delivery, Queue},
    core::cookie::Keys,
    log::{Log, LogConfig},
    prelude::*,
    server::{
        ListenConfig, Protocol,
        limits::Limits,
        listen::{Address, BindOptions},
    },
    websocket::{self, Prepared, Socket, WebSocketExt as _},
};
use cepa_layers::{
    SessionExt,
    logger::{self, Format},
    session,
    static_files::{self, static_files},
};
use peer_common::*;
use serde::Serialize;

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

/// What `GET /session/r{n}/{id}` answers; its stack is the one in peers/koa.
#[derive(Serialize)]
struct Visit {
    id: String,
    name: String,
}

async fn visit(ctx: &mut Ctx) -> Result<Json<Visit>> {
    let name = ctx.session()?.get("name")?.unwrap_or_else(|| "nobody".to_owned());
    Ok(Json(Visit { id: ctx.params()?, name }))
}

fn sessions() -> std::result::Result<Router, Box<dyn Error>> {
    let short = logger::Options { format: Format::Dev, ..Default::default() };
    let router = Router::new().with(logger::logger(short)).with(session::session(session::Options::koa())?);
    Ok((0..21).fold(router, |router, n| router.get(&format!("/r{n}/{{id}}"), visit)))
}

/// What is published goes to every WebSocket of `/ws-fanout`.
async fn publish(ctx: &mut Ctx) -> Result<&'static str> {
    let message: String = ctx.json().await?;
    ctx.provided::<Queue<String>>()?.notify(&message).await?;
    Ok("ok")
}

fn ws_fanout(ctx: &mut Ctx) -> Result {
    let mut news = ctx.provided::<Queue<String>>()?.subscribe()?;
    ctx.websocket(&websocket::Options::default(), async move |socket: &mut Socket| {
        loop {
            tokio::select! {
                biased;
                // What is there is written together, before the client is waited for.
                delivery = news.next() => match delivery {
                    Some(Delivery::Message(message)) => {
                        socket.feed_prepared(&message.encoded(|json| Prepared::new(json))).await?;
                    }
                    Some(Delivery::Missed(_)) => {}
                    None => return Ok(()),
                },
                message = socket.recv() => if message?.is_none() {
                    return Ok(());
                },
            }
        }
    })
}

async fn ws(ctx: &mut Ctx) -> Result {
    ctx.websocket(&websocket::Options::default(), async |socket: &mut Socket| {
        while let Some(message) = socket.recv().await? {
            socket.send(message).await?;
        }
        Ok(())
    })
}

/// `GET /static/file.txt` is the file that `GET /file` is elsewhere.
fn files() -> std::result::Result<App, Box<dyn Error>> {
    let file = PathBuf::from(std::env::var_os("BENCH_FILE").unwrap_or_default());
    let root = file.parent().filter(|root| root.is_dir()).map_or_else(|| ".".into(), PathBuf::from);
    Ok(App::new().with(static_files(static_files::Options { root, ..Default::default() })?))
}

fn app() -> std::result::Result<App, Box<dyn Error>> {
    let stack = (0..8).fold(Router::new(), |router, _| router.with(noop)).get("/", plaintext);
    let app = App::new()
        .keys(Keys::new(["bench"])?)
        .provide(Bus::new().queue::<String>("news")?)
        .post("/publish", publish)
        .get("/ws", ws)
        .get("/ws-fanout", async |ctx: &mut Ctx| ws_fanout(ctx))
        .nest("/session", sessions()?)
        .mount("/static", files()?)
        .get("/plaintext", plaintext)
        .get("/json", json)
        .post("/echo", echo)
        .nest("/stack", stack);
    Ok(routes(|name| format!("{{{name}}}")).iter().enumerate().fold(app, |app, (at, path)| match at {
        USERS_INDEX => app.get(path, user),
        _ => app.get(path, other),
    }))
}

fn main() -> std::result::Result<(), Box<dyn Error>> {
    let args = args();
    let address = Address::Tcp((Ipv4Addr::LOCALHOST, args.port).into());
    let options = BindOptions { backlog: BACKLOG, ..BindOptions::default() };
    let door = match args.variant.as_str() {
        "fastcgi" => Protocol::FastCgi,
        "scgi" => Protocol::Scgi,
        _ => Protocol::Http,
    };
    let mut listen = vec![ListenConfig { options, door, ..ListenConfig::from(address) }];
    listen.extend(unix_path().map(|path| ListenConfig::from(Address::Unix(path.into()))));
    let config = ServerConfig {
        listen,
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
        ..ServerConfig::default()
    };
    let log = Log::start(&LogConfig::default())?;
    log.install()?;
    let running = cepa::serve(app()?.build()?, config)?;
    cepa::stop_on_signals(running.stopper())?;
    running.join()?;
    log.flush(Duration::from_secs(5));
    match log.lost() {
        0 => Ok(()),
        lost => Err(format!("{lost} lines of the log were lost").into()),
    }
}
