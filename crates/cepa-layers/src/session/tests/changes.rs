//! Requests at the same time, and what becomes of what each has changed.

use super::*;

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
