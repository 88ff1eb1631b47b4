//! Tests with an authority that says what real ones seldom say: when to renew, to be left alone, and nonsense.

use std::{
    path::Path,
    sync::{Arc, Mutex},
};

use cepa_core::{App, Ctx, Result};
use cepa_server::{
    ListenConfig, Running, Server, ServerConfig,
    listen::Address,
    tls::{TlsConfig, self_signed},
};
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;
use crate::kept;

/// What was asked, in order: the path, and what a signed request holds.
type Asked = Arc<Mutex<Vec<(String, Value)>>>;

/// An authority on a port of this machine.
struct Authority {
    folder: TempDir,
    asked: Asked,
    running: Option<Running>,
}

impl Authority {
    fn new(app: App) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let made = self_signed(&["127.0.0.1"]).unwrap();
        let (cert, key) = (folder.path().join("ca.pem"), folder.path().join("ca.key"));
        fs::write(&cert, made.cert).unwrap();
        fs::write(&key, made.key).unwrap();
        let files = cepa_server::tls::CertificateFiles { cert, key, names: Vec::new() };
        let tls = Some(TlsConfig::new(vec![files]));
        let listen = ListenConfig { tls, ..ListenConfig::from(Address::Tcp(([127, 0, 0, 1], 0).into())) };
        let config = ServerConfig { listen: vec![listen], workers: 1, ..ServerConfig::default() };
        let asked = Asked::default();
        let record = Arc::clone(&asked);
        let app = app.around(async move |ctx: &mut Ctx, next: cepa_core::Next<'_>| {
            let signed: Value = serde_json::from_slice(&ctx.bytes().await?).unwrap_or_default();
            let payload = signed["payload"].as_str().unwrap_or_default();
            let payload = base64::Engine::decode(&base64::prelude::BASE64_URL_SAFE_NO_PAD, payload).unwrap();
            let payload = serde_json::from_slice(&payload).unwrap_or_default();
            record.lock().unwrap().push((ctx.path().to_owned(), payload));
            ctx.set("replay-nonce", "n")?;
            next.run(ctx).await
        });
        let running = Server::bind(config, app.build().unwrap()).unwrap().start().unwrap();
        Self { folder, asked, running: Some(running) }
    }

    fn keeper(&self, names: &[&str], change: impl FnOnce(&mut AcmeConfig)) -> Keeper {
        let at = &self.running.as_ref().unwrap().endpoints()[0];
        let mut config = AcmeConfig {
            agree_to_terms: true,
            directory: Some(format!("https://{at}/dir")),
            root: Some(self.folder.path().join("ca.pem")),
            ..AcmeConfig::default()
        };
        change(&mut config);
        let names = names.iter().map(|&name| name.into()).collect();
        Keeper::new(config, "test", names, self.tls_folder()).unwrap()
    }

    fn tls_folder(&self) -> TlsFolder {
        TlsFolder::new(self.folder.path().join("tls"))
    }

    fn asked(&self, path: &str) -> Vec<Value> {
        let asked = self.asked.lock().unwrap();
        asked.iter().filter(|(of, _)| of.starts_with(path)).map(|(_, payload)| payload.clone()).collect()
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let ended = self.running.take().map_or(Ok(()), Running::stop);
        assert!(ended.is_ok() || std::thread::panicking(), "{ended:?}");
    }
}

fn directory(ctx: &mut Ctx) -> Result {
    let at = ctx.get("host").unwrap_or_default().to_owned();
    let url = |path: &str| format!("https://{at}/{path}");
    ctx.set_body(
        json!({
            "newNonce": url("nonce"), "newAccount": url("account"), "newOrder": url("order"),
            "renewalInfo": url("renewal"),
        })
        .to_string(),
    )
}

/// One that makes accounts.
fn app() -> App {
    App::new().get("/dir", async |ctx: &mut Ctx| directory(ctx)).get("/nonce", async |_: &mut Ctx| "").post(
        "/account",
        async |ctx: &mut Ctx| -> Result {
            let at = ctx.get("host").unwrap_or_default().to_owned();
            ctx.set_status(201)?;
            ctx.set("location", format!("https://{at}/account/1"))?;
            ctx.set_body(r#"{"status":"valid"}"#)
        },
    )
}

/// Keeps a certificate for `name` that is valid from 2000 on for so many years.
fn keep(path: &Path, name: &str, directory: &str, years: i32) {
    let mut params = rcgen::CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.not_before = rcgen::date_time_ymd(2000, 1, 1);
    params.not_after = rcgen::date_time_ymd(2000 + years, 1, 1);
    params.use_authority_key_identifier_extension = true;
    let key = rcgen::KeyPair::generate().unwrap();
    let chain = params.self_signed(&key).unwrap().pem();
    let text = kept::text(directory, &key.serialize_pem(), &chain);
    TlsFolder::write(path, text.as_bytes()).unwrap();
}

#[tokio::test]
async fn a_renewal_that_is_suggested_is_asked_for_and_a_limit_is_kept() {
    let window =
        json!({ "suggestedWindow": { "start": "2020-01-01T00:00:00Z", "end": "2020-01-02T00:00:00Z" } });
    let app = app()
        .get("/renewal/{id}", async move |ctx: &mut Ctx| -> Result {
            ctx.set("retry-after", u64::MAX.to_string())?;
            ctx.set_body(window.to_string())
        })
        .post("/order", async |ctx: &mut Ctx| -> Result {
            ctx.set_status(429)?;
            ctx.set("retry-after", "7200")?;
            ctx.set_body(r#"{"type":"urn:ietf:params:acme:error:rateLimited","detail":"too many"}"#)
        });
    let authority = Authority::new(app);
    let mut keeper = authority.keeper(&["a.test", "b.test"], |_| ());
    let path = authority.tls_folder().certificate("a.test").unwrap();
    // Not due by its age for decades.
    keep(&path, "a.test", &keeper.directory, 100);
    let id = Kept::read(&path, "a.test").unwrap().unwrap().id.unwrap().to_string();

    let started = SystemTime::now();
    let pause = keeper.turn().await;
    assert_eq!(authority.asked(&format!("/renewal/{id}")).len(), 1);
    let orders = authority.asked("/order");
    assert_eq!(
        orders,
        [json!({ "replaces": id, "identifiers": [{ "type": "dns", "value": "a.test" }] })],
        "b.test has none, and waits as well: the limit may be that of the account"
    );
    let ask = keeper.names[0].ask.duration_since(started).unwrap();
    assert!(ask >= SUGGESTED.1 && ask < SUGGESTED.1 + LOOK, "{ask:?}: it says never");
    let wait = |until: SystemTime| until.duration_since(started).unwrap().as_secs();
    let (due, paused) = (wait(keeper.names[0].due), wait(keeper.paused));
    assert!((7200..7300).contains(&due) && (3600..3700).contains(&paused), "{due} {paused}");
    assert!(pause <= LOOK, "it looks at its files meanwhile");
    keeper.turn().await;
    assert_eq!((authority.asked("/order").len(), authority.asked("/renewal").len()), (1, 1));

    // When it is over, both are asked for; of the account there is one.
    keeper.paused = SystemTime::UNIX_EPOCH;
    keeper.names.iter_mut().for_each(|name| name.due = SystemTime::UNIX_EPOCH);
    keeper.turn().await;
    assert_eq!((authority.asked("/order").len(), authority.asked("/account").len()), (2, 1));
    assert_eq!(keeper.failures, 2);
    let wanted = json!({ "identifiers": [{ "type": "dns", "value": "b.test" }] });
    assert_eq!(authority.asked("/order")[1], wanted, "who has failed comes after who has not");
}

#[tokio::test]
async fn nobody_waits_for_suggestions() {
    let silent = App::new().get("/dir", async |_: &mut Ctx| std::future::pending::<&str>().await);
    let authority = Authority::new(silent);
    let change = |config: &mut AcmeConfig| config.request_timeout = Duration::from_millis(200);
    let mut keeper = authority.keeper(&["a.test", "b.test", "c.test"], change);
    for name in ["a.test", "b.test", "c.test"] {
        let path = authority.tls_folder().certificate(name).unwrap();
        keep(&path, name, &keeper.directory, 100);
    }
    assert_eq!(keeper.turn().await, LOOK);
    assert_eq!(authority.asked("/dir").len(), 1, "one that does not answer is asked for all");
    assert_eq!(keeper.failures, 0, "nothing has failed: none is due");
}

#[tokio::test]
async fn another_directory_means_another_certificate() {
    let authority = Authority::new(app().post("/order", async |ctx: &mut Ctx| -> Result {
        ctx.set_status(400)?;
        ctx.set_body(r#"{"type":"urn:ietf:params:acme:error:rejectedIdentifier","detail":"not you"}"#)
    }));
    let mut keeper = authority.keeper(&["a.test", "b.test"], |_| ());
    keep(&authority.tls_folder().certificate("a.test").unwrap(), "a.test", "https://staging.test/dir", 100);
    fs::write(authority.tls_folder().certificate("b.test").unwrap(), "damaged").unwrap();
    keeper.turn().await;
    // Refused for its name, which holds nobody else up, and is no renewal of what came from elsewhere.
    let wanted = |name: &str| json!({ "identifiers": [{ "type": "dns", "value": name }] });
    assert_eq!(authority.asked("/order"), [wanted("a.test"), wanted("b.test")]);
    assert!(keeper.names.iter().all(|name| name.failures == 1 && name.due > SystemTime::now()));
    assert_eq!(keeper.failures, 0);
    keeper.turn().await;
    assert_eq!(authority.asked("/order").len(), 2, "not before its time");
    // Six within an hour are one too many for a name, whoever asks.
    for _ in 0..5 {
        let mut again = authority.keeper(&["a.test"], |_| ());
        again.turn().await;
        assert!(again.names[0].due > SystemTime::now());
    }
    assert_eq!(authority.asked("/order").iter().filter(|order| **order == wanted("a.test")).count(), 5);
}

#[tokio::test]
async fn an_authority_that_is_not_one_is_no_danger() {
    let large = App::new().get("/dir", async |_: &mut Ctx| "x".repeat(2000));
    let silent = App::new().get("/dir", async |_: &mut Ctx| std::future::pending::<&str>().await);
    let clear = App::new().get("/dir", async |_: &mut Ctx| {
        r#"{"newNonce":"http://127.0.0.1/nonce","newAccount":"http://127.0.0.1/a","newOrder":"http://127.0.0.1/o"}"#
    });
    let text = App::new().get("/dir", async |_: &mut Ctx| "hello");
    for (app, fault) in [
        (large, "length limit exceeded"),
        (silent, "timed out"),
        (clear, "http://127.0.0.1/nonce, which is no URL with https"),
        (text, "expected value at line 1"),
    ] {
        let authority = Authority::new(app);
        let mut keeper = authority.keeper(&["a.test"], |config| {
            config.answer = 1024;
            config.request_timeout = Duration::from_millis(500);
        });
        let error = keeper.account().await.err().unwrap();
        assert!(error.to_string().contains(fault), "{error}");
        assert!(error.is_of_all());
        keeper.turn().await;
        assert_eq!((keeper.failures, keeper.names[0].failures), (1, 1));
        assert!(keeper.paused > SystemTime::now());
    }
    // Whom nothing vouches for.
    let authority = Authority::new(app());
    let mut keeper = authority.keeper(&["a.test"], |config| config.root = None);
    let error = keeper.account().await.err().unwrap().to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    assert!(authority.asked("/").is_empty());
}

#[test]
fn what_cannot_begin_says_what_to_do() {
    let keeper = |config: AcmeConfig, name: &str| {
        Keeper::new(config, "production", vec![name.into()], TlsFolder::new("/t")).err().unwrap().to_string()
    };
    let agreed = AcmeConfig { agree_to_terms: true, ..AcmeConfig::default() };
    let error = keeper(AcmeConfig::default(), "a.test");
    assert!(
        error.contains("acme.agree_to_terms: certificates for a.test are to come from https://acme-v02."),
        "{error}"
    );
    assert!(keeper(agreed.clone(), "*.a.test").contains("plain host names only"));
    let error = keeper(AcmeConfig { retry: Duration::ZERO, ..agreed }, "a.test");
    assert_eq!(error, "acme.retry is 0: it must be longer");
}
