//! What the apps of a cluster have done, over all its workers.

use std::{collections::BTreeMap, time::Duration};

use cepa_core::{Statistics, statistics::Times};
use serde::{Deserialize, Serialize};

use crate::ipc::Figures;

/// The most apps that a cluster keeps figures of; those of more hosts are not told.
const MOST: usize = 10_000;

/// What one app has done since the processes that run were started.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AppStatus {
    /// The host it answers for; none for the app that all requests are made to.
    pub host: Option<String>,
    /// In how many processes it is loaded.
    pub loads: u64,
    /// Requests that were answered.
    pub hits: u64,
    /// Requests that were begun and wait for something.
    pub instances: u64,
    /// Requests of `hits` whose answer was a failure of the server (5xx).
    pub errors: u64,
    /// Requests that ended before their answer, because the client had gone or their time was over.
    pub cut: u64,
    /// Bytes of bodies of answers.
    pub bytes: u64,
    /// `bytes` by `hits`, rounded down.
    pub bytes_per_hit: u64,
    /// Milliseconds from the head of a request to its answer.
    pub ms: TimeStatus,
}

/// How long requests took, in milliseconds. On a thread with many requests some of them are timed, in place of all.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TimeStatus {
    /// How many were timed.
    pub timed: u64,
    /// The mean.
    pub mean: f64,
    /// What half of them did not pass, to 25 %.
    pub p50: f64,
    /// What nine of ten did not pass.
    pub p90: f64,
    /// What 99 of 100 did not pass.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

/// What each process has told of its apps, by their hosts.
pub(crate) type AppFigures = BTreeMap<Option<String>, Statistics>;

/// Takes what a process says; there is no end to what it may say, but to what is kept.
pub(crate) fn take(kept: &mut AppFigures, said: Vec<Figures>) {
    for Figures { host, statistics } in said {
        if kept.len() < MOST || kept.contains_key(&host) {
            kept.insert(host, statistics);
        }
    }
}

/// The apps of all processes, the one that all requests are made to first, the others by their names.
pub(crate) fn merged<'f>(processes: impl Iterator<Item = &'f AppFigures>) -> Vec<AppStatus> {
    let mut all = AppFigures::new();
    for (host, statistics) in processes.flatten() {
        if let Some(sum) = all.get_mut(host) {
            sum.merge(statistics);
        } else if all.len() < MOST {
            all.insert(host.clone(), statistics.clone());
        }
    }
    all.into_iter().map(AppStatus::from).collect()
}

impl From<(Option<String>, Statistics)> for AppStatus {
    fn from((host, all): (Option<String>, Statistics)) -> Self {
        Self {
            host,
            loads: all.loads,
            hits: all.hits,
            instances: all.instances,
            errors: all.errors,
            cut: all.cut,
            bytes: all.bytes,
            bytes_per_hit: all.bytes_per_hit(),
            ms: TimeStatus::from(&all.time),
        }
    }
}

impl From<&Times> for TimeStatus {
    fn from(times: &Times) -> Self {
        // Microseconds are as much as anybody reads.
        let ms = |time: Duration| time.as_nanos().div_ceil(1000) as f64 / 1000.0;
        Self {
            timed: times.count(),
            mean: ms(times.mean()),
            p50: ms(times.percentile(50.0)),
            p90: ms(times.percentile(90.0)),
            p99: ms(times.percentile(99.0)),
            max: ms(times.max()),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn figures(host: Option<&str>, hits: u64) -> Figures {
        let statistics = json!({
            "loads": 1, "hits": hits, "errors": 1, "bytes": 10 * hits,
            "time": {"count": 2, "sum": 3_000_000, "max": 2_000_000, "buckets": [[48, 1], [52, 1]]},
        });
        Figures { host: host.map(str::to_owned), statistics: serde_json::from_value(statistics).unwrap() }
    }

    #[test]
    fn apps_are_added_up_over_processes() {
        let (mut first, mut second) = (AppFigures::new(), AppFigures::new());
        take(&mut first, vec![figures(Some("b"), 1), figures(None, 3), figures(Some("b"), 2)]);
        take(&mut second, vec![figures(Some("a"), 5), figures(Some("b"), 7)]);
        let all = merged([&first, &second].into_iter());
        let seen: Vec<_> =
            all.iter().map(|app| (app.host.as_deref(), app.loads, app.hits, app.errors)).collect();
        assert_eq!(seen, [(None, 1, 3, 1), (Some("a"), 1, 5, 1), (Some("b"), 2, 9, 2)]);
        assert_eq!((all[2].bytes_per_hit, all[2].ms.timed, all[2].ms.mean), (10, 4, 1.5));
        let whole = json!({
            "host": null, "loads": 1, "hits": 3, "instances": 0, "errors": 1, "cut": 0, "bytes": 30, "bytes_per_hit": 10,
            "ms": {"timed": 2, "mean": 1.5, "p50": 1.049, "p90": 2.0, "p99": 2.0, "max": 2.0},
        });
        assert_eq!(serde_json::to_value(&all[0]).unwrap(), whole);
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut kept = AppFigures::new();
        take(&mut kept, (0..MOST + 5).map(|at| figures(Some(&at.to_string()), 1)).collect());
        take(&mut kept, vec![figures(Some("0"), 9)]);
        assert_eq!((kept.len(), kept[&Some("0".to_owned())].hits), (MOST, 9));
        let mut other = AppFigures::new();
        take(&mut other, vec![figures(Some("other"), 1)]);
        assert_eq!(merged([&kept, &other].into_iter()).len(), MOST);
    }
}
