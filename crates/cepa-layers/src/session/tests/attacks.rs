//! What attackers try with sessions, by name.

use super::*;

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
