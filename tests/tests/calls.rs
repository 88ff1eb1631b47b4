//! Calls from one app to another, on a server: how deep they go, what ends them, and what a cluster counts of apps.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{sync::Arc, time::Duration};

use cepa_core::{App, Ctx, Hosts, Result};
use cepa_server::{Protocol, limits::Limits};
use cepa_tests::{
    Served, Serving,
    fastcgi::{Answer, get, open},
    probe::Record,
    site::Site,
    stats::eventually,
    wire::Wire,
};

/// Two hosts: the first calls the second, or itself without end; the second hangs until it is dropped.
fn app(record: &Record) -> App {
    struct Dropped(Record);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.note("dropped");
        }
    }
    let record = record.clone();
    let one = App::new()
        .get("/deep", async |ctx: &mut Ctx| -> Result<String> {
            let answer = ctx.call("", "/deep", &[]).await?;
            Ok(format!("{}{}", answer.status().as_u16(), answer.text().await?))
        })
        .get("/hang", async |ctx: &mut Ctx| -> Result<String> {
            ctx.call("two.test", "/", &[]).await?.text().await
        });
    let two = App::new().get("/", async move |_: &mut Ctx| -> Result {
        record.note("runs");
        let _dropped = Dropped(record.clone());
        std::future::pending().await
    });
    let list =
        [("one.test", one), ("two.test", two)].map(|(name, app)| (name.to_owned(), app.build().unwrap()));
    let hosts = Hosts::new(list, |name| match name {
        "two.test" => Some(1),
        _ => Some(0),
    });
    App::new().hosts(Arc::clone(&hosts)).fallback(async move |ctx: &mut Ctx| match hosts.find(ctx.host()) {
        Some(at) => hosts.enter(at, ctx).await,
        None => Err(ctx.error(400, "no host")),
    })
}

fn served(record: &Record, change: impl FnOnce(&mut Limits)) -> Served {
    Serving::new(app(record)).and_door(Protocol::FastCgi).limits(change).start().unwrap()
}

/// The status and the body, by HTTP and by FastCGI.
fn ask(served: &Served, path: &str) -> [(u16, String); 2] {
    let mut wire = Wire::open(served.address(), format!("GET {path} HTTP/1.1\r\nhost: one.test\r\n\r\n"));
    let http = wire.response();
    let fastcgi = Answer::read(&mut open(served.addresses()[1], &get(1, path)), 1).unwrap();
    [(http.status, String::from_utf8(http.body).unwrap()), (fastcgi.status, fastcgi.text())]
}

#[test]
fn a_call_is_as_deep_as_the_limit() {
    for (depth, text) in [(1, "508Loop Detected"), (3, "200200508Loop Detected")] {
        let served = served(&Record::default(), |limits| limits.call_depth = depth);
        assert_eq!(ask(&served, "/deep"), [(200, text.to_owned()), (200, text.to_owned())], "{depth}");
    }
    let served = served(&Record::default(), |limits| limits.call_depth = 0);
    let none = (508, "Loop Detected".to_owned());
    assert_eq!(ask(&served, "/deep"), [none.clone(), none]);
}

#[test]
fn a_call_ends_with_the_time_of_its_request() {
    let record = Record::default();
    let served = served(&record, |limits| limits.request_time = Duration::from_secs(1));
    let [http, fastcgi] = ask(&served, "/hang");
    assert_eq!((http.0, fastcgi.0), (503, 503));
    assert_eq!(record.take(), ["runs", "dropped", "runs", "dropped"]);
}

#[test]
fn a_call_ends_with_its_client() {
    let record = Record::default();
    let served = served(&record, |_| {});
    let wire = Wire::open(served.address(), "GET /hang HTTP/1.1\r\nhost: one.test\r\n\r\n");
    eventually("it runs", || record.has("runs"));
    drop(wire);
    eventually("it is dropped", || record.has("dropped"));
}

#[test]
fn the_status_of_a_cluster_tells_what_its_app_has_done() {
    let mut site = Site::new(env!("CARGO_BIN_EXE_clustered"));
    site.how("one");
    site.run("start --daemon").done();
    let status = site.status();
    let mut wire = Wire::open(status.master.listen[0].parse().unwrap(), "");
    for path in ["/", "/", "/none"] {
        wire.send(format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        wire.response();
    }
    let workers = status.processes.len() as u64 - 1;
    eventually("all is told", || {
        site.status().apps.iter().any(|app| app.host.is_none() && (app.loads, app.hits) == (workers, 3))
    });
    let app = &site.status().apps[0];
    assert_eq!((app.errors, app.bytes, app.bytes_per_hit), (0, 3 + 3 + 9, 5));
    assert!(
        app.ms.timed == 3 && app.ms.p50 > 0.0 && app.ms.p50 <= app.ms.p99 && app.ms.p99 <= app.ms.max,
        "{app:?}"
    );
    let json: serde_json::Value = serde_json::from_str(&site.run("status --json").done()).unwrap();
    assert_eq!(json["apps"][0]["hits"], 3);
    // What is loaded anew begins anew.
    site.run("reload").done();
    eventually("it begins at nothing", || {
        site.status().apps.iter().all(|app| (app.loads, app.hits) == (workers, 0))
    });
    site.run("stop").done();
}
