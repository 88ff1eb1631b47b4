//! Remembers a visitor from one request to the next: in a cookie, or in a store whose key is in the cookie.
//!
//! ```
//! use cepa_core::{App, Ctx, Result, cookie::Keys};
//! use cepa_layers::{SessionExt, session};
//!
//! async fn count(ctx: &mut Ctx) -> Result<String> {
//!     let session = ctx.session()?;
//!     session.update("visits", |n: Option<u32>| Some(n.unwrap_or(0) + 1))?;
//!     Ok(format!("visit {}", session.get::<u32>("visits")?.unwrap_or(0)))
//! }
//!
//! let app = App::new()
//!     .keys(Keys::random()?)
//!     .with(session(Default::default())?)
//!     .get("/", count);
//! # cepa_core::test::block_on(async {
//! let client = app.test();
//! assert_eq!(client.get("/").await.text(), "visit 1");
//! assert_eq!(client.get("/").await.text(), "visit 2");
//! # });
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! **Where it belongs**: outside of everything that uses the session ([`csrf`](crate::csrf()) with tokens, what logs
//! in), inside of what counts, logs and compresses. The app needs [keys](cepa_core::App::keys), unless
//! [`Protection::None`] is chosen.
//!
//! **In a cookie** a session costs no memory and no store; it holds about 3 KB, requests at the same time overwrite
//! each other's changes, and it cannot be ended before its time where somebody has kept a copy. **In a store**
//! ([`Layer::store`]) none of this holds: changes of requests at the same time are merged, value by value
//! ([`Session::update`] for counters), a session that was destroyed stays so, and an id that the store does not know is
//! never taken over from a client.
//!
//! A request with two cookies of the session's name has no session: somebody may have planted one of them.

mod change;
mod current;
mod data;
mod memory;
mod options;
#[cfg(feature = "redb")]
mod redb;
mod store;

use std::{borrow::Cow, fmt, sync::Arc, time::SystemTime};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cepa_core::{
    Ctx, Error, LocalBoxFuture, Middleware, Next, Result,
    cookie::{CookieOptions, MAX_SET_COOKIE},
};

#[cfg(feature = "redb")]
pub use self::redb::{Redb, RedbError};
pub use self::{
    change::Write,
    current::Session,
    memory::{Capacity, Memory},
    options::{Ids, Options, OptionsError, Protection},
    store::{Record, SessionId, Store, StoreError},
};
use self::{
    current::Fate,
    data::{Data, Life, as_millis, since_1970},
};

/// A layer that gives each visitor a [`Session`], kept in a cookie; [`Layer::store`] keeps it elsewhere.
///
/// # Errors
/// Options that contradict each other.
pub fn session(options: Options) -> Result<Layer, OptionsError> {
    options.check()?;
    Ok(Layer { shared: Arc::new(Shared::new(options, None)) })
}

/// The session of a request, where a [`session()`] layer is around.
pub trait SessionExt {
    /// The visitor's session, to read and to change.
    ///
    /// # Errors
    /// 500 when no session layer is around, or when the app has no keys.
    fn session(&mut self) -> Result<&mut Session>;
}

impl SessionExt for Ctx {
    #[track_caller]
    fn session(&mut self) -> Result<&mut Session> {
        let Some(slot) = self.state::<Slot>() else {
            return Err(Error::new(500, "there is no session here: add the layer `session` around this one"));
        };
        if slot.session.is_none() {
            let shared = Arc::clone(&slot.shared);
            let session = shared.read_cookie(self)?;
            self.state_mut::<Slot>().expect("it was there just now").session = Some(session);
        }
        let slot = self.state_mut::<Slot>().expect("it was there just now");
        Ok(slot.session.as_mut().expect("it was put there just now"))
    }
}

/// See [`session()`].
#[derive(Clone)]
pub struct Layer {
    shared: Arc<Shared>,
}

struct Shared {
    options: Options,
    store: Option<Box<dyn Store>>,
    /// The name of the cookie over TLS.
    secure_name: String,
}

/// What the layer leaves on a request. A session in a cookie is read when it is first asked for.
struct Slot {
    shared: Arc<Shared>,
    session: Option<Session>,
}

impl Layer {
    /// Keeps the sessions in a store; the cookie has only their id.
    #[must_use]
    pub fn store(self, store: impl Store) -> Self {
        let options = self.shared.options.clone();
        Self { shared: Arc::new(Shared::new(options, Some(Box::new(store)))) }
    }
}

impl Middleware for Layer {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let session = match &self.shared.store {
                Some(store) => Some(self.shared.load(&**store, ctx).await?),
                None => None,
            };
            // A session layer further out has its own.
            let outer = ctx.insert(Slot { shared: Arc::clone(&self.shared), session });
            let result = next.run(ctx).await;
            let slot = ctx.states().remove::<Slot>();
            outer.map(|outer| ctx.insert(outer));
            let Some(session) = slot.and_then(|slot| slot.session) else { return result };
            match (result, self.shared.commit(ctx, session).await) {
                (Ok(()), committed) => committed,
                (Err(error), Ok(())) => Err(error),
                (Err(error), Err(other)) => {
                    tracing::error!(target: "cepa", "the session of a failed request was not saved: {other}");
                    Err(error)
                }
            }
        })
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("session")
    }
}

impl fmt::Debug for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Layer")
            .field("options", &self.shared.options)
            .field("has_store", &self.shared.store.is_some())
            .finish()
    }
}

/// On the way in.
impl Shared {
    /// The session that the cookie holds, or a new one.
    fn read_cookie(&self, ctx: &mut Ctx) -> Result<Session> {
        let now = now();
        let Some(cookie) = self.cookie(ctx)? else { return Ok(Session::new(self.life(), now)) };
        let json = match self.protection() {
            Protection::Encrypted => Some(cookie.value),
            // As Koa writes it: the standard alphabet, padded.
            Protection::Signed | Protection::None => BASE64_STANDARD.decode(&cookie.value).ok(),
        };
        Ok(self.revive(json.as_deref(), None, now, cookie.is_old))
    }

    /// The session that the store has under the id in the cookie, or a new one.
    async fn load(&self, store: &dyn Store, ctx: &mut Ctx) -> Result<Session> {
        let cookie = self.cookie(ctx)?;
        let id =
            cookie.as_ref().and_then(|cookie| SessionId::parse(std::str::from_utf8(&cookie.value).ok()?));
        let (Some(cookie), Some(id)) = (cookie, id) else { return Ok(Session::new(self.life(), now())) };
        let json = store.load(&id).await.map_err(unavailable)?;
        Ok(self.revive(json.as_deref(), Some(id), now(), cookie.is_old))
    }

    /// The session of a text; a new one where that is none, or has ended.
    fn revive(&self, json: Option<&[u8]>, id: Option<SessionId>, now: u64, resave: bool) -> Session {
        let absolute = as_millis(self.options.absolute);
        let data = json.and_then(Data::parse).filter(|data| !data.is_over(now, absolute));
        let Some(data) = data else { return Session::new(self.life(), now) };
        let mut session = Session::saved(data, id, self.life());
        if absolute > 0 {
            session.begin(now);
        }
        if resave {
            session.save();
        }
        session
    }

    /// The cookie, if there is exactly one and nobody has changed it.
    fn cookie(&self, ctx: &mut Ctx) -> Result<Option<Found>> {
        let name = self.name(ctx);
        let mut jar = ctx.cookies();
        match jar.count(name) {
            0 => return Ok(None),
            1 => {}
            _ => {
                tracing::debug!(target: "cepa", "two cookies of one session: neither is taken");
                return Ok(None);
            }
        }
        let found = match self.protection() {
            Protection::Encrypted => jar
                .get_encrypted(name)?
                .map(|opened| Found { value: opened.value, is_old: opened.key_index > 0 }),
            Protection::Signed => jar.get_signed(name)?.map(Found::new),
            Protection::None => jar.get(name).map(Found::new),
        };
        Ok(found.filter(|found| found.value.len() <= MAX_SET_COOKIE))
    }
}

/// What a client has sent.
struct Found {
    value: Vec<u8>,
    /// Whether it is under a key that is no longer the first.
    is_old: bool,
}

impl Found {
    fn new(value: &str) -> Self {
        Self { value: value.into(), is_old: false }
    }
}

/// On the way out.
impl Shared {
    async fn commit(&self, ctx: &mut Ctx, session: Session) -> Result {
        match session.fate() {
            Fate::Destroy => {
                if let (Some(store), Some(id)) = (&self.store, session.id()) {
                    store.remove(id).await.map_err(unavailable)?;
                }
                self.delete_cookie(ctx)
            }
            Fate::Keep if !self.is_to_be_saved(&session) => Ok(()),
            fate => match &self.store {
                Some(store) => self.save_in(&**store, ctx, session, fate).await,
                None => self.save_in_cookie(ctx, session, fate),
            },
        }
    }

    fn is_to_be_saved(&self, session: &Session) -> bool {
        if session.is_forced() || session.is_changed() {
            return true;
        }
        let is_kept = !session.is_new();
        is_kept && (self.options.rolling || self.options.renew && session.is_half_over(now()))
    }

    fn save_in_cookie(&self, ctx: &mut Ctx, session: Session, fate: Fate) -> Result {
        let now = now();
        let life = session.effective_life();
        let created = self.created(&session, fate, now);
        let (values, _) = session.into_parts();
        let json = Data { values, created, ..Data::default() }.to_json(life, now);
        match self.protection() {
            Protection::Encrypted => self.set_cookie(ctx, &json, life),
            Protection::Signed | Protection::None => {
                self.set_cookie(ctx, BASE64_STANDARD.encode(json).as_bytes(), life)
            }
        }
    }

    async fn save_in(&self, store: &dyn Store, ctx: &mut Ctx, session: Session, fate: Fate) -> Result {
        let now = now();
        let life = session.effective_life();
        let mut write = Write {
            new: None,
            changes: Vec::new(),
            life: session.chosen_life(),
            default_life: self.life(),
            now,
            created: self.created(&session, fate, now),
        };
        let old = session.id().cloned();
        let (values, changes) = session.into_parts();
        let size = serde_json::to_vec(&values)?.len();
        if size > self.options.max_bytes {
            let most = self.options.max_bytes;
            return Err(Error::new(500, format!("a session of {size} bytes is more than max_bytes, {most}")));
        }
        let id = match (old, fate) {
            (Some(id), Fate::Keep) => {
                write.changes = changes;
                id
            }
            (None, _) => {
                write.new = Some(values);
                self.new_id()?
            }
            (Some(old), _) => {
                // What others have changed meanwhile goes along. Where somebody has ended the session meanwhile, what
                // it held stays gone.
                let removed = store.remove(&old).await.map_err(unavailable)?;
                let removed = removed.filter(|_| fate == Fate::Regenerate);
                let data = removed.and_then(|json| Data::parse(&json)).unwrap_or_default();
                write.life = write.life.or(data.life);
                (write.new, write.changes) = (Some(data.values), changes);
                self.new_id()?
            }
        };
        // Nothing is kept where somebody has ended the session meanwhile: then its cookie is gone as well.
        if store.save(&id, write).await.map_err(unavailable)? {
            self.set_cookie(ctx, id.as_str().as_bytes(), life)?;
        }
        Ok(())
    }

    fn new_id(&self) -> Result<SessionId> {
        Ok(SessionId::random(self.options.ids)?)
    }

    /// When the session has begun, if it is to be known.
    fn created(&self, session: &Session, fate: Fate, now: u64) -> Option<u64> {
        let begun = session.created().filter(|_| fate != Fate::Restart);
        (!self.options.absolute.is_zero()).then(|| begun.unwrap_or(now))
    }

    fn set_cookie(&self, ctx: &mut Ctx, value: &[u8], life: Life) -> Result {
        let name = self.name(ctx);
        let max_age = match life {
            // One that was given a life of its own is kept, as in Koa.
            Life::For(ms) if self.options.persistent || life != self.life() => {
                Some(std::time::Duration::from_millis(ms))
            }
            Life::For(_) | Life::Browser => None,
        };
        let options = CookieOptions { max_age, ..self.attributes() };
        match self.protection() {
            Protection::Encrypted => ctx.cookies().set_encrypted(name, value, &options)?,
            Protection::Signed | Protection::None => {
                let value = std::str::from_utf8(value).expect("base64 and ids are ASCII");
                ctx.cookies().set(name, value, &options)?;
            }
        }
        Ok(())
    }

    fn delete_cookie(&self, ctx: &mut Ctx) -> Result {
        let name = self.name(ctx);
        Ok(ctx.cookies().remove(name, &self.attributes())?)
    }

    fn attributes(&self) -> CookieOptions<'_> {
        CookieOptions { signed: Some(self.protection() == Protection::Signed), ..self.options.cookie() }
    }
}

impl Shared {
    fn new(options: Options, store: Option<Box<dyn Store>>) -> Self {
        let prefix = if options.host_prefix { "__Host-" } else { "" };
        Self { secure_name: format!("{prefix}{}", options.key), options, store }
    }

    /// The name of the cookie on this connection.
    fn name(&self, ctx: &Ctx) -> &str {
        if ctx.secure() { &self.secure_name } else { &self.options.key }
    }

    fn protection(&self) -> Protection {
        let default = || if self.store.is_some() { Protection::Signed } else { Protection::Encrypted };
        self.options.protection.unwrap_or_else(default)
    }

    fn life(&self) -> Life {
        Life::For(as_millis(self.options.max_age))
    }
}

fn now() -> u64 {
    since_1970(SystemTime::now())
}

#[track_caller]
fn unavailable(error: StoreError) -> Error {
    Error::new(503, "the session store has failed").with_cause(error)
}

#[cfg(test)]
mod tests;
