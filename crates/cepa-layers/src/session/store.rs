//! Where sessions are kept that are not in a cookie.

use std::{error::Error, fmt, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use cepa_core::LocalBoxFuture;

use super::{Ids, change::Write};

/// What went wrong in a store; the client is told 503, the log all of it.
pub type StoreError = Box<dyn Error + Send + Sync>;

/// Keeps the sessions of all workers.
///
/// A store holds, for each id, a text (the JSON of koa-session) and the time after which it may forget it. It does not
/// look into the text. [`Memory`](super::Memory) and, with the features `redb` and `redis`, `Redb` and `Redis` are
/// such stores.
///
/// Nothing is lost as long as [`save`](Self::save) is atomic: it hands the text that is there now to
/// [`Write::apply`], which may be called again where a store has to try again, and keeps what comes out.
pub trait Store: Send + Sync + 'static {
    /// The text of a session; `None` when there is none, or when its time is over.
    fn load<'a>(&'a self, id: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>>;

    /// Changes the text of a session in one step; `false` when nothing was to be kept.
    fn save<'a>(&'a self, id: &'a SessionId, write: Write) -> LocalBoxFuture<'a, Result<bool, StoreError>>;

    /// Forgets a session, and answers the text that it had.
    fn remove<'a>(&'a self, id: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>>;
}

/// A store that more than one layer, or the app itself, uses.
impl<S: Store + ?Sized> Store for Arc<S> {
    fn load<'a>(&'a self, id: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        (**self).load(id)
    }

    fn save<'a>(&'a self, id: &'a SessionId, write: Write) -> LocalBoxFuture<'a, Result<bool, StoreError>> {
        (**self).save(id, write)
    }

    fn remove<'a>(&'a self, id: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
        (**self).remove(id)
    }
}

/// The name of a session in a store: who knows it has the session, so that it is not shown in logs.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SessionId(Box<str>);

impl SessionId {
    /// A new one, from the random numbers of the operating system.
    pub(super) fn random(form: Ids) -> Result<Self, getrandom::Error> {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes)?;
        Ok(Self(match form {
            Ids::Random => BASE64.encode(bytes).into(),
            Ids::Uuid => uuid(bytes).into(),
        }))
    }

    /// What a client has sent, if it looks like an id at all: 16 to 64 letters, digits, `-` and `_`.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let is_id = (16..=64).contains(&text.len())
            && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        is_id.then(|| Self(text.into()))
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId(..)")
    }
}

/// The first 16 bytes as a random UUID (RFC 9562, section 5.4).
fn uuid(bytes: [u8; 24]) -> String {
    let number = u128::from_be_bytes(*bytes.first_chunk().expect("16 are fewer than 24"));
    let number = number & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{number:032x}");
    [&hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..]].join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_random_and_hidden() {
        let id = SessionId::random(Ids::Random).unwrap();
        assert_eq!((id.as_str().len(), format!("{id:?}").as_str()), (32, "SessionId(..)"));
        assert_ne!(id, SessionId::random(Ids::Random).unwrap());
        assert_eq!(SessionId::parse(id.as_str()), Some(id));
        assert_eq!(uuid([0xff; 24]), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(uuid([0; 24]), "00000000-0000-4000-8000-000000000000");
        let id = SessionId::random(Ids::Uuid).unwrap();
        assert_eq!(SessionId::parse(id.as_str()), Some(id));
    }

    #[test]
    fn what_looks_like_no_id_never_reaches_a_store() {
        for text in
            ["", "short", &"a".repeat(65), "../../../../etc/passwd", "aaaaaaaaaaaaaaaa\0", "äääääääääääää"]
        {
            assert_eq!(SessionId::parse(text), None, "{text}");
        }
    }
}
