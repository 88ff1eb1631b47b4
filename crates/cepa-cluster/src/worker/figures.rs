//! What the apps of a worker have done, as it is told to the master.

use std::sync::Arc;

use cepa_core::{Onion, Statistics};

use crate::ipc::{Figures, Report};

/// How many apps one message tells of: with every bucket of times filled, some 3 KiB each, it is within a line's longest.
const AT_ONCE: usize = 200;
/// After so many times everything is said again, for a master that has taken over from another.
const ANEW: u32 = 30;

/// What was told last.
pub(super) struct Told {
    onion: Arc<Onion>,
    last: Vec<Statistics>,
    times: u32,
}

impl Told {
    pub(super) fn new(onion: Arc<Onion>) -> Self {
        Self { onion, last: Vec::new(), times: 0 }
    }

    /// What has changed since the last time.
    pub(super) fn news(&mut self) -> Vec<Report> {
        if self.times.is_multiple_of(ANEW) {
            self.last.clear();
        }
        self.times = self.times.wrapping_add(1);
        let hosts = self.onion.hosts().map_or(&[][..], |hosts| hosts.list());
        let hosts = hosts.iter().map(|host| (Some(host.name()), host.statistics()));
        let all = [(None, self.onion.statistics())].into_iter().chain(hosts);
        let mut figures = Vec::new();
        for (at, (host, statistics)) in all.enumerate() {
            if self.last.get(at) == Some(&statistics) {
                continue;
            }
            match self.last.get_mut(at) {
                Some(last) => last.clone_from(&statistics),
                None => self.last.push(statistics.clone()),
            }
            figures.push(Figures { host: host.map(str::to_owned), statistics });
        }
        let mut reports = Vec::new();
        while !figures.is_empty() {
            let rest = figures.split_off(figures.len().min(AT_ONCE));
            reports.push(Report::Figures(std::mem::replace(&mut figures, rest)));
        }
        reports
    }
}

#[cfg(test)]
mod tests {
    use cepa_core::{
        App, Ctx, Hosts,
        test::{Client, block_on},
    };

    use super::*;

    fn app(hosts: usize) -> Arc<Onion> {
        let list = (0..hosts).map(|at| {
            let app = App::new().get("/", async |_: &mut Ctx| "hi").build().unwrap();
            (format!("h{at}.test"), app)
        });
        let hosts = Hosts::new(list, |name| name.strip_prefix('h')?.strip_suffix(".test")?.parse().ok());
        let app = App::new().hosts(Arc::clone(&hosts)).fallback(async move |ctx: &mut Ctx| {
            let at = hosts.find(ctx.host()).expect("the tests ask for what there is");
            hosts.enter(at, ctx).await
        });
        app.build().unwrap()
    }

    fn names(reports: &[Report]) -> Vec<(String, u64)> {
        let figures = reports.iter().flat_map(|report| match report {
            Report::Figures(figures) => figures.clone(),
            other => panic!("{other:?}"),
        });
        figures.map(|of| (of.host.unwrap_or_else(|| "all".to_owned()), of.statistics.hits)).collect()
    }

    #[test]
    fn what_has_changed_is_said_and_everything_now_and_then() {
        let onion = app(3);
        let client = Client::new(Arc::clone(&onion));
        let mut told = Told::new(onion);
        let all = |hits: u64, one: u64| {
            [("all", hits), ("h0.test", 0), ("h1.test", one), ("h2.test", 0)]
                .map(|(name, hits)| (name.to_owned(), hits))
        };
        assert_eq!(names(&told.news()), all(0, 0));
        assert!(told.news().is_empty());
        block_on(client.get("/").header("host", "h1.test"));
        assert_eq!(names(&told.news()), [("all".to_owned(), 1), ("h1.test".to_owned(), 1)]);
        for _ in 3..ANEW {
            assert!(told.news().is_empty());
        }
        assert_eq!(names(&told.news()), all(1, 1));
    }

    #[test]
    fn many_hosts_are_more_than_one_message() {
        let reports = Told::new(app(2 * AT_ONCE)).news();
        assert_eq!(reports.len(), 3);
        assert_eq!(names(&reports).len(), 2 * AT_ONCE + 1);
    }

    #[test]
    fn the_longest_message_can_be_sent() {
        let times = r#"{"count":18446744073709551615,"sum":18446744073709551615,"max":18446744073709551615,"buckets":["#;
        let buckets: Vec<_> = (0..137).map(|at| format!("[{at},{}]", u64::MAX)).collect();
        let times = format!("{times}{}]}}", buckets.join(","));
        let most = u64::MAX;
        let text = format!(
            r#"{{"loads":{most},"hits":{most},"instances":{most},"errors":{most},"cut":{most},"bytes":{most},"time":{times}}}"#
        );
        let statistics: Statistics = serde_json::from_str(&text).unwrap();
        let host = Some("h".repeat(255));
        let report = Report::Figures(vec![Figures { host, statistics }; AT_ONCE]);
        assert!(serde_json::to_vec(&report).unwrap().len() < crate::ipc::LONGEST);
    }
}
