//! HTTP/2 end to end: a server on a real socket, and clients of others where they are installed.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use cepa_programs::needs;
use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use cepa_core::{App, Ctx, Result};
use cepa_server::{Running, Server, ServerConfig, listen::Endpoint};

fn app() -> App {
    App::new()
        .get("/", async |_: &mut Ctx| "Hello, onion")
        .get("/large", async |_: &mut Ctx| vec![b'x'; 3 << 20])
        .post("/pipe", async |ctx: &mut Ctx| -> Result {
            let body = ctx.request.take_body();
            ctx.set_body(body)
        })
        .get("/about", async |ctx: &mut Ctx| {
            let connection = ctx.request.connection();
            let tls = connection.tls().and_then(|tls| tls.alpn.clone()).unwrap_or_default();
            format!("{} {tls} {}", connection.door(), ctx.host())
        })
}

/// A server with one cleartext and one TLS listener; their ports.
fn serve(name: &str) -> (Running, u16, u16) {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    fs::write(&cert, signed.cert.pem()).unwrap();
    fs::write(&key, signed.signing_key.serialize_pem()).unwrap();
    let config: ServerConfig = toml::from_str(&format!(
        "workers = 1\nlisten = ['127.0.0.1:0', {{ address = '127.0.0.1:0', tls = {{ certificates = \
         [{{ cert = '{}', key = '{}' }}] }} }}]",
        cert.display(),
        key.display(),
    ))
    .unwrap();
    let running = Server::bind(config, app().build().unwrap()).unwrap().start().unwrap();
    let ports: Vec<u16> = running
        .endpoints()
        .iter()
        .map(|endpoint| match endpoint {
            Endpoint::Tcp(address) => address.port(),
            Endpoint::Unix(_) => unreachable!("only TCP is listened on"),
        })
        .collect();
    (running, ports[0], ports[1])
}

/// What a program that others have made prints.
fn program(name: &str, arguments: &[&str]) -> Output {
    Command::new(name).args(arguments).output().unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn curl_speaks_http2_in_cleartext_and_over_tls() {
    needs!("curl");
    let (running, plain, tls) = serve("curl");
    let plain = format!("http://localhost:{plain}");
    let tls = format!("https://localhost:{tls}");
    for (origin, flag, about) in [(&plain, "--http2-prior-knowledge", "h2 "), (&tls, "--http2", "h2 h2")] {
        let format = "\n%{http_version} %{http_code} %{size_download}";
        let curl = |path: &str, more: &[&str]| {
            let url = format!("{origin}{path}");
            program("curl", &[&["-sk", "--ipv4", "-m", "20", flag, "-w", format, &url], more].concat())
        };
        let first = curl("/about", &[]);
        let host = origin.split_once("://").unwrap().1;
        assert!(text(&first).starts_with(&format!("{about} {host}\n2 200 ")), "{}", text(&first));
        assert!(text(&curl("/large", &[])).ends_with("\n2 200 3145728"));
        let large = Path::new(env!("CARGO_TARGET_TMPDIR")).join("curl/upload");
        fs::write(&large, vec![b'y'; 2 << 20]).unwrap();
        let upload = format!("@{}", large.display());
        assert!(text(&curl("/pipe", &["--data-binary", &upload])).ends_with("\n2 200 2097152"));
        let head = text(&curl("/", &["-I"]));
        assert!(head.contains("content-length: 12\r\n") && head.contains("date: "), "{head}");
    }
    running.stop().unwrap();
}

#[test]
fn nghttp_and_h2load_find_no_fault() {
    needs!("h2load", "nghttp2-client");
    let (running, plain, _) = serve("nghttp");
    let origin = format!("http://127.0.0.1:{plain}");
    let log = text(&program("nghttp", &["-nv", "--no-dep", &format!("{origin}/large")]));
    assert!(log.contains(":status: 200"), "{log}");
    assert!(!log.contains("RST_STREAM") && !log.contains("error_code=PROTOCOL_ERROR"), "{log}");
    let load = ["-n", "5000", "-c", "10", "-m", "50", &origin];
    let log = text(&program("h2load", &load));
    assert!(log.contains("5000 succeeded, 0 failed, 0 errored"), "{log}");
    running.stop().unwrap();
}
