//! What Egg has recorded, in both directions, the three steps of a move, and attacks by name.

use cepa_core::{
    App, Ctx, Result,
    cookie::{CookieOptions, Keys as Ring, KeysError, MAX_SET_COOKIE},
    test::{Answer, Client, block_on},
};
use http::header::SET_COOKIE;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::{
    SessionExt,
    session::{Memory, Protection},
};

fn vectors(name: &str) -> Vec<Value> {
    let path = format!("{}/../../tests/data/koa/vectors/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let file: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    file["vectors"].as_array().unwrap().clone()
}

fn keys(ring: &[&str]) -> Keys {
    Keys::new(ring).unwrap()
}

fn open(ring: &[&str], sealed: &str) -> Option<(String, usize)> {
    let opened = keys(ring).open(sealed.as_bytes())?;
    Some((String::from_utf8(opened.value).unwrap(), opened.key_index))
}

#[test]
fn cookies_are_eggs() {
    let vectors = vectors("egg_cookies");
    assert_eq!(vectors.len(), 20);
    for vector in &vectors {
        let text = |field: &str| vector[field].as_str().unwrap();
        let (key, data, sealed) = (text("key"), text("data"), text("encrypted_urlsafe_b64"));
        assert_eq!(keys(&[key]).seal(data.as_bytes()), sealed, "{vector}");
        // An empty value is how a cookie is deleted.
        let expected = |index| (!data.is_empty()).then(|| (data.to_owned(), index));
        assert_eq!(open(&[key], sealed), expected(0), "{vector}");
        assert_eq!(open(&["new", "newer", key], sealed), expected(2), "{vector}");
        assert_eq!(open(&["new"], sealed), None, "{vector}");
    }
}

#[test]
fn a_cookie_is_read_and_set_as_with_encrypt_true() {
    let app = App::new()
        .get("/get", async |ctx: &mut Ctx| keys(&["k1-new-secret"]).get(ctx, "user").unwrap_or_default())
        .get("/set", async |ctx: &mut Ctx| -> Result {
            Ok(keys(&["k1-new-secret"]).set(ctx, "user", b"user=tobi", &CookieOptions::default())?)
        })
        .get("/long", async |ctx: &mut Ctx| -> Result {
            Ok(keys(&["k"]).set(ctx, "user", &[b'x'; MAX_SET_COOKIE + 1], &CookieOptions::default())?)
        });
    let client = app.test();
    block_on(async {
        assert!(client.get("/set").await.header("set-cookie").starts_with("user=TteFBU46zxK15E7g8lTqUg==;"));
        assert_eq!(client.get("/get").await.text(), "user=tobi");
        let long = client.get("/long").await;
        assert_eq!((long.status().as_u16(), lines(&long)), (500, 0));
    });
}

const KEYS: [&str; 2] = ["secret-key", "older-key"];

/// A session whose layer knows Egg's keys, in an app with keys of its own.
fn app(layer: Layer) -> Client {
    let app = App::new()
        .keys(Ring::new(["own"]).unwrap())
        .with(layer)
        .get("/get", async |ctx: &mut Ctx| -> Result<Value> { Ok(ctx.session()?.values().clone().into()) })
        .get("/set", async |ctx: &mut Ctx| ctx.session()?.set("a", &1))
        .get("/logout", async |ctx: &mut Ctx| -> Result {
            ctx.session()?.destroy();
            Ok(())
        });
    app.test()
}

fn client(protection: Protection) -> Client {
    let options = Options { protection: Some(protection), ..Options::egg() };
    app(session(options, keys(&KEYS)).unwrap())
}

fn get(client: &Client, cookie: &str) -> Answer {
    block_on(client.get("/get").header("cookie", &format!("EGG_SESS={cookie}")))
}

fn lines(answer: &Answer) -> usize {
    answer.headers().get_all(SET_COOKIE).iter().count()
}

/// The cookie that Egg makes of this text.
fn egg_cookie(ring: &[&str], json: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    keys(ring).seal(BASE64_STANDARD.encode(json).as_bytes())
}

#[test]
fn sessions_are_eggs() {
    let vectors = vectors("egg_session");
    assert_eq!(vectors.len(), 1);
    for vector in &vectors {
        let ring: Vec<&str> =
            vector["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        let (plain, cookie) =
            (vector["plaintext"].as_str().unwrap(), vector["cookie_value"].as_str().unwrap());
        assert_eq!(open(&ring, cookie), Some((plain.to_owned(), 0)));
        assert_eq!(keys(&ring).seal(plain.as_bytes()), cookie);
        let answer = get(&app(session(Options::egg(), keys(&ring)).unwrap()), cookie);
        assert_eq!(answer.json::<Value>()["user"], vector["session"]["user"]);
        assert_eq!(lines(&answer), 0, "nothing has changed");
    }
}

#[test]
fn side_by_side_each_reads_what_the_other_writes() {
    let client = client(Protection::Egg);
    block_on(async {
        let answer = client.get("/set").await;
        let line = answer.header("set-cookie");
        assert!(line.starts_with("EGG_SESS=") && line.contains("; httponly") && line.contains("; expires="));
        assert_eq!(lines(&answer), 1, "Egg signs no encrypted cookie");
        let (text, index) = open(&KEYS, &client.cookie("EGG_SESS").unwrap()).unwrap();
        assert!(text.starts_with("eyJhIjoxLCJfZXhwaXJlIjo") && index == 0, "{text}");
        assert_eq!(client.get("/get").await.text(), r#"{"a":1}"#);
        client.get("/logout").await;
        assert_eq!(client.cookie("EGG_SESS"), None);
    });
    // Under an older key: read, and written again under the first.
    let old = get(&client, &egg_cookie(&KEYS[1..], r#"{"a":2}"#));
    assert_eq!((old.text(), lines(&old)), (r#"{"a":2}"#, 1));
    assert!(open(&KEYS[..1], &client.cookie("EGG_SESS").unwrap()).is_some());
}

#[test]
fn without_egg_its_sessions_become_own_ones() {
    for protection in [Protection::Encrypted, Protection::Signed] {
        let client = client(protection);
        let answer = get(&client, &egg_cookie(&KEYS, r#"{"a":2}"#));
        assert_eq!(answer.text(), r#"{"a":2}"#);
        let own = client.cookie("EGG_SESS").unwrap();
        assert_eq!(open(&KEYS, &own), None);
        let next = block_on(client.get("/get"));
        assert_eq!((next.text(), lines(&next)), (r#"{"a":2}"#, 0), "{protection:?}");
    }
}

#[test]
fn in_a_store_the_cookie_is_an_encrypted_id() {
    let layer = session(Options::egg(), keys(&KEYS)).unwrap().store(Memory::default());
    let client = app(layer);
    block_on(async {
        client.get("/set").await;
        let (id, _) = open(&KEYS, &client.cookie("EGG_SESS").unwrap()).unwrap();
        assert_eq!(id.len(), 36, "{id}");
        assert_eq!(client.get("/get").await.text(), r#"{"a":1}"#);
    });
    let unknown = keys(&KEYS).seal(b"6b0ca3f1-0000-4000-8000-000000000000");
    assert_eq!(get(&client, &unknown).text(), "{}");
}

#[test]
fn options_that_egg_does_not_know_are_refused() {
    let refused: [fn(&mut Options); 4] = [
        |options| options.host_prefix = true,
        |options| options.protection = Some(Protection::None),
        |options| options.max_age = std::time::Duration::ZERO,
        |options| options.key = "a b".into(),
    ];
    for (at, change) in refused.into_iter().enumerate() {
        let mut options = Options::egg();
        change(&mut options);
        assert!(session(options, keys(&KEYS)).is_err(), "{at}");
    }
    let error = crate::session(Options::egg()).unwrap_err();
    assert!(error.to_string().contains("egg::session"), "{error}");
    let options: Options = toml::from_str("protection = 'egg'").unwrap();
    assert_eq!(options.protection, Some(Protection::Egg));
    assert_eq!(Keys::new([""; 0]).unwrap_err(), KeysError::NoKey);
    assert_eq!(Keys::new(["a", ""]).unwrap_err(), KeysError::EmptyKey(1));
    assert_eq!(format!("{:?}", keys(&KEYS)), "Keys { len: 2 }");
}

/// Whoever learns whether a padding was right can decrypt a cookie byte by byte.
#[test]
fn attack_padding_oracle() {
    use base64::{Engine as _, prelude::BASE64_URL_SAFE};
    let client = client(Protection::Egg);
    let cookie = egg_cookie(&KEYS, r#"{"user":"tobi","_expire":4102444800000,"_maxAge":86400000}"#);
    assert_eq!(get(&client, &cookie).text(), r#"{"user":"tobi"}"#);
    let blocks = BASE64_URL_SAFE.decode(&cookie).unwrap();
    let none = get(&client, "");
    let (mut right, count) = (0, blocks.len());
    for guess in 1..=255 {
        let mut forged = blocks.clone();
        forged[count - 17] ^= guess;
        let sealed = BASE64_URL_SAFE.encode(&forged);
        right += u32::from(keys(&KEYS[..1]).ring_decrypts(&forged));
        let answer = get(&client, &sealed);
        let same = |of: &Answer| (of.status(), of.text().to_owned(), of.headers().clone());
        assert_eq!(same(&answer), same(&none), "{guess}");
    }
    assert!(right > 0, "one of them has a right padding, and the answer does not tell which");
}

#[test]
fn attack_forged_and_oversized_cookies() {
    let client = client(Protection::Egg);
    let cookie = egg_cookie(&KEYS, r#"{"user":"tobi"}"#);
    let unpadded = cookie.trim_end_matches('=');
    let deep = format!("{}1{}", r#"{"a":"#.repeat(500), "}".repeat(500));
    let table = [
        "!".to_owned(),
        "AAAA".to_owned(),
        "A".repeat(9999),
        format!("{cookie}A"),
        format!("{cookie}{cookie}"),
        format!("{unpadded}====="),
        cookie[16..].to_owned(),
        cookie.to_lowercase(),
        keys(&KEYS).seal(br#"{"user":"admin"}"#),
        egg_cookie(&KEYS, "[1]"),
        egg_cookie(&KEYS, &deep),
        egg_cookie(&["of-somebody-else"], r#"{"user":"admin"}"#),
    ];
    for cookie in table {
        assert_eq!(get(&client, &cookie).text(), "{}", "{cookie}");
    }
    let two = format!("EGG_SESS={cookie}; EGG_SESS={cookie}");
    assert_eq!(block_on(client.get("/get").header("cookie", &two)).json::<Value>(), json!({}));
}

proptest! {
    #[test]
    fn sealed_opens(value in "\\PC{1,300}", key in prop::collection::vec(any::<u8>(), 1..80)) {
        let own = Keys::new([&key]).unwrap();
        let sealed = own.seal(value.as_bytes());
        let ring = Keys::new([&b"another key"[..], &key]).unwrap();
        prop_assert_eq!(own.open(sealed.as_bytes()).unwrap().value, value.as_bytes());
        prop_assert_eq!(ring.open(sealed.as_bytes()).map(|opened| opened.key_index), Some(1));
    }

    #[test]
    fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..100)) {
        use base64::{Engine as _, prelude::BASE64_URL_SAFE};
        let _ = keys(&KEYS).open(&text);
        let _ = keys(&KEYS).open(BASE64_URL_SAFE.encode(&text).as_bytes());
    }
}
