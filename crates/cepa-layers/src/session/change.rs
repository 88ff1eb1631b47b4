//! What a request has changed in its session, so that requests at the same time lose nothing of each other's.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, UNIX_EPOCH},
};

use serde_json::{Map, Value};

use super::{
    data::{Data, Life},
    record::Record,
};

/// A store forgets a session that ends with the browser after so long without a write: 30 days.
const BROWSER_LIFE: u64 = 30 * 24 * 60 * 60 * 1000;
/// A store keeps a session a little longer than its cookie says, as Koa does.
const MARGIN: u64 = 10_000;

/// One step that a request has taken.
#[derive(Clone)]
pub(super) enum Change {
    Set(String, Value),
    Remove(String),
    Update(String, Arc<Update>),
    Clear,
}

/// Makes of the value that is there the one that shall be; `Err` where it cannot.
pub(super) type Update = dyn Fn(Option<Value>) -> Result<Option<Value>, serde_json::Error> + Send + Sync;

impl Change {
    /// Whether it is about this value, and no other.
    pub(super) fn concerns(&self, name: &str) -> bool {
        match self {
            Self::Set(own, _) | Self::Remove(own) | Self::Update(own, _) => own == name,
            Self::Clear => false,
        }
    }

    pub(super) fn apply(&self, values: &mut Map<String, Value>) {
        match self {
            Self::Set(name, value) => drop(values.insert(name.clone(), value.clone())),
            Self::Remove(name) => drop(values.shift_remove(name)),
            // A value that cannot be updated, since another release of the app wrote it meanwhile, stays.
            Self::Update(name, update) => match update(values.get(name).cloned()) {
                Ok(Some(value)) => drop(values.insert(name.clone(), value)),
                Ok(None) => drop(values.shift_remove(name)),
                Err(_) => {}
            },
            Self::Clear => values.clear(),
        }
    }
}

/// The change that a request makes to its session in a store.
///
/// It is applied to what is in the store by then, not to what the request had loaded: two requests at the same time
/// that change different values both succeed, and for the same value the later one wins, unless both are
/// [updates](super::Session::update), which follow each other.
#[derive(Clone)]
pub struct Write {
    /// `Some`: a new session with these values, whatever is there. `None`: one that must still be there.
    pub(super) new: Option<Map<String, Value>>,
    pub(super) changes: Vec<Change>,
    /// `None` leaves the life that the session has.
    pub(super) life: Option<Life>,
    pub(super) default_life: Life,
    /// Milliseconds since 1970.
    pub(super) now: u64,
    /// When the session has begun, if that is known and wanted.
    pub(super) created: Option<u64>,
    /// Most bytes of what is to be kept.
    pub(super) max_bytes: usize,
}

/// A session that is larger than [`Options::max_bytes`](super::Options::max_bytes); nothing of it is to be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a session of {bytes} bytes is more than max_bytes, {most}")]
pub struct TooLarge {
    /// The bytes it has.
    pub bytes: usize,
    /// The bytes it may have.
    pub most: usize,
}

impl TooLarge {
    /// Looks at the text of a session.
    pub(super) fn check(json: &[u8], most: usize) -> Result<(), Self> {
        if json.len() > most { Err(Self { bytes: json.len(), most }) } else { Ok(()) }
    }
}

impl Write {
    /// What to keep, given what is there now; `None` when the session is gone meanwhile, and is to stay so.
    ///
    /// # Errors
    /// With what others have changed meanwhile it is too large: what is there stays, and [`save`](super::Store::save)
    /// answers this error, as it is or as the source of its own.
    pub fn apply(&self, present: Option<&[u8]>) -> Result<Option<Record>, TooLarge> {
        let data = match &self.new {
            Some(values) => Some(Data { values: values.clone(), ..Data::default() }),
            None => present.and_then(Data::parse),
        };
        let Some(mut data) = data else { return Ok(None) };
        for change in &self.changes {
            change.apply(&mut data.values);
        }
        data.created = data.created.or(self.created);
        let life = self.life.or(data.life).unwrap_or(self.default_life);
        let keep = match life {
            Life::For(ms) => ms.saturating_add(MARGIN),
            Life::Browser => BROWSER_LIFE,
        };
        let expires = UNIX_EPOCH.checked_add(Duration::from_millis(self.now.saturating_add(keep)));
        let expires = expires.unwrap_or(UNIX_EPOCH + Duration::from_secs(u32::MAX.into()));
        let json = data.to_json(life, self.now);
        TooLarge::check(&json, self.max_bytes)?;
        Ok(Some(Record { json, expires }))
    }
}

impl fmt::Debug for Write {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Write").field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}
