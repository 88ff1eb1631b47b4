//! What things are called in Redis.

use std::sync::Arc;

use ::redis::Cmd;

use super::scripts::{self, Script};
use crate::names::Key;

/// What things are called in Redis: `prefix app:kind:name`, where `%` and `:` of the app are written `%25` and `%3A`; what
/// belongs to no app is `prefix :kind`.
#[derive(Debug)]
pub(super) struct Keys {
    prefix: Box<str>,
    /// Channels are those of all databases of a server.
    database: i64,
    pub(super) sessions: String,
    pub(super) clock: String,
    pub(super) era: String,
    pub(super) locks: String,
    pub(super) waits: String,
}

/// A kind of things with names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Share,
    /// Those who wait for the lock of a share.
    Line,
    Counter,
    Map,
    Queue,
    /// The messages of a queue.
    Log,
    /// How many subscribers each session has.
    Subscribers,
    /// Their names.
    Present,
    /// Those who listen for an action.
    Ears,
}

impl Kind {
    fn word(self) -> &'static str {
        match self {
            Self::Share => "share",
            Self::Line => "line",
            Self::Counter => "counter",
            Self::Map => "map",
            Self::Queue => "queue",
            Self::Log => "log",
            Self::Subscribers => "subscribers",
            Self::Present => "present",
            Self::Ears => "ears",
        }
    }
}

impl Keys {
    pub(super) fn new(prefix: &str, database: i64) -> Self {
        let all = |kind: &str| format!("{prefix}:{kind}");
        Self {
            prefix: prefix.into(),
            database,
            sessions: all("sessions"),
            clock: all("clock"),
            era: all("era"),
            locks: all("locks"),
            waits: all("waits"),
        }
    }

    /// The key of a thing.
    pub(super) fn of(&self, kind: Kind, key: &Key) -> String {
        [&*self.prefix, &escaped(&key.app), ":", kind.word(), ":", &key.name].concat()
    }

    /// The names of all things of a kind.
    pub(super) fn names(&self, kind: Kind) -> String {
        [&*self.prefix, ":names:", kind.word()].concat()
    }

    /// The key of what has one of these names.
    pub(super) fn named(&self, kind: Kind, name: &str) -> String {
        let (app, name) = name.split_once(':').unwrap_or_default();
        [&*self.prefix, app, ":", kind.word(), ":", name].concat()
    }

    /// The last batch of messages that a process has published.
    pub(super) fn batch(&self, publisher: &str) -> String {
        [&*self.prefix, ":batch:", publisher].concat()
    }

    /// The channel of a queue.
    pub(super) fn channel(&self, queue: &Key) -> Arc<[u8]> {
        format!("{}{}:{}:queue:{}", self.prefix, self.database, escaped(&queue.app), queue.name)
            .into_bytes()
            .into()
    }

    /// What the channels of sessions begin with.
    pub(super) fn sessions_channel(&self) -> String {
        format!("{}{}::session:", self.prefix, self.database)
    }

    /// The arguments that all scripts about a lock begin with: the keys, and the name of the lock.
    pub(super) fn lock(&self, script: &Script, share: &Key) -> Cmd {
        let (line, key, names) =
            (self.of(Kind::Line, share), self.of(Kind::Share, share), self.names(Kind::Share));
        let keys = [&*self.sessions, &self.locks, &self.waits, &line, &self.clock, &key, &names];
        let mut call = scripts::call(script, &keys);
        call.arg(name(share));
        call
    }
}

/// The name of a thing among all of its kind, which is that of the lock of a share too.
pub(super) fn name(key: &Key) -> String {
    [&*escaped(&key.app), ":", &key.name].concat()
}

/// The name of the share that a lock is of.
pub(super) fn share_of(lock: &str) -> &str {
    lock.split_once(':').map_or(lock, |(_, name)| name)
}

fn escaped(app: &str) -> std::borrow::Cow<'_, str> {
    if app.contains(['%', ':']) {
        return app.replace('%', "%25").replace(':', "%3A").into();
    }
    app.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_things_have_one_key() {
        let keys = Keys::new("cepa:", 3);
        let key = |app: &str, name: &str| Key { app: app.into(), name: name.into() };
        assert_eq!(keys.of(Kind::Share, &key("shop", "cart:7")), "cepa:shop:share:cart:7");
        let all = [("a", "b:c"), ("a:share", "b"), ("a:b", "c"), ("a%3Ab", "c"), ("a%", ":c")];
        for (app, text) in all {
            let key = key(app, text);
            assert_eq!(keys.named(Kind::Map, &name(&key)), keys.of(Kind::Map, &key));
        }
        let mut seen: Vec<_> = all.iter().map(|(app, name)| keys.of(Kind::Share, &key(app, name))).collect();
        seen.extend(all.iter().map(|(app, name)| keys.of(Kind::Line, &key(app, name))));
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), 2 * all.len());
        assert_eq!(&*keys.channel(&key("shop", "news")), b"cepa:3:shop:queue:news");
        assert_eq!(share_of("a%3Ab:c:d"), "c:d");
    }
}
