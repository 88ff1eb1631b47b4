//! On the way out: from a session to a store and a cookie.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cepa_core::{Ctx, Result, cookie::CookieOptions};

use super::{
    Protection, Shared,
    change::{TooLarge, Write},
    current::{Fate, Session},
    data::{Data, Life},
    now,
    store::{SessionId, Store},
    store_error, too_large,
};

impl Shared {
    /// Does with the session what has become of it.
    pub(super) async fn commit(&self, ctx: &mut Ctx, session: Session) -> Result {
        match session.fate() {
            Fate::Destroy => {
                if let (Some(store), Some(id)) = (&self.store, session.id()) {
                    store.remove(id).await.map_err(store_error)?;
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
            _ => self.set_cookie(ctx, BASE64_STANDARD.encode(json).as_bytes(), life),
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
            max_bytes: self.options.max_bytes,
        };
        let old = session.id().cloned();
        let (values, changes) = session.into_parts();
        // The store checks it too, with what others have changed meanwhile; but an old session would be gone by then.
        let data = Data { values, created: write.created, ..Data::default() };
        TooLarge::check(&data.to_json(life, now), write.max_bytes).map_err(too_large)?;
        let id = match (old, fate) {
            (Some(id), Fate::Keep) => {
                write.changes = changes;
                id
            }
            (None, _) => {
                write.new = Some(data.values);
                self.new_id()?
            }
            (Some(old), _) => {
                // What others have changed meanwhile goes along. Where somebody has ended the session meanwhile, what
                // it held stays gone.
                let removed = store.remove(&old).await.map_err(store_error)?;
                let removed = removed.filter(|_| fate == Fate::Regenerate);
                let removed = removed.and_then(|json| Data::parse(&json)).unwrap_or_default();
                write.life = write.life.or(removed.life);
                (write.new, write.changes) = (Some(removed.values), changes);
                self.new_id()?
            }
        };
        // Nothing is kept where somebody has ended the session meanwhile: then its cookie is gone as well.
        if store.save(&id, write).await.map_err(store_error)? {
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
                Some(Duration::from_millis(ms))
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
            #[cfg(feature = "egg")]
            Protection::Egg => {
                let keys = self.egg.as_ref().expect("the options were refused without Egg's keys");
                keys.set(ctx, name, value, &options)?;
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
