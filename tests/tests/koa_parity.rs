//! Replays the cases recorded from Koa against `examples/koa_parity`, over sockets: a test for each app in it.

use std::fmt::Write as _;

use cepa_tests::{
    koa::{Differences, Recording},
    serve,
};

#[test]
fn main_app() {
    replay("main");
}

#[test]
fn px() {
    replay("px");
}

#[test]
fn pq() {
    replay("pq");
}

#[test]
fn rt() {
    replay("rt");
}

#[test]
fn rth() {
    replay("rth");
}

#[test]
fn st() {
    koa_parity::date_static_files().expect("the files can be dated");
    replay("st");
}

#[test]
fn z() {
    replay("z");
}

#[test]
fn sess() {
    replay("sess");
}

#[test]
fn sroll() {
    replay("sroll");
}

#[test]
fn srenew() {
    replay("srenew");
}

#[test]
fn sext() {
    replay("sext");
}

#[test]
fn csrf() {
    replay("csrf");
}

#[test]
fn every_difference_is_a_case() {
    let recording = Recording::load();
    for id in Differences::load().ids() {
        let case = recording.cases.iter().find(|case| case.id == id);
        assert!(case.is_some_and(|case| case.quirk.is_none()), "{id} is no case that is replayed");
    }
}

/// Replays the cases of one app: those named as differences must differ, all others must not.
fn replay(app: &str) {
    let (recording, differences) = (Recording::load(), Differences::load());
    let server = serve(koa_parity::app()).expect("the app is served");
    let (mut count, mut wrong) = (0, String::new());
    for case in recording.of_app(app) {
        count += 1;
        let found = recording.run(case, server.address());
        match (found.is_empty(), differences.names(&case.id)) {
            (true, false) | (false, true) => {}
            (true, true) => _ = writeln!(wrong, "{}: named as a difference, but is none", case.id),
            (false, false) => _ = writeln!(wrong, "{}:\n  {}", case.id, found.join("\n  ")),
        }
    }
    assert!(count > 0, "there are no cases for {app}");
    assert!(wrong.is_empty(), "of {count} cases:\n{wrong}");
}
