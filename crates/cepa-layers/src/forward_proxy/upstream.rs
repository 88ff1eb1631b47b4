//! Another proxy, which is asked instead of the servers themselves.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use http::HeaderValue;
use serde::Deserialize;

use super::InvalidOptions;
use crate::{fetch::url::Url, outbound::Origin};

/// Another proxy.
#[derive(Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Upstream {
    /// Where it is: `http://proxy.internal:3128`, or `https://` where it is spoken to by TLS.
    pub url: String,
    /// The name that is sent to it, default empty: none.
    #[serde(default)]
    pub user: String,
    /// The password to that.
    #[serde(default)]
    pub password: String,
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("url", &self.url).field("user", &self.user).finish_non_exhaustive()
    }
}

/// The same, checked.
#[derive(Debug)]
pub(super) struct Parent {
    pub(super) origin: Origin,
    /// Marked as sensitive, so that it is not shown.
    pub(super) credentials: Option<HeaderValue>,
}

impl Parent {
    pub(super) fn new(upstream: &Upstream) -> Result<Self, InvalidOptions> {
        let failed = |reason: &str| InvalidOptions::Upstream(reason.to_owned());
        let url =
            Url::parse(&upstream.url).map_err(|failure| InvalidOptions::Upstream(failure.to_string()))?;
        if url.target.as_str() != "/" {
            return Err(failed("its URL has a path"));
        }
        let (user, password) = (&upstream.user, &upstream.password);
        if user.contains(':') || [user, password].iter().any(|text| text.contains(char::is_control)) {
            return Err(failed("the name has a colon, or the name or password a control character"));
        }
        if user.is_empty() && !password.is_empty() {
            return Err(failed("there is a password and no user"));
        }
        let credentials = (!user.is_empty()).then(|| {
            let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
            let mut value = HeaderValue::try_from(text).expect("base64 has no control characters");
            value.set_sensitive(true);
            value
        });
        Ok(Self { origin: url.origin, credentials })
    }
}
