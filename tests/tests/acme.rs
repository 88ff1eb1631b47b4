//! Certificates by ACME, got from Pebble by one process and by a cluster.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use cepa_programs::needs;
use std::{
    fs,
    io::{BufRead, BufReader, Write},
    net::{SocketAddr, TcpStream},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
};

use cepa_cluster::control::Request;
use cepa_tests::{
    acme::{Authority, Pebble, free_port},
    cluster::Starting,
    stats::eventually,
    wire::PATIENCE,
};
use rustix::process::Signal;
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_clustered");

/// A folder with a configuration: HTTP where the authority asks, and TLS beside it or there.
struct Site {
    folder: TempDir,
    tls: u16,
}

impl Site {
    fn new(pebble: &Pebble, (http, tls): (u16, u16), names: &[&str], more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        configure(folder.path(), pebble, (http, tls), names, more);
        Self { folder, tls }
    }

    /// A second program that shares the certificates of another.
    fn beside(&self, pebble: &Pebble, names: &[&str]) -> Self {
        let other = Self::new(pebble, (free_port(), free_port()), names, "");
        let config = other.path("config/default.toml");
        let text = fs::read_to_string(&config).unwrap();
        let shared = format!("tls_dir = {:?}", self.path("data/tls"));
        fs::write(config, text.replace("[server]", &format!("[server]\n{shared}"))).unwrap();
        other
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn serve(&self) -> Serving {
        let log = self.path("log");
        let error = fs::File::options().append(true).create(true).open(&log).unwrap();
        let mut command = Command::new(PROGRAM);
        command.arg("serve").current_dir(self.folder.path()).env("CEPA_ENV", "test");
        let child = command.stdin(Stdio::null()).stderr(error).spawn().unwrap();
        Serving { child, log }
    }

    fn certificate(&self, name: &str) -> PathBuf {
        self.path("data/tls/acme/certificates").join(format!("{name}.pem"))
    }
}

fn configure(folder: &Path, pebble: &Pebble, (http, tls): (u16, u16), names: &[&str], more: &str) {
    fs::create_dir_all(folder.join("config")).unwrap();
    let text = format!(
        "[server]\nworkers = 1\n[[server.listen]]\naddress = '127.0.0.1:{http}'\n[[server.listen]]\n\
         address = '127.0.0.1:{tls}'\ntls.acme = {names:?}\n{}{more}",
        pebble.section()
    );
    fs::write(folder.join("config/default.toml"), text).unwrap();
}

/// A program at work; it is killed when this is dropped.
struct Serving {
    child: Child,
    log: PathBuf,
}

impl Serving {
    fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    /// Ends it, and says whether that went well.
    fn stop(mut self) {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, Signal::TERM).unwrap();
        assert_eq!(self.child.wait().unwrap().code(), Some(0), "{}", self.log());
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Waits until `name` is served with a certificate of the authority.
#[track_caller]
fn trusted(pebble: &Pebble, name: &str, port: u16, log: impl Fn() -> String) {
    let mut last = None;
    let started = std::time::Instant::now();
    loop {
        let fetched = pebble.fetch(name, port);
        if fetched.status.success() {
            return;
        }
        last.replace(fetched);
        assert!(started.elapsed() < PATIENCE, "{last:?}\n{}\n{}", log(), pebble.log());
        cepa_tests::stats::pause(std::time::Duration::from_millis(50));
    }
}

#[test]
fn a_program_gets_its_certificates_over_http_and_keeps_them() {
    needs!("pebble");
    needs!("curl");
    let authority = Authority { bad_nonces: 20, ..Authority::default() };
    let (http, tls) = (authority.http, free_port());
    let mut pebble = authority.start();
    let site = Site::new(&pebble, (http, tls), &["a.acme.test", "b.acme.test"], "");
    let serving = site.serve();
    for name in ["a.acme.test", "b.acme.test"] {
        trusted(&pebble, name, site.tls, || serving.log());
    }
    assert!(pebble.issued() >= 2);

    let mode = |path: &str| fs::metadata(site.path(path)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("data/tls/acme"), 0o700);
    let mut files = Vec::new();
    for dir in ["accounts", "certificates", "http-01"] {
        files.extend(
            fs::read_dir(site.path("data/tls/acme").join(dir)).unwrap().map(|file| file.unwrap().path()),
        );
    }
    assert_eq!(files.len(), 3, "an account, two certificates, and no answer that is left: {files:?}");
    for file in &files {
        assert_eq!(fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600, "{}", file.display());
    }
    serving.stop();

    // What is on disk is enough, with nobody to ask.
    pebble.stop();
    let before = fs::read(site.certificate("a.acme.test")).unwrap();
    fs::remove_file(site.path("log")).unwrap();
    let serving = site.serve();
    let kept = CertificateDer::from_pem_slice(&before).unwrap();
    eventually("it serves", || shown(site.tls, "a.acme.test").is_some_and(|shown| shown == kept));
    assert!(!serving.log().contains("no certificate"), "{}", serving.log());
    serving.stop();

    // The authority has lost the account, and one certificate is gone.
    pebble.forget();
    fs::remove_file(site.certificate("b.acme.test")).unwrap();
    let serving = site.serve();
    trusted(&pebble, "b.acme.test", site.tls, || serving.log());
    assert!(serving.log().contains("a new account is made"), "{}", serving.log());
    assert_eq!(fs::read(site.certificate("a.acme.test")).unwrap(), before, "it was not due");
    serving.stop();
}

#[test]
fn a_cluster_answers_over_tls_and_renews_under_open_connections() {
    needs!("pebble");
    needs!("curl");
    let authority = Authority { validity: 9, ..Authority::default() };
    let (http, tls) = (free_port(), authority.tls);
    let pebble = authority.start();
    let starting = Starting::new(PROGRAM).listen_as_configured().set("cluster.workers=2");
    configure(starting.folder(), &pebble, (http, tls), &["c.acme.test"], "challenge = 'tls-alpn-01'\n");
    let cluster = starting.start();
    trusted(&pebble, "c.acme.test", tls, || cluster.log());

    let first = shown(tls, "c.acme.test").unwrap();
    let mut open = connect(tls, "c.acme.test").unwrap();
    ask(&mut open);
    eventually("another certificate is served, by both workers", || {
        (0..8).all(|_| shown(tls, "c.acme.test").is_some_and(|shown| shown != first))
    });
    trusted(&pebble, "c.acme.test", tls, || cluster.log());
    ask(&mut open);
    assert!(pebble.issued() >= 2);
    let log = cluster.log();
    assert!(!log.contains("no certificate was got"), "{log}");
    let at = |said: &str| log.find(said).unwrap();
    assert!(
        at("the app is built") < at("certificates are looked after"),
        "before a worker could answer\n{log}"
    );
    drop(open);
    cluster.stop();
}

#[test]
fn a_reload_brings_names_and_does_not_come_where_they_cannot_be_got() {
    needs!("pebble");
    needs!("curl");
    let authority = Authority::default();
    let (http, tls) = (authority.http, free_port());
    let pebble = authority.start();
    let starting = Starting::new(PROGRAM).listen_as_configured().set("cluster.workers=2");
    let config = starting.folder().join("config/default.toml");
    configure(starting.folder(), &pebble, (http, tls), &["h.acme.test"], "");
    let wanted = fs::read_to_string(&config).unwrap();
    let none = wanted.replace("tls.acme = [\"h.acme.test\"]", "tls.self_signed = ['localhost']");
    fs::write(&config, &none).unwrap();
    let cluster = starting.start();
    let own = shown(tls, "localhost").unwrap();
    assert!((0..8).all(|_| shown(tls, "localhost").as_ref() == Some(&own)), "all workers have the same");

    fs::write(&config, wanted.replace("agree_to_terms = true", "")).unwrap();
    let error = cluster.ask(&Request::Reload).unwrap_err().to_string();
    assert!(error.contains("acme.agree_to_terms: certificates for h.acme.test"), "{error}");
    assert_eq!(shown(tls, "h.acme.test"), Some(own), "it serves as before");
    assert_eq!(pebble.issued(), 0);

    fs::write(&config, &wanted).unwrap();
    cluster.ask(&Request::Reload).unwrap();
    trusted(&pebble, "h.acme.test", tls, || cluster.log());
    // The agent is the same, and so is its certificate after one more.
    cluster.ask(&Request::Reload).unwrap();
    trusted(&pebble, "h.acme.test", tls, || cluster.log());
    assert_eq!(pebble.issued(), 1, "{}", cluster.log());
    assert_eq!(cluster.log().matches("certificates are looked after ").count(), 1, "{}", cluster.log());
    cluster.stop();
}

#[test]
fn what_the_authority_does_not_see_is_told_with_what_to_do() {
    needs!("pebble");
    needs!("curl");
    // Nobody listens where it asks.
    let pebble = Authority::default().start();
    let more = "retry = '1h'\n";
    let site = Site::new(&pebble, (free_port(), free_port()), &["d.acme.test"], "");
    let config = site.path("config/default.toml");
    let text = fs::read_to_string(&config).unwrap();
    fs::write(config, text.replace("retry = '1s'\n", more)).unwrap();
    let serving = site.serve();
    eventually("it says why", || serving.log().contains("no certificate was got"));
    let log = serving.log();
    for said in [
        "the authority has not seen that the name is yours: ",
        "connection refused",
        "(connection)",
        "it asks port 80 of the name",
        "again=",
        "name=d.acme.test",
    ] {
        assert!(log.contains(said), "{said}\n{log}");
    }
    assert!(shown(site.tls, "d.acme.test").is_none());
    assert_eq!(fs::read_dir(site.path("data/tls/acme/http-01")).unwrap().count(), 0);
    serving.stop();
    assert_eq!(log.matches("no certificate was got").count(), 1, "{log}");
}

#[test]
fn nothing_is_begun_before_the_terms_are_agreed_to() {
    needs!("pebble");
    needs!("curl");
    let pebble = Authority::default().start();
    let site = Site::new(&pebble, (free_port(), free_port()), &["e.acme.test"], "");
    let config = site.path("config/default.toml");
    let text = fs::read_to_string(&config).unwrap().replace("agree_to_terms = true\n", "");
    fs::write(&config, &text).unwrap();
    let mut serving = site.serve();
    assert_eq!(serving.child.wait().unwrap().code(), Some(1));
    let log = serving.log();
    assert!(
        log.contains("acme.agree_to_terms: certificates for e.acme.test are to come from https://127.0.0.1:"),
        "{log}"
    );
    assert!(!site.path("data").exists());

    let starting = Starting::new(PROGRAM).listen_as_configured().set("cluster.workers=2");
    fs::create_dir_all(starting.folder().join("config")).unwrap();
    fs::write(starting.folder().join("config/default.toml"), text).unwrap();
    let mut cluster = starting.spawn();
    assert_eq!(cluster.ended().code(), Some(1));
    assert!(cluster.log().contains("acme.agree_to_terms: certificates for e.acme.test"), "{}", cluster.log());
}

#[test]
fn two_programs_of_one_folder_ask_once() {
    needs!("pebble");
    needs!("curl");
    let authority = Authority::default();
    let (http, tls) = (authority.http, free_port());
    let pebble = authority.start();
    let site = Site::new(&pebble, (http, tls), &["f.acme.test"], "");
    let other = site.beside(&pebble, &["f.acme.test"]);
    let (one, two) = (site.serve(), other.serve());
    trusted(&pebble, "f.acme.test", site.tls, || one.log());
    trusted(&pebble, "f.acme.test", other.tls, || two.log());
    assert_eq!(shown(site.tls, "f.acme.test"), shown(other.tls, "f.acme.test"));
    assert_eq!(pebble.issued(), 1, "{}", pebble.log());
    one.stop();
    two.stop();
}

#[test]
fn an_authority_may_want_an_account_of_its_own() {
    needs!("pebble");
    needs!("curl");
    let key = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W";
    let external = [("kid-1".to_owned(), key.to_owned())].into();
    let authority = Authority { external, ..Authority::default() };
    let (http, tls) = (authority.http, free_port());
    let pebble = authority.start();
    let key_file = pebble.path("external.key");
    let more = format!("[acme.external_account]\nid = 'kid-1'\nkey_file = {key_file:?}\n");
    let site = Site::new(&pebble, (http, tls), &["g.acme.test"], &more);
    fs::write(&key_file, format!("{key}\n")).unwrap();
    let serving = site.serve();
    trusted(&pebble, "g.acme.test", site.tls, || serving.log());
    assert!(!serving.log().contains(key));
    serving.stop();
}

/// The certificate that is shown for a name; `None` if the handshake is refused.
fn shown(port: u16, name: &str) -> Option<CertificateDer<'static>> {
    let stream = connect(port, name)?;
    Some(stream.conn.peer_certificates()?.first()?.clone().into_owned())
}

type Stream = StreamOwned<ClientConnection, TcpStream>;

/// Connects, whatever certificate there is.
fn connect(port: u16, name: &str) -> Option<Stream> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().unwrap();
    let mut config = builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth();
    config.dangerous().set_certificate_verifier(Arc::new(Whatever(provider)));
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut connection = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut socket = TcpStream::connect(SocketAddr::from(([127, 0, 0, 1], port))).ok()?;
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    while connection.is_handshaking() {
        connection.complete_io(&mut socket).ok()?;
    }
    Some(StreamOwned::new(connection, socket))
}

/// Asks for the page, on a connection that goes on.
fn ask(stream: &mut Stream) {
    stream.write_all(b"GET / HTTP/1.1\r\nhost: c.acme.test\r\n\r\n").unwrap();
    let mut reader = BufReader::with_capacity(1, stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    assert_eq!(line, "HTTP/1.1 200 OK\r\n");
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).unwrap();
        // Its body is empty.
        assert!(!line.starts_with("content-length:") || line == "content-length: 0\r\n", "{line}");
    }
}

/// Verifies nothing.
#[derive(Debug)]
struct Whatever(Arc<rustls::crypto::CryptoProvider>);

impl rustls::client::danger::ServerCertVerifier for Whatever {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
