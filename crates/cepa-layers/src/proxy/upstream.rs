//! The servers behind the proxy: which are well, and which has the least to do.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use http::Uri;

use super::{InvalidOptions, Options};
use crate::outbound::{Origin, Place};

/// What is wrong with an upstream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("upstream {upstream:?}: {reason}")]
pub struct InvalidUpstream {
    upstream: String,
    reason: &'static str,
}

/// The servers, with what is known of them; shared by all workers.
#[derive(Debug)]
pub(super) struct Upstreams {
    all: Vec<Arc<Upstream>>,
    /// Where to begin looking, so that servers with the same load take turns.
    turn: AtomicUsize,
    most: usize,
    fails: u32,
    rest: Duration,
    /// Whether some worker asks them how they are.
    pub(super) is_watched: AtomicBool,
}

/// A server behind the proxy.
#[derive(Debug)]
pub(super) struct Upstream {
    pub(super) origin: Origin,
    /// Put before the path of each request; without a slash at its end.
    pub(super) base: String,
    at_hand: AtomicUsize,
    /// In a row.
    fails: AtomicU32,
    /// Milliseconds after `epoch`.
    rests_until: AtomicU64,
    epoch: Instant,
    /// What the last health check has found.
    pub(super) is_ill: AtomicBool,
}

/// A request at hand with an upstream, for as long as it lives.
#[derive(Debug)]
pub(super) struct Lease {
    pub(super) upstream: Arc<Upstream>,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.upstream.at_hand.fetch_sub(1, Relaxed);
    }
}

/// The upstreams that a request was sent to before.
#[derive(Debug, Default)]
pub(super) struct Tried(Vec<usize>);

impl Tried {
    pub(super) fn all(&self, upstreams: &Upstreams) -> bool {
        self.0.len() == upstreams.all.len()
    }
}

impl Upstreams {
    pub(super) fn new(options: &Options) -> Result<Self, InvalidOptions> {
        let all = options.upstreams.iter().map(|text| Upstream::parse(text).map(Arc::new));
        let all = all.collect::<Result<Vec<_>, _>>()?;
        if all.is_empty() {
            return Err(InvalidOptions::NoUpstream);
        }
        Ok(Self {
            all,
            turn: AtomicUsize::new(0),
            most: options.requests,
            fails: options.fails.max(1),
            rest: options.rest,
            is_watched: AtomicBool::new(false),
        })
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Arc<Upstream>> {
        self.all.iter()
    }

    /// The one with the fewest requests at hand, among those that are well if any is; `None` when all that were not
    /// tried yet have as many as they may.
    pub(super) fn choose(&self, tried: &mut Tried) -> Option<Lease> {
        let begin = self.turn.fetch_add(1, Relaxed) % self.all.len();
        loop {
            let candidates = (0..self.all.len()).map(|step| (begin + step) % self.all.len());
            let candidates = candidates.filter(|at| !tried.0.contains(at));
            let load = |at: &usize| {
                let upstream = &self.all[*at];
                (!upstream.is_well(), upstream.at_hand.load(Relaxed))
            };
            let open = candidates.filter(|at| self.all[*at].at_hand.load(Relaxed) < self.most);
            let at = open.min_by_key(load)?;
            // Another worker may have taken the last place meanwhile.
            if let Some(lease) = self.lease(at) {
                tried.0.push(at);
                return Some(lease);
            }
        }
    }

    fn lease(&self, at: usize) -> Option<Lease> {
        let upstream = &self.all[at];
        let more = |at_hand| (at_hand < self.most).then_some(at_hand + 1);
        upstream.at_hand.fetch_update(Relaxed, Relaxed, more).ok()?;
        Some(Lease { upstream: Arc::clone(upstream) })
    }

    /// Notes that an upstream has answered.
    pub(super) fn succeeded(&self, upstream: &Upstream) {
        // Most answers find it at 0: a store by each would make the workers fight over it.
        if upstream.fails.load(Relaxed) != 0 {
            upstream.fails.store(0, Relaxed);
        }
    }

    /// Notes that an upstream has failed; after so many times in a row it rests.
    pub(super) fn failed(&self, upstream: &Upstream) {
        let fails = upstream.fails.fetch_add(1, Relaxed).saturating_add(1);
        if fails >= self.fails {
            let until = upstream.epoch.elapsed() + self.rest;
            upstream.rests_until.store(until.as_millis() as u64, Relaxed);
            tracing::warn!(target: "cepa::proxy", upstream = %upstream.origin, fails, "an upstream rests");
        }
    }
}

impl Upstream {
    fn parse(text: &str) -> Result<Self, InvalidUpstream> {
        let invalid = |reason| InvalidUpstream { upstream: text.to_owned(), reason };
        if let Some(path) = text.strip_prefix("unix:") {
            if !path.starts_with('/') {
                return Err(invalid("the path of a socket begins with a slash"));
            }
            let place = Place::Unix(std::path::Path::new(path).into());
            return Ok(Self::new(Origin { tls: false, place }, String::new()));
        }
        let uri: Uri = text.parse().map_err(|_| invalid("it is no URL"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(invalid("write http://host:port, https://host or unix:/path")),
        };
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if cepa_core::host::validate(authority.as_bytes()).is_err() || authority.contains('%') {
            return Err(invalid("its host is none, or has user information before it"));
        }
        if uri.query().is_some() || text.contains('#') {
            return Err(invalid("it has a query or a fragment"));
        }
        let name = uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let port = uri.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let place = Place::Host(name.to_ascii_lowercase().into(), port);
        let base = uri.path().trim_end_matches('/').to_owned();
        if super::path::climbs(&base) {
            return Err(invalid("its path has `..`"));
        }
        Ok(Self::new(Origin { tls, place }, base))
    }

    fn new(origin: Origin, base: String) -> Self {
        Self {
            origin,
            base,
            at_hand: AtomicUsize::new(0),
            fails: AtomicU32::new(0),
            rests_until: AtomicU64::new(0),
            epoch: Instant::now(),
            is_ill: AtomicBool::new(false),
        }
    }

    fn is_well(&self) -> bool {
        if self.is_ill.load(Relaxed) {
            return false;
        }
        // Reading the clock for each choice is not needed as long as nothing has failed.
        let until = self.rests_until.load(Relaxed);
        until == 0 || self.epoch.elapsed().as_millis() as u64 >= until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn upstreams(count: usize, change: impl FnOnce(&mut Options)) -> Upstreams {
        let upstreams = (0..count).map(|at| format!("http://10.0.0.{at}")).collect();
        let mut options = Options { upstreams, ..Options::default() };
        change(&mut options);
        Upstreams::new(&options).unwrap()
    }

    impl Lease {
        fn at(&self, upstreams: &Upstreams) -> usize {
            upstreams.iter().position(|one| Arc::ptr_eq(one, &self.upstream)).unwrap()
        }
    }

    fn once(upstreams: &Upstreams) -> Lease {
        upstreams.choose(&mut Tried::default()).unwrap()
    }

    #[test]
    fn parses() {
        let table = [
            ("http://a", "http://a", ""),
            ("https://A:8443/base/", "https://a:8443", "/base"),
            ("http://[::1]:80", "http://[::1]", ""),
            ("unix:/run/a.sock", "unix:/run/a.sock", ""),
        ];
        for (text, origin, base) in table {
            let upstream = Upstream::parse(text).unwrap();
            assert_eq!(
                (upstream.origin.to_string().as_str(), upstream.base.as_str()),
                (origin, base),
                "{text}"
            );
        }
        for text in [
            "",
            "a",
            "a:80",
            "ftp://a",
            "http://",
            "http://u@a",
            "http://a?q",
            "http://a/#f",
            "unix:a",
            "http://a/../b",
            "/path",
        ] {
            assert!(Upstream::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_least_loaded_is_chosen_and_equals_take_turns() {
        let upstreams = upstreams(3, |_| {});
        let leases: Vec<Lease> = (0..6).map(|_| once(&upstreams)).collect();
        let load = |upstreams: &Upstreams| -> Vec<usize> {
            upstreams.iter().map(|upstream| upstream.at_hand.load(Relaxed)).collect()
        };
        assert_eq!(load(&upstreams), [2, 2, 2]);
        let freed = leases.into_iter().next().unwrap().at(&upstreams);
        assert_eq!(load(&upstreams), [0, 0, 0]);
        let held: Vec<_> =
            (0..3).map(|_| once(&upstreams)).filter(|lease| lease.at(&upstreams) != freed).collect();
        assert_eq!(once(&upstreams).at(&upstreams), freed);
        drop(held);
    }

    #[test]
    fn a_full_one_is_passed_over_and_all_full_is_none() {
        let upstreams = upstreams(2, |options| options.requests = 1);
        let (first, second) = (once(&upstreams), once(&upstreams));
        assert_ne!(first.at(&upstreams), second.at(&upstreams));
        assert!(upstreams.choose(&mut Tried::default()).is_none());
        drop(first);
        assert!(upstreams.choose(&mut Tried::default()).is_some());
    }

    #[test]
    fn what_fails_rests_and_what_was_tried_is_not_tried_again() {
        let upstreams = upstreams(2, |options| {
            options.fails = 2;
        });
        let bad = once(&upstreams);
        upstreams.failed(&bad.upstream);
        assert!(bad.upstream.is_well());
        upstreams.failed(&bad.upstream);
        assert!(!bad.upstream.is_well());
        let bad_at = bad.at(&upstreams);
        drop(bad);
        for _ in 0..4 {
            assert_ne!(once(&upstreams).at(&upstreams), bad_at);
        }
        let mut tried = Tried::default();
        assert_ne!(upstreams.choose(&mut tried).unwrap().at(&upstreams), bad_at);
        // Better one that rests than none.
        assert_eq!(upstreams.choose(&mut tried).unwrap().at(&upstreams), bad_at);
        assert!(upstreams.choose(&mut tried).is_none());
        let bad = &upstreams.all[bad_at];
        bad.rests_until.store(0, Relaxed);
        assert!(bad.is_well());
        upstreams.failed(bad);
        assert!(!bad.is_well(), "after a rest one failure is enough");
        upstreams.succeeded(bad);
        assert_eq!(bad.fails.load(Relaxed), 0);
    }
}
