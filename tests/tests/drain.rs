//! The end of a server: nothing that has begun is lost, nothing lasts longer than the drain.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use cepa_core::{App, Ctx};
use cepa_tests::{
    Served, Serving,
    http::Failure,
    probe::{self, Record},
    stats::{eventually, pause},
    wire::{Ended, PATIENCE, Wire},
};
use tokio::time::sleep;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// `/` answers at once, `/slow` after half a second, `/never` not at all; `/block` holds up its worker for a second.
fn app(record: &Record) -> App {
    let (slow, never, block) = (record.clone(), record.clone(), record.clone());
    App::new()
        .get("/", async |_: &mut Ctx| "now")
        .get("/slow", async move |_: &mut Ctx| {
            slow.note("slow");
            sleep(Duration::from_millis(500)).await;
            "slow"
        })
        .get("/never", async move |_: &mut Ctx| {
            never.note("never");
            std::future::pending::<&str>().await
        })
        .get("/block", async move |_: &mut Ctx| {
            block.note("block");
            pause(Duration::from_secs(1));
            "blocked"
        })
}

fn start(drain: u64) -> (Served, Record) {
    let record = Record::default();
    let serving = Serving::new(app(&record)).limits(|limits| limits.drain = Duration::from_secs(drain));
    (serving.start().expect("the app is served"), record)
}

#[test]
fn idle_connections_are_closed_at_once_and_a_request_in_flight_is_finished() {
    let (server, record) = start(60);
    let mut idle = Wire::open(server.address(), get("/"));
    assert_eq!(idle.response().status, 200);
    let mut at_work = Wire::open(server.address(), get("/slow"));
    let mut pipelined = Wire::open(server.address(), [get("/slow"), get("/")].concat());
    eventually("the requests are in flight", || record.len() == 2);

    let started = Instant::now();
    server.stopper().drain();
    assert_eq!(idle.rest(), (Vec::new(), Ended::Closed));
    let answer = at_work.response();
    assert_eq!((answer.text().as_str(), answer.lists("connection", "close")), ("slow", true));
    at_work.assert_closed();
    // The second was read, but not begun: the client knows by `connection: close` that it may repeat it.
    let answer = pipelined.response();
    assert_eq!((answer.text().as_str(), answer.lists("connection", "close")), ("slow", true));
    pipelined.assert_closed();
    let address = server.address();
    server.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(30));
    assert!(Wire::connect(address).is_err(), "nobody listens any more");
}

#[test]
fn a_silent_connection_gets_a_moment_and_does_not_hold_up_the_end() {
    let (server, _) = start(60);
    let mut silent = Wire::connect(server.address()).unwrap();
    let mut late = Wire::connect(server.address()).unwrap();
    let mut slow = Wire::open(server.address(), "GET / HTTP/1.1\r\nho");
    pause(Duration::from_millis(50));
    let started = Instant::now();
    server.stopper().drain();
    pause(Duration::from_millis(100));
    late.send(get("/"));
    slow.send("st: a\r\n\r\n");
    for wire in [&mut late, &mut slow] {
        let answer = wire.response();
        assert_eq!((answer.text().as_str(), answer.lists("connection", "close")), ("now", true));
    }
    assert_eq!(silent.rest(), (Vec::new(), Ended::Closed));
    drop((late, slow));
    server.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(20), "far less than the drain and the first byte's time");
}

#[test]
fn connections_in_the_backlog_are_served() {
    let (server, record) = start(60);
    let mut blocking = Wire::open(server.address(), get("/block"));
    eventually("the worker is held up", || record.has("block"));
    // More than the runtime would accept in one go.
    let mut waiting: Vec<Wire> = (0..400).map(|_| Wire::open(server.address(), get("/"))).collect();
    server.stopper().drain();
    assert_eq!(blocking.response().text(), "blocked");
    for (at, wire) in waiting.iter_mut().enumerate() {
        let answer = wire.try_response(false).unwrap_or_else(|failure| panic!("{at}: {failure}"));
        assert_eq!((answer.text().as_str(), answer.lists("connection", "close")), ("now", true));
    }
    drop(waiting);
    server.join().unwrap();
}

#[test]
fn what_does_not_end_is_cut_after_the_drain() {
    let (server, record) = start(1);
    let mut never = Wire::open(server.address(), get("/never"));
    let mut half = Wire::open(server.address(), "GET / HT");
    eventually("the request is in flight", || record.has("never"));
    let started = Instant::now();
    server.stopper().drain();
    server.join().unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(never.rest(), (Vec::new(), Ended::Reset), "cut off, and not like a whole answer");
    half.assert_closed();
}

#[test]
fn cutting_waits_for_nothing() {
    let (server, record) = start(60);
    let mut never = Wire::open(server.address(), get("/never"));
    let mut idle = Wire::open(server.address(), get("/"));
    assert_eq!(idle.response().status, 200);
    eventually("the request is in flight", || record.has("never"));
    let stopper = server.stopper();
    stopper.drain();
    stopper.cut();
    let started = Instant::now();
    server.join().unwrap();
    assert!(started.elapsed() < Duration::from_secs(20));
    never.assert_closed();
    idle.assert_closed();
    // Going back is impossible, and asking again harmless.
    stopper.drain();
    stopper.cut();
}

#[test]
fn a_drain_under_load_loses_no_request() {
    let record = Record::default();
    let serving = Serving::new(probe::app(&record)).workers(2);
    let server = serving.limits(|limits| limits.drain = PATIENCE).start().unwrap();
    let address = server.address();
    let over = Arc::new(AtomicBool::new(false));
    let (answered, lost) = (Arc::new(AtomicUsize::new(0)), Record::default());
    let clients: Vec<_> = (0..16)
        .map(|client| {
            let (over, answered, lost, record) =
                (Arc::clone(&over), Arc::clone(&answered), lost.clone(), record.clone());
            thread::spawn(move || {
                // Half of them keep their connection.
                let mut kept: Option<Wire> = None;
                for number in 0.. {
                    let wire = kept.take().map_or_else(|| Wire::connect(address), Ok);
                    let Ok(mut wire) = wire else { return };
                    let path = format!("/{client}/{number}");
                    let request =
                        format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
                    let answer = match wire.try_send(request) {
                        Ok(()) => wire.try_response(false),
                        Err(error) => Err(Failure::Io(error)),
                    };
                    match answer {
                        Ok(answer) if answer.text() == format!("POST {path} hello") => {
                            answered.fetch_add(1, SeqCst);
                            if client % 2 == 0 && !answer.lists("connection", "close") {
                                kept = Some(wire);
                            }
                        }
                        Ok(answer) => lost.note(format!("{path}: {answer:?}")),
                        // Not answered: then it must not have been processed either.
                        Err(failure) if record.has(&format!("POST {path}")) => {
                            lost.note(format!("{path}: {failure}"));
                        }
                        Err(_) if over.load(SeqCst) => return,
                        Err(failure) => lost.note(format!("{path}, before the drain: {failure}")),
                    }
                }
            })
        })
        .collect();
    eventually("there is load", || answered.load(SeqCst) > 500);
    over.store(true, SeqCst);
    server.stopper().drain();
    server.join().unwrap();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(lost.take(), Vec::<String>::new());
    assert_eq!(answered.load(SeqCst), record.len(), "what was processed was answered");
}
