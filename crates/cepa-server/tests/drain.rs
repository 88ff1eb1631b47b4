//! A stream that would go on for ever learns that the server drains.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use cepa_core::{App, Body, Ctx};
use cepa_server::{Server, ServerConfig, listen::Address};
use tokio::task::spawn_local;

#[test]
fn a_stream_ends_when_the_server_drains() {
    let app = App::new().get("/", async |ctx: &mut Ctx| {
        let draining = ctx.draining();
        Body::from_async(async move |mut out| {
            out.write("on\n").await;
            // In a task of its own: it must be woken itself, not only the connection's.
            let waited = spawn_local(draining).await;
            out.write(if waited.is_ok() { "off\n" } else { "lost\n" }).await;
            Ok(())
        })
    });
    let listen = vec!["127.0.0.1:0".parse::<Address>().unwrap().into()];
    let config = ServerConfig { listen, workers: 1, ..ServerConfig::default() };
    let running = Server::bind(config, app.build().unwrap()).unwrap().start().unwrap();
    let mut socket = TcpStream::connect(running.endpoints()[0].to_string()).unwrap();
    socket.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
    let mut answer = BufReader::new(socket);
    let mut line = String::new();
    while line != "on\n" {
        line.clear();
        assert_ne!(answer.read_line(&mut line).unwrap(), 0, "the stream has ended too early");
    }
    let started = Instant::now();
    running.stopper().drain();
    let mut rest = String::new();
    answer.read_to_string(&mut rest).unwrap();
    assert_eq!(rest, "\r\n4\r\noff\n\r\n0\r\n\r\n");
    running.stop().unwrap();
    assert!(started.elapsed() < Duration::from_secs(10), "limits.drain was waited for");
}
