//! The ways into a room: a stream of events, long polls, a WebSocket; and out of the mouth.

use cepa::{
    bus::{Delivery, EventId, Live, SseOptions, Subscriber},
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

/// Where somebody is: what a worker that takes over needs to know of a visitor.
#[derive(Serialize, Deserialize)]
struct Place {
    room: String,
    who: String,
    /// The id of what they have heard last.
    heard: Option<String>,
}

/// The handlers that go on with visitors of a worker that has left.
pub(crate) const STREAM: &str = "stream";
pub(crate) const SOCKET: &str = "socket";

impl Place {
    /// Where a visitor wants to be.
    fn of(ctx: &Ctx) -> Result<Self> {
        let Visitor { who, after } = ctx.query()?;
        Ok(Self { room: ctx.params()?, who, heard: after })
    }

    /// The id of what they have heard last; one that is none of ours is as if there were none: they hear all that is there.
    fn last(&self) -> Option<EventId> {
        self.heard.as_ref()?.parse().ok()
    }
}

/// `GET /rooms/{room}`: a stream of events.
pub(crate) async fn stream(ctx: &mut Ctx) -> Result {
    let place = Place::of(ctx)?;
    let last = ctx.last_event_id().or_else(|| place.last());
    let subscriber = Rooms::named(ctx, &place.room)?.enter(&place.who, last).await?;
    send_events(ctx, &place, subscriber)
}

/// A stream that another worker has begun, of one who has never been away.
pub(crate) async fn go_on_streaming(ctx: &mut Ctx) -> Result {
    let place: Place = ctx.resumed()?;
    let subscriber = Rooms::named(ctx, &place.room)?.stay(&place.who, ctx.last_event_id()).await?;
    send_events(ctx, &place, subscriber)
}

fn send_events(ctx: &mut Ctx, place: &Place, subscriber: Subscriber<Event>) -> Result {
    let options = SseOptions { retry: Duration::from_millis(500), ..SseOptions::default() };
    ctx.sse_with(subscriber.resumed_by(STREAM, place)?, options)
}

/// `GET /rooms/{room}/poll`. Who polls comes and goes all the time, and is not told to be here.
pub(crate) async fn poll(ctx: &mut Ctx) -> Result {
    let room = Rooms::of(ctx)?;
    let subscriber = room.hear(Place::of(ctx)?.last())?;
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
    let place = Place::of(ctx)?;
    talk(ctx, place, None)
}

/// A WebSocket that another worker has opened.
pub(crate) async fn go_on_talking(ctx: &mut Ctx) -> Result {
    let place: Place = ctx.resumed()?;
    let subscriber = Rooms::named(ctx, &place.room)?.stay(&place.who, place.last()).await?;
    talk(ctx, place, Some(subscriber))
}

fn talk(ctx: &mut Ctx, place: Place, stayed: Option<Subscriber<Event>>) -> Result {
    let room = Rooms::named(ctx, &place.room)?;
    let options = websocket::Options { message: 16 << 10, ..websocket::Options::default() };
    // Who is not let in has not come.
    ctx.websocket(&options, async move |socket: &mut Socket| {
        let mut subscriber = match stayed {
            Some(stayed) => stayed,
            None => room.enter(&place.who, place.last()).await?,
        };
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
