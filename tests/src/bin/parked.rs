//! The program whose connections wait: streams of events, long polls and WebSockets of a queue that all workers share.

use std::{fs, process, sync::Arc};

use cepa::{
    bus::{Bus, BusConfig, Delivery, EventId, Live, Queue, SseOptions, Stopped},
    core::Hosts,
    prelude::*,
    websocket::{Options, Socket, WebSocketExt},
};
use serde::{Deserialize, Serialize};

/// What a WebSocket takes along.
#[derive(Serialize, Deserialize)]
struct Place {
    last: String,
    said: u32,
}

fn queue(ctx: &Ctx, name: &str) -> Result<Queue<u64>> {
    Ok(ctx.provided::<Bus>()?.queue(name)?)
}

/// A subscriber that others see, and that is missed when it goes.
async fn named(ctx: &mut Ctx) -> Result {
    let queue = queue(ctx, "events")?;
    let subscriber = match ctx.last_event_id() {
        Some(last) => queue.subscribe_after(last)?,
        None => queue.subscribe()?,
    };
    let subscriber = subscriber.named("ann")?.on_stop(|why| {
        if why != Stopped::Moved {
            let _ = fs::write("gone", "");
        }
    });
    ctx.sse_with(subscriber.resumed_by("named", &())?, SseOptions::default())
}

/// Says each event, and the number of each message it gets.
fn socket(ctx: &mut Ctx, place: Option<Place>) -> Result {
    let queue = queue(ctx, "events")?;
    let (mut subscriber, mut said) = match place {
        Some(Place { last, said }) => (queue.subscribe_after(last.parse::<EventId>()?)?, said),
        None => (queue.subscribe()?, 0),
    };
    ctx.websocket(&Options::default(), async move |socket: &mut Socket| {
        loop {
            tokio::select! {
                heard = socket.recv() => match heard? {
                    Some(_) => {
                        said += 1;
                        socket.send(format!("said {said}")).await?;
                    }
                    None => break,
                },
                told = subscriber.next() => tell(socket, told).await?,
            }
        }
        let last = subscriber.last().to_string();
        socket.resumed_by("socket", &Place { last, said })?;
        Ok(())
    })
}

async fn tell(socket: &mut Socket, told: Option<Delivery<u64>>) -> Result {
    let text = match told {
        Some(Delivery::Message(message)) => format!("event {}", message.value()?),
        Some(Delivery::Missed(_)) => "missed".to_owned(),
        None => "over".to_owned(),
    };
    Ok(socket.send(text).await?)
}

fn app(boot: &mut Boot) -> Result<App> {
    boot.provide(Bus::connect(&boot.config::<BusConfig>("bus")?)?);
    let app = App::new()
        .get("/", async |_: &mut Ctx| process::id().to_string())
        .get("/events", async |ctx: &mut Ctx| ctx.sse(&queue(ctx, "events")?))
        .get("/named", named)
        .get("/own", async |ctx: &mut Ctx| -> Result {
            // Nobody is named who would go on with it.
            let subscriber = queue(ctx, "events")?.subscribe()?.on_stop(|_| ());
            ctx.sse_with(subscriber, SseOptions::default())
        })
        .get("/poll", async |ctx: &mut Ctx| ctx.long_poll(&queue(ctx, "polls")?, Duration::from_secs(60)))
        .get("/socket", async |ctx: &mut Ctx| socket(ctx, None))
        .get("/echo", async |ctx: &mut Ctx| {
            ctx.websocket(&Options::default(), async |socket: &mut Socket| {
                while let Some(message) = socket.recv().await? {
                    socket.send(message).await?;
                }
                Ok(())
            })
        })
        .get("/present", async |ctx: &mut Ctx| -> Result<String> {
            let present = queue(ctx, "events")?.present().await?;
            Ok(present.iter().map(|(who, count)| format!("{who} {count}")).collect())
        })
        .post("/say/{queue}/{number}", async |ctx: &mut Ctx| -> Result<&str> {
            let (name, number): (String, u64) = ctx.params()?;
            queue(ctx, &name)?.notify(&number).await?;
            Ok("said")
        });
    let how = fs::read_to_string("how").unwrap_or_default();
    // A program that knows nothing of what waits in the one before it.
    if how.trim() == "forgets" {
        return Ok(app);
    }
    let resumes = async |ctx: &mut Ctx| socket(ctx, Some(ctx.resumed()?));
    let app = app.resume("named", named).resume("socket", resumes);
    Ok(if how.trim() == "hosts" { hosted(boot.equip(app))? } else { app })
}

/// The app of the only host.
fn hosted(app: App) -> Result<App> {
    let hosts = Hosts::new([("a".to_owned(), app.build()?)], |_| Some(0));
    let around = App::new().hosts(Arc::clone(&hosts));
    Ok(around.fallback(async move |ctx: &mut Ctx| hosts.enter(0, ctx).await))
}

fn main() -> ExitCode {
    cepa::run(app)
}
