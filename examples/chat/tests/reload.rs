//! The chat as a cluster that is reloaded: nobody leaves the room by that.

#![allow(clippy::unwrap_used, reason = "a panic is a test's answer")]

use std::time::Instant;

use cepa::cluster::control::Request;
use cepa_tests::{
    cluster::{Cluster, Starting},
    wire::{PATIENCE, Wire},
};

fn start() -> Cluster {
    // Its files are those of the package, because cargo runs the test; what it makes is not.
    let starting = Starting::new(env!("CARGO_BIN_EXE_chat")).set("cluster.workers=2");
    let run = format!("cluster.run_dir={}", starting.folder().join("run").display());
    starting.set(&run).start()
}

/// Reads up to this text. Signs of life come for ever, so that a read alone does not end.
fn until(wire: &mut Wire, text: &str) -> String {
    let (mut bytes, begun) = (Vec::new(), Instant::now());
    while !bytes.ends_with(text.as_bytes()) {
        assert!(begun.elapsed() < PATIENCE, "no {text} in {}", bytes.escape_ascii());
        bytes.extend(wire.read_exact(1).unwrap());
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn nobody_leaves_the_room_and_all_go_on_talking() {
    let mut cluster = start();
    let mut ann = Wire::open(cluster.address(), "GET /rooms/a?who=ann HTTP/1.1\r\nhost: a\r\n\r\n");
    until(&mut ann, r#"{"here":["ann"]}"#);
    let upgrade = "upgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
                   sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==";
    let request = format!("GET /rooms/a/socket?who=bob HTTP/1.1\r\nhost: a\r\n{upgrade}\r\n\r\n");
    let mut bob = Wire::open(cluster.address(), request);
    for wire in [&mut ann, &mut bob] {
        until(wire, r#"{"here":["ann","bob"]}"#);
    }
    for round in 1..=2 {
        cluster.ask(&Request::Reload).unwrap();
        cluster.wait_until_it_is_calm();
        let line = format!(r#"{{"id":"{round}","by":"bob","text":"round {round}"}}"#);
        let head = [0x81, 0x80 | u8::try_from(line.len()).unwrap(), 0, 0, 0, 0];
        bob.send([&head, line.as_bytes()].concat());
        for wire in [&mut ann, &mut bob] {
            let between = until(wire, &format!("round {round}"));
            assert!(!between.contains("here") && !between.contains("missed"), "{between}");
        }
    }
    drop(bob);
    until(&mut ann, r#"{"here":["ann"]}"#);
    cluster.stop();
}
