//! What can be said about sessions, and what is refused at start.

use std::time::Duration;

use cepa_core::{
    cookie::{CookieOptions, SameSite},
    units::{duration, size},
};
use serde::Deserialize;

/// How sessions are kept and how long they last.
///
/// The defaults are for a new app. [`Options::koa`] has those of koa-session, which reads what it writes and the
/// reverse.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The name of the cookie, default `cepa.sess`.
    pub key: String,
    /// Over TLS the cookie is called `__Host-` and [`key`](Self::key): a browser then takes it from this host alone,
    /// over TLS alone, so that neither a sibling host nor a plain connection can plant one. On by default. Where TLS ends at a proxy, the app
    /// has to [trust](cepa_core::App::trust) it to know.
    pub host_prefix: bool,
    /// How the cookie is kept from being changed. Default: [`Encrypted`](Protection::Encrypted), and
    /// [`Signed`](Protection::Signed) where a store has the data.
    pub protection: Option<Protection>,
    /// How long a session lasts after it was saved last, default one day.
    #[serde(with = "duration")]
    pub max_age: Duration,
    /// How long a session lasts in all, however often it is saved; default `"0s"`, which is no limit.
    #[serde(with = "duration")]
    pub absolute: Duration,
    /// Whether the browser keeps the cookie when it is closed, default yes.
    pub persistent: bool,
    /// Saves a session whenever it is used, off by default: it then ends when it is idle for `max_age`.
    pub rolling: bool,
    /// Saves a session that is used in the second half of its `max_age`, on by default: nearly as good as `rolling`,
    /// for much less.
    pub renew: bool,
    /// Hides the cookie from scripts, on by default.
    pub http_only: bool,
    /// Sends the cookie over TLS alone. Default: where the request came over TLS. `true` fails without TLS.
    pub secure: Option<bool>,
    /// Which requests that other sites cause carry the cookie, default `lax`.
    pub same_site: Option<SameSite>,
    /// The host that shares the cookie with its subdomains. Default: this host alone. Not with `host_prefix`.
    pub domain: Option<String>,
    /// The path below which the cookie is sent, default `/`.
    pub path: String,
    /// The form of the ids of sessions in a store.
    pub ids: Ids,
    /// Most bytes of a session in a store, as JSON, with what other requests have changed meanwhile; default 64 KiB.
    /// A request that would make it larger is answered 500. In a cookie about 3,000 fit.
    #[serde(with = "size")]
    pub max_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            key: "cepa.sess".to_owned(),
            host_prefix: true,
            protection: None,
            max_age: DAY,
            absolute: Duration::ZERO,
            persistent: true,
            rolling: false,
            renew: true,
            http_only: true,
            secure: None,
            same_site: Some(SameSite::Lax),
            domain: None,
            path: "/".to_owned(),
            ids: Ids::Random,
            max_bytes: 64 << 10,
        }
    }
}

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// No `max_age` is longer, so that no sum of times overflows: a hundred years.
const LONGEST: Duration = Duration::from_secs(100 * 365 * 24 * 60 * 60);

/// How the cookie of a session is kept from being changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protection {
    /// The client can neither read nor change it.
    Encrypted,
    /// The client can read it, not change it: a second cookie has the signature, as in Koa.
    Signed,
    /// The client can read it and write what it likes. With a store the cookie is an id that cannot be guessed, and
    /// this is good enough; without one nothing in the session can be believed.
    None,
    /// As Egg encrypts: the client cannot read it, but may be able to change it. For the time of a move, with
    /// [`egg::session`](crate::egg::session()); see [there](crate::egg) what it does not protect.
    #[cfg(feature = "egg")]
    Egg,
}

/// The form of a session's id in a store.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ids {
    /// 192 random bits as 32 letters.
    #[default]
    Random,
    /// 122 random bits as a UUID of version 4, as in Koa.
    Uuid,
}

impl Options {
    /// What koa-session does by default: `koa.sess`, a signed cookie that scripts cannot read and that ends with the
    /// browser, a session of a day, nothing else.
    pub fn koa() -> Self {
        Self {
            key: "koa.sess".to_owned(),
            host_prefix: false,
            protection: Some(Protection::Signed),
            persistent: false,
            renew: false,
            same_site: None,
            ids: Ids::Uuid,
            ..Self::default()
        }
    }

    /// What Egg does by default: `EGG_SESS`, encrypted, hidden from scripts, for a day, nothing else. It is for
    /// [`egg::session`](crate::egg::session()).
    #[cfg(feature = "egg")]
    pub fn egg() -> Self {
        let key = "EGG_SESS".to_owned();
        Self { key, protection: Some(Protection::Egg), persistent: true, ..Self::koa() }
    }

    /// Without Egg's keys nothing is written as Egg does.
    #[cfg(feature = "egg")]
    pub(super) fn check_not_egg(&self) -> Result<(), OptionsError> {
        match self.protection {
            Some(Protection::Egg) => {
                Err(OptionsError("protection \"egg\" is for egg::session, which has the keys"))
            }
            _ => Ok(()),
        }
    }

    /// What Egg's cookie cannot be.
    #[cfg(feature = "egg")]
    pub(super) fn check_egg(&self) -> Result<(), OptionsError> {
        if self.host_prefix {
            return Err(OptionsError("Egg's cookie has no prefix: set host_prefix to false"));
        }
        if self.protection == Some(Protection::None) {
            return Err(OptionsError("with protection \"none\" everybody writes what only Egg should"));
        }
        Ok(())
    }

    pub(super) fn check(&self) -> Result<(), OptionsError> {
        let fault = |fault| Err(OptionsError(fault));
        if self.max_age.is_zero() || self.max_age > LONGEST || self.absolute > LONGEST {
            return fault("max_age must be from a millisecond to a hundred years, and absolute not longer");
        }
        if self.host_prefix && self.domain.is_some() {
            return fault("domain and host_prefix exclude each other: a __Host- cookie belongs to one host");
        }
        if self.host_prefix && self.path != "/" {
            return fault("path must be \"/\" with host_prefix");
        }
        if self.host_prefix && self.secure == Some(false) {
            return fault("host_prefix needs secure: browsers drop the cookie otherwise");
        }
        if self.same_site == Some(SameSite::None) && self.secure == Some(false) {
            return fault("same_site \"none\" needs secure: browsers drop the cookie otherwise");
        }
        // Whether name, path and domain can stand in a cookie is known best by who writes it.
        let options = CookieOptions { secure: Some(false), ..self.cookie() };
        if cepa_core::cookie::set_cookie(&self.key, "x", &options, true, std::time::UNIX_EPOCH).is_err() {
            return fault("key, path or domain cannot stand in a cookie");
        }
        Ok(())
    }

    /// The attributes of the cookie, without an end.
    pub(super) fn cookie(&self) -> CookieOptions<'_> {
        CookieOptions {
            path: Some(&self.path),
            domain: self.domain.as_deref(),
            http_only: self.http_only,
            secure: self.secure,
            same_site: self.same_site,
            overwrite: true,
            ..CookieOptions::default()
        }
    }
}

/// Options that contradict each other, or that no cookie can be made with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("session: {0}")]
pub struct OptionsError(&'static str);
