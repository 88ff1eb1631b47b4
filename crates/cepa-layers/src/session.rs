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
//! [`Protection::None`] is chosen; without them it does not start.
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
mod load;
mod memory;
mod options;
mod record;
#[cfg(feature = "redb")]
mod redb;
#[cfg(feature = "redis")]
mod redis;
mod save;
mod store;

use std::{borrow::Cow, fmt, iter, sync::Arc, time::SystemTime};

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, Settings, StartError};

use self::data::{Life, as_millis, since_1970};
#[cfg(feature = "redb")]
pub use self::redb::{Redb, RedbError};
#[cfg(feature = "redis")]
pub use self::redis::{Redis, RedisOptions, RedisOptionsError};
pub use self::{
    change::{TooLarge, Write},
    current::Session,
    memory::{Capacity, Memory},
    options::{Ids, Options, OptionsError, Protection},
    record::Record,
    store::{SessionId, Store, StoreError},
};

/// A layer that gives each visitor a [`Session`], kept in a cookie; [`Layer::store`] keeps it elsewhere.
///
/// # Errors
/// Options that contradict each other.
pub fn session(options: Options) -> Result<Layer, OptionsError> {
    options.check()?;
    #[cfg(feature = "egg")]
    options.check_not_egg()?;
    Ok(Layer { shared: Arc::new(Shared::new(options)) })
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
    /// Of an app that comes from Egg.
    #[cfg(feature = "egg")]
    egg: Option<crate::egg::keys::Keys>,
}

/// What the layer leaves on a request. A session in a cookie is read when it is first asked for.
struct Slot {
    shared: Arc<Shared>,
    session: Option<Session>,
}

/// The way through a layer, whose slot is on the request for as long as this is there.
///
/// A session layer further out has a slot of its own, and finds it again also where this way ends early: what is inside
/// of a layer that sets a time is dropped when it is over.
struct Inside<'c> {
    ctx: &'c mut Ctx,
    outer: Option<Slot>,
}

impl<'c> Inside<'c> {
    fn enter(ctx: &'c mut Ctx, slot: Slot) -> Self {
        let outer = ctx.insert(slot);
        Self { ctx, outer }
    }

    /// The session, if there is one or somebody has asked for it.
    fn leave(self) -> Option<Session> {
        self.ctx.states().remove::<Slot>()?.session
    }
}

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.ctx.states().remove::<Slot>();
        if let Some(outer) = self.outer.take() {
            self.ctx.insert(outer);
        }
    }
}

impl Layer {
    /// Keeps the sessions in a store; the cookie has only their id.
    #[must_use]
    pub fn store(self, store: impl Store) -> Self {
        let shared = Shared {
            store: Some(Box::new(store)),
            #[cfg(feature = "egg")]
            egg: self.shared.egg.clone(),
            ..Shared::new(self.shared.options.clone())
        };
        Self { shared: Arc::new(shared) }
    }

    #[cfg(feature = "egg")]
    pub(crate) fn with_egg(options: Options, keys: crate::egg::keys::Keys) -> Result<Self, OptionsError> {
        options.check()?;
        options.check_egg()?;
        Ok(Self { shared: Arc::new(Shared { egg: Some(keys), ..Shared::new(options) }) })
    }
}

impl Middleware for Layer {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let session = match &self.shared.store {
                Some(store) => Some(self.shared.load(&**store, ctx).await?),
                None => None,
            };
            let inside = Inside::enter(ctx, Slot { shared: Arc::clone(&self.shared), session });
            let result = next.run(inside.ctx).await;
            let Some(session) = inside.leave() else { return result };
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

    fn check(&self, settings: &Settings) -> Result<(), StartError> {
        if settings.keys.is_none() && self.shared.protection() != Protection::None {
            return Err(
                "the app has no keys to protect its cookie with: give it some with `App::keys`".into()
            );
        }
        Ok(())
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

impl Shared {
    fn new(options: Options) -> Self {
        let prefix = if options.host_prefix { "__Host-" } else { "" };
        Self {
            secure_name: format!("{prefix}{}", options.key),
            options,
            store: None,
            #[cfg(feature = "egg")]
            egg: None,
        }
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

/// The answer to a store's error: what is too large is the app's fault, not the store's.
#[track_caller]
fn store_error(error: StoreError) -> Error {
    let first: &(dyn std::error::Error + 'static) = &*error;
    if let Some(fault) =
        iter::successors(Some(first), |error| error.source()).find_map(|error| error.downcast_ref())
    {
        return too_large(*fault);
    }
    Error::new(503, "the session store has failed").with_cause(error)
}

#[track_caller]
fn too_large(fault: TooLarge) -> Error {
    Error::new(500, fault.to_string())
}

#[cfg(test)]
mod tests;
