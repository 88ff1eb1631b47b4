//! What can be said about a cookie when it is set.

use serde::{Deserialize, Serialize};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// 9999-12-31T23:59:59Z, the last second an HTTP date can name.
const LAST_DATE: Duration = Duration::from_secs(253_402_300_799);

/// The attributes of a cookie. The defaults are Koa's.
///
/// ```
/// use cepa_core::cookie::{CookieOptions, SameSite};
/// use std::time::Duration;
///
/// let options = CookieOptions {
///     max_age: Some(Duration::from_secs(3600)),
///     same_site: Some(SameSite::Lax),
///     ..Default::default()
/// };
/// assert!(options.http_only);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CookieOptions<'a> {
    /// The path below which the cookie is sent back; default `/`. `None` = the directory of the request's
    /// path.
    pub path: Option<&'a str>,
    /// The host that gets the cookie, along with its subdomains. Default `None`: this host alone.
    pub domain: Option<&'a str>,
    /// How long the cookie lives from now on; sent as `expires`, whole seconds, and wins over `expires`.
    pub max_age: Option<Duration>,
    /// When the cookie ends. Default `None`, like `max_age`: with the browser's session.
    pub expires: Option<SystemTime>,
    /// Hidden from scripts; on by default.
    pub http_only: bool,
    /// Sent over encrypted connections only. Default `None`: if this connection is encrypted. `Some(true)` on
    /// one that is not is an error.
    pub secure: Option<bool>,
    /// Whether requests from other sites carry the cookie. Default `None`: the browser decides.
    pub same_site: Option<SameSite>,
    /// Which cookies the browser drops first when it has too many. Default `None`: medium.
    pub priority: Option<Priority>,
    /// One jar per top-level site (CHIPS). Browsers want `secure` with it. Off by default.
    pub partitioned: bool,
    /// Signed with a second cookie `name.sig`. Default `None`: if there are keys. `Some(true)` without is an
    /// error. Encrypted cookies authenticate themselves and ignore this.
    pub signed: Option<bool>,
    /// Replaces cookies of this name set earlier in this response, whatever their path or domain; off by
    /// default, then all are sent.
    pub overwrite: bool,
}

impl Default for CookieOptions<'_> {
    fn default() -> Self {
        Self {
            path: Some("/"),
            domain: None,
            max_age: None,
            expires: None,
            http_only: true,
            secure: None,
            same_site: None,
            priority: None,
            partitioned: false,
            signed: None,
            overwrite: false,
        }
    }
}

impl CookieOptions<'_> {
    /// The end of the cookie's life, counted from 1970 and kept within what a date can say.
    pub(super) fn end(&self, now: SystemTime) -> Option<Duration> {
        let since_1970 = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default();
        let end = match self.max_age {
            Some(age) => since_1970(now).saturating_add(age),
            None => since_1970(self.expires?),
        };
        Some(end.min(LAST_DATE))
    }
}

/// Whether a cookie is sent with requests that other sites cause.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SameSite {
    /// Only with requests from the site itself.
    Strict,
    /// Also when a link of another site is followed.
    Lax,
    /// Always. Browsers accept it only on secure cookies.
    None,
}

impl SameSite {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Strict => "strict",
            Self::Lax => "lax",
            Self::None => "none",
        }
    }
}

/// How long a cookie should be kept when a browser has too many (a Chromium extension).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// First to go.
    Low,
    /// As if nothing were said.
    Medium,
    /// Last to go.
    High,
}

impl Priority {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Low => "low",
            Self::Medium => "medium",
            Self::High => "high",
        }
    }
}
