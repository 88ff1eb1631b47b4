//! Switches of protocols: WebSockets, and what is none.

use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

use cepa_layers::proxy::Options;
use cepa_tests::{
    Served, serve,
    wire::{Ended, Wire},
};

use crate::{OK, SWITCH, front, scripted, text, to, upstream};

#[test]
fn a_switch_is_asked_of_another_upstream_if_the_first_cannot_be_reached() {
    let inner = serve(upstream()).unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let two = |first: SocketAddr, retries| Options {
        upstreams: vec![format!("http://{first}"), format!("http://{}", inner.address())],
        fails: 1000,
        retries,
        ..Options::default()
    };
    let switch = |front: &Served| {
        Wire::open(front.address(), format!("{SWITCH}Upgrade: websocket\r\n\r\n")).response().status
    };
    let statuses = |options| {
        let front = front(options);
        (0..4).map(|_| switch(&front)).collect::<Vec<u16>>()
    };
    assert_eq!(statuses(two(gone, 1)), [101; 4]);
    assert!(statuses(two(gone, 0)).contains(&502));
    // One that has heard of it may have acted on it.
    let (dies, heard) = scripted(|stream, _| drop(stream.shutdown(std::net::Shutdown::Both)));
    let lost = statuses(two(dies, 1)).iter().filter(|status| **status == 502).count();
    assert!(lost > 0 && heard.lock().unwrap().len() == lost, "{lost}");
}

#[test]
fn websockets_go_through_and_nothing_else_does() {
    let inner = serve(upstream()).unwrap();
    let front = front(to(inner.address()));
    let mut wire = Wire::open(
        front.address(),
        format!("{SWITCH}Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\nearly"),
    );
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(wire.read_exact(1).unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("connection: upgrade\r\n"), "{head}");
    assert_eq!(wire.read_exact(5).unwrap(), b"early");
    let much = vec![b'x'; 1 << 20];
    let (mut writer, sent) = (wire.stream().try_clone().unwrap(), much.clone());
    let sending = thread::spawn(move || writer.write_all(&sent).unwrap());
    assert!(wire.read_exact(much.len()).unwrap() == much);
    sending.join().unwrap();
    // Half of the connection ends, then the other.
    wire.finish();
    assert_eq!(wire.rest(), (b"bye".to_vec(), Ended::Closed));
    for refused in [
        "Upgrade: h2c\r\nHTTP2-Settings: x\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: other\r\n",
        "Upgrade: websocket\r\nContent-Length: 0\r\n",
    ] {
        let mut wire = Wire::open(front.address(), format!("{SWITCH}{refused}\r\n"));
        assert_eq!(wire.response().text(), "no switch", "{refused:?}");
    }
}

#[test]
fn no_byte_goes_to_an_upstream_that_does_not_switch() {
    let (address, heard) = scripted(|stream, _| drop(stream.write_all(OK)));
    let front = front(to(address));
    // An upstream that answers as usual would take what follows for a request.
    let mut wire = Wire::open(
        front.address(),
        format!("{SWITCH}Upgrade: websocket\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"),
    );
    assert_eq!(wire.response().text(), "ok");
    assert_eq!(wire.response().text(), "ok");
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 2);
    assert!(!heard[0].contains("smuggled"), "{heard:?}");
    // It came as a request of its own, checked as any other.
    assert!(heard[1].contains("host: evil") && heard[1].contains("x-forwarded-for: 127.0.0.1"), "{heard:?}");
    let (address, _) = scripted(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 101 Switching\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n");
    });
    let other = self::front(to(address));
    assert_eq!(
        Wire::open(other.address(), format!("{SWITCH}Upgrade: websocket\r\n\r\n")).response().status,
        502
    );
    assert_eq!(text(&other, "/").0, 502);
}

#[test]
fn a_silent_tunnel_ends() {
    let inner = serve(upstream()).unwrap();
    let front = front(Options { tunnel: Duration::from_millis(100), ..to(inner.address()) });
    let mut wire = Wire::open(front.address(), format!("{SWITCH}Upgrade: websocket\r\n\r\n"));
    let started = Instant::now();
    let (bytes, _) = wire.rest();
    assert!(bytes.starts_with(b"HTTP/1.1 101 "));
    assert!(started.elapsed() >= Duration::from_millis(90) && started.elapsed() < Duration::from_secs(5));
}
