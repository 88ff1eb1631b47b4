//! Connections that go from a server that drains to one that takes its place: clients see no end.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{
    net::SocketAddr,
    os::fd::OwnedFd,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::Duration,
};

use cepa_core::{App, Ctx};
use cepa_server::{
    Running, Server, ServerConfig,
    limits::Limits,
    listen::{self, Address, BindOptions, Socket},
    moved::{Adopter, MovedConnection},
};
use cepa_tests::{
    probe::Record,
    stats::{eventually, pause},
    wire::{Ended, Wire},
};
use tokio::sync::mpsc::unbounded_channel;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// `/` says the name of the server at once, `/slow` when it is told to, by a line `go` in the record.
fn app(name: &'static str, record: &Record) -> App {
    let record = record.clone();
    App::new().get("/", async move |_: &mut Ctx| name).get("/slow", async move |_: &mut Ctx| {
        record.note("slow");
        while !record.has("go") {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        name
    })
}

struct Pair {
    address: SocketAddr,
    /// For the listeners of further servers.
    socket: Socket,
    record: Record,
}

impl Pair {
    fn new() -> Self {
        let any = Address::Tcp(([127, 0, 0, 1], 0).into());
        let socket = listen::bind(&any, 1, &BindOptions::default()).unwrap().remove(0);
        let listen::Endpoint::Tcp(address) = *socket.local_addr() else { unreachable!("it is TCP") };
        Self { address, socket, record: Record::default() }
    }

    fn start(&self, name: &'static str, limits: Limits) -> (Running, Adopter) {
        let config = ServerConfig { workers: 1, limits, ..ServerConfig::default() };
        let onion = app(name, &self.record).build().unwrap();
        let socket = || Socket::from_fd(self.socket.descriptor().unwrap()).unwrap();
        let mut server = Server::with_sockets(config, onion, |_| vec![socket()]).unwrap();
        let adopter = server.adopts();
        (server.start().unwrap(), adopter)
    }
}

/// Drains one server into another; counts the connections that have moved.
fn drain_into(from: &Running, to: &Adopter) -> Arc<AtomicUsize> {
    let count = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&count);
    let (heir, mut moved) = unbounded_channel::<MovedConnection>();
    from.stopper().drain_into(heir);
    let to = to.clone();
    thread::spawn(move || {
        while let Some(connection) = moved.blocking_recv() {
            to.adopt(connection);
            counted.fetch_add(1, SeqCst);
        }
    });
    count
}

#[test]
fn what_is_idle_goes_at_once_and_what_is_at_work_after_its_answer() {
    let pair = Pair::new();
    let (old, old_adopter) = pair.start("old", Limits::default());
    let mut kept: Vec<Wire> = (0..50).map(|_| Wire::open(pair.address, get("/"))).collect();
    assert!(kept.iter_mut().all(|wire| wire.response().text() == "old"));
    let mut silent = Wire::connect(pair.address).unwrap();
    let mut at_work = Wire::open(pair.address, get("/slow"));
    let mut pipelined = Wire::open(pair.address, [get("/slow"), get("/")].concat());
    let mut begun = Wire::open(pair.address, "GET / HTTP/1.1\r\nho");
    eventually("the requests are in flight", || pair.record.len() == 2);
    pause(Duration::from_millis(50));

    let (new, adopter) = pair.start("new", Limits::default());
    let moved = drain_into(&old, &adopter);
    drop((old_adopter, adopter));
    eventually("what was idle has moved", || moved.load(SeqCst) == 51);
    for wire in kept.iter_mut().chain([&mut silent]) {
        wire.send(get("/"));
        let answer = wire.response();
        assert_eq!((answer.text().as_str(), answer.lists("connection", "close")), ("new", false));
    }
    pair.record.note("go");
    begun.send("st: a\r\n\r\n");
    for (wire, answers) in [(&mut at_work, 1), (&mut pipelined, 2), (&mut begun, 1)] {
        for _ in 0..answers {
            let answer = wire.response();
            assert_eq!((answer.text().as_str(), answer.lists("connection", "close")), ("old", false));
        }
    }
    eventually("and then what was at work", || moved.load(SeqCst) == 54);
    for wire in [&mut at_work, &mut pipelined, &mut begun] {
        wire.send(get("/"));
        assert_eq!(wire.response().text(), "new");
    }
    // Nothing is left to it.
    old.join().unwrap();
    let mut late = Wire::open(pair.address, get("/"));
    assert_eq!(late.response().text(), "new");
    new.stop().unwrap();
    for wire in kept.iter_mut().chain([&mut silent, &mut at_work, &mut late]) {
        assert_eq!(wire.rest(), (Vec::new(), Ended::Closed));
    }
}

#[test]
fn a_connection_that_moves_keeps_its_count() {
    let pair = Pair::new();
    let limits = Limits { requests_per_connection: 3, ..Limits::default() };
    let (old, old_adopter) = pair.start("old", limits.clone());
    let mut wire = Wire::open(pair.address, get("/"));
    assert!(!wire.response().lists("connection", "close"));
    let (new, adopter) = pair.start("new", limits);
    drain_into(&old, &adopter);
    drop((old_adopter, adopter));
    old.join().unwrap();
    for close in [false, true] {
        wire.send(get("/"));
        let answer = wire.response();
        assert_eq!((answer.text().as_str(), answer.lists("connection", "close")), ("new", close));
    }
    wire.assert_closed();
    new.stop().unwrap();
}

#[test]
fn a_server_that_leaves_passes_on_what_comes_to_it() {
    let pair = Pair::new();
    let servers = ["first", "second", "third"].map(|name| pair.start(name, Limits::default()));
    let [(first, first_adopter), (second, second_adopter), (third, third_adopter)] = servers;
    let mut wires: Vec<Wire> = (0..20).map(|_| Wire::open(pair.address, get("/"))).collect();
    for wire in &mut wires {
        wire.response();
    }
    // The second begins to leave before the first gives it anything.
    drain_into(&second, &third_adopter);
    drain_into(&first, &second_adopter);
    drop((first_adopter, second_adopter, third_adopter));
    first.join().unwrap();
    second.join().unwrap();
    for wire in &mut wires {
        wire.send(get("/"));
        assert_eq!(wire.response().text(), "third");
    }
    third.stop().unwrap();
}

#[test]
fn without_anybody_to_take_them_they_are_closed() {
    let pair = Pair::new();
    let (old, adopter) = pair.start("old", Limits::default());
    drop(adopter);
    let mut wire = Wire::open(pair.address, get("/"));
    assert_eq!(wire.response().text(), "old");
    let (heir, gone) = unbounded_channel::<MovedConnection>();
    drop(gone);
    old.stopper().drain_into(heir);
    assert_eq!(wire.rest(), (Vec::new(), Ended::Closed));
    old.join().unwrap();
}

#[test]
fn what_is_no_connection_is_not_adopted() {
    let pair = Pair::new();
    let (server, adopter) = pair.start("it", Limits::default());
    let file = OwnedFd::from(tempfile::tempfile().unwrap());
    adopter.adopt(MovedConnection { socket: file, served: 0, age: 0, unfinished: None, receipt: None });
    adopter.adopt(MovedConnection {
        socket: pair.socket.descriptor().unwrap(),
        served: 1,
        age: 9,
        unfinished: None,
        receipt: None,
    });
    let mut wire = Wire::open(pair.address, get("/"));
    assert_eq!(wire.response().text(), "it");
    drop(adopter);
    server.stop().unwrap();
}

#[test]
fn a_drain_lasts_as_long_as_connections_may_come() {
    let pair = Pair::new();
    let limits = Limits { drain: Duration::from_secs(60), ..Limits::default() };
    let (server, adopter) = pair.start("it", limits);
    server.stopper().drain();
    let ended = thread::spawn(move || server.join());
    pause(Duration::from_millis(100));
    assert!(!ended.is_finished());
    drop(adopter);
    ended.join().unwrap().unwrap();
}
