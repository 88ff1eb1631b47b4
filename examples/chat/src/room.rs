//! A room: a queue of the bus, and what is published there.

use cepa::{
    bus::{Bus, EventId, NameError, Queue, QueueOptions, Stopped, Subscriber},
    prelude::*,
};
use serde::{Deserialize, Serialize};
use tokio::{runtime::Handle, task::spawn_local};

/// All rooms; a clone is the same.
#[derive(Clone)]
pub(crate) struct Rooms {
    bus: Bus,
    keep: usize,
}

/// What happens in a room.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Event {
    /// Somebody has said something.
    Said(Line),
    /// Somebody has come or gone, and these are there now.
    Here(Vec<String>),
}

/// What somebody has said.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Line {
    /// Chosen by who says it: one who is not sure that a line has arrived sends it again, and all know it for the same.
    id: String,
    by: String,
    text: String,
}

impl Line {
    const LONGEST_ID: usize = 64;
    const LONGEST_NAME: usize = 40;
    const LONGEST_TEXT: usize = 2000;

    /// Refuses what no page of ours sends.
    pub(crate) fn check(&self) -> Result {
        if fits(&self.id, Self::LONGEST_ID)
            && fits(&self.by, Self::LONGEST_NAME)
            && fits(&self.text, Self::LONGEST_TEXT)
        {
            return Ok(());
        }
        Err(Error::new(422, "A line has an id, a name and a text, none of them empty or too long"))
    }
}

fn fits(text: &str, most: usize) -> bool {
    !text.trim().is_empty() && text.len() <= most
}

/// What is said of a name of the visitor's that cannot be used.
fn refused(error: NameError) -> Error {
    match error {
        NameError::TooMany(_) => Error::status_only(503).with_cause(error),
        NameError::Malformed | NameError::Room => Error::new(422, error.to_string()),
    }
}

/// A room of a request.
#[derive(Clone)]
pub(crate) struct Room(Queue<Event>);

impl Rooms {
    pub(crate) fn new(bus: Bus, keep: usize) -> Self {
        Self { bus, keep }
    }

    /// The room in the path.
    pub(crate) fn of(ctx: &Ctx) -> Result<Room> {
        Self::named(ctx, &ctx.params::<String>()?)
    }

    pub(crate) fn named(ctx: &Ctx, name: &str) -> Result<Room> {
        let rooms = ctx.provided::<Self>()?;
        let options = QueueOptions { keep: rooms.keep, ..QueueOptions::default() };
        let room = rooms.bus.queue_with("chat", options).and_then(|rooms| rooms.room(name));
        Ok(Room(room.map_err(refused)?))
    }
}

impl Room {
    /// Tells a line to all who are there, and keeps it for those who are not.
    pub(crate) async fn say(&self, line: Line) -> Result<EventId> {
        line.check()?;
        Ok(self.0.notify(&Event::Said(line)).await?)
    }

    /// Hears what was said after a message, else all that the room has kept.
    pub(crate) fn hear(&self, last: Option<EventId>) -> Result<Subscriber<Event>> {
        let heard = match last {
            Some(last) => self.0.subscribe_after(last),
            None => self.0.subscribe_from_start(),
        };
        heard.map_err(|full| Error::status_only(503).with_cause(full))
    }

    /// [Hears](Self::hear), and is here until that is dropped.
    pub(crate) async fn enter(&self, who: &str, last: Option<EventId>) -> Result<Subscriber<Event>> {
        if !fits(who, Line::LONGEST_NAME) {
            return Err(Error::new(422, "Who comes has a name, not empty nor too long"));
        }
        let subscriber = self.sit_down(who, last)?;
        self.tell_who_is_here().await;
        Ok(subscriber)
    }

    /// [Enters](Self::enter) without a word, as one who was here all the time.
    pub(crate) async fn stay(&self, who: &str, last: Option<EventId>) -> Result<Subscriber<Event>> {
        let subscriber = self.sit_down(who, last)?;
        subscriber.joined().await;
        Ok(subscriber)
    }

    fn sit_down(&self, who: &str, last: Option<EventId>) -> Result<Subscriber<Event>> {
        let room = self.clone();
        Ok(self.hear(last)?.named(who).map_err(refused)?.on_stop(move |why| {
            // A server that ends has nobody to run it any more.
            if why != Stopped::Moved && Handle::try_current().is_ok() {
                spawn_local(async move { room.tell_who_is_here().await });
            }
        }))
    }

    /// Not heard of, it is told by whoever comes or goes next: no reason to fail.
    async fn tell_who_is_here(&self) {
        let told = async {
            let here = self.0.present().await?.into_iter().map(|(who, _)| who.to_string()).collect();
            self.0.notify(&Event::Here(here)).await
        };
        if let Err(error) = told.await {
            cepa::tracing::warn!(%error, room = self.0.name(), "nobody was told who is here");
        }
    }
}
