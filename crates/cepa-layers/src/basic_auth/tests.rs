use std::fs;

use base64::{Engine, engine::general_purpose::STANDARD};
use cepa_core::{App, test::Client};

use super::*;
use crate::auth::LineFault;

/// Bcrypt of the least cost there is.
fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).unwrap()
}

struct Fixture {
    folder: tempfile::TempDir,
    options: Options,
}

impl Fixture {
    fn new(text: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let options = Options { file: folder.path().join("users"), least_cost: 4, ..Options::default() };
        fs::write(&options.file, text).unwrap();
        Self { folder, options }
    }

    fn client(&self) -> Client {
        let layer = basic_auth(self.options.clone()).unwrap();
        let name = async |ctx: &mut Ctx| ctx.state::<User>().map(|user| user.name().to_owned());
        App::new().with(layer).get("/", name).test()
    }
}

async fn status(client: &Client, name: &str, password: &str) -> u16 {
    let header = format!("Basic {}", STANDARD.encode(format!("{name}:{password}")));
    client.get("/").header("authorization", &header).await.status().as_u16()
}

#[tokio::test]
async fn only_users_are_let_in() {
    let long = "a".repeat(72);
    let fixture =
        Fixture::new(&format!("# users\n\nada:{}\nlong:{}\n", hash("secret"), hash(&format!("{long}b"))));
    let client = fixture.client();
    for (name, password, expected) in [
        ("ada", "secret", 200),
        ("ada", "secret", 200),
        ("ada", "Secret", 401),
        ("ada", "", 401),
        ("Ada", "secret", 401),
        ("", "secret", 401),
        ("# users", "secret", 401),
        ("long", &long, 200),
        // Bcrypt would cut it, and find it right.
        ("long", &format!("{long}b"), 401),
    ] {
        assert_eq!(status(&client, name, password).await, expected, "{name} {password}");
    }
    let answer = client.get("/").await;
    assert_eq!(answer.status().as_u16(), 401);
    assert_eq!(answer.header("www-authenticate"), r#"Basic realm="restricted", charset="UTF-8""#);
    let twice = client.get("/").header("authorization", "Basic a").header("authorization", "Basic b");
    assert_eq!(twice.await.status().as_u16(), 400);
    assert_eq!(client.get("/").header("authorization", "Basic !").await.status().as_u16(), 400);
    assert_eq!(client.get("/").header("authorization", "Bearer x").await.status().as_u16(), 401);
}

#[tokio::test(start_paused = true)]
async fn a_changed_file_is_read_again() {
    let fixture = Fixture::new(&format!("ada:{}\n", hash("secret")));
    let client = fixture.client();
    assert_eq!(status(&client, "ada", "secret").await, 200);
    fs::write(&fixture.options.file, format!("ada:{}\nbob:{}\n", hash("changed"), hash("b"))).unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    // What was right a moment ago is not remembered against a new hash.
    assert_eq!(status(&client, "ada", "secret").await, 401);
    assert_eq!(status(&client, "ada", "changed").await, 200);
    assert_eq!(status(&client, "bob", "b").await, 200);
    // A file that is wrong changes nothing.
    fs::write(&fixture.options.file, "ada:plain\n").unwrap();
    tokio::time::advance(Duration::from_secs(1)).await;
    assert_eq!(status(&client, "ada", "changed").await, 200);
    drop(fixture.folder);
}

#[test]
fn weak_hashes_are_refused_at_start() {
    for (line, expected) in [
        ("ada:$apr1$abc$def", "weak"),
        ("ada:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g=", "weak"),
        ("ada:$6$salt$hash", "weak"),
        ("ada:XFgj3aXlS4fYw", "weak"),
        ("ada:secret", "weak"),
        ("ada:$2x$10$aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", "weak"),
        ("ada:$2b$10$short", "form"),
        ("ada", "form"),
        (&format!("ada:{}", hash("a")), "cost of the hash is 4"),
        ("ada:$2b$31$eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee", "cost of the hash is 31"),
    ] {
        let mut fixture = Fixture::new(&format!("# one\n{line}\n"));
        fixture.options.least_cost = 10;
        let error = basic_auth(fixture.options.clone()).unwrap_err().to_string();
        assert!(error.contains(expected) && error.contains("users:2: "), "{line}: {error}");
        assert!(!error.contains("secret") && !error.contains("eeee"), "{error}");
    }
    let twice = Fixture::new(&format!("a:{}\na:{}\n", hash("a"), hash("b")));
    let error = basic_auth(twice.options).unwrap_err();
    assert!(matches!(error, AuthError::Line { line: 2, fault: LineFault::Twice, .. }));
    let missing = Options { file: "/nonexistent/users".into(), ..Options::default() };
    assert!(matches!(basic_auth(missing), Err(AuthError::Read { .. })));
    let fixture = Fixture::new("");
    for realm in ["", "a\"b", "a\\b", "a\r\nb", "é"] {
        let options = Options { realm: realm.into(), ..fixture.options.clone() };
        assert!(matches!(basic_auth(options), Err(AuthError::Realm(_))), "{realm:?}");
    }
}

#[test]
fn what_is_remembered_is_bounded_and_ends() {
    let remembered = htpasswd::Remembered::new(Duration::from_secs(60));
    let now = Instant::now();
    let seal = |name: &str| {
        let credentials = Credentials { name: name.to_owned(), password: "p".to_owned() };
        remembered.seal(&credentials, "hash")
    };
    for number in 0..5000 {
        remembered.add(seal(&number.to_string()), now);
    }
    assert!(remembered.knows(&seal("4999"), now) && !remembered.knows(&seal("0"), now));
    assert!(!remembered.knows(&seal("4999"), now + Duration::from_secs(60)));
    let never = htpasswd::Remembered::new(Duration::ZERO);
    never.add(seal("a"), now);
    assert!(!never.knows(&seal("a"), now));
}

#[tokio::test(flavor = "current_thread")]
async fn hashing_has_a_queue_that_is_bounded() {
    let mut fixture = Fixture::new(&format!("ada:{}\n", bcrypt::hash("secret", 8).unwrap()));
    fixture.options = Options { at_once: 1, queue: 1, ..fixture.options };
    let client = fixture.client();
    let (a, b, c) =
        tokio::join!(status(&client, "ada", "x"), status(&client, "ada", "y"), status(&client, "ada", "z"));
    assert_eq!((a, b, c), (401, 401, 503));
}
