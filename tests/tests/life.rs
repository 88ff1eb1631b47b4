//! The lives of programs in a cluster: the hooks of its workers, in their order, at their pace, and when one fails.

use std::{collections::BTreeMap, fs, path::Path};

use cepa_tests::{
    cluster::{Cluster, Starting, is_alive, signal},
    stats::eventually,
    wire::Wire,
};
use rustix::process::Signal;

fn living(how: &str) -> Starting {
    let starting = Starting::new(env!("CARGO_BIN_EXE_living")).set("cluster.workers=2");
    fs::write(starting.folder().join("how"), how).expect("the folder is there");
    starting
}

/// What has happened so far: the process, whose hook, and which.
fn diary(folder: &Path) -> Vec<(u32, String)> {
    let text = fs::read_to_string(folder.join("diary")).unwrap_or_default();
    let entry = |line: &str| {
        let (pid, what) = line.split_once(' ')?;
        Some((pid.parse().ok()?, what.to_owned()))
    };
    text.lines().map(|line| entry(line).expect("an entry names its process")).collect()
}

/// The same, of each process.
fn lives(folder: &Path) -> BTreeMap<u32, Vec<String>> {
    let mut lives: BTreeMap<u32, Vec<String>> = BTreeMap::new();
    for (pid, what) in diary(folder) {
        lives.entry(pid).or_default().push(what);
    }
    lives
}

fn count(cluster: &Cluster, what: &str) -> usize {
    diary(cluster.folder()).iter().filter(|(_, noted)| noted == what).count()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// A text in which the places in the program do not depend on what else stands there.
fn lineless(text: &str) -> String {
    let mut pieces = text.split("living.rs:");
    let first = pieces.next().unwrap_or_default().to_owned();
    pieces.fold(first, |text, piece| {
        text + "living.rs:LINE" + piece.trim_start_matches(|digit: char| digit.is_ascii_digit())
    })
}

const START: [&str; 8] = [
    "store config_will_load",
    "store config_did_load",
    "store did_load",
    "app did_load",
    "store will_ready",
    "app will_ready",
    "store did_ready",
    "app did_ready",
];

#[test]
fn every_worker_lives_in_order_and_serves_when_all_are_ready() {
    let mut cluster = living("").start();
    let served = ["store server_did_ready", "app server_did_ready"];
    eventually("all have begun", || count(&cluster, served[1]) == 2);
    let noted = diary(cluster.folder());
    let all_ready = noted.iter().rposition(|(_, what)| what == "app did_ready").unwrap();
    let first_serves = noted.iter().position(|(_, what)| what == served[0]).unwrap();
    assert!(all_ready < first_serves, "{noted:?}");

    cluster.status();
    cluster.signal(Signal::TERM);
    assert_eq!(cluster.ended().code(), Some(0));
    let closed = ["app before_close", "store before_close"];
    let expected: Vec<_> = START.into_iter().chain(served).chain(closed).collect();
    let lives = lives(cluster.folder());
    assert_eq!(lives.len(), 2);
    for life in lives.values() {
        assert_eq!(*life, expected);
    }
}

#[test]
fn a_start_fails_with_what_a_hook_has_failed_with() {
    for (how, reason) in [
        (
            "did_load fails",
            "did_load of the app (tests/src/bin/living.rs:LINE): the moon is full\n  at tests/src",
        ),
        ("will_ready fails", "will_ready of the app (tests/src/bin/living.rs:LINE): the moon is full\n"),
        ("did_ready fails", "did_ready of the app (tests/src/bin/living.rs:LINE): the moon is full\n"),
        ("did_load panics", "did_load of the app (tests/src/bin/living.rs:LINE): panicked: at the moon\n"),
        ("did_ready panics", "did_ready of the app (tests/src/bin/living.rs:LINE): panicked: at the moon\n"),
        ("app panics", "panicked: at the moon\n"),
        ("will_ready hangs", "it was not ready within 1s (cluster.ready_timeout)"),
    ] {
        let mut cluster = living(how).set("cluster.ready_timeout=1s").set("cluster.workers=1").spawn();
        assert_eq!(cluster.ended().code(), Some(1), "{how}");
        let told = format!("error: worker 0 has not started: {reason}");
        eventually("the reason is told", || lineless(&cluster.log()).contains(&told));
        // What was opened is closed, but for a process that had to be killed.
        let closed = count(&cluster, "store before_close");
        assert_eq!(closed, usize::from(!how.ends_with("hangs") && how != "app panics"), "{how}");
    }
}

#[test]
fn a_hook_that_is_slow_is_named() {
    let mut cluster = living("did_load 300").set("lifecycle.slow=100ms").start();
    let named = "did_load of the app (tests/src/bin/living.rs:LINE)";
    let log = lineless(&cluster.log());
    assert!(log.contains(&format!("{named} has been at work for 100ms; waiting for it")), "{log}");
    assert!(log.contains(&format!("{named} took ")), "{log}");
    assert!(!log.contains("of the plugin `store`"), "{log}");
    cluster.status();
    cluster.stop();
}

#[test]
fn who_is_still_opening_does_not_outlive_the_master() {
    let cluster = living("did_load hangs").spawn();
    eventually("they open", || count(&cluster, "app did_load") == 2);
    cluster.signal(Signal::KILL);
    let lives = lives(cluster.folder());
    eventually("they are gone", || !lives.keys().any(|pid| is_alive(*pid)));
}

#[test]
fn before_close_has_its_time_and_not_more() {
    let mut cluster = living("before_close hangs").set("lifecycle.close=500ms").start();
    cluster.status();
    cluster.signal(Signal::TERM);
    assert_eq!(cluster.ended().code(), Some(0));
    let given_up = || cluster.log().matches("before_close has not ended within 500ms").count();
    eventually("both say so", || given_up() == 2);
    assert_eq!(count(&cluster, "store before_close"), 0);

    // Longer than a loop may stand still, and than a process has to end.
    let mut cluster = living("before_close 4500")
        .set("cluster.beat_timeout=2s")
        .set("cluster.kill_after=1s")
        .set("server.limits.drain=1s")
        .start();
    cluster.status();
    cluster.signal(Signal::TERM);
    assert_eq!(cluster.ended().code(), Some(0), "{}", cluster.log());
    assert_eq!(count(&cluster, "store before_close"), 2, "{}", cluster.log());

    let mut cluster = living("before_close panics").start();
    cluster.status();
    cluster.signal(Signal::TERM);
    assert_eq!(cluster.ended().code(), Some(0));
    assert_eq!(count(&cluster, "store before_close"), 2, "the others are closed all the same");
    eventually("it is told", || cluster.log().contains("panicked: at the moon"));
}

#[test]
fn a_worker_that_fails_while_it_serves_finishes_and_is_replaced() {
    let mut cluster = living("server_did_ready fails late").set("cluster.workers=1").start();
    let mut wire = Wire::open(cluster.address(), get("/slow/1500"));
    eventually("the hook is at it", || count(&cluster, "app server_did_ready") == 1);
    cluster.how("");
    eventually("it is replaced", || {
        let serving = cluster.serving();
        serving.len() == 1 && serving[0].restarts == 1
    });
    let response = wire.response();
    let served_by: u32 = response.text().parse().unwrap();
    let next = cluster.serving()[0].pid;
    assert_ne!(served_by, next, "the one that has begun it has finished it");
    let mut wire = Wire::open(cluster.address(), get("/"));
    assert_eq!(wire.response().text(), next.to_string());
    cluster.wait_until_it_is_calm();
    let log = lineless(&cluster.log());
    assert!(
        log.contains("server_did_ready of the app (tests/src/bin/living.rs:LINE): the moon is full"),
        "{log}"
    );
    let life = &lives(cluster.folder())[&served_by];
    assert_eq!(life[10..], ["app before_close", "store before_close"]);
    cluster.stop();
}

#[test]
fn workers_that_all_fail_while_they_serve_end_the_cluster() {
    for how in ["fails", "panics"] {
        let starting = living(&format!("server_did_ready {how}")).set("cluster.workers=1");
        let mut cluster = starting.set("cluster.reforks=2").spawn();
        assert_eq!(cluster.ended().code(), Some(1), "{}", cluster.log());
        let reason = "error: 3 processes have ended by themselves within 60s";
        eventually("the reason is told", || cluster.log().contains(reason));
        let lives = lives(cluster.folder());
        assert_eq!(lives.len(), 3, "{lives:?}");
        assert!(lives.values().all(|life| life.ends_with(&["store before_close".to_owned()])), "{lives:?}");
    }
}

#[test]
fn a_hook_that_hangs_while_others_serve_holds_up_no_end() {
    let mut cluster = living("server_did_ready hangs").start();
    let mut wire = Wire::open(cluster.address(), get("/"));
    assert_eq!(wire.response().status, 200);
    cluster.status();
    cluster.signal(Signal::TERM);
    assert_eq!(cluster.ended().code(), Some(0));
    assert_eq!(count(&cluster, "store before_close"), 2);

    // The same without a cluster.
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("how"), "server_did_ready hangs").unwrap();
    let mut alone = std::process::Command::new(env!("CARGO_BIN_EXE_living"))
        .args(["serve", "--listen", "127.0.0.1:0"])
        .current_dir(folder.path())
        .spawn()
        .unwrap();
    eventually("it serves", || diary(folder.path()).iter().any(|(_, what)| what == "app server_did_ready"));
    signal(alone.id(), Signal::TERM);
    eventually("it ends", || alone.try_wait().unwrap().is_some());
    assert!(diary(folder.path()).iter().any(|(_, what)| what == "store before_close"));
}
