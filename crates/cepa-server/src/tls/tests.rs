//! Tests of TLS with a real client: choice by name, ALPN, tickets, reload.

use super::*;
use crate::scratch::Folder;
use rustls::{
    ClientConfig, ClientConnection, HandshakeKind, NamedGroup, RootCertStore,
    client::{
        ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
        Tls13ClientSessionValue,
    },
    pki_types::{CertificateDer, ServerName, pem::PemObject},
};
use std::{fs, path::PathBuf};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    time::timeout,
};
use tokio_rustls::{TlsConnector, client, server};

/// Certificate and key in PEM.
fn issue(names: &[&str]) -> (String, String) {
    let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
    let issued = rcgen::generate_simple_self_signed(names).unwrap();
    (issued.cert.pem(), issued.signing_key.serialize_pem())
}

fn der(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
}

/// Writes a certificate for `names` into `folder` and says which it is.
fn install(folder: &Folder, file: &str, names: &[&str]) -> (CertificateFiles, CertificateDer<'static>) {
    let (cert, key) = issue(names);
    let (cert_path, key_path) = (folder.path(&format!("{file}.pem")), folder.path(&format!("{file}.key")));
    replace(&cert_path, &cert);
    replace(&key_path, &key);
    let names = names.iter().map(|&name| name.to_owned()).collect();
    (CertificateFiles { cert: cert_path, key: key_path, names }, der(&cert))
}

/// Puts a new file in the place of an old one, as careful tools do.
fn replace(path: &PathBuf, text: &str) {
    let new = path.with_extension("new");
    fs::write(&new, text).unwrap();
    fs::rename(&new, path).unwrap();
}

fn config(certificates: Vec<CertificateFiles>) -> TlsConfig {
    TlsConfig::new(certificates)
}

/// With files alone, which need no folder.
fn load(config: &TlsConfig) -> Result<Tls, TlsError> {
    Tls::load(config, &TlsFolder::new("/nowhere"))
}

/// A client that trusts `roots` and offers `alpn`.
fn trusting(roots: &[&CertificateDer<'static>], alpn: &[&str]) -> ClientConfig {
    speaking(rustls::ALL_VERSIONS, roots, alpn)
}

fn speaking(
    versions: &[&'static rustls::SupportedProtocolVersion],
    roots: &[&CertificateDer<'static>],
    alpn: &[&str],
) -> ClientConfig {
    let mut store = RootCertStore::empty();
    for root in roots {
        store.add((*root).clone()).unwrap();
    }
    let mut config = ClientConfig::builder_with_provider(provider::provider())
        .with_protocol_versions(versions)
        .unwrap()
        .with_root_certificates(store)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|id| id.as_bytes().to_vec()).collect();
    config.resumption = Resumption::in_memory_sessions(8);
    config
}

type Pair = (server::TlsStream<DuplexStream>, client::TlsStream<DuplexStream>);

async fn handshake(tls: &Tls, client: &Arc<ClientConfig>, name: &str) -> std::io::Result<Pair> {
    let (near, far) = duplex(64 << 10);
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let connector = TlsConnector::from(Arc::clone(client));
    let (server, client) = tokio::join!(tls.accept(near), connector.connect(name, far));
    let client = client?;
    Ok((server?.expect("it is no challenge"), client))
}

fn shown(client: &ClientConnection) -> CertificateDer<'static> {
    client.peer_certificates().unwrap()[0].clone().into_owned()
}

async fn talk((server, client): &mut Pair) {
    let mut byte = [0];
    client.write_all(b"?").await.unwrap();
    client.flush().await.unwrap();
    server.read_exact(&mut byte).await.unwrap();
    server.write_all(b"!").await.unwrap();
    server.flush().await.unwrap();
    client.read_exact(&mut byte).await.unwrap();
    assert_eq!(&byte, b"!");
}

#[tokio::test]
async fn the_name_chooses_the_certificate() {
    let folder = Folder::new();
    let (first, first_der) = install(&folder, "first", &["first.test", "other.test", "a.b.wild.test"]);
    let (second, second_der) = install(&folder, "second", &["second.test"]);
    let (wild, wild_der) = install(&folder, "wild", &["*.wild.test"]);
    let (exact, exact_der) = install(&folder, "exact", &["exact.wild.test"]);
    let mut certificates = vec![first, second, wild, exact];
    certificates[0].names = vec!["first.test".to_owned()];
    let tls = load(&config(certificates)).unwrap();
    let client = Arc::new(trusting(&[&first_der, &second_der, &wild_der, &exact_der], &[]));
    for (name, der) in [
        ("first.test", &first_der),
        ("second.test", &second_der),
        ("SECOND.test", &second_der),
        ("any.wild.test", &wild_der),
        ("exact.wild.test", &exact_der),
        // Listed nowhere: the first.
        ("other.test", &first_der),
        ("a.b.wild.test", &first_der),
    ] {
        let (server, client) = handshake(&tls, &client, name).await.unwrap();
        assert_eq!(&shown(client.get_ref().1), der, "{name}");
        assert_eq!(peer_info(&server).server_name, Some(name.to_lowercase().as_str()));
    }
}

#[tokio::test]
async fn a_client_without_a_name_gets_the_first() {
    let folder = Folder::new();
    let (first, first_der) = install(&folder, "first", &["127.0.0.1"]);
    let (second, _) = install(&folder, "second", &["second.test"]);
    let first = CertificateFiles { names: Vec::new(), ..first };
    let tls = load(&config(vec![first, second])).unwrap();
    let (server, client) =
        handshake(&tls, &Arc::new(trusting(&[&first_der], &[])), "127.0.0.1").await.unwrap();
    assert_eq!(shown(client.get_ref().1), first_der);
    assert_eq!(peer_info(&server).server_name, None);
}

#[tokio::test]
async fn alpn_and_versions_are_negotiated() {
    let folder = Folder::new();
    let (files, der) = install(&folder, "c", &["a.test"]);
    let tls = load(&config(vec![files])).unwrap();
    for (offer, protocol) in [
        (&["http/1.1", "h2"][..], Some(Protocol::Http2)),
        (&["http/1.1"][..], Some(Protocol::Http1)),
        (&[][..], None),
    ] {
        let (server, _) = handshake(&tls, &Arc::new(trusting(&[&der], offer)), "a.test").await.unwrap();
        let info = peer_info(&server);
        assert_eq!((info.protocol, info.version), (protocol, "TLSv1.3"));
        assert!(info.cipher.starts_with("TLS_AES_"), "{}", info.cipher);
    }
    let error = handshake(&tls, &Arc::new(trusting(&[&der], &["spdy/3"])), "a.test").await.unwrap_err();
    assert!(error.to_string().contains("NoApplicationProtocol"), "{error}");

    let old = speaking(&[&rustls::version::TLS12], &[&der], &[]);
    let (server, _) = handshake(&tls, &Arc::new(old), "a.test").await.unwrap();
    let info = peer_info(&server);
    assert_eq!(info.version, "TLSv1.2");
    assert!(info.cipher.starts_with("TLS_ECDHE_ECDSA_WITH_"), "{}", info.cipher);
}

/// The memory of a client that mixes up its servers: it offers the ticket of one name to all.
#[derive(Debug)]
struct Confused(ClientSessionMemoryCache);

fn one() -> ServerName<'static> {
    ServerName::try_from("one.test").unwrap()
}

impl ClientSessionStore for Confused {
    fn set_kx_hint(&self, _: ServerName<'static>, group: NamedGroup) {
        self.0.set_kx_hint(one(), group);
    }

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(&one())
    }

    fn set_tls12_session(&self, _: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.0.set_tls12_session(one(), session);
    }

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(&one())
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {
        self.0.remove_tls12_session(&one());
    }

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(one(), ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(&one())
    }
}

/// Whether a second handshake of `client`, to `second`, resumes the session of a first to `first`.
async fn resumes(client: &Arc<ClientConfig>, first: (&Tls, &str), second: (&Tls, &str)) -> bool {
    let mut pair = handshake(first.0, client, first.1).await.unwrap();
    // The tickets arrive with the first answer.
    talk(&mut pair).await;
    let (server, _) = handshake(second.0, client, second.1).await.unwrap();
    server.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed)
}

#[tokio::test]
async fn tickets_hold_for_all_clones_and_for_no_other_name_or_server() {
    let folder = Folder::new();
    let (files, der) = install(&folder, "c", &["a.test", "b.test"]);
    let tls = load(&config(vec![files.clone()])).unwrap();
    let other = load(&config(vec![files])).unwrap();
    for version in rustls::ALL_VERSIONS {
        let mut client = speaking(&[*version], &[&der], &[]);
        client.resumption = Resumption::store(Arc::new(Confused(ClientSessionMemoryCache::new(8))));
        let client = Arc::new(client);
        assert!(resumes(&client, (&tls, "a.test"), (&tls.clone(), "a.test")).await);
        assert!(!resumes(&client, (&tls, "a.test"), (&other, "a.test")).await);
        assert!(!resumes(&client, (&tls, "b.test"), (&other, "b.test")).await);
        assert!(!resumes(&client, (&tls, "a.test"), (&tls, "b.test")).await, "{version:?}");
    }
    assert_eq!(tls.config.max_early_data_size, 0);
}

#[tokio::test]
async fn a_changed_certificate_is_served_and_open_connections_live_on() {
    let folder = Folder::new();
    let (files, old) = install(&folder, "c", &["a.test"]);
    let tls = load(&config(vec![files.clone()])).unwrap();
    let mut before = handshake(&tls, &Arc::new(trusting(&[&old], &[])), "a.test").await.unwrap();
    assert_eq!(tls.reload_if_changed().changed, 0);

    let (_, new) = install(&folder, "c", &["a.test"]);
    let reload = tls.reload_if_changed();
    assert!(reload.changed == 1 && reload.errors.is_empty(), "{reload:?}");
    let after = handshake(&tls, &Arc::new(trusting(&[&new], &[])), "a.test").await.unwrap();
    assert_eq!(shown(after.1.get_ref().1), new);
    assert!(handshake(&tls, &Arc::new(trusting(&[&old], &[])), "a.test").await.is_err());
    talk(&mut before).await;
}

#[tokio::test]
async fn a_broken_certificate_changes_nothing_and_holds_up_no_other() {
    let folder = Folder::new();
    let (files, old) = install(&folder, "c", &["a.test"]);
    let (other, _) = install(&folder, "other", &["b.test"]);
    let tls = load(&config(vec![files.clone(), other])).unwrap();

    let (new_cert, new_key) = issue(&["a.test"]);
    replace(&files.cert, &new_cert);
    let (_, other_new) = install(&folder, "other", &["b.test"]);
    for _ in 0..2 {
        let reload = tls.reload_if_changed();
        assert!(matches!(&reload.errors[..], [TlsError::Mismatch { .. }]), "{reload:?}");
        handshake(&tls, &Arc::new(trusting(&[&old], &[])), "a.test").await.unwrap();
        handshake(&tls, &Arc::new(trusting(&[&other_new], &[])), "b.test").await.unwrap();
    }
    replace(&files.key, &new_key);
    assert_eq!(tls.reload_if_changed().changed, 1);
    handshake(&tls, &Arc::new(trusting(&[&der(&new_cert)], &[])), "a.test").await.unwrap();

    fs::write(&files.cert, "garbage").unwrap();
    assert!(matches!(&tls.reload_if_changed().errors[..], [TlsError::Pem { .. }]));
    fs::remove_file(&files.cert).unwrap();
    assert!(matches!(&tls.reload_if_changed().errors[..], [TlsError::Read { .. }]));
    handshake(&tls, &Arc::new(trusting(&[&der(&new_cert)], &[])), "a.test").await.unwrap();
}

#[tokio::test]
async fn watching_reloads() {
    let folder = Folder::new();
    let (files, _) = install(&folder, "c", &["a.test"]);
    let tls = load(&config(vec![files])).unwrap();
    let (_, new) = install(&folder, "c", &["a.test"]);
    let client = Arc::new(trusting(&[&new], &[]));
    let served = async {
        while handshake(&tls, &client, "a.test").await.is_err() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    tokio::select! {
        () = tls.clone().watch(Duration::ZERO) => panic!("it watches for ever"),
        served = tokio::time::timeout(Duration::from_secs(10), served) => served.unwrap(),
    }
}

#[test]
fn faults_name_the_file() {
    let folder = Folder::new();
    let (good, _) = install(&folder, "good", &["a.test"]);
    let (other, _) = install(&folder, "other", &["a.test"]);
    let text = folder.path("text");
    fs::write(&text, "nothing in here").unwrap();
    let large = folder.path("large");
    fs::write(&large, vec![b'x'; (1 << 20) + 1]).unwrap();
    let broken = folder.path("broken");
    fs::write(&broken, "-----BEGIN PRIVATE KEY-----\nc2VjcmV0!\n-----END PRIVATE KEY-----\n").unwrap();
    let with = |cert: &PathBuf, key: &PathBuf, names: &[&str]| {
        let names = names.iter().map(|&name| name.to_owned()).collect();
        config(vec![CertificateFiles { cert: cert.clone(), key: key.clone(), names }])
    };
    for (config, fault) in [
        (config(Vec::new()), "TLS needs a certificate"),
        (with(&good.cert, &good.key, &["b.test"]), "good.pem: the certificate is not valid for b.test"),
        (with(&good.cert, &good.key, &["*.test"]), "good.pem: the certificate is not valid for *.test"),
        (with(&good.cert, &good.key, &["10.0.0.1"]), "\"10.0.0.1\" is no server name"),
        (with(&good.cert, &other.key, &[]), "other.key: this is not the key of the certificate in "),
        (with(&text, &good.key, &[]), "text: no certificate in PEM form: there is no CERTIFICATE section"),
        (with(&good.cert, &text, &[]), "text: no private key in PEM form: there is no PRIVATE KEY section"),
        (with(&good.cert, &broken, &[]), "broken: no private key in PEM form: it is damaged"),
        (with(&good.cert, &large, &[]), "large: larger than 1 MiB"),
        (with(&good.cert, &folder.path("gone"), &[]), "gone: No such file"),
        (with(&folder.as_ref().to_owned(), &good.key, &[]), "not a file"),
    ] {
        let error = load(&config).unwrap_err().to_string();
        assert!(error.contains(fault), "{error} / {fault}");
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
}

#[tokio::test]
async fn hostile_beginnings_end_in_an_error() {
    let folder = Folder::new();
    let (files, _) = install(&folder, "c", &["a.test"]);
    let tls = load(&config(vec![files])).unwrap();
    for bytes in
        [&b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"[..], &[0; 4096], &[0x16, 3, 1, 0xff, 0xff, 1], b""]
    {
        let (near, mut far) = duplex(64 << 10);
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        assert!(tls.accept(near).await.is_err());
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_message_is_not_waited_for_if_it_is_to_be_too_long() {
    let folder = Folder::new();
    let tls = load(&config(vec![install(&folder, "a", &["a.test"]).0])).unwrap();
    let (near, mut far) = duplex(64 << 10);
    // A ClientHello of 64 KiB, of which no more has come than that.
    far.write_all(&[22, 3, 1, 0, 4, 1, 1, 0, 0]).await.unwrap();
    let accepted = timeout(Duration::from_secs(1), tls.accept(near)).await.expect("it is refused at once");
    assert!(accepted.unwrap_err().to_string().contains("HandshakePayloadTooLarge"));
}

#[cfg(feature = "self-signed")]
#[tokio::test]
async fn a_self_signed_certificate_serves_its_names() {
    let made = self_signed(&["localhost", "*.app.localhost", "127.0.0.1"]).unwrap();
    let folder = Folder::new();
    let files = CertificateFiles {
        cert: folder.path("c"),
        key: folder.path("k"),
        names: vec!["localhost".to_owned(), "*.app.localhost".to_owned()],
    };
    replace(&files.cert, &made.cert);
    replace(&files.key, &made.key);
    let tls = load(&config(vec![files])).unwrap();
    for name in ["localhost", "my.app.localhost", "127.0.0.1"] {
        handshake(&tls, &Arc::new(trusting(&[&der(&made.cert)], &[])), name).await.unwrap();
    }
    assert!(!format!("{made:?}").contains("PRIVATE"));
    assert!(self_signed::<&str>(&[]).is_err());
    assert!(self_signed(&["bücher.test"]).is_err());
}

/// The alert that ends the handshake of a client.
async fn alert(tls: &Tls, client: &Arc<ClientConfig>, name: &str) -> Option<rustls::AlertDescription> {
    let error = handshake(tls, client, name).await.err()?;
    match error.get_ref()?.downcast_ref()? {
        rustls::Error::AlertReceived(alert) => Some(*alert),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn a_strict_listener_serves_the_names_it_lists_and_no_others() {
    use rustls::AlertDescription::{MissingExtension, UnrecognisedName};
    let folder = Folder::new();
    let (files, a) = install(&folder, "a", &["a.test", "127.0.0.1"]);
    let (wild, w) = install(&folder, "w", &["*.w.test"]);
    let files = CertificateFiles { names: vec!["a.test".to_owned()], ..files };
    let mut config = config(vec![files, wild]);
    let client = Arc::new(trusting(&[&a, &w], &["h2"]));
    for (is_strict, name, expected) in [
        (true, "a.test", None),
        (true, "x.w.test", None),
        (true, "b.test", Some(UnrecognisedName)),
        (true, "w.test", Some(UnrecognisedName)),
        (true, "x.y.w.test", Some(UnrecognisedName)),
        (true, "127.0.0.1", Some(MissingExtension)),
        (false, "127.0.0.1", None),
    ] {
        config.strict_sni = is_strict;
        let tls = load(&config).unwrap();
        assert_eq!(alert(&tls, &client, name).await, expected, "{is_strict} {name}");
    }
}

/// Writes a certificate as whoever gets it by ACME does.
fn obtain(path: &std::path::Path, names: &[&str]) -> CertificateDer<'static> {
    let (cert, key) = issue(names);
    TlsFolder::write(path, format!("{key}{cert}").as_bytes()).unwrap();
    der(&cert)
}

#[tokio::test]
async fn an_awaited_certificate_is_served_once_it_is_there() {
    use rustls::AlertDescription::InternalError;
    let scratch = Folder::new();
    let folder = TlsFolder::new(scratch.path("tls"));
    let acme = |names: &[&str]| TlsConfig {
        acme: names.iter().map(|&name| name.to_owned()).collect(),
        ..TlsConfig::default()
    };
    let tls = Tls::load(&acme(&["A.test", "b.test", "a.test"]), &folder).unwrap();
    let nobody = Arc::new(trusting(&[&der(&issue(&["x.test"]).0)], &[]));
    assert_eq!(alert(&tls, &nobody, "a.test").await, Some(InternalError));
    assert_eq!(alert(&tls, &nobody, "unknown.test").await, Some(InternalError));
    let reload = tls.reload_if_changed();
    assert!(reload.changed == 0 && reload.errors.is_empty(), "{reload:?}");

    let first = obtain(&folder.certificate("a.test").unwrap(), &["a.test"]);
    assert_eq!(tls.reload_if_changed().changed, 1);
    let trusting_first = Arc::new(trusting(&[&first], &[]));
    handshake(&tls, &trusting_first, "a.test").await.unwrap();
    assert_eq!(alert(&tls, &trusting_first, "b.test").await, Some(InternalError), "there is none for it yet");

    // Renewed, and damaged: what was good goes on.
    let second = obtain(&folder.certificate("a.test").unwrap(), &["a.test"]);
    assert_eq!(tls.reload_if_changed().changed, 1);
    TlsFolder::write(&folder.certificate("a.test").unwrap(), b"damaged").unwrap();
    assert_eq!(tls.reload_if_changed().errors.len(), 1);
    handshake(&tls, &Arc::new(trusting(&[&second], &[])), "a.test").await.unwrap();

    // A process that starts now has none, and says no more than that.
    let tls = Tls::load(&acme(&["a.test"]), &folder).unwrap();
    assert_eq!(alert(&tls, &nobody, "a.test").await, Some(InternalError));
    let third = obtain(&folder.certificate("a.test").unwrap(), &["a.test"]);
    assert_eq!(tls.reload_if_changed().changed, 1);
    handshake(&tls, &Arc::new(trusting(&[&third], &[])), "a.test").await.unwrap();

    for (names, fault) in [
        (&["*.a.test"][..], "\"*.a.test\": ACME answers for plain host names only"),
        (&["localhost"], "\"localhost\": ACME answers"),
        (&["10.0.0.1"], "\"10.0.0.1\" is no server name"),
        (&["../a.test"], "\"../a.test\" is no server name"),
        (&["a.test"; 101], "acme: 101 names are more than 100"),
    ] {
        let error = Tls::load(&acme(names), &folder).unwrap_err().to_string();
        assert!(error.contains(fault), "{error}");
    }
}

#[tokio::test]
async fn only_who_asks_for_a_challenge_gets_its_answer() {
    use rustls::AlertDescription::{NoApplicationProtocol, UnrecognisedName};
    let scratch = Folder::new();
    let folder = TlsFolder::new(scratch.path("tls"));
    let (files, own) = install(&scratch, "own", &["a.test", "other.test"]);
    let config = TlsConfig { acme: vec!["a.test".to_owned()], ..config(vec![files]) };
    let tls = Tls::load(&config, &folder).unwrap();

    // Critical, as RFC 8737 has it, so that it is good for nothing else.
    let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
    params.custom_extensions = vec![rcgen::CustomExtension::new_acme_identifier(&[7; 32])];
    let key = rcgen::KeyPair::generate().unwrap();
    let answer = params.self_signed(&key).unwrap();
    let text = format!("{}{}", answer.pem(), key.serialize_pem());
    let answering = folder.alpn_challenge("a.test").unwrap();

    let mut asking = trusting(&[&own], &["acme-tls/1"]);
    asking.dangerous().set_certificate_verifier(Arc::new(Whatever(provider::provider())));
    let asking = Arc::new(asking);
    assert_eq!(alert(&tls, &asking, "a.test").await, Some(UnrecognisedName), "nobody has asked for it");
    TlsFolder::write(&answering, text.as_bytes()).unwrap();
    let (near, far) = duplex(64 << 10);
    let connector = TlsConnector::from(Arc::clone(&asking));
    let name = ServerName::try_from("a.test").unwrap();
    let (server, client) = tokio::join!(tls.accept(near), connector.connect(name, far));
    assert!(server.unwrap().is_none(), "it is over");
    let client = client.unwrap();
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"acme-tls/1"[..]));
    assert_eq!(&shown(client.get_ref().1), answer.der());

    assert_eq!(alert(&tls, &asking, "other.test").await, Some(UnrecognisedName), "it has no such name");
    // Beside another protocol it is none of these handshakes, and no protocol that is spoken here.
    let both = Arc::new(trusting(&[&own], &["acme-tls/1", "h2"]));
    let (_, client) = handshake(&tls, &both, "other.test").await.unwrap();
    assert_eq!(client.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    // The files of others are no answers to challenges.
    fs::remove_file(&answering).unwrap();
    let plain = Arc::new(trusting(&[&own], &["spdy/3"]));
    assert_eq!(alert(&tls, &plain, "other.test").await, Some(NoApplicationProtocol));
    assert_eq!(alert(&tls, &asking, "a.test").await, Some(UnrecognisedName));
}

/// Verifies nothing but that the peer has the key.
#[derive(Debug)]
struct Whatever(Arc<CryptoProvider>);

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

#[cfg(feature = "self-signed")]
#[tokio::test]
async fn a_self_signed_certificate_is_kept_and_replaced_in_time() {
    let scratch = Folder::new();
    let folder = TlsFolder::new(scratch.path("tls"));
    let config = |names: &[&str]| TlsConfig {
        self_signed: names.iter().map(|&name| name.to_owned()).collect(),
        ..TlsConfig::default()
    };
    let names = config(&["localhost", "*.App.test", "127.0.0.1", "::1"]);
    let files = || {
        let mut files: Vec<_> = fs::read_dir(scratch.path("tls/self-signed")).unwrap().flatten().collect();
        files.sort_by_key(fs::DirEntry::file_name);
        files.iter().map(fs::DirEntry::path).collect::<Vec<_>>()
    };
    let tls = Tls::load(&names, &folder).unwrap();
    let [file] = &files()[..] else { panic!("{:?}", files()) };
    let kept = CertificateDer::from_pem_file(file).unwrap();
    let client = Arc::new(trusting(&[&kept], &[]));
    for name in ["localhost", "x.app.test", "127.0.0.1", "::1"] {
        handshake(&tls, &client, name).await.unwrap();
    }
    // Another process, or the next start.
    handshake(&Tls::load(&names, &folder).unwrap(), &client, "localhost").await.unwrap();
    Tls::load(&config(&["localhost"]), &folder).unwrap();
    assert_eq!(files().len(), 2, "another list, another file");

    let long_ago = std::time::SystemTime::now() - Duration::from_secs(301 * 86_400);
    let age = || fs::File::options().write(true).open(file).unwrap().set_modified(long_ago).unwrap();
    let damage = || fs::write(file, "damaged").unwrap();
    for wanting in [&age as &dyn Fn(), &damage] {
        let before = CertificateDer::from_pem_file(file).unwrap();
        wanting();
        Tls::load(&names, &folder).unwrap();
        assert_ne!(CertificateDer::from_pem_file(file).unwrap(), before);
    }
    for names in [&["b\u{fc}cher.test"][..], &["../x"], &["localhost", ""]] {
        assert!(matches!(Tls::load(&config(names), &folder), Err(TlsError::Name { .. })), "{names:?}");
    }
}
