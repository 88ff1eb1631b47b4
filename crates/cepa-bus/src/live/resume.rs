//! Streams of events and long polls that come from another process.

use std::time::Duration;

use cepa_core::{App, Ctx, Parked, Result};
use serde::{Deserialize, Serialize};

use super::{Live, SseOptions};
use crate::{Bus, Overflow, QueueOptions, queue::Channel};

/// The name of the handler that goes on with subscribers of which nothing else is said.
const HANDLER: &str = "cepa.subscriber";

/// Has an app go on with the streams of events and the long polls of a worker whose place it takes: those whose subscriber
/// has nothing to run when it stops. It must [provide](App::provide) the bus, and the bus be kept elsewhere.
///
/// The programs of `cepa` do this by themselves. Subscribers that another handler is to go on with say
/// [so](crate::Subscriber::resumed_by).
#[must_use]
pub fn resume(app: App) -> App {
    app.resume(HANDLER, async |ctx: &mut Ctx| ctx.resumed::<Place>()?.go_on(ctx).await)
}

/// What is made of a subscriber.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Kind {
    /// Times in seconds and milliseconds.
    Events {
        beat: u32,
        retry: u32,
    },
    Poll,
}

/// A subscriber as it is told to another process, but for the last message it has read.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Place {
    app: String,
    queue: String,
    options: QueueOptions,
    who: Option<String>,
    buffer: u32,
    overflow: Overflow,
    kind: Kind,
}

impl Place {
    pub(crate) fn new(
        channel: &Channel,
        who: Option<&str>,
        (buffer, overflow): (u32, Overflow),
        kind: Kind,
    ) -> Self {
        Self {
            app: channel.key().app.to_string(),
            queue: channel.name().to_string(),
            options: channel.options(),
            who: who.map(str::to_owned),
            buffer,
            overflow,
            kind,
        }
    }

    pub(crate) fn park(&self) -> Option<Parked> {
        Parked::new(HANDLER, self).ok()
    }

    async fn go_on(self, ctx: &mut Ctx) -> Result {
        let bus = ctx.provided::<Bus>()?.namespace(&self.app)?;
        // Messages are passed on as they are, whatever they are.
        let queue = bus.any_queue(&self.queue, self.options)?;
        let subscriber = super::subscribe(&queue, ctx.last_event_id())?;
        let mut subscriber = subscriber.buffer(self.buffer).overflow(self.overflow);
        if let Some(who) = &self.who {
            subscriber = subscriber.named(who)?;
        }
        subscriber.joined().await;
        match self.kind {
            Kind::Poll => ctx.long_poll_with(subscriber, Duration::MAX),
            Kind::Events { beat, retry } => {
                let heartbeat = Duration::from_secs(beat.into());
                let retry = Duration::from_millis(retry.into());
                ctx.sse_with(subscriber, SseOptions { heartbeat, retry })
            }
        }
    }
}
