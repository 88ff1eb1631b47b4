//! Asking upstreams how they are.

use std::{
    rc::Rc,
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    time::Duration,
};

use cepa_core::{Body, units};
use http::{HeaderValue, Request, Uri, header::HOST};
use serde::Deserialize;
use tokio::{
    task::spawn_local,
    time::{sleep, timeout},
};

use super::{Inner, Proxy, upstream::Upstream};
use crate::outbound::Progress;

/// How upstreams are asked whether they are well: a GET that is to be answered with a status below 400.
///
/// One worker asks, from the first request that comes through the proxy on.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Health {
    /// The path that is asked for, after the upstream's own; default `/`.
    pub path: String,
    /// Time from one question to the next, default 10 s.
    #[serde(with = "units::duration")]
    pub interval: Duration,
    /// Time for the answer, default 2 s.
    #[serde(with = "units::duration")]
    pub timeout: Duration,
}

impl Default for Health {
    fn default() -> Self {
        Self { path: "/".to_owned(), interval: Duration::from_secs(10), timeout: Duration::from_secs(2) }
    }
}

impl Health {
    /// Whether the path can be asked for.
    pub(super) fn is_valid(&self) -> bool {
        self.path.starts_with('/') && self.path.parse::<Uri>().is_ok()
    }
}

impl Proxy {
    /// Sees to it that some worker asks the upstreams how they are, if that is wanted.
    pub(super) fn watch(&self) {
        let Some(health) = &self.0.options.health else { return };
        let is_watched = &self.0.upstreams.is_watched;
        if is_watched.load(Relaxed) || is_watched.swap(true, Relaxed) {
            return;
        }
        let watch = Rc::new(Watch(Arc::downgrade(&self.0)));
        let interval = health.interval.max(Duration::from_millis(10));
        for at in 0..self.0.upstreams.iter().count() {
            let watch = Rc::clone(&watch);
            spawn_local(async move {
                while let Some(inner) = watch.0.upgrade() {
                    if let Some(upstream) = inner.upstreams.iter().nth(at) {
                        inner.ask(upstream).await;
                    }
                    drop(inner);
                    sleep(interval).await;
                }
            });
        }
    }
}

/// The duty to ask. When its worker ends, another one takes it over with its next request.
struct Watch(Weak<Inner>);

impl Drop for Watch {
    fn drop(&mut self) {
        if let Some(inner) = self.0.upgrade() {
            inner.upstreams.is_watched.store(false, Relaxed);
        }
    }
}

impl Inner {
    async fn ask(&self, upstream: &Upstream) {
        let Some(health) = &self.options.health else { return };
        let (Ok(uri), Ok(host)) = (
            Uri::try_from(format!("{}{}", upstream.base, health.path)),
            HeaderValue::try_from(upstream.origin.authority()),
        ) else {
            return;
        };
        let mut request = Request::new(Body::empty());
        *request.uri_mut() = uri;
        request.headers_mut().insert(HOST, host);
        let progress = Progress::new();
        let answer = self.dialer.send(&upstream.origin, request, None, health.timeout, &progress);
        let is_well = match timeout(health.timeout, answer).await {
            Ok(Ok(answer)) => answer.status().as_u16() < 400,
            _ => false,
        };
        let was_ill = upstream.is_ill.swap(!is_well, Relaxed);
        if was_ill == is_well {
            let state = if is_well { "well again" } else { "ill" };
            tracing::warn!(target: "cepa::proxy", upstream = %upstream.origin, "an upstream is {state}");
        }
    }
}
