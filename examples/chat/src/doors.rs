//! The ways into a room: a stream of events, long polls, a WebSocket; and out of the mouth.

use cepa::{
    bus::{Delivery, EventId, Live, SseOptions, Subscriber},
    prelude::*,
    websocket::{self, Message, Socket, WebSocketExt},
};
use serde::{Deserialize, Serialize};

use crate::room::{Event, Line, Room, Rooms};

/// Who comes, and what they have heard last.
#[derive(Deserialize)]
struct Visitor {
    who: String,
    after: Option<String>,
}

/// Where somebody is: what a worker that takes over needs to know of a visitor.
#[derive(Clone, Serialize, Deserialize)]
struct Place {
    room: String,
    who: String,
    /// The id of what they have heard last, where the connection does not know it.
    heard: Option<String>,
}

/// The handlers that go on with visitors of a worker that has left.
pub(crate) const STREAM: &str = "stream";
pub(crate) const SOCKET: &str = "socket";

impl Place {
    /// Lets the visitor in.
    async fn enter(ctx: &Ctx) -> Result<(Self, Room, Subscriber<Event>)> {
        let (room, Visitor { who, after }) = (ctx.params::<String>()?, ctx.query()?);
        // What is no id of ours is an id that we do not know: all that is there.
        let last = ctx.last_event_id().or_else(|| after?.parse::<EventId>().ok());
        let place = Self { room, who, heard: None };
        let room = Rooms::named(ctx, &place.room)?;
        let subscriber = room.enter(&place.who, last).await?;
        Ok((place, room, subscriber))
    }

    /// Goes on with a visitor, who has never been away.
    fn resume(ctx: &Ctx) -> Result<(Self, Room, Subscriber<Event>)> {
        let place: Self = ctx.resumed()?;
        let last = ctx.last_event_id().or_else(|| place.heard.as_ref()?.parse().ok());
        let room = Rooms::named(ctx, &place.room)?;
        let subscriber = room.stay(&place.who, last)?;
        Ok((place, room, subscriber))
    }
}

/// `GET /rooms/{room}`: a stream of events.
pub(crate) async fn stream(ctx: &mut Ctx) -> Result {
    let (place, _, subscriber) = Place::enter(ctx).await?;
    send_events(ctx, &place, subscriber)
}

/// A stream that another worker has begun.
pub(crate) async fn go_on_streaming(ctx: &mut Ctx) -> Result {
    let (place, _, subscriber) = Place::resume(ctx)?;
    send_events(ctx, &place, subscriber)
}

fn send_events(ctx: &mut Ctx, place: &Place, subscriber: Subscriber<Event>) -> Result {
    let options = SseOptions { retry: Duration::from_millis(500), ..SseOptions::default() };
    ctx.sse_with(subscriber.resumed_by(STREAM, place)?, options)
}

/// `GET /rooms/{room}/poll`. Who polls comes and goes all the time, and is not told to be here.
pub(crate) async fn poll(ctx: &mut Ctx) -> Result {
    let room = Rooms::of(ctx)?;
    let Visitor { after, .. } = ctx.query()?;
    let subscriber = room.hear(after.and_then(|after| after.parse().ok()))?;
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
    let entered = Place::enter(ctx).await?;
    talk(ctx, entered)
}

/// A WebSocket that another worker has opened.
pub(crate) async fn go_on_talking(ctx: &mut Ctx) -> Result {
    let resumed = Place::resume(ctx)?;
    talk(ctx, resumed)
}

fn talk(ctx: &mut Ctx, (place, room, mut subscriber): (Place, Room, Subscriber<Event>)) -> Result {
    let options = websocket::Options { message: 16 << 10, ..websocket::Options::default() };
    ctx.websocket(&options, async move |socket: &mut Socket| {
        loop {
            tokio::select! {
                heard = socket.recv() => match heard? {
                    Some(message) => room.say(line(&message)?).await.map(drop)?,
                    None => break,
                },
                told = subscriber.next() => match told {
                    Some(told) => tell(socket, &told).await?,
                    None => return Ok(()),
                },
            }
        }
        if socket.resumed_by(SOCKET, &Place { heard: Some(subscriber.last().to_string()), ..place })? {
            subscriber.moved();
        }
        Ok(())
    })
}

fn line(message: &Message) -> Result<Line> {
    Ok(serde_json::from_slice(message.as_bytes())?)
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
