//! The session of one request: what a handler reads and changes.

use std::{fmt, sync::Arc, time::Duration};

use cepa_core::{Error, Result};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::{Map, Value};

use super::{
    change::Change,
    data::{Data, Life, as_millis, is_reserved},
    store::SessionId,
};

/// The values that are remembered of a visitor, by name: anything that serde can write.
///
/// Changes are saved when the response is on its way out, also that to an error. Names that begin with `_` are the
/// session's own.
pub struct Session {
    values: Map<String, Value>,
    changes: Vec<Change>,
    is_new: bool,
    forced: bool,
    fate: Fate,
    /// As the session says itself; `None` leaves it to the options.
    life: Option<Life>,
    life_changed: bool,
    default_life: Life,
    expires: Option<u64>,
    created: Option<u64>,
    /// In a store.
    id: Option<SessionId>,
}

/// What becomes of the session when the response is on its way out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It stays.
    Keep,
    /// It gets another id.
    Regenerate,
    /// It ends.
    Destroy,
    /// It ends, and another one begins.
    Restart,
}

impl Session {
    /// One that nothing is known of yet.
    pub(super) fn new(default_life: Life, now: u64) -> Self {
        Self {
            values: Map::new(),
            changes: Vec::new(),
            is_new: true,
            forced: false,
            fate: Fate::Keep,
            life: None,
            life_changed: false,
            default_life,
            expires: None,
            created: Some(now),
            id: None,
        }
    }

    /// One that was saved before.
    pub(super) fn saved(data: Data, id: Option<SessionId>, default_life: Life) -> Self {
        let Data { values, life, expires, created } = data;
        Self { values, is_new: false, life, expires, created, id, ..Self::new(default_life, 0) }
    }

    /// The value of this name.
    ///
    /// # Errors
    /// 500 when there is one and it is no `T`.
    #[track_caller]
    pub fn get<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        Ok(self.values.get(name).map(T::deserialize).transpose()?)
    }

    /// Sets a value.
    ///
    /// In a store it is written even where this request has found the same there, since another may have changed it
    /// meanwhile. A cookie is left as it is then.
    ///
    /// # Errors
    /// 500 when it does not serialise, or when the name begins with `_`.
    #[track_caller]
    pub fn set<T: Serialize + ?Sized>(&mut self, name: &str, value: &T) -> Result {
        check_name(name)?;
        let value = serde_json::to_value(value)?;
        if !self.is_set(name, &value) {
            self.supersede(name);
            self.change(Change::Set(name.to_owned(), value));
        }
        Ok(())
    }

    /// Changes a value: gets the one that is there, answers the one that shall be; `None` is none.
    ///
    /// In a store it is applied to the value that is there when the session is saved, so that of two requests at the
    /// same time none is lost: this is how to count. The closure may therefore run more than once.
    ///
    /// # Errors
    /// 500 when the value is no `T`, when the new one does not serialise, or when the name begins with `_`.
    #[track_caller]
    pub fn update<T, F>(&mut self, name: &str, update: F) -> Result
    where
        T: Serialize + DeserializeOwned,
        F: Fn(Option<T>) -> Option<T> + Send + Sync + 'static,
    {
        check_name(name)?;
        let update = move |value: Option<Value>| -> Result<Option<Value>, serde_json::Error> {
            let value = value.map(serde_json::from_value).transpose()?;
            update(value).map(serde_json::to_value).transpose()
        };
        update(self.values.get(name).cloned())?;
        self.change(Change::Update(name.to_owned(), Arc::new(update)));
        Ok(())
    }

    /// Takes a value out.
    ///
    /// # Errors
    /// 500 when there is one and it is no `T`; it stays then.
    #[track_caller]
    pub fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>> {
        let value = self.get(name)?;
        self.remove(name);
        Ok(value)
    }

    /// Removes a value; `false` when there was none.
    pub fn remove(&mut self, name: &str) -> bool {
        let is_there = self.values.contains_key(name);
        // An update that has left none here may leave one in the store.
        if is_there || self.last_change(name).is_some() {
            self.supersede(name);
            self.change(Change::Remove(name.to_owned()));
        }
        is_there
    }

    /// Removes all values.
    pub fn clear(&mut self) {
        if !self.values.is_empty() || !self.changes.is_empty() {
            self.changes.clear();
            self.change(Change::Clear);
        }
    }

    /// Replaces all values by the fields of a struct or the entries of a map.
    ///
    /// # Errors
    /// 500 when it is neither, or has a name that begins with `_`; the session is then as it was.
    #[track_caller]
    pub fn replace<T: Serialize + ?Sized>(&mut self, values: &T) -> Result {
        let Value::Object(values) = serde_json::to_value(values)? else {
            return Err(Error::new(500, "a session holds names and values: replace it by a struct or a map"));
        };
        values.keys().try_for_each(|name| check_name(name))?;
        self.clear();
        for (name, value) in values {
            self.change(Change::Set(name, value));
        }
        Ok(())
    }

    /// All values, in the order they were set.
    pub fn values(&self) -> &Map<String, Value> {
        &self.values
    }

    /// Whether there are no values.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// How many values there are.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether the request came without a session that is still good.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Gives the session another id and keeps its values: whoever knew the old id, or has planted it, has nothing.
    ///
    /// To be called whenever a visitor gets other rights: at login, and at logout unless the session is destroyed. A
    /// session in a cookie has no id, and is only saved.
    pub fn regenerate(&mut self) {
        if matches!(self.fate, Fate::Keep) {
            self.fate = Fate::Regenerate;
        }
        self.forced = true;
    }

    /// Ends the session: its values are gone, in the store too, and the cookie is deleted.
    ///
    /// A value that is set afterwards begins another session. A session in a cookie cannot be taken back: whoever has
    /// kept the cookie can send it until it expires. Where logging out must be certain, use a store.
    pub fn destroy(&mut self) {
        self.values.clear();
        self.changes.clear();
        self.fate = Fate::Destroy;
        self.is_new = true;
        (self.forced, self.life, self.life_changed) = (false, None, false);
    }

    /// Saves the session and renews its time, even if nothing in it was changed.
    pub fn save(&mut self) {
        self.forced = true;
    }

    /// How long it lasts after it was saved; `None` is as long as the browser is open.
    pub fn max_age(&self) -> Option<Duration> {
        match self.effective_life() {
            Life::For(ms) => Some(Duration::from_millis(ms)),
            Life::Browser => None,
        }
    }

    /// Sets how long this session lasts, from now on and whenever it is saved; less than a millisecond is one.
    pub fn set_max_age(&mut self, age: Duration) {
        self.set_life(Life::For(as_millis(age).max(1)));
    }

    /// Lets this session last as long as the browser is open. A store forgets it 30 days after it was saved last.
    pub fn end_with_browser(&mut self) {
        self.set_life(Life::Browser);
    }

    fn set_life(&mut self, life: Life) {
        (self.life, self.life_changed, self.forced) = (Some(life), true, true);
    }

    /// Whether a value will be this one without another word.
    fn is_set(&self, name: &str, value: &Value) -> bool {
        let is_same = self.values.get(name) == Some(value);
        is_same
            && match self.last_change(name) {
                Some(change) => matches!(change, Change::Set(..)),
                None => self.id.is_none(),
            }
    }

    /// What this request has said of a value last.
    fn last_change(&self, name: &str) -> Option<&Change> {
        self.changes.iter().rfind(|change| change.concerns(name))
    }

    /// Forgets the changes that a newer one of the same value makes void.
    fn supersede(&mut self, name: &str) {
        self.changes.retain(|change| !change.concerns(name));
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.values);
        self.changes.push(change);
        if matches!(self.fate, Fate::Destroy) {
            self.fate = Fate::Restart;
        }
    }
}

/// What the layer asks.
impl Session {
    pub(super) fn fate(&self) -> Fate {
        self.fate
    }

    pub(super) fn id(&self) -> Option<&SessionId> {
        self.id.as_ref()
    }

    pub(super) fn effective_life(&self) -> Life {
        self.life.unwrap_or(self.default_life)
    }

    /// The life that this request has chosen.
    pub(super) fn chosen_life(&self) -> Option<Life> {
        self.life.filter(|_| self.life_changed)
    }

    pub(super) fn is_forced(&self) -> bool {
        self.forced
    }

    pub(super) fn is_changed(&self) -> bool {
        let is_nothing = self.is_new && self.values.is_empty();
        !self.changes.is_empty() && !is_nothing
    }

    /// Whether less than half of its time is left.
    pub(super) fn is_half_over(&self, now: u64) -> bool {
        match (self.expires, self.effective_life()) {
            (Some(end), Life::For(ms)) => end.saturating_sub(now) < ms / 2,
            _ => false,
        }
    }

    pub(super) fn created(&self) -> Option<u64> {
        self.created
    }

    /// Says that it begins now, if nobody knows when it has.
    pub(super) fn begin(&mut self, now: u64) {
        if self.created.is_none() {
            self.created = Some(now);
            self.forced = true;
        }
    }

    pub(super) fn into_parts(self) -> (Map<String, Value>, Vec<Change>) {
        (self.values, self.changes)
    }
}

#[track_caller]
fn check_name(name: &str) -> Result {
    match is_reserved(name) {
        true => Err(Error::new(500, format!("{name:?} is no name for a value: _ is for the session's own"))),
        false => Ok(()),
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values stay out of logs.
        f.debug_struct("Session")
            .field("len", &self.len())
            .field("is_new", &self.is_new)
            .field("fate", &self.fate)
            .finish_non_exhaustive()
    }
}
