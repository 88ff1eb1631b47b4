//! On the way in: from a cookie to a session.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use cepa_core::{
    Ctx, Result,
    cookie::{MAX_SET_COOKIE, Opened},
};

use super::{
    Protection, Shared,
    current::Session,
    data::{Data, as_millis},
    now,
    store::{SessionId, Store},
    store_error,
};

impl Shared {
    /// The session that the cookie holds, or a new one.
    pub(super) fn read_cookie(&self, ctx: &mut Ctx) -> Result<Session> {
        let now = now();
        let Some(cookie) = self.cookie(ctx)? else { return Ok(Session::new(self.life(), now)) };
        // As Koa writes it: the standard alphabet, padded.
        let json = match cookie.is_base64 {
            true => BASE64_STANDARD.decode(&cookie.value).ok(),
            false => Some(cookie.value),
        };
        Ok(self.revive(json.as_deref(), None, now, cookie.is_old))
    }

    /// The session that the store has under the id in the cookie, or a new one.
    pub(super) async fn load(&self, store: &dyn Store, ctx: &mut Ctx) -> Result<Session> {
        let cookie = self.cookie(ctx)?;
        let id =
            cookie.as_ref().and_then(|cookie| SessionId::parse(std::str::from_utf8(&cookie.value).ok()?));
        let (Some(cookie), Some(id)) = (cookie, id) else { return Ok(Session::new(self.life(), now())) };
        let json = store.load(&id).await.map_err(store_error)?;
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
            Protection::Encrypted => jar.get_encrypted(name)?.map(Found::opened),
            Protection::Signed => jar.get_signed(name)?.map(Found::new),
            Protection::None => jar.get(name).map(Found::new),
            #[cfg(feature = "egg")]
            Protection::Egg => None,
        };
        #[cfg(feature = "egg")]
        let found = found.or_else(|| self.open_egg(jar.get(name)?));
        Ok(found.filter(|found| found.value.len() <= MAX_SET_COOKIE))
    }

    /// What Egg has sealed. It is written anew where that is not how it is written now.
    #[cfg(feature = "egg")]
    fn open_egg(&self, sealed: &str) -> Option<Found> {
        // Base64 and ids are letters; under a wrong key something else comes out.
        let is_plausible = |text: &[u8]| text.iter().all(u8::is_ascii_graphic);
        let opened = self.egg.as_ref()?.open_where(sealed.as_bytes(), is_plausible)?;
        let is_old = opened.key_index > 0 || self.protection() != Protection::Egg;
        Some(Found { value: opened.value, is_base64: true, is_old })
    }
}

/// What a client has sent.
struct Found {
    value: Vec<u8>,
    /// Whether that is the base64 of a session, where it is no id.
    is_base64: bool,
    /// Whether it is under a key that is no longer the first.
    is_old: bool,
}

impl Found {
    fn new(value: &str) -> Self {
        Self { value: value.into(), is_base64: true, is_old: false }
    }

    fn opened(opened: Opened) -> Self {
        Self { value: opened.value, is_base64: false, is_old: opened.key_index > 0 }
    }
}
