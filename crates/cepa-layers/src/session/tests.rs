//! Tests of the session layer: what Koa has recorded, what is kept where, and attacks by name.

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

#[test]
fn attack_fixation() {
    let (store, client) = store_client();
    block_on(async {
        // An id of the attacker's own making, well signed even, is not taken over.
        let id = "attackers-own-session-id-0123456";
        let sig = keys().sign(format!("cepa.sess={id}").as_bytes());
        let planted = format!("cepa.sess={id}; cepa.sess.sig={sig}");
        client.get("/set/a/1").header("cookie", &planted).await;
        let given = client.cookie("cepa.sess").unwrap();
        assert_ne!(given, id);
        // Neither does one that he was given outlive the login: the id changes, the old one is dead.
        let before = store_cookie(&client);
        client.get("/login").await;
        assert_ne!(client.cookie("cepa.sess").unwrap(), given);
        assert_eq!(values(&client).await, json!({"a": "1", "user": "tobi"}));
        assert_eq!(client.get("/get").header("cookie", &before).await.text(), "{}");
        assert_eq!(store.len(), 1);
        // Logged out is logged out, whoever has kept the cookie.
        let kept = store_cookie(&client);
        client.get("/logout").await;
        assert_eq!(client.get("/get").header("cookie", &kept).await.text(), "{}");
        assert_eq!(store.len(), 0);
    });
}

#[test]
fn attack_cookie_tossing() {
    for client in [cookie_client(), store_client().1] {
        block_on(async {
            client.get("/set/a/1").await;
            let (own, sig) =
                (client.cookie("cepa.sess").unwrap(), client.cookie("cepa.sess.sig").unwrap_or_default());
            for cookies in [
                format!("cepa.sess={own}; cepa.sess.sig={sig}; cepa.sess=x"),
                format!("cepa.sess=x; cepa.sess={own}; cepa.sess.sig={sig}"),
                format!("cepa.sess={own}; cepa.sess={own}; cepa.sess.sig={sig}"),
            ] {
                assert_eq!(client.get("/get").header("cookie", &cookies).await.text(), "{}", "{cookies}");
            }
        });
    }
}

#[test]
fn attack_forged_and_oversized_cookies() {
    let signed = app(session(Options::koa()).unwrap()).test();
    let good = koa_cookie(r#"{"user":"admin"}"#);
    let (value, sig) = good.split_once("; ").unwrap();
    let deep = format!("{}1{}", r#"{"a":"#.repeat(500), "}".repeat(500));
    let table = [
        (good.clone(), r#"{"user":"admin"}"#),
        (value.to_owned(), "{}"),
        (format!("{value}; {sig}x"), "{}"),
        (format!("{value}x; {sig}"), "{}"),
        (koa_cookie("[1]"), "{}"),
        (koa_cookie("not json"), "{}"),
        (koa_cookie(&deep), "{}"),
        (koa_cookie(&format!(r#"{{"a":"{}"}}"#, "x".repeat(4096))), "{}"),
    ];
    for (cookie, expected) in table {
        assert_eq!(block_on(signed.get("/get").header("cookie", &cookie)).text(), expected, "{cookie}");
    }
    // A session that no cookie holds is an error of the app's, and leaves the one before in place.
    let client = cookie_client();
    let big = "x".repeat(5000);
    block_on(async {
        client.get("/set/a/1").await;
        let answer = client.get(&format!("/set/b/{big}")).await;
        assert_eq!((answer.status().as_u16(), lines(&answer)), (500, 0));
        assert_eq!(values(&client).await, json!({"a": "1"}));
    });
    let options = Options { max_bytes: 5000, ..Options::default() };
    let client = app(session(options).unwrap().store(Memory::default())).test();
    assert_eq!(block_on(client.get(&format!("/set/b/{big}"))).status(), 500);
}

#[cfg(feature = "redb")]
#[test]
fn attack_parallel_requests_that_grow_a_session() {
    let folder = tempfile::tempdir().unwrap();
    let in_file = Redb::open(&folder.path().join("sessions.redb"), 9).unwrap();
    let stores: [Arc<dyn Store>; 2] = [Arc::new(Memory::default()), Arc::new(in_file)];
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    for store in stores {
        let options = Options { max_bytes: 1_000, ..Options::default() };
        let client = app(session(options).unwrap().store(store))
            .get("/grow/{name}", async |ctx: &mut Ctx| -> Result {
                let name = ctx.param("name").unwrap().into_owned();
                ctx.session()?.set(&name, &"x".repeat(400))?;
                // By now the others have loaded it too.
                tokio::time::sleep(Duration::from_millis(5)).await;
                Ok(())
            })
            .test();
        runtime.block_on(async {
            client.get("/set/a/1").await;
            let cookie = store_cookie(&client);
            let grow =
                |name: &str| client.get(&format!("/grow/{name}")).header("cookie", &cookie).into_future();
            let (b, c, d, e) = tokio::join!(grow("b"), grow("c"), grow("d"), grow("e"));
            let mut statuses = [b, c, d, e].map(|answer| answer.status().as_u16());
            statuses.sort_unstable();
            assert_eq!(statuses, [404, 404, 500, 500]);
            let got: Value = client.get("/get").header("cookie", &cookie).await.json();
            assert_eq!(got.as_object().unwrap().len(), 3, "{got}");
        });
    }
}

#[test]
fn no_update_is_lost_between_threads() {
    let (store, client) = store_client();
    block_on(client.get("/set/a/1"));
    let cookie = store_cookie(&client);
    let onion = app(session(Options::default()).unwrap().store(store)).build().unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let (onion, cookie) = (onion.clone(), cookie.clone());
            scope.spawn(move || {
                let client = Client::new(onion);
                for _ in 0..50 {
                    block_on(client.get("/count").header("cookie", &cookie));
                    block_on(client.get(&format!("/set/worker{worker}/1")).header("cookie", &cookie));
                }
            });
        }
    });
    let all = json!({"a": "1", "n": 200, "worker0": "1", "worker1": "1", "worker2": "1", "worker3": "1"});
    let got: Value = block_on(client.get("/get").header("cookie", &cookie)).json();
    assert_eq!(got, all);
}

#[test]
fn requests_at_the_same_time_cannot_bring_a_session_back() {
    let (store, client) = store_client();
    let slow = app(session(Options::default()).unwrap().store(store.clone()))
        .get("/slow", async |ctx: &mut Ctx| -> Result {
            ctx.session()?.set("late", &1)?;
            tokio::time::sleep(Duration::from_millis(30)).await;
            Ok(())
        })
        .get("/slow-login", async |ctx: &mut Ctx| -> Result {
            tokio::time::sleep(Duration::from_millis(30)).await;
            ctx.session()?.regenerate();
            ctx.session()?.set("user", "loki")
        })
        .test();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(async {
        for (path, left) in [("/slow", 0), ("/slow-login", 1)] {
            client.get("/set/a/1").await;
            let cookie = store_cookie(&client);
            let (answer, _) = tokio::join!(slow.get(path).header("cookie", &cookie).into_future(), async {
                tokio::time::sleep(Duration::from_millis(5)).await;
                client.get("/logout").await
            });
            assert_eq!((lines(&answer), store.len()), (2 * left, left), "{path}");
        }
        assert_eq!(values(&slow).await, json!({"user": "loki"}), "nothing of the session that was ended");
    });
}

#[test]
fn what_was_said_last_is_there_whatever_others_have_changed_meanwhile() {
    type Change = fn(&mut Session) -> Result;
    fn add(n: Option<u64>) -> Option<u64> {
        Some(n.unwrap_or(0) + 1)
    }
    /// None where there was one; one where there was none.
    fn flip(n: Option<u64>) -> Option<u64> {
        n.is_none().then_some(7)
    }
    let table: [(&str, Change, Change, Value); 6] = [
        ("the same", |session| session.set("n", &1), |session| session.set("n", &2), json!({"n": 1})),
        (
            "the same as updated",
            |session| session.update("n", add).and_then(|()| session.set("n", &2)),
            |session| session.set("n", &5),
            json!({"n": 2}),
        ),
        (
            "twice",
            |session| session.set("n", &2).and_then(|()| session.set("n", &2)),
            |session| session.set("n", &5),
            json!({"n": 2}),
        ),
        (
            "updated after it was set",
            |session| session.set("n", &1).and_then(|()| session.update("n", add)),
            |session| session.set("n", &5),
            json!({"n": 2}),
        ),
        (
            "removed after an update",
            |session| session.update("n", flip).map(|()| _ = session.remove("n")),
            |session| session.update("n", flip),
            json!({}),
        ),
        (
            "cleared after an update",
            |session| session.update("n", flip).map(|()| session.clear()),
            |session| session.set("m", &1),
            json!({}),
        ),
    ];
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    for (name, late, early, expected) in table {
        let client = app(session(Options::default()).unwrap().store(Memory::default()))
            .get("/one", async |ctx: &mut Ctx| ctx.session()?.set("n", &1))
            .get("/early", async move |ctx: &mut Ctx| early(ctx.session()?))
            .get("/late", async move |ctx: &mut Ctx| -> Result {
                tokio::time::sleep(Duration::from_millis(5)).await;
                late(ctx.session()?)
            })
            .test();
        runtime.block_on(async {
            client.get("/one").await;
            tokio::join!(client.get("/late").into_future(), client.get("/early").into_future());
            assert_eq!(values(&client).await, expected, "{name}");
        });
    }
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

#[test]
fn a_session_is_an_object_with_names_of_its_own() {
    let app = App::new().keys(keys()).with(session(Options::default()).unwrap());
    let client = app
        .get("/", async |ctx: &mut Ctx| -> Result {
            let session = ctx.session()?;
            assert!(session.is_new() && session.is_empty());
            assert!(session.set("_expire", &0).is_err());
            assert!(session.update("_x", |n: Option<u8>| n).is_err());
            assert!(session.replace("oops").is_err());
            assert!(session.replace(&json!({"a": 1, "_b": 2})).is_err());
            session.replace(&json!({"a": 1, "b": [true], "c": 3}))?;
            assert_eq!((session.get::<u8>("a")?, session.get::<u8>("z")?), (Some(1), None));
            assert!(session.get::<String>("a").is_err());
            assert_eq!(session.take::<Vec<bool>>("b")?, Some(vec![true]));
            assert!(!session.remove("b") && session.remove("c"));
            session.update("n", |n: Option<u8>| Some(n.unwrap_or(5) + 1))?;
            session.update("a", |_: Option<u8>| None)?;
            assert_eq!(Value::Object(session.values().clone()), json!({"n": 6}));
            assert_eq!(session.len(), 1);
            session.clear();
            Ok(())
        })
        .test();
    let answer = block_on(client.get("/"));
    assert_eq!((answer.status().as_u16(), lines(&answer)), (404, 0));
}

#[test]
fn the_innermost_layer_counts_and_none_is_an_error() {
    let named = |key: &str| session(Options { key: key.to_owned(), ..Options::koa() }).unwrap();
    let app = App::new().keys(keys()).get("/without", async |ctx: &mut Ctx| ctx.session().map(drop)).mount(
        "/in",
        App::new()
            .with(named("outer"))
            .with(named("inner"))
            .get("/", async |ctx: &mut Ctx| ctx.session()?.set("a", &1)),
    );
    let client = app.test();
    block_on(async {
        assert_eq!(client.get("/without").await.status(), 500);
        client.get("/in").await;
        assert!(client.cookie("inner").is_some() && client.cookie("outer").is_none());
    });
}

#[test]
fn the_outer_layer_finds_its_own_session_again_when_the_inner_is_cut_short() {
    let named = |key: &str| session(Options { key: key.to_owned(), ..Options::koa() }).unwrap();
    let app = App::new()
        .keys(keys())
        .with(named("outer"))
        .with(async |ctx: &mut Ctx, next: Next<'_>| -> Result {
            ctx.session()?.set("outer", &1)?;
            let in_time = tokio::time::timeout(Duration::from_secs(1), next.run(ctx)).await.is_ok();
            ctx.session()?.set("in_time", &in_time)
        })
        .with(named("inner"))
        .get("/", async |ctx: &mut Ctx| -> Result {
            ctx.session()?.set("user", "of the inner")?;
            std::future::pending().await
        });
    let client = app.test();
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    runtime.block_on(client.get("/").into_future());
    assert_eq!(client.cookie("inner"), None);
    let text = BASE64_STANDARD.decode(client.cookie("outer").unwrap()).unwrap();
    let values = Data::parse(&text).unwrap().values;
    assert_eq!(Value::Object(values), json!({"outer": 1, "in_time": false}));
}

#[test]
fn an_app_without_keys_does_not_start() {
    let open = || Options { protection: Some(Protection::None), ..Options::default() };
    for (layer, starts) in [
        (session(Options::default()).unwrap(), false),
        (session(Options::koa()).unwrap(), false),
        (session(Options::default()).unwrap().store(Memory::default()), false),
        (session(open()).unwrap(), true),
        (session(open()).unwrap().store(Memory::default()), true),
    ] {
        let built = App::new().with(layer.except("/static")).build();
        let text = built.as_ref().map_or_else(ToString::to_string, |_| String::new());
        assert_eq!(built.is_ok(), starts, "{text}");
        assert!(starts || text.contains("session: the app has no keys") && text.contains(file!()), "{text}");
    }
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let refused: [fn(&mut Options); 7] = [
        |options| options.max_age = Duration::ZERO,
        |options| options.max_age = Duration::MAX,
        |options| options.domain = Some("example.com".into()),
        |options| options.path = "/app".into(),
        |options| options.secure = Some(false),
        |options| options.key = "a b".into(),
        |options| (options.host_prefix, options.domain) = (false, Some("-".into())),
    ];
    for (at, change) in refused.into_iter().enumerate() {
        let mut options = Options::default();
        change(&mut options);
        assert!(session(options).is_err(), "{at}");
    }
    let options: Options =
        toml::from_str("key = 'a'\nmax_age = '2h'\nprotection = 'signed'\nsame_site = 'strict'").unwrap();
    assert_eq!(options.max_age, Duration::from_secs(7200));
    assert!(toml::from_str::<Options>("maxage = '2h'").is_err());
}
