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
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
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
    TlsConfig { certificates, alpn: vec![Protocol::Http2, Protocol::Http1] }
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
    let (server, client) = tokio::join!(tls.acceptor().accept(near), connector.connect(name, far));
    Ok((server?, client?))
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
    let tls = Tls::load(&config(certificates)).unwrap();
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
    let tls = Tls::load(&config(vec![first, second])).unwrap();
    let (server, client) =
        handshake(&tls, &Arc::new(trusting(&[&first_der], &[])), "127.0.0.1").await.unwrap();
    assert_eq!(shown(client.get_ref().1), first_der);
    assert_eq!(peer_info(&server).server_name, None);
}

#[tokio::test]
async fn alpn_and_versions_are_negotiated() {
    let folder = Folder::new();
    let (files, der) = install(&folder, "c", &["a.test"]);
    let tls = Tls::load(&config(vec![files])).unwrap();
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
    assert!(error.to_string().contains("peer doesn't support any known protocol"), "{error}");

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
    let tls = Tls::load(&config(vec![files.clone()])).unwrap();
    let other = Tls::load(&config(vec![files])).unwrap();
    for version in rustls::ALL_VERSIONS {
        let mut client = speaking(&[*version], &[&der], &[]);
        client.resumption = Resumption::store(Arc::new(Confused(ClientSessionMemoryCache::new(8))));
        let client = Arc::new(client);
        assert!(resumes(&client, (&tls, "a.test"), (&tls.clone(), "a.test")).await);
        assert!(!resumes(&client, (&tls, "a.test"), (&other, "a.test")).await);
        assert!(!resumes(&client, (&tls, "b.test"), (&other, "b.test")).await);
        assert!(!resumes(&client, (&tls, "a.test"), (&tls, "b.test")).await, "{version:?}");
    }
    assert_eq!(tls.acceptor().config().max_early_data_size, 0);
}

#[tokio::test]
async fn a_changed_certificate_is_served_and_open_connections_live_on() {
    let folder = Folder::new();
    let (files, old) = install(&folder, "c", &["a.test"]);
    let tls = Tls::load(&config(vec![files.clone()])).unwrap();
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
    let tls = Tls::load(&config(vec![files.clone(), other])).unwrap();

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
    let tls = Tls::load(&config(vec![files])).unwrap();
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
        let error = Tls::load(&config).unwrap_err().to_string();
        assert!(error.contains(fault), "{error} / {fault}");
        assert!(!error.contains("c2VjcmV0"), "{error}");
    }
}

#[tokio::test]
async fn hostile_beginnings_end_in_an_error() {
    let folder = Folder::new();
    let (files, _) = install(&folder, "c", &["a.test"]);
    let tls = Tls::load(&config(vec![files])).unwrap();
    for bytes in
        [&b"GET / HTTP/1.1\r\nHost: a.test\r\n\r\n"[..], &[0; 4096], &[0x16, 3, 1, 0xff, 0xff, 1], b""]
    {
        let (near, mut far) = duplex(64 << 10);
        far.write_all(bytes).await.unwrap();
        far.shutdown().await.unwrap();
        assert!(tls.acceptor().accept(near).await.is_err());
    }
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
    let tls = Tls::load(&config(vec![files])).unwrap();
    for name in ["localhost", "my.app.localhost", "127.0.0.1"] {
        handshake(&tls, &Arc::new(trusting(&[&der(&made.cert)], &[])), name).await.unwrap();
    }
    assert!(!format!("{made:?}").contains("PRIVATE"));
    assert!(self_signed::<&str>(&[]).is_err());
    assert!(self_signed(&["bücher.test"]).is_err());
}
