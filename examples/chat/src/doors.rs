//! The ways into a room: a stream of events, long polls, a WebSocket; and out of the mouth.

use cepa::{
    bus::{Delivery, EventId, Live, SseOptions},
    prelude::*,
    websocket::{self, Message, Socket, WebSocketExt},
};
use serde::{Deserialize, Serialize};

use crate::room::{Event, Line, Rooms};

/// Who comes, and what they have heard last.
#[derive(Deserialize)]
struct Visitor {
    who: String,
    after: Option<String>,
}

impl Visitor {
    /// The id of what they have heard last; one that is none of ours is as if there were none: they hear all that is there.
    fn last(&self) -> Option<EventId> {
        self.after.as_ref()?.parse().ok()
    }
}

/// `GET /rooms/{room}`: a stream of events.
pub(crate) async fn stream(ctx: &mut Ctx) -> Result {
    let room = Rooms::of(ctx)?;
    let visitor: Visitor = ctx.query()?;
    let last = ctx.last_event_id().or_else(|| visitor.last());
    let subscriber = room.enter(&visitor.who, last).await?;
    ctx.sse_with(subscriber, SseOptions { retry: Duration::from_millis(500), ..SseOptions::default() })
}

/// `GET /rooms/{room}/poll`. Who polls comes and goes all the time, and is not told to be here.
pub(crate) async fn poll(ctx: &mut Ctx) -> Result {
    let room = Rooms::of(ctx)?;
    let visitor: Visitor = ctx.query()?;
    let subscriber = room.hear(visitor.last())?;
    ctx.long_poll_with(subscriber, Duration::from_secs(30))
}

/// `POST /rooms/{room}`: says a line.
pub(crate) async fn say(ctx: &mut Ctx) -> Result<StatusCode> {
    let room = Rooms::of(ctx)?;
    room.say(ctx.json().await?).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `GET /rooms/{room}/socket`: both ways at once.
pub(crate) async fn socket(ctx: &mut Ctx) -> Result {
    let room = Rooms::of(ctx)?;
    let visitor: Visitor = ctx.query()?;
    let options = websocket::Options { message: 16 << 10, ..websocket::Options::default() };
    // Who is not let in has not come.
    ctx.websocket(&options, async move |socket: &mut Socket| {
        let mut subscriber = room.enter(&visitor.who, visitor.last()).await?;
        loop {
            tokio::select! {
                heard = socket.recv() => match heard? {
                    Some(message) => room.say(line(&message)?).await.map(drop)?,
                    None => return Ok(()),
                },
                told = subscriber.next() => match told {
                    Some(told) => tell(socket, &told).await?,
                    None => return Ok(()),
                },
            }
        }
    })
}

fn line(message: &Message) -> Result<Line> {
    let line = serde_json::from_slice(message.as_bytes());
    line.map_err(|cause| Error::new(422, "A message is a line, as JSON").with_cause(cause))
}

/// A message with the id to come back with, as an answer to a poll has it.
#[derive(Serialize)]
struct Told<'a> {
    id: String,
    data: &'a Event,
}

async fn tell(socket: &mut Socket, told: &Delivery<Event>) -> Result {
    // What was missed is gone; what is there comes next.
    let Delivery::Message(message) = told else { return Ok(()) };
    let data = message.value()?;
    let told = Told { id: message.id().to_string(), data: &data };
    socket.send(serde_json::to_string(&told)?).await?;
    Ok(())
}
