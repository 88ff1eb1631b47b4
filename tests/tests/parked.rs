//! Connections that wait, over the reload of a cluster: who can move hears everything once, in the new process; who
//! cannot is ended in order.

use std::time::Duration;

use cepa_cluster::control::Request;
use cepa_tests::{
    cluster::{Cluster, Starting},
    listeners::{Counts, Listeners},
    stats::{eventually, pause},
    wire::{Ended, Wire},
};

const GOING_AWAY: &[u8] = b"\x88\x02\x03\xe9";

fn parked() -> Starting {
    Starting::new(env!("CARGO_BIN_EXE_parked")).set("cluster.workers=2")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

fn open(cluster: &Cluster, path: &str) -> Wire {
    Wire::open(cluster.address(), get(path))
}

/// A WebSocket after its handshake.
fn socket(cluster: &Cluster, path: &str) -> Wire {
    let head = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let request = format!("GET {path} HTTP/1.1\r\nhost: a\r\n{head}\r\n\r\n");
    let mut wire = Wire::open(cluster.address(), request);
    until(&mut wire, b"\r\n\r\n");
    wire
}

/// Reads so many bytes.
fn take(wire: &mut Wire, length: usize) -> Vec<u8> {
    wire.read_exact(length).expect("they come")
}

/// Reads up to these bytes.
fn until(wire: &mut Wire, end: &[u8]) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end) {
        bytes.extend(take(wire, 1));
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn says(cluster: &Cluster, method: &str, path: &str) -> String {
    let request = format!("{method} {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n");
    Wire::open(cluster.address(), request).response().text()
}

fn say(cluster: &Cluster, queue: &str, number: u64) {
    assert_eq!(says(cluster, "POST", &format!("/say/{queue}/{number}")), "said");
}

fn pids(cluster: &mut Cluster) -> Vec<String> {
    cluster.serving().iter().map(|worker| worker.pid.to_string()).collect()
}

/// Reloads, and waits until nothing is left of those before.
fn reload(cluster: &mut Cluster) {
    cluster.ask(&Request::Reload).expect("it is reloaded");
    cluster.wait_until_it_is_calm();
}

/// A message of a client, masked with zeros.
fn message(text: &str) -> Vec<u8> {
    [&[0x81, 0x80 | text.len() as u8, 0, 0, 0, 0], text.as_bytes()].concat()
}

#[test]
fn reloads_drop_nobody_and_nothing_is_lost_or_comes_twice() {
    let mut cluster = parked().start();
    let counts = Counts { streams: 100, polls: 30, sockets: 100 };
    let listeners = Listeners::start(cluster.address(), counts, Duration::from_millis(4));
    for _ in 0..3 {
        reload(&mut cluster);
        // Those before have ended, so that all of this is heard from others.
        let heard = listeners.heard();
        eventually("all hear more", || listeners.heard() > heard + 5_000);
    }
    let heard = listeners.end();
    assert!(heard.is_all(), "{heard:?}\n{}", cluster.log());
    cluster.stop();
}

#[test]
fn an_upgrade_drops_nobody() {
    let mut cluster = parked().start();
    let mut stream = open(&cluster, "/events");
    until(&mut stream, b"\n\n\r\n");
    let mut socket = socket(&cluster, "/socket");
    cluster.ask(&Request::Upgrade).unwrap();
    eventually("the cluster serves again", || {
        cluster.control().is_ok_and(|mut control| control.status().is_ok())
    });
    cluster.wait_until_it_is_calm();
    socket.send(message("hear"));
    assert_eq!(take(&mut socket, 8), b"\x81\x06said 1");
    stream.finish();
    cluster.stop();
}

#[test]
fn what_they_had_goes_with_them() {
    let mut cluster = parked().start();
    let mut named = open(&cluster, "/named");
    until(&mut named, b"\n\n\r\n");
    let mut socket = socket(&cluster, "/socket");
    socket.send(message("one"));
    assert_eq!(take(&mut socket, 8), b"\x81\x06said 1");
    // The request behind the poll was read already.
    let mut poll = Wire::open(cluster.address(), [get("/poll"), get("/")].concat());
    // Half a message, when the reload begins.
    socket.send(&message("half")[..8]);
    pause(Duration::from_millis(200));
    let before = pids(&mut cluster);
    let control = cluster.control();
    std::thread::scope(|scope| {
        let reload = scope.spawn(|| control.unwrap().ask(&Request::Reload, |_| ()));
        pause(Duration::from_millis(500));
        socket.send(&message("half")[8..]);
        reload.join().unwrap().unwrap();
    });
    assert_eq!(take(&mut socket, 8), b"\x81\x06said 2");
    cluster.wait_until_it_is_calm();
    let after = pids(&mut cluster);

    eventually("who is named is there", || says(&cluster, "GET", "/present") == "ann 1");
    assert!(!cluster.folder().join("gone").exists(), "nobody has gone");
    say(&cluster, "events", 7);
    until(&mut named, b"data: 7\n\n\r\n");
    assert_eq!(until(&mut socket, b"event 7"), "\u{fffd}\u{7}event 7");
    say(&cluster, "polls", 8);
    let answer = poll.response().text();
    assert!(answer.contains("\"data\":8") && answer.contains("\"missed\":false"), "{answer}");
    let pid = poll.response().text();
    assert!(after.contains(&pid) && !before.contains(&pid), "{pid} {after:?}");
    drop(named);
    eventually("who was named has gone", || cluster.folder().join("gone").exists());
    cluster.stop();
}

/// What a client has that is ended for good: a stream, a poll and a WebSocket.
fn are_ended_in_order(
    cluster: &mut Cluster,
    streams: &[&str],
    sockets: &[&str],
    change: impl FnOnce(&mut Cluster),
) {
    let mut streams: Vec<Wire> = streams.iter().map(|path| open(cluster, path)).collect();
    streams.iter_mut().for_each(|stream| drop(until(stream, b"\n\n\r\n")));
    let mut sockets: Vec<Wire> = sockets.iter().map(|path| socket(cluster, path)).collect();
    // Those before go on until their clients have agreed.
    change(cluster);
    cluster.ask(&Request::Reload).expect("it is reloaded");
    for stream in &mut streams {
        let end = until(stream, b"\r\n0\r\n\r\n");
        assert!(end.contains("retry: "), "{end}");
        // It is a connection like any other then.
        stream.send(get("/"));
        assert!(pids(cluster).contains(&stream.response().text()));
    }
    for socket in &mut sockets {
        assert_eq!(take(socket, 4), GOING_AWAY);
        socket.send(b"\x88\x82\0\0\0\0\x03\xe9");
        assert_eq!(socket.rest(), (Vec::new(), Ended::Closed));
    }
    cluster.wait_until_it_is_calm();
}

#[test]
fn what_the_new_program_does_not_know_is_ended_in_order() {
    let mut cluster = parked().start();
    let mut poll = open(&cluster, "/poll");
    pause(Duration::from_millis(100));
    are_ended_in_order(&mut cluster, &["/named"], &["/socket"], |cluster| cluster.how("forgets"));
    // Polls and streams that name nobody need no handler of the app.
    say(&cluster, "polls", 1);
    assert!(poll.response().text().contains("\"data\":1"));
    cluster.stop();
}

#[test]
fn of_a_host_moves_what_needs_no_handler_of_its_app() {
    let starting = parked();
    std::fs::write(starting.folder().join("how"), "hosts").expect("there is room");
    let mut cluster = starting.start();
    let mut stream = open(&cluster, "/events");
    until(&mut stream, b"\n\n\r\n");
    are_ended_in_order(&mut cluster, &["/named"], &["/socket"], |_| ());
    say(&cluster, "events", 7);
    until(&mut stream, b"data: 7\n\n\r\n");
    cluster.stop();
}

#[test]
fn what_cannot_move_is_ended_in_order() {
    let mut cluster = parked().start();
    are_ended_in_order(&mut cluster, &["/own"], &["/echo"], |_| ());
    cluster.stop();
}

#[test]
fn nothing_moves_where_it_is_not_to() {
    let mut cluster = parked().set("cluster.hand_over=false").start();
    let mut poll = open(&cluster, "/poll");
    pause(Duration::from_millis(100));
    are_ended_in_order(&mut cluster, &["/events", "/named"], &["/socket"], |_| ());
    assert!(poll.response().text().ends_with("\"messages\":[]}"));
    cluster.stop();
}

#[test]
fn a_cluster_that_stops_ends_them_in_order() {
    let cluster = parked().start();
    let mut stream = open(&cluster, "/events");
    until(&mut stream, b"\n\n\r\n");
    let mut socket = socket(&cluster, "/socket");
    let stopping = std::thread::spawn(move || cluster.stop());
    assert_eq!(take(&mut socket, 4), GOING_AWAY);
    socket.send(b"\x88\x82\0\0\0\0\x03\xe9");
    assert!(until(&mut stream, b"\r\n0\r\n\r\n").contains("retry: "));
    stopping.join().unwrap();
}
