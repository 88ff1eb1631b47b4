//! A server: one worker thread, one queue, and a standard input that says when to publish.

use std::{
    io::{self, BufRead},
    net::Ipv4Addr,
    time::Duration,
};

use cepa::{
    ServerConfig,
    bus::{Bus, Delivery, Live, Queue, SseOptions},
    core::test::block_on,
    prelude::*,
    server::{
        ListenConfig,
        limits::Limits,
        listen::{Address, BindOptions},
    },
    websocket::{self, Socket, WebSocketExt as _},
};

use crate::options::Kind;

/// A message: the time at which it was published, as the loaders look for it.
pub type Stamp = String;

pub fn serve(kind: Kind, heartbeat: Duration) -> crate::Result {
    let bus = Bus::new();
    let queue: Queue<Stamp> = bus.queue("live")?;
    let app = App::new()
        .provide(bus)
        .get("/hello", async |_: &mut Ctx| "hello")
        .get("/live", async move |ctx: &mut Ctx| park(ctx, kind, heartbeat));
    let options = BindOptions { backlog: 4096, ..BindOptions::default() };
    let address = ListenConfig::from(Address::Tcp((Ipv4Addr::LOCALHOST, 0).into()));
    let config = ServerConfig {
        listen: vec![ListenConfig { options, ..address }],
        workers: 1,
        limits: Limits { connections: 1_000_000, ..Limits::default() },
        ..ServerConfig::default()
    };
    let running = cepa::serve(app.build()?, config)?;
    println!("listening {}", running.endpoints()[0]);
    for line in io::stdin().lock().lines() {
        match line?.as_str() {
            "count" => println!("count {}", block_on(queue.count())?),
            "publish" => {
                let at = crate::now();
                block_on(queue.notify(&format!("at={at:020}")))?;
                println!("published {at}");
            }
            other => return Err(format!("{other:?} is not known here").into()),
        }
    }
    // It ends with its parent. Half a million farewells would say nothing about the server.
    std::process::exit(0);
}

fn park(ctx: &mut Ctx, kind: Kind, heartbeat: Duration) -> Result {
    let queue = ctx.provided::<Bus>()?.queue::<Stamp>("live")?;
    match kind {
        Kind::Sse => {
            let options = SseOptions { heartbeat, ..SseOptions::default() };
            ctx.sse_with(queue.subscribe()?, options)
        }
        Kind::Poll => ctx.long_poll(&queue, Duration::from_secs(3600)),
        Kind::Ws => {
            let options = websocket::Options { ping: heartbeat, ..websocket::Options::default() };
            ctx.websocket(&options, async move |socket: &mut Socket| tell(socket, &queue).await)
        }
    }
}

async fn tell(socket: &mut Socket, queue: &Queue<Stamp>) -> Result {
    let mut subscriber = queue.subscribe()?;
    loop {
        tokio::select! {
            heard = socket.recv() => {
                if heard?.is_none() {
                    return Ok(());
                }
            }
            told = subscriber.next() => match told {
                Some(Delivery::Message(message)) => socket.send(message.value()?).await?,
                Some(Delivery::Missed(_)) => {}
                None => return Ok(()),
            }
        }
    }
}
