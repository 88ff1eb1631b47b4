//! Tests of the session layer: what Koa has recorded, and what is kept where.

mod attacks;
mod changes;
mod layers;

use std::{path::Path, time::Duration};

use super::{
    data::{Data, Life},
    *,
};
use crate::When;
use base64::{Engine as _, prelude::BASE64_STANDARD};
use cepa_core::{
    App,
    cookie::Keys,
    test::{Answer, Client, block_on},
};
use http::header::SET_COOKIE;
use serde_json::{Map, Value, json};

const KEYS: [&str; 2] = ["k1-new-secret", "k0-old-secret"];

fn keys() -> Keys {
    Keys::new(KEYS).unwrap()
}

pub(super) fn app(layer: Layer) -> App {
    App::new()
        .keys(keys())
        .with(layer)
        .get("/set/{name}/{value}", async |ctx: &mut Ctx| -> Result {
            let (name, value) =
                (ctx.param("name").unwrap().into_owned(), ctx.param("value").unwrap().into_owned());
            ctx.session()?.set(&name, &value)
        })
        .get("/get", async |ctx: &mut Ctx| -> Result<Value> { Ok(ctx.session()?.values().clone().into()) })
        .get("/count", async |ctx: &mut Ctx| -> Result {
            ctx.session()?.update("n", |n: Option<u64>| Some(n.unwrap_or(0) + 1))
        })
        .get("/login", async |ctx: &mut Ctx| -> Result {
            let session = ctx.session()?;
            session.regenerate();
            session.set("user", "tobi")
        })
        .get("/logout", async |ctx: &mut Ctx| -> Result {
            ctx.session()?.destroy();
            Ok(())
        })
        .get("/restart", async |ctx: &mut Ctx| -> Result {
            ctx.session()?.destroy();
            ctx.session()?.set("fresh", &true)
        })
        .get("/none", async |_: &mut Ctx| "none")
        .get("/fails", async |ctx: &mut Ctx| -> Result {
            ctx.session()?.set("seen", &1)?;
            Err(Error::new(400, "no"))
        })
}

fn cookie_client() -> Client {
    app(session(Options::default()).unwrap()).test()
}

fn store_client() -> (Memory, Client) {
    let store = Memory::default();
    let client = app(session(Options::default()).unwrap().store(store.clone())).test();
    (store, client)
}

async fn values(client: &Client) -> Value {
    client.get("/get").await.json()
}

fn lines(answer: &Answer) -> usize {
    answer.headers().get_all(SET_COOKIE).iter().count()
}

/// The cookie of a session in a store, as a client has kept it.
pub(super) fn store_cookie(client: &Client) -> String {
    let value = |name| client.cookie(name).unwrap();
    format!("cepa.sess={}; cepa.sess.sig={}", value("cepa.sess"), value("cepa.sess.sig"))
}

/// A signed `koa.sess` with this text.
fn koa_cookie(text: &str) -> String {
    let value = BASE64_STANDARD.encode(text);
    let sig = keys().sign(format!("koa.sess={value}").as_bytes());
    format!("koa.sess={value}; koa.sess.sig={sig}")
}

#[test]
fn cookies_of_koa_are_read_and_written() {
    #[derive(serde::Deserialize)]
    struct Vector {
        session: Map<String, Value>,
        cookie_value: String,
        sig: String,
    }
    #[derive(serde::Deserialize)]
    struct Vectors {
        vectors: Vec<Vector>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/koa/vectors/koa_session.json");
    let Vectors { vectors } = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(vectors.len(), 4);
    for Vector { mut session, cookie_value, sig } in vectors {
        let client = app(super::session(Options::koa()).unwrap()).test();
        let cookie = format!("koa.sess={cookie_value}; koa.sess.sig={sig}");
        let got: Value = block_on(client.get("/get").header("cookie", &cookie)).json();
        session.retain(|name, _| !data::is_reserved(name));
        assert_eq!(got, Value::Object(session));
    }
    // The reverse: what the layer writes is base64 of the recorded JSON and the two fields of its life.
    let client = app(super::session(Options::koa()).unwrap()).test();
    block_on(client.get("/set/a/1"));
    let value = client.cookie("koa.sess").unwrap();
    let text = String::from_utf8(BASE64_STANDARD.decode(&value).unwrap()).unwrap();
    let (start, end) = text.split_at(r#"{"a":"1","_expire":"#.len());
    assert_eq!(start, r#"{"a":"1","_expire":"#);
    assert!(end.ends_with(r#","_maxAge":86400000}"#), "{text}");
    let sig = client.cookie("koa.sess.sig").unwrap();
    assert_eq!(keys().verify(format!("koa.sess={value}").as_bytes(), sig.as_bytes()), Some(0));
}

#[test]
fn what_is_set_is_there_with_the_next_request() {
    let (_, in_store) = store_client();
    // What is in a store may have been changed by others since it was loaded; a cookie may not.
    for (client, set_again) in [(cookie_client(), 0), (in_store, 2)] {
        block_on(async {
            assert_eq!(values(&client).await, json!({}));
            assert_eq!(client.cookie("cepa.sess"), None, "nothing to remember, no cookie");
            client.get("/set/a/1").await;
            client.get("/set/b/2").await;
            assert_eq!(values(&client).await, json!({"a": "1", "b": "2"}));
            assert_eq!(lines(&client.get("/set/a/1").await), set_again);
            assert_eq!(lines(&client.get("/none").await), 0);
            assert_eq!(client.get("/fails").await.status(), 400);
            assert_eq!(values(&client).await["seen"], 1, "an error loses nothing");
            client.get("/restart").await;
            assert_eq!(values(&client).await, json!({"fresh": true}));
            client.get("/logout").await;
            assert_eq!(client.cookie("cepa.sess"), None);
            assert_eq!(values(&client).await, json!({}));
        });
    }
}

#[test]
fn an_encrypted_cookie_says_nothing_and_is_renewed_under_a_new_key() {
    let old = App::new().keys(Keys::new(["old"]).unwrap()).with(session(Options::default()).unwrap());
    let client = old.get("/", async |ctx: &mut Ctx| ctx.session()?.set("secret", "onion")).test();
    block_on(client.get("/"));
    let value = client.cookie("cepa.sess").unwrap();
    assert!(client.cookie("cepa.sess.sig").is_none());
    assert!(!value.contains("onion") && !value.contains(&BASE64_STANDARD.encode("onion")[..6]));

    let new = App::new().keys(Keys::new(["new", "old"]).unwrap()).with(session(Options::default()).unwrap());
    let client =
        new.get("/", async |ctx: &mut Ctx| ctx.session()?.get::<String>("secret").map(Option::unwrap)).test();
    let answer = block_on(client.get("/").header("cookie", &format!("cepa.sess={value}")));
    assert_eq!((answer.text(), lines(&answer)), ("onion", 1));
}

#[test]
fn over_tls_the_cookie_belongs_to_this_host_alone() {
    let client = app(session(Options::default()).unwrap()).test().over_tls();
    let answer = block_on(client.get("/set/a/1"));
    let line = answer.header("set-cookie");
    assert!(line.starts_with("__Host-cepa.sess="), "{line}");
    for attribute in ["; path=/", "; samesite=lax", "; secure", "; httponly", "; expires="] {
        assert!(line.contains(attribute), "{line}");
    }
    assert!(!line.contains("domain"));
    // What a plain connection, or a sibling host, has planted is not looked at.
    let planted = client.cookie("__Host-cepa.sess").unwrap();
    let answer = block_on(client.get("/get").header("cookie", &format!("cepa.sess={planted}")));
    assert_eq!(answer.text(), "{}");
}

#[test]
fn times() {
    let koa = |change: fn(&mut Options)| {
        let mut options = Options { max_age: Duration::from_secs(60), ..Options::koa() };
        change(&mut options);
        app(session(options).unwrap()).test()
    };
    let now = now();
    let text = |end: u64, more: &str| format!(r#"{{"a":1,"_expire":{end},"_maxAge":60000{more}}}"#);
    let fresh = text(now + 50_000, "");
    let half = text(now + 20_000, "");
    let over = text(now - 1, "");
    let young = text(now + 50_000, &format!(r#","_created":{}"#, now - 30_000));
    let old = text(now + 50_000, &format!(r#","_created":{}"#, now - 130_000));
    let browser = r#"{"a":1,"_session":true}"#.to_owned();
    let absolute = |options: &mut Options| options.absolute = Duration::from_secs(120);
    type Change = fn(&mut Options);
    let table: [(&str, Change, &str, bool, usize); 10] = [
        ("plain", |_| {}, &half, true, 0),
        ("over", |_| {}, &over, false, 0),
        ("rolling", |options| options.rolling = true, &fresh, true, 2),
        ("renew, not yet", |options| options.renew = true, &fresh, true, 0),
        ("renew", |options| options.renew = true, &half, true, 2),
        ("browser", |options| options.renew = true, &browser, true, 0),
        ("absolute, young", absolute, &young, true, 0),
        ("absolute, old", absolute, &old, false, 0),
        // The time begins with the first request that is asked for it.
        ("absolute, unknown", absolute, &fresh, true, 2),
        ("no absolute end", |_| {}, &old, true, 0),
    ];
    for (name, change, text, is_there, set) in table {
        let client = koa(change);
        let answer = block_on(client.get("/get").header("cookie", &koa_cookie(text)));
        assert_eq!((answer.text() != "{}", lines(&answer)), (is_there, set), "{name}");
    }
}

#[test]
fn a_session_can_have_a_life_of_its_own() {
    let app = App::new().keys(keys()).with(session(Options::koa()).unwrap());
    let app = app
        .get("/hour", async |ctx: &mut Ctx| -> Result {
            let session = ctx.session()?;
            session.set("a", &1)?;
            session.set_max_age(Duration::from_secs(3600));
            assert_eq!(session.max_age(), Some(Duration::from_secs(3600)));
            Ok(())
        })
        .get("/browser", async |ctx: &mut Ctx| -> Result {
            ctx.session()?.end_with_browser();
            assert_eq!(ctx.session()?.max_age(), None);
            Ok(())
        });
    let client = app.test();
    let data = || Data::parse(&BASE64_STANDARD.decode(client.cookie("koa.sess").unwrap()).unwrap()).unwrap();
    block_on(async {
        let answer = client.get("/hour").await;
        assert!(answer.header("set-cookie").contains("expires="), "one that was told how long is kept");
        assert_eq!(data().life, Some(Life::For(3_600_000)));
        let answer = client.get("/browser").await;
        assert!(!answer.header("set-cookie").contains("expires="));
        assert_eq!((data().life, data().expires), (Some(Life::Browser), None));
    });
}

#[cfg(feature = "redb")]
#[test]
fn sessions_in_a_file_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let client = || {
        let store = Redb::open(&folder.path().join("sessions.redb"), 100).unwrap();
        app(session(Options::default()).unwrap().store(store)).test()
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let before = client();
        before.get("/set/a/1").await;
        before.get("/count").await;
        let cookie = store_cookie(&before);
        drop(before);
        let after = client();
        assert_eq!(after.get("/get").header("cookie", &cookie).await.text(), r#"{"a":"1","n":1}"#);
        after.get("/login").header("cookie", &cookie).await;
        assert_eq!(values(&after).await, json!({"a": "1", "n": 1, "user": "tobi"}));
        assert_eq!(after.get("/get").header("cookie", &cookie).await.text(), "{}");
    });
}

#[test]
fn a_store_that_fails_is_a_503_and_says_nothing() {
    struct Broken;
    impl Store for Broken {
        fn load<'a>(&'a self, _: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
            Box::pin(async { Err("the disk is on fire".into()) })
        }
        fn save<'a>(&'a self, _: &'a SessionId, _: Write) -> LocalBoxFuture<'a, Result<bool, StoreError>> {
            Box::pin(async { Err("the disk is on fire".into()) })
        }
        fn remove<'a>(&'a self, _: &'a SessionId) -> LocalBoxFuture<'a, Result<Option<Vec<u8>>, StoreError>> {
            Box::pin(async { Err("the disk is on fire".into()) })
        }
    }
    let client = app(session(Options::default()).unwrap().store(Broken)).test();
    block_on(async {
        let answer = client.get("/set/a/1").await;
        assert_eq!((answer.status().as_u16(), answer.text()), (503, "Service Unavailable"));
        assert_eq!(client.get("/get").await.status(), 200, "without a cookie there is nothing to load");
    });
}
