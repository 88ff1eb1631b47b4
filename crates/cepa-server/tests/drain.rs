//! A stream that would go on for ever learns that the server drains, through either door.

use cepa_programs::needs;
use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use cepa_core::{App, Body, Ctx};
use cepa_server::{Server, ServerConfig, listen::Address};
use tokio::task::spawn_local;

#[test]
fn a_stream_ends_when_the_server_drains() {
    needs!("curl");
    for version in ["--http1.1", "--http2-prior-knowledge"] {
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

        let mut curl = Command::new("curl");
        curl.args(["--silent", "--show-error", "--no-buffer", "--max-time", "25", "--noproxy", "*", version]);
        curl.arg(format!("http://{}/", running.endpoints()[0]));
        let mut curl = curl.stdout(Stdio::piped()).spawn().expect("curl is installed");
        let mut answer = BufReader::new(curl.stdout.take().unwrap());
        let mut line = String::new();
        answer.read_line(&mut line).unwrap();
        assert_eq!(line, "on\n", "{version}");

        let started = Instant::now();
        running.stop().unwrap();
        let mut rest = String::new();
        answer.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "off\n", "{version}");
        assert!(curl.wait().unwrap().success(), "{version}: the stream was cut, not ended");
        assert!(started.elapsed() < Duration::from_secs(10), "{version}: limits.drain was waited for");
    }
}
