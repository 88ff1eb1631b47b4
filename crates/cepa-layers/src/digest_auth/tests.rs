use std::fs;

use cepa_core::{
    App,
    test::{Answer, Client},
};
use http::Method;

use super::*;
use crate::auth::LineFault;

struct Fixture {
    _folder: tempfile::TempDir,
    options: Options,
}

impl Fixture {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { file: folder.path().join("users"), ..Options::default() };
        fs::write(&options.file, text).unwrap();
        Self { _folder: folder, options }
    }

    fn client(&self) -> Client {
        let name = async |ctx: &mut Ctx| ctx.state::<User>().map(|user| user.name().to_owned());
        App::new().with(digest_auth(self.options.clone()).unwrap()).get("/a", name).test()
    }
}

/// A browser that knows a name and password.
struct Browser<'a> {
    client: &'a Client,
    name: &'static str,
    password: &'static str,
    nonce: String,
}

impl<'a> Browser<'a> {
    async fn new(client: &'a Client, name: &'static str, password: &'static str) -> Self {
        let nonce = nonce(&client.get("/a").await);
        Self { client, name, password, nonce }
    }

    fn authorization(&self, method: &str, uri: &str, count: u32) -> String {
        let secret = digest::hash(&[self.name, "restricted", self.password]);
        self.authorization_by(&secret, method, uri, count)
    }

    fn authorization_by(&self, secret: &digest::Hash, method: &str, uri: &str, count: u32) -> String {
        let secret = std::str::from_utf8(secret).unwrap();
        let asked = digest::hash(&[method, uri]);
        let asked = std::str::from_utf8(&asked).unwrap();
        let count = format!("{count:08x}");
        let response = digest::hash(&[secret, &self.nonce, &count, "c", "auth", asked]);
        let response = std::str::from_utf8(&response).unwrap();
        format!(
            "Digest username=\"{}\", realm=\"restricted\", nonce=\"{}\", uri=\"{uri}\", algorithm=SHA-256, \
             qop=auth, nc={count}, cnonce=\"c\", response=\"{response}\"",
            self.name, self.nonce
        )
    }

    async fn get(&self, target: &str, count: u32) -> Answer {
        let header = self.authorization("GET", target, count);
        self.client.get(target).header("authorization", &header).await
    }
}

fn nonce(answer: &Answer) -> String {
    assert_eq!(answer.status().as_u16(), 401);
    let challenge = answer.header("www-authenticate");
    assert!(
        challenge.starts_with("Digest realm=\"restricted\", qop=\"auth\", algorithm=SHA-256"),
        "{challenge}"
    );
    challenge.split("nonce=\"").nth(1).unwrap().split('"').next().unwrap().to_owned()
}

fn is_stale(answer: &Answer) -> bool {
    assert_eq!(answer.status().as_u16(), 401);
    answer.header("www-authenticate").contains("stale=true")
}

#[tokio::test]
async fn only_users_are_let_in() {
    let fixture = Fixture::new(&entry("ada", "restricted", "secret"));
    let client = fixture.client();
    let ada = Browser::new(&client, "ada", "secret").await;
    let answer = ada.get("/a?b=1", 1).await;
    assert_eq!((answer.status().as_u16(), answer.text()), (200, "ada"));
    assert!(answer.header("authentication-info").starts_with("rspauth=\""));

    for (name, password) in [("ada", "other"), ("bob", "secret"), ("", "")] {
        let answer = Browser::new(&client, name, password).await.get("/a", 1).await;
        assert!(!is_stale(&answer), "{name}");
    }
    // What stands for the hash of nobody lets nobody in.
    let nobody = Browser::new(&client, "nobody", "").await;
    let header = nobody.authorization_by(&[b'0'; 64], "GET", "/a", 1);
    assert!(!is_stale(&client.get("/a").header("authorization", &header).await));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_taken_twice() {
    let fixture = Fixture::new(&entry("ada", "restricted", "secret"));
    let client = fixture.client();
    let ada = Browser::new(&client, "ada", "secret").await;
    assert_eq!(ada.get("/a", 1).await.status(), 200);
    assert!(is_stale(&ada.get("/a", 1).await), "a replay");
    assert_eq!(ada.get("/a", 3).await.status(), 200);
    assert_eq!(ada.get("/a", 2).await.status(), 200, "requests overtake each other");
    assert!(is_stale(&ada.get("/a", 2).await));

    // A digest is for one method and one path.
    let header = ada.authorization("GET", "/a", 4);
    let answer = client.get("/b").header("authorization", &header).await;
    assert_eq!(answer.status().as_u16(), 400);
    let answer = client.request(Method::PUT, "/a").header("authorization", &header).await;
    assert!(!is_stale(&answer));
    // Wrong ones use up no numbers.
    assert_eq!(ada.get("/a", 4).await.status(), 200);

    tokio::time::advance(fixture.options.nonce_life).await;
    assert!(is_stale(&ada.get("/a", 5).await));
    let foreign = Browser { nonce: "n".to_owned(), ..ada };
    assert!(is_stale(&foreign.get("/a", 1).await));
}

#[test]
fn weak_hashes_are_refused_at_start() {
    for (line, expected) in [
        ("ada:restricted:939e7578ed9e3c518a452acee763bce9", "weak"),
        ("ada:restricted:secret", "form"),
        ("ada:restricted", "form"),
        ("ada:r:b:939e7578ed9e3c518a452acee763bce9", "form"),
        (&entry("ada", "restricted", "x").to_uppercase(), "form"),
    ] {
        let error = digest_auth(Fixture::new(line).options).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("users:1: "), "{line}: {error}");
        assert!(!error.contains("secret"));
    }
    let (one, other) = (entry("ada", "restricted", "x"), entry("ada", "other", "x"));
    assert!(digest_auth(Fixture::new(&format!("{one}\n{other}\n")).options).is_ok());
    let twice = digest_auth(Fixture::new(&format!("{one}\n{one}\n")).options);
    assert!(matches!(twice, Err(AuthError::Line { line: 2, fault: LineFault::Twice, .. })));
}
