//! HTTP/1.1 over TLS, with clients of rustls, curl and none.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use cepa_programs::needs;
use std::{
    io::{BufReader, Read, Write},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::Command,
    sync::Arc,
    time::{Duration, Instant},
};

use cepa_core::{App, Ctx};
use cepa_server::tls::{CertificateFiles, Protocol, TlsConfig, self_signed};
use cepa_tests::{
    Served, Serving,
    http::Response,
    probe::{self, Record},
    stats::{eventually, pause},
    wire::{Ended, PATIENCE, Wire},
};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Two certificates in a folder, for `a.test` and `b.test`.
struct Files {
    folder: TempDir,
}

impl Files {
    fn new() -> Self {
        let files = Self { folder: tempfile::tempdir().unwrap() };
        files.write("a");
        files.write("b");
        files
    }

    /// A new certificate in place of the old one.
    fn write(&self, name: &str) {
        let made = self_signed(&[format!("{name}.test")]).unwrap();
        for (what, text) in [("cert", made.cert), ("key", made.key)] {
            let (part, whole) = (self.path(name, "part"), self.path(name, what));
            std::fs::write(&part, text).unwrap();
            std::fs::rename(part, whole).unwrap();
        }
    }

    fn path(&self, name: &str, what: &str) -> std::path::PathBuf {
        self.folder.path().join(format!("{name}.{what}"))
    }

    fn config(&self) -> TlsConfig {
        let files = |name: &str| CertificateFiles {
            cert: self.path(name, "cert"),
            key: self.path(name, "key"),
            names: vec![format!("{name}.test")],
        };
        TlsConfig { alpn: vec![Protocol::Http1], ..TlsConfig::new(vec![files("a"), files("b")]) }
    }

    fn serve(&self, app: App) -> Served {
        let serving = Serving::new(app).tls(&self.config());
        let serving = serving.limits(|limits| {
            limits.handshake = Duration::from_secs(1);
            limits.write_stall = Duration::from_secs(2);
        });
        serving.start().unwrap()
    }
}

/// What a certificate file holds.
fn certificate(path: &Path) -> CertificateDer<'static> {
    CertificateDer::from_pem_file(path).unwrap()
}

/// Connects, trusting one certificate, and asks for a server name.
fn connect(to: SocketAddr, trusted: &CertificateDer<'static>, name: &str) -> Result<Stream, std::io::Error> {
    let mut roots = RootCertStore::empty();
    roots.add(trusted.clone()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(to)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    while connection.is_handshaking() {
        connection.complete_io(&mut socket)?;
    }
    Ok(StreamOwned::new(connection, socket))
}

fn ask(stream: &mut Stream, host: &str) -> Response {
    write!(stream, "GET /x HTTP/1.1\r\nhost: {host}\r\n\r\n").unwrap();
    // Reads byte by byte, so that nothing of a next answer is taken.
    Response::read(&mut BufReader::with_capacity(1, stream), false).unwrap()
}

fn probed(files: &Files) -> (Served, Record) {
    let record = Record::default();
    (files.serve(probe::app(&record)), record)
}

#[test]
fn each_name_has_its_certificate_and_the_connection_is_kept() {
    let files = Files::new();
    let (server, _) = probed(&files);
    for name in ["a", "b"] {
        let trusted = certificate(&files.path(name, "cert"));
        let host = format!("{name}.test");
        let mut stream = connect(server.address(), &trusted, &host).unwrap();
        assert_eq!(stream.conn.alpn_protocol(), Some(&b"http/1.1"[..]));
        for host in [host.clone(), format!("{}:443", host.to_uppercase()), format!("{host}.")] {
            assert_eq!(ask(&mut stream, &host).text(), "GET /x ", "{host}");
        }
        let other = if name == "a" { "b.test" } else { "a.test" };
        assert!(connect(server.address(), &trusted, other).is_err(), "{other} has another certificate");
    }
}

#[test]
fn what_tls_settled_is_known_to_the_app() {
    let files = Files::new();
    let app = App::new().get("/x", async |ctx: &mut Ctx| {
        let tls = ctx.connection().tls().cloned().unwrap_or_default();
        format!("{} {:?} {:?} {:?}", ctx.protocol(), tls.server_name, tls.alpn, tls.version)
    });
    let server = files.serve(app);
    let mut stream = connect(server.address(), &certificate(&files.path("a", "cert")), "a.test").unwrap();
    let text = ask(&mut stream, "a.test").text();
    assert_eq!(text, r#"https Some("a.test") Some("http/1.1") Some("TLSv1.3")"#);
}

#[test]
fn h1_35_a_request_for_another_server_is_misdirected() {
    let files = Files::new();
    let (server, record) = probed(&files);
    let trusted = certificate(&files.path("a", "cert"));
    for request in [
        "GET / HTTP/1.1\r\nhost: b.test\r\n\r\n",
        "GET http://b.test/ HTTP/1.1\r\nhost: a.test\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a.test.evil\r\ncontent-length: 2\r\n\r\nhi",
        "GET / HTTP/1.0\r\nhost: 127.0.0.1\r\n\r\n",
    ] {
        let mut stream = connect(server.address(), &trusted, "a.test").unwrap();
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(b"GET /after HTTP/1.1\r\nhost: a.test\r\n\r\n").unwrap();
        let mut reader = BufReader::new(stream);
        assert_eq!(Response::read(&mut reader, false).unwrap().status, 421, "{request:?}");
        let mut rest = Vec::new();
        reader.read_to_end(&mut rest).unwrap();
        assert!(rest.is_empty());
    }
    assert!(record.is_empty(), "the app saw {:?}", record.take());
    let mut stream = connect(server.address(), &trusted, "a.test").unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    assert_eq!(Response::read(&mut BufReader::new(stream), false).unwrap().status, 200, "no name, no other");
}

#[test]
fn what_is_no_tls_is_closed_and_tls_on_a_plain_port_is_400() {
    let files = Files::new();
    let (server, record) = probed(&files);
    for bytes in [
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "\0\0\0\0",
        "\x16\x03\x01\x7f\x7fxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx",
    ] {
        let mut wire = Wire::open(server.address(), bytes);
        let (answer, _) = wire.rest();
        assert!(!answer.starts_with(b"HTTP"), "{bytes:?}");
    }
    assert!(record.is_empty());
    let mut stream = connect(server.address(), &certificate(&files.path("a", "cert")), "a.test").unwrap();
    assert_eq!(ask(&mut stream, "a.test").status, 200, "the worker is unharmed");

    let plain = cepa_tests::serve(probe::app(&record)).unwrap();
    assert!(connect(plain.address(), &certificate(&files.path("a", "cert")), "a.test").is_err());
    let mut wire = Wire::open(plain.address(), "\x16\x03\x01\x02\0\x01\0\x01");
    assert_eq!(wire.response().status, 400);
    wire.assert_closed();
}

#[test]
fn a_handshake_has_its_time() {
    let files = Files::new();
    let (server, _) = probed(&files);
    for bytes in ["", "\x16\x03\x01\x02\0"] {
        let started = Instant::now();
        let mut wire = Wire::open(server.address(), bytes);
        let (answer, _) = wire.rest();
        assert!(!answer.starts_with(b"HTTP"));
        assert!(started.elapsed() >= Duration::from_secs(1), "{bytes:?}");
    }
}

#[test]
fn certificates_are_read_again_when_their_files_change() {
    let files = Files::new();
    let (server, _) = probed(&files);
    let old = certificate(&files.path("a", "cert"));
    let mut open = connect(server.address(), &old, "a.test").unwrap();
    files.write("a");
    let new = certificate(&files.path("a", "cert"));
    eventually("the new certificate is served", || {
        pause(Duration::from_millis(200));
        connect(server.address(), &new, "a.test").is_ok()
    });
    assert!(connect(server.address(), &old, "a.test").is_err());
    assert_eq!(ask(&mut open, "a.test").status, 200, "open connections are not touched");
    let other = certificate(&files.path("b", "cert"));
    assert!(connect(server.address(), &other, "b.test").is_ok(), "nor is the other certificate");
}

#[test]
fn much_goes_through_both_ways() {
    let files = Files::new();
    let app = App::new()
        .post("/", async |ctx: &mut Ctx| std::mem::take(ctx.request.body_mut()))
        .get("/small", async |_: &mut Ctx| "x".repeat(7000));
    let server = files.serve(app);
    let trusted = certificate(&files.path("a", "cert"));
    let mut stream = connect(server.address(), &trusted, "a.test").unwrap();
    let data: Vec<u8> = (0..200_000u32).map(|at| (at % 251) as u8).collect();
    write!(stream, "POST / HTTP/1.1\r\nhost: a.test\r\ncontent-length: {}\r\n\r\n", data.len()).unwrap();
    stream.write_all(&data).unwrap();
    assert!(Response::read(&mut BufReader::new(&mut stream), false).unwrap().body == data);
    // Small answers that the socket does not take at once: their end must come without another request.
    let count = 3000;
    let requests = "GET /small HTTP/1.1\r\nhost: a.test\r\n\r\n".repeat(count);
    stream.write_all(requests.as_bytes()).unwrap();
    pause(Duration::from_millis(300));
    let mut reader = BufReader::new(&mut stream);
    for at in 0..count {
        assert_eq!(Response::read(&mut reader, false).unwrap().body.len(), 7000, "{at}");
    }
}

#[test]
fn a_client_that_takes_nothing_is_aborted_and_one_that_leaves_rudely_does_not_end_a_post() {
    let files = Files::new();
    let record = Record::default();
    let noted = record.clone();
    let app = App::new().get("/x", async |_: &mut Ctx| "x".repeat(64 << 20)).post(
        "/",
        async move |ctx: &mut Ctx| {
            noted.note("begun");
            ctx.closed().await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            noted.note("completed");
            "done"
        },
    );
    let server = files.serve(app);
    let trusted = certificate(&files.path("a", "cert"));
    let mut stream = connect(server.address(), &trusted, "a.test").unwrap();
    write!(stream, "GET /x HTTP/1.1\r\nhost: a.test\r\n\r\n").unwrap();
    pause(Duration::from_secs(5));
    let (_, ended) = Wire::from_stream(stream.sock.try_clone().unwrap()).unwrap().rest();
    assert_eq!(ended, Ended::Reset);

    let mut stream = connect(server.address(), &trusted, "a.test").unwrap();
    write!(stream, "POST / HTTP/1.1\r\nhost: a.test\r\n\r\n").unwrap();
    eventually("the handler begins", || record.has("begun"));
    // Without a close_notify.
    stream.sock.shutdown(std::net::Shutdown::Both).unwrap();
    drop(stream);
    eventually("the handler completes", || record.has("completed"));
}

#[test]
fn curl_is_served() {
    needs!("curl");
    let files = Files::new();
    let (server, _) = probed(&files);
    for version in ["--tlsv1.3", "--tls-max"] {
        let mut curl = Command::new("curl");
        curl.args(["-sS", "--max-time", "30", "--resolve"]);
        curl.arg(format!("a.test:{}:127.0.0.1", server.address().port()));
        curl.arg("--cacert").arg(files.path("a", "cert")).arg(version);
        if version == "--tls-max" {
            curl.arg("1.2");
        }
        curl.args(["-d", "onion"]).arg(format!("https://a.test:{}/x", server.address().port()));
        let output = curl.output().expect("curl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stdout), "POST /x onion", "{version}");
    }
}
