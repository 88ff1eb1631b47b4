//! Queues that this process follows: found, caught up with, and heard.

mod following;
mod wire;

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
    time::Duration,
};

use ::redis::Cmd;
use bytes::Bytes;
use tokio::{sync::mpsc::UnboundedSender, task::spawn_local};

pub(super) use self::wire::life;
use self::{
    following::{Following, Then},
    wire::{Found, Page, Spoken},
};
use super::{
    Settings,
    connection::{Connection, Session, millis},
    jobs::Event,
    keys::{Kind, name},
    scripts::{self, Script},
};
use crate::{
    BackendError, EventId, QueueOptions,
    names::Key,
    queue::{Channel, Report},
};

/// A queue that is to be followed.
pub(super) struct Follow {
    pub(super) queue: Key,
    pub(super) options: QueueOptions,
    pub(super) mirror: Weak<Channel>,
    /// The last message that the mirror has.
    pub(super) last: Option<EventId>,
}

/// An answer that one who follows has waited for.
pub(super) struct Step {
    channel: Arc<[u8]>,
    /// The attempt that asked; one that has begun since is another.
    attempt: u64,
    came: Came,
}

enum Came {
    Found(Result<Found, BackendError>),
    Page(Result<Page, BackendError>),
}

/// All queues that this process follows, by their channels.
pub(super) struct Mirrors {
    settings: Arc<Settings>,
    events: UnboundedSender<Event>,
    all: HashMap<Arc<[u8]>, Following>,
    attempts: u64,
}

/// So long nobody has read a queue that is followed no longer.
const IDLE: Duration = Duration::from_secs(10);
/// Most bytes that are caught up with at a time, but for the last message.
const PAGE: usize = 1 << 20;
/// Most names of subscribers that are told at a time.
const NAMES: usize = 1000;

impl Mirrors {
    pub(super) fn new(settings: Arc<Settings>, events: UnboundedSender<Event>) -> Self {
        Self { settings, events, all: HashMap::new(), attempts: 0 }
    }

    /// Follows a queue from now on.
    pub(super) fn follow(&mut self, follow: Follow, connection: Option<&Connection>) {
        let channel = self.settings.keys.channel(&follow.queue);
        self.all.insert(Arc::clone(&channel), Following::new(follow));
        if let Some(connection) = connection {
            self.find(&channel, connection);
        }
    }

    /// Follows all again, on a new connection.
    pub(super) fn find_all(&mut self, connection: &Connection) {
        self.all.retain(|_, following| following.mirror.strong_count() > 0);
        let channels: Vec<_> = self.all.keys().cloned().collect();
        channels.iter().for_each(|channel| self.find(channel, connection));
    }

    /// Asks where a queue is, at once, so that what is published afterwards comes after that; and hears what comes.
    fn find(&mut self, channel: &Arc<[u8]>, connection: &Connection) {
        let Some(following) = self.all.get_mut(channel) else { return };
        self.attempts += 1;
        following.begin(self.attempts);
        let call = call_of(&self.settings, &scripts::FOLLOW, following, &connection.session);
        let (found, heard) = (connection.ask(call), connection.subscribe(vec![Arc::clone(channel)]));
        let (events, channel, attempt) = (self.events.clone(), Arc::clone(channel), self.attempts);
        spawn_local(async move {
            let found = async { Ok((found.await?, heard.await?).0) }.await;
            let came = Came::Found(found.and_then(Found::read));
            // Nobody hears it when the bus is dropped.
            let _ = events.send(Event::Mirror(Step { channel, attempt, came }));
        });
    }

    fn catch_up(&self, channel: &Arc<[u8]>, following: &Following, connection: &Connection) {
        let after = following.last();
        let mut call = call_of(&self.settings, &scripts::CATCH_UP, following, &connection.session);
        call.arg(life(after.life)).arg(after.number).arg(PAGE);
        let page = connection.ask(call);
        let (events, channel, attempt) = (self.events.clone(), Arc::clone(channel), following.attempt);
        spawn_local(async move {
            let came = Came::Page(page.await.and_then(Page::read));
            // Nobody hears it when the bus is dropped.
            let _ = events.send(Event::Mirror(Step { channel, attempt, came }));
        });
    }

    /// Goes on with an answer.
    pub(super) fn step(&mut self, step: Step, connection: &Connection) {
        let following = self.all.get_mut(&step.channel);
        let Some(following) = following.filter(|following| following.attempt == step.attempt) else { return };
        let Some(mirror) = following.mirror.upgrade() else { return };
        let then = match step.came {
            Came::Found(found) => found.map(|found| following.found(found)),
            Came::Page(page) => page.map(|page| following.page(page, &*mirror)),
        };
        match then {
            Ok(Then::Wait) => {}
            Ok(Then::CatchUp) => {
                let following = &self.all[&step.channel];
                self.catch_up(&step.channel, following, connection);
            }
            // The connection says by itself when it is of no more use.
            Err(error) => {
                following.fail();
                tracing::error!(queue = &*mirror.key().name, %error, "a queue in Redis cannot be followed");
            }
        }
    }

    /// Takes a message that has come through a channel, if it is one of these.
    pub(super) fn message(&mut self, channel: &[u8], message: &Bytes, connection: &Connection) -> bool {
        let Some((channel, _)) = self.all.get_key_value(channel) else { return false };
        let channel = Arc::clone(channel);
        let following = self.all.get_mut(&channel);
        if let Some(following) = following
            && let Some(mirror) = following.mirror.upgrade()
            && let Some(spoken) = Spoken::read(message)
            && matches!(following.hear(spoken, &*mirror), Then::CatchUp)
        {
            self.catch_up(&channel, &self.all[&channel], connection);
        }
        true
    }

    /// There is no connection any more.
    pub(super) fn lost(&mut self) {
        for following in self.all.values_mut() {
            following.fail();
            if let Some(mirror) = following.mirror.upgrade() {
                mirror.lost();
            }
        }
    }

    /// Looks for mirrors that nobody reads, and tries again where it has failed.
    pub(super) fn sweep(&mut self, connection: &Connection) {
        let is_unused = |following: &Following| match following.mirror.upgrade() {
            None => true,
            Some(mirror) => mirror.unfollow_if_idle(IDLE),
        };
        for (channel, _) in self.all.extract_if(|_, following| is_unused(following)) {
            spawn_local(connection.unsubscribe(channel));
        }
        let failed = self.all.iter().filter(|(_, following)| following.has_failed());
        let failed: Vec<_> = failed.map(|(channel, _)| Arc::clone(channel)).collect();
        failed.iter().for_each(|channel| self.find(channel, connection));
    }

    /// Tells what has changed among the subscribers of a queue.
    pub(super) fn report(&self, queue: &Key, mirror: &Weak<Channel>, connection: &Connection) {
        let gone = || Report { count: 0, all: true, names: Vec::new() };
        self.tell(queue, mirror.upgrade().map_or_else(gone, |mirror| mirror.report(false)), connection);
    }

    /// Tells all that there is.
    pub(super) fn report_all(&self, connection: &Connection) {
        for mirror in self.all.values().filter_map(|following| following.mirror.upgrade()) {
            self.tell(mirror.key(), mirror.report(true), connection);
        }
    }

    fn tell(&self, queue: &Key, report: Report, connection: &Connection) {
        let keys = &self.settings.keys;
        let [counts, present] = [Kind::Subscribers, Kind::Present].map(|kind| keys.of(kind, queue));
        let Report { count, mut all, names } = report;
        let mut names = names.as_slice();
        loop {
            let (some, rest) = names.split_at(names.len().min(NAMES));
            let mut call = scripts::call(&scripts::REPORT, &[&counts, &present]);
            call.arg(&*connection.session.name).arg(count).arg(u8::from(all));
            call.arg(millis(self.settings.limits.queue_idle));
            for (who, count) in some {
                call.arg(&**who).arg(*count);
            }
            let told = connection.ask(call);
            spawn_local(async move {
                if let Err(error) = told.await {
                    tracing::warn!(%error, "Redis was not told who is subscribed here");
                }
            });
            (names, all) = (rest, false);
            if names.is_empty() {
                return;
            }
        }
    }

    /// Keeps what is followed from being forgotten.
    pub(super) fn keep(&self, connection: &Connection) {
        let keys = &self.settings.keys;
        for Following { queue, .. } in self.all.values() {
            let all =
                [Kind::Queue, Kind::Log, Kind::Subscribers, Kind::Present].map(|kind| keys.of(kind, queue));
            let mut call = call_about(&self.settings, &scripts::KEEP, &all, &connection.session);
            call.arg(name(queue));
            spawn_local(connection.ask(call));
        }
    }
}

/// A call about queues, so far with the keys and the arguments that all have.
pub(super) fn call_about(settings: &Settings, script: &Script, keys: &[String], session: &Session) -> Cmd {
    let names = settings.keys.names(Kind::Queue);
    let keys: Vec<&str> = [&names].into_iter().chain(keys).map(String::as_str).collect();
    let mut call = scripts::call(script, &keys);
    call.arg(&*session.era).arg(life(super::random().max(1)));
    call.arg(millis(settings.limits.queue_idle)).arg(settings.limits.names);
    call
}

/// The keys of a queue and its log.
pub(super) fn keys_of(settings: &Settings, queue: &Key) -> [String; 2] {
    [Kind::Queue, Kind::Log].map(|kind| settings.keys.of(kind, queue))
}

fn call_of(settings: &Settings, script: &Script, following: &Following, session: &Session) -> Cmd {
    let mut call = call_about(settings, script, &keys_of(settings, &following.queue), session);
    call.arg(name(&following.queue)).arg(following.options.keep).arg(following.options.keep_bytes);
    call
}
