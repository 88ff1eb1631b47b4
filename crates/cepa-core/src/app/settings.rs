//! What an app is told once and every request of it may use.

use std::sync::Arc;

use http::HeaderName;

use crate::{cookie::Keys, forwarded::Trust};

/// Settings of an app. Those not set are taken from the app it is mounted in.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Keys that cookies are signed and encrypted with, the newest first.
    pub keys: Option<Arc<Keys>>,
    /// Which proxies are believed; none when unset.
    pub proxies: Option<Arc<Proxies>>,
    /// Labels at the end of a host name that are no subdomains; 2 when unset.
    pub subdomain_offset: Option<usize>,
}

/// Whose word counts on who the client is.
#[derive(Clone, Debug)]
pub enum Proxies {
    /// Peers in `trust`, by `X-Forwarded-For`, `-Proto` and `-Host`.
    XForwarded(Trust),
    /// Peers in `trust`, by `Forwarded` (RFC 7239).
    Forwarded(Trust),
    /// Everybody, as Koa does with `proxy = true`: whoever reaches the server can claim any address.
    Everybody {
        /// The header that names the addresses: `x-forwarded-for` in Koa's default.
        header: HeaderName,
        /// Takes only so many addresses from the right; 0 takes all.
        max_ips: usize,
    },
}

impl Settings {
    /// The settings of an app mounted in one with the settings `outer`.
    pub(crate) fn inherit(&self, outer: &Self) -> Self {
        Self {
            keys: self.keys.clone().or_else(|| outer.keys.clone()),
            proxies: self.proxies.clone().or_else(|| outer.proxies.clone()),
            subdomain_offset: self.subdomain_offset.or(outer.subdomain_offset),
        }
    }
}
