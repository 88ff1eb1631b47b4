//! Connections that go from a server that drains to one that takes its place: clients see no end.

#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

use std::{
    future::poll_fn,
    net::SocketAddr,
    os::fd::OwnedFd,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use cepa_core::{App, Body, Ctx, Park, Parked, Result};
use cepa_server::{
    Running, Server, ServerConfig,
    limits::Limits,
    listen::{self, Address, BindOptions, Socket},
    moved::{Adopter, Heir, MovedConnection, Receipt, Rest, Unfinished},
};
use cepa_tests::{
    probe::Record,
    stats::{eventually, pause},
    wire::{Ended, Wire},
};
use tokio::sync::mpsc::{channel, unbounded_channel};

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
        self.start_with(app(name, &self.record), limits)
    }

    fn start_with(&self, app: App, limits: Limits) -> (Running, Adopter) {
        let config = ServerConfig { workers: 1, limits, ..ServerConfig::default() };
        let onion = app.build().unwrap();
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

/// A stream that waits for the word `go` in the record, here or in another process.
struct Waiting(Record);

impl http_body::Body for Waiting {
    type Data = bytes::Bytes;
    type Error = cepa_core::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame>>> {
        if self.0.has("go") {
            self.0.note("over");
        }
        if self.0.has("over") {
            return Poll::Ready(None);
        }
        // Asked again and again, as one that is told things all the time.
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

type Frame = http_body::Frame<bytes::Bytes>;

impl Park for Waiting {
    fn park(self: Pin<&mut Self>) -> Option<Parked> {
        let state = if self.0.has("long") { "x".repeat(Parked::MOST) } else { String::new() };
        Some(Parked::new("wait", &state).unwrap().with_farewell("farewell"))
    }
}

/// `/` waits; `resumes` says under which name what waits goes on.
fn waiting(resumes: &'static str, record: &Record) -> App {
    let (first, later) = (record.clone(), record.clone());
    let wait = |record: Record| async move |ctx: &mut Ctx| ctx.set_body(Body::parks(Waiting(record.clone())));
    App::new()
        .get("/", wait(first))
        .get("/next", async |_: &mut Ctx| "next")
        .resume(resumes, wait(later))
        .resume("fails", async |_: &mut Ctx| -> Result { Err(cepa_core::Error::new(500, "no")) })
        .resume("never", async |_: &mut Ctx| std::future::pending::<&str>().await)
        .resume("upgrades", async |ctx: &mut Ctx| {
            ctx.response.set_status(http::StatusCode::SWITCHING_PROTOCOLS);
            ctx.response.on_upgrade(Box::new(|_| Box::pin(async {})));
        })
}

/// Drains into another server, or into nobody.
fn drain_waiting_into(from: &Running, to: Option<Adopter>) -> thread::JoinHandle<usize> {
    let (idle, _) = unbounded_channel();
    let (unfinished, mut moved) = channel(2);
    from.stopper().drain_into(Heir::from(idle).with_unfinished(unfinished));
    thread::spawn(move || {
        let mut count = 0;
        if let Some(to) = to {
            while let Some(connection) = moved.blocking_recv() {
                count += 1;
                to.adopt(connection);
            }
        }
        count
    })
}

const LAST: &str = "8\r\nfarewell\r\n0\r\n\r\n";

#[test]
fn answers_that_wait_go_on_and_end_elsewhere() {
    let pair = Pair::new();
    let (old, old_adopter) = pair.start_with(waiting("wait", &pair.record), Limits::default());
    let mut wires: Vec<Wire> = (0..20).map(|_| Wire::open(pair.address, get("/"))).collect();
    // What follows was read already.
    wires.iter_mut().for_each(|wire| wire.send(get("/next")));
    pause(Duration::from_millis(100));
    let (new, adopter) = pair.start_with(waiting("wait", &pair.record), Limits::default());
    drop(old_adopter);
    let moving = drain_waiting_into(&old, Some(adopter));
    old.join().unwrap();
    assert_eq!(moving.join().unwrap(), 20);
    pair.record.note("go");
    for wire in &mut wires {
        assert_eq!((wire.response().text().as_str(), wire.response().text().as_str()), ("", "next"));
    }
    new.stop().unwrap();
}

#[test]
fn answers_that_nobody_takes_or_that_are_too_much_end_where_they_are() {
    for (is_long, is_taken) in [(false, false), (true, true)] {
        let pair = Pair::new();
        if is_long {
            pair.record.note("long");
        }
        let (old, old_adopter) = pair.start_with(waiting("wait", &pair.record), Limits::default());
        let mut wire = Wire::open(pair.address, get("/"));
        pause(Duration::from_millis(100));
        let moving = drain_waiting_into(&old, is_taken.then(|| old_adopter.clone()));
        if is_long {
            assert_eq!(wire.response().text(), "farewell");
        } else {
            // It is told of the drain, and decides by itself when to end.
            pair.record.note("go");
            assert_eq!(wire.response().text(), "");
        }
        drop(old_adopter);
        old.stopper().cut();
        old.join().unwrap();
        moving.join().unwrap();
    }
}

/// Speaks once it may leave, and stays.
fn staying() -> App {
    App::new().get("/", async |ctx: &mut Ctx| {
        let draining = ctx.connection().draining();
        ctx.response.set_status(http::StatusCode::SWITCHING_PROTOCOLS);
        ctx.response.on_upgrade(Box::new(|mut io| {
            Box::pin(async move {
                draining.await;
                if poll_fn(|cx| io.poll_leave(cx)).await {
                    poll_fn(|cx| io.poll_write(cx, b"stay")).await.unwrap();
                }
                std::future::pending::<()>().await;
            })
        }));
    })
}

#[test]
fn who_may_leave_and_does_not_keeps_nobody_from_leaving() {
    let pair = Pair::new();
    let (old, old_adopter) = pair.start_with(staying(), Limits::default());
    let request = "GET / HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: it\r\n\r\n";
    let mut wires: Vec<Wire> = (0..3).map(|_| Wire::open(pair.address, request)).collect();
    for wire in &mut wires {
        assert_eq!(wire.response().status, 101);
    }
    let (idle, _) = unbounded_channel();
    let (unfinished, moved) = channel(1);
    old.stopper().drain_into(Heir::from(idle).with_unfinished(unfinished));
    for wire in &mut wires {
        assert_eq!(wire.read_exact(4).unwrap(), b"stay");
    }
    drop((old_adopter, moved));
    old.stopper().cut();
    old.join().unwrap();
}

/// A connection at the middle of an answer, and its client.
fn unfinished(handler: &str, rest: Rest, keep: bool) -> (MovedConnection, Wire) {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let client = std::net::TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let socket = listener.accept().unwrap().0;
    socket.set_nonblocking(true).unwrap();
    let parked = Parked::new(handler, &()).unwrap().with_farewell("farewell");
    let unfinished = Some(Box::new(Unfinished { parked, rest, keep, unread: Vec::new() }));
    let moved = MovedConnection { socket: socket.into(), served: 1, age: 1, unfinished, receipt: None };
    (moved, Wire::from_stream(client).unwrap())
}

#[test]
fn what_nobody_goes_on_with_gets_the_farewell() {
    let pair = Pair::new();
    let limits = Limits { request_time: Duration::from_secs(1), ..Limits::default() };
    let (server, adopter) = pair.start_with(waiting("wait", &pair.record), limits);
    let mut kept = Vec::new();
    for handler in ["unknown", "fails", "never", "upgrades"] {
        for (rest, keep) in [(Rest::Chunked, true), (Rest::Chunked, false), (Rest::UntilClose, false)] {
            let (moved, mut wire) = unfinished(handler, rest, keep);
            adopter.adopt(moved);
            let end = if rest == Rest::Chunked { LAST } else { "farewell" };
            assert_eq!(wire.read_exact(end.len()).unwrap(), end.as_bytes(), "{handler} {rest:?}");
            if keep {
                wire.send(get("/next"));
                assert_eq!(wire.response().text(), "next");
                kept.push(wire);
            } else {
                assert_eq!(wire.rest(), (Vec::new(), Ended::Closed), "{handler} {rest:?}");
            }
        }
        if handler != "upgrades" {
            let (moved, mut wire) = unfinished(handler, Rest::Upgraded, false);
            adopter.adopt(moved);
            assert_eq!(wire.rest(), (b"farewell".to_vec(), Ended::Closed));
        }
    }
    // A stream is no protocol to go on with.
    let (moved, mut wire) = unfinished("wait", Rest::Upgraded, false);
    adopter.adopt(moved);
    assert_eq!(wire.rest(), (b"farewell".to_vec(), Ended::Closed));
    drop(adopter);
    server.stop().unwrap();
}

#[test]
fn a_receipt_comes_when_the_answer_goes_on() {
    let pair = Pair::new();
    let (server, adopter) = pair.start_with(waiting("wait", &pair.record), Limits::default());
    let (tell, mut told) = unbounded_channel();
    for handler in ["wait", "unknown"] {
        let (moved, wire) = unfinished(handler, Rest::Chunked, false);
        adopter.adopt(MovedConnection { receipt: Some(Receipt::new(tell.clone())), ..moved });
        assert_eq!(told.blocking_recv(), Some(()));
        drop(wire);
    }
    drop(adopter);
    pair.record.note("go");
    server.stop().unwrap();
}
