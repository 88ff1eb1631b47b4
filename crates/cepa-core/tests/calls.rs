//! Calls from one app to another in the same process, the hosts they go to, and what is counted of both.

use std::{
    future::{IntoFuture, poll_fn},
    net::SocketAddr,
    rc::Rc,
    sync::{Arc, Mutex},
    task::{Context, Waker},
};

use bytes::Bytes;
use cepa_core::{
    App, Body, Connection, Ctx, Error, Hosts, Memory, Next, Request, Result, Unanswered,
    forwarded::Trust,
    test::{Client, block_on},
};
use http::{Method, StatusCode};

/// What an app sees of the request that was made to it.
async fn seen(ctx: &mut Ctx) -> Result<String> {
    let body = ctx.text().await?;
    let cookie = ctx.cookies().get("id").unwrap_or("-").to_owned();
    let ip = ctx.ip().map_or_else(|| "-".to_owned(), |ip| ip.to_string());
    Ok(format!(
        "{} {}{} {} [{body}] cookie={cookie} auth={} x={} ip={ip} {} {} state={:?}",
        ctx.method(),
        ctx.host(),
        ctx.url(),
        ctx.get("content-type").unwrap_or("-"),
        ctx.get("authorization").unwrap_or("-"),
        ctx.get("x-one").unwrap_or("-"),
        ctx.protocol(),
        ctx.connection().door(),
        ctx.state::<u8>(),
    ))
}

/// An app of two hosts, whose outer app chooses by the name.
fn hosts(one: App, two: App) -> App {
    let list = [("one.test", one), ("two.test", two)]
        .map(|(name, app)| (name.to_owned(), app.build().expect("the app of a test builds")));
    let hosts = Hosts::new(list, |name| match name {
        "one.test" => Some(0),
        "[::1]" => Some(7),
        _ => (name == "two.test" || name.ends_with(".two.test")).then_some(1),
    });
    App::new().hosts(Arc::clone(&hosts)).fallback(async move |ctx: &mut Ctx| {
        ctx.insert(1u8);
        match hosts.find(ctx.host()) {
            Some(at) => hosts.enter(at, ctx).await,
            None => Err(ctx.error(421, "no such host")),
        }
    })
}

/// An app that makes one call, and answers with what it got.
fn calling(call: impl AsyncFn(&mut Ctx) -> Result<cepa_core::Answer> + Send + Sync + 'static) -> App {
    App::new().get("/", async move |ctx: &mut Ctx| -> Result<String> {
        let answer = call(ctx).await?;
        Ok(format!("{} {}", answer.status().as_u16(), answer.text().await?))
    })
}

fn ask(one: App, host: &str) -> String {
    let two = App::new().get("/seen", seen).post("/seen", seen);
    let client = hosts(one, two).test().from(SocketAddr::from(([10, 0, 0, 9], 4000)));
    let call =
        client.get("/").header("host", host).header("cookie", "id=7").header("authorization", "Basic a");
    block_on(call).text().to_owned()
}

#[test]
fn the_app_sees_what_was_asked_and_nothing_of_the_client() {
    let table: Vec<(App, &str)> = vec![
        (
            calling(async |ctx| ctx.call("two.test", "/seen", &[("a", "1 &"), ("b", "")]).await),
            "200 GET two.test/seen?a=1+%26&b= - [] cookie=- auth=- x=- ip=- http call state=None",
        ),
        (
            calling(async |ctx| {
                ctx.call("X.Two.Test.:99", "/seen?q", &[("a", "1")]).header("x-one", "1").await
            }),
            "200 GET X.Two.Test.:99/seen?q&a=1 - [] cookie=- auth=- x=1 ip=- http call state=None",
        ),
        (
            calling(async |ctx| ctx.call("two.test", "/seen", &[("a", "ü")]).method(Method::POST).await),
            "200 POST two.test/seen application/x-www-form-urlencoded [a=%C3%BC] cookie=- auth=- x=- ip=- http call state=None",
        ),
        (
            calling(async |ctx| {
                ctx.call("two.test", "/seen", &[("a", "1")]).method(Method::POST).json(&[1, 2]).await
            }),
            "200 POST two.test/seen?a=1 application/json [[1,2]] cookie=- auth=- x=- ip=- http call state=None",
        ),
        (
            calling(async |ctx| ctx.call("two.test", "/seen", &[]).as_client().await),
            "200 GET two.test/seen - [] cookie=7 auth=Basic a x=- ip=10.0.0.9 http call state=None",
        ),
        (
            calling(async |ctx| {
                ctx.call("two.test", "/seen", &[]).header("cookie", "id=8").as_client().await
            }),
            "200 GET two.test/seen - [] cookie=8 auth=Basic a x=- ip=10.0.0.9 http call state=None",
        ),
        (calling(async |ctx| ctx.call("two.test", "/nothing", &[]).await), "404 Not Found"),
    ];
    for (app, answer) in table {
        assert_eq!(ask(app, "one.test"), answer);
    }
}

#[test]
fn an_app_calls_itself_by_the_empty_name_or_its_own() {
    for host in ["", "one.test"] {
        let app = calling(async move |ctx: &mut Ctx| ctx.call(host, "/own", &[]).await);
        let app = app.get("/own", async |ctx: &mut Ctx| format!("own {}", ctx.host()));
        assert_eq!(ask(app, "one.test"), "200 own one.test");
    }
    // Without hosts, from below a mount: the app that the request was made to.
    for host in ["", "a.test", "A.test:80"] {
        let inner = calling(async move |ctx: &mut Ctx| ctx.call(host, "/own", &[]).await);
        let client = App::new().mount("/in", inner).get("/own", async |_: &mut Ctx| "outer").test();
        assert_eq!(block_on(client.get("/in").header("host", "a.test:80")).text(), "200 outer");
    }
}

#[test]
fn nobody_is_asked_where_the_call_makes_no_sense() {
    let table: Vec<(App, Unanswered)> = vec![
        (calling(async |ctx| ctx.call("three.test", "/", &[]).await), Unanswered::Host("three.test".into())),
        (calling(async |ctx| ctx.call("[::1]", "/", &[]).await), Unanswered::Host("[::1]".into())),
        (calling(async |ctx| ctx.call("a b", "/", &[]).await), Unanswered::Host("a b".into())),
        (calling(async |ctx| ctx.call("", "seen", &[]).await), Unanswered::Path("seen".into())),
        (calling(async |ctx| ctx.call("", "/a b", &[]).await), Unanswered::Path("/a b".into())),
        (calling(async |ctx| ctx.call("", "/a\r\nb", &[]).await), Unanswered::Path("/a\r\nb".into())),
        (calling(async |ctx| ctx.call("", "/a#b", &[]).await), Unanswered::Path("/a#b".into())),
        (
            calling(async |ctx| ctx.call("", "/", &[]).header("x-one", "a\nb").await),
            Unanswered::Unusable("a header", "failed to parse header value".into()),
        ),
    ];
    for (app, fault) in table {
        let faults: Arc<Mutex<Vec<Unanswered>>> = Arc::default();
        let kept = Arc::clone(&faults);
        let app = App::new()
            .with(async move |ctx: &mut Ctx, next: Next<'_>| {
                let result = next.run(ctx).await;
                let error = result.as_ref().unwrap_err();
                assert_eq!(error.status(), 500);
                kept.lock().unwrap().push(error.downcast_ref::<Unanswered>().unwrap().clone());
                result
            })
            .mount("/", app);
        assert_eq!(ask(app, "one.test"), "Internal Server Error");
        assert_eq!(*faults.lock().unwrap(), [fault]);
    }
}

/// A door that allows few calls, and tells of everything else what [`Memory`] does.
struct Shallow(u32, Memory);

impl Connection for Shallow {
    fn door(&self) -> &'static str {
        "shallow"
    }

    fn calls_left(&self) -> u32 {
        self.0
    }

    fn tls(&self) -> Option<&cepa_core::TlsInfo> {
        self.1.tls()
    }
}

#[test]
fn calls_are_nested_as_deep_as_the_door_allows() {
    let one = App::new().get("/", async |ctx: &mut Ctx| -> Result<String> {
        let answer = ctx.call("two.test", "/", &[]).await?;
        match answer.status() {
            StatusCode::OK => Ok(format!("1{}", answer.text().await?)),
            status => Err(Error::new(status, "passed on")),
        }
    });
    let two = App::new().get("/", async |ctx: &mut Ctx| -> Result<String> {
        if ctx.connection().calls_left() == 0 && ctx.get("x-deep").is_none() {
            return Ok("0".to_owned());
        }
        Ok(format!("2{}", ctx.call("one.test", "/", &[]).await?.text().await?))
    });
    let onion = hosts(one, two).build().unwrap();
    let at = |depth: u32, host: &'static str| {
        let mut request = Request::new(Method::GET, "/");
        request.headers_mut().insert("host", host.parse().unwrap());
        request.set_connection(Rc::new(Shallow(depth, Memory::default())));
        let response = block_on(onion.handle(request));
        (response.status().as_u16(), response.body().and_then(Body::as_bytes).cloned().unwrap_or_default())
    };
    assert_eq!(at(1, "one.test"), (200, Bytes::from("10")));
    assert_eq!(at(3, "one.test"), (200, Bytes::from("1210")));
    // The last one fails, its caller passes the status on, and the one before that takes what comes for text.
    assert_eq!(at(0, "one.test"), (508, Bytes::from("Loop Detected")));
    assert_eq!(at(2, "one.test"), (200, Bytes::from("12Loop Detected")));
}

#[test]
fn two_calls_may_be_on_their_way_at_once_and_a_dropped_one_is_cut() {
    let waits = App::new().get("/", async |_: &mut Ctx| std::future::pending::<Result>().await);
    let one = App::new()
        .get("/both", async |ctx: &mut Ctx| -> Result<String> {
            let (first, second) = (ctx.call("", "/a", &[]), ctx.call("", "/b", &[]));
            let (mut first, mut second) = (first.into_future(), second.into_future());
            let second = poll_fn(|cx| second.as_mut().poll(cx)).await?;
            let first = poll_fn(|cx| first.as_mut().poll(cx)).await?;
            ctx.set("x-both", "1")?;
            Ok(format!("{}{}", first.text().await?, second.text().await?))
        })
        .get("/cut", async |ctx: &mut Ctx| -> Result<String> {
            let mut call = ctx.call("two.test", "/", &[]).into_future();
            assert!(call.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
            let now = ctx.hosts()[1].statistics();
            drop(call);
            let then = ctx.hosts()[1].statistics();
            Ok(format!("{} {} then {} {}", now.instances, now.cut, then.instances, then.cut))
        })
        .get("/{what}", async |ctx: &mut Ctx| ctx.param("what").unwrap_or_default().into_owned());
    let client = hosts(one, waits).test();
    assert_eq!(block_on(client.get("/both").header("host", "one.test")).text(), "ab");
    assert_eq!(block_on(client.get("/cut").header("host", "one.test")).text(), "1 0 then 0 1");
}

#[test]
fn an_answer_is_collected_within_its_limit_or_handed_on() {
    let big = || {
        App::new().get("/", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                for _ in 0..10 {
                    out.write("0123456789").await;
                }
                Ok(())
            })
        })
    };
    for (limit, status) in [(100, 200), (99, 500)] {
        let one = App::new().get("/", async move |ctx: &mut Ctx| -> Result<String> {
            Ok(ctx.call("two.test", "/", &[]).limit(limit).await?.bytes().await?.len().to_string())
        });
        let answer = block_on(hosts(one, big()).test().get("/").header("host", "one.test"));
        assert_eq!(answer.status(), status);
    }
    let one = App::new().get("/", async |ctx: &mut Ctx| -> Result<Body> {
        Ok(ctx.call("two.test", "/", &[]).await?.into_body())
    });
    let answer = block_on(hosts(one, big()).test().get("/").header("host", "one.test"));
    assert_eq!(answer.bytes().len(), 100);
}

#[test]
fn what_an_app_defers_is_done_after_the_callers_response() {
    let notes: Arc<Mutex<Vec<&str>>> = Arc::default();
    let (deferred, called) = (Arc::clone(&notes), Arc::clone(&notes));
    let two = App::new().get("/", async move |ctx: &mut Ctx| -> Result<&'static str> {
        let deferred = Arc::clone(&deferred);
        ctx.defer(async move {
            deferred.lock().unwrap().push("deferred");
            Ok(())
        })?;
        Ok("two")
    });
    let one = App::new().get("/", async move |ctx: &mut Ctx| -> Result<String> {
        let text = ctx.call("two.test", "/", &[]).await?.text().await?;
        called.lock().unwrap().push("called");
        Ok(text)
    });
    assert_eq!(block_on(hosts(one, two).test().get("/").header("host", "one.test")).text(), "two");
    assert_eq!(*notes.lock().unwrap(), ["called", "deferred"]);
}

#[test]
fn each_app_has_figures_of_its_own() {
    let one = App::new()
        .get("/", async |_: &mut Ctx| "12345")
        .get("/broken", async |_: &mut Ctx| Err::<(), _>(Error::new(500, "private")))
        .get("/panics", async |_: &mut Ctx| -> Result { panic!("as it is told") })
        .get("/teapot", async |_: &mut Ctx| StatusCode::IM_A_TEAPOT)
        .get("/stream", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                out.write("1234567").await;
                Ok(())
            })
        })
        .get("/call", async |ctx: &mut Ctx| -> Result<String> {
            ctx.call("two.test", "/", &[]).await?.text().await
        });
    let two = App::new().get("/", async |_: &mut Ctx| "two");
    let onion = hosts(one, two).build().unwrap();
    let client = Client::new(Arc::clone(&onion));
    for path in ["/", "/broken", "/panics", "/teapot", "/stream", "/call", "/call"] {
        block_on(client.get(path).header("host", "one.test"));
    }
    block_on(client.head("/").header("host", "one.test"));
    block_on(client.get("/").header("host", "three.test"));
    let list = onion.hosts().unwrap().list();
    assert_eq!(list.iter().map(|host| host.name()).collect::<Vec<_>>(), ["one.test", "two.test"]);
    let figures =
        |all: cepa_core::Statistics| (all.hits, all.errors, all.cut, all.instances, all.time.count());
    assert_eq!(figures(list[0].statistics()), (8, 2, 0, 0, 8));
    assert_eq!(figures(list[1].statistics()), (2, 0, 0, 0, 2));
    assert_eq!(figures(onion.statistics()), (9, 2, 0, 0, 9));
    // The texts of errors and of the teapot are the outer app's.
    assert_eq!((list[0].statistics().bytes, list[1].statistics().bytes), (5 + 7 + 3 + 3, 6));
    let outer =
        ["Internal Server Error", "Internal Server Error", "I'm a teapot", "no such host"].concat().len();
    assert_eq!(onion.statistics().bytes, 18 + outer as u64);
    assert_eq!(list[1].statistics().bytes_per_hit(), 3);
}

#[test]
fn hosts_are_known_around_them_and_not_without() {
    let app = App::new().get("/", async |ctx: &mut Ctx| ctx.hosts().len().to_string());
    assert_eq!(block_on(app.test().get("/")).text(), "0");
    let inside = App::new().get("/", async |ctx: &mut Ctx| ctx.hosts()[1].name().to_owned());
    let app = hosts(inside, App::new().get("/", async |_: &mut Ctx| "two"));
    let app = app.with(async |ctx: &mut Ctx, next: Next<'_>| {
        let other = ctx.call("two.test", "/", &[]).await?.text().await?;
        ctx.set("x-seen", format!("{} {other}", ctx.hosts().len()))?;
        next.run(ctx).await
    });
    let answer = block_on(app.test().get("/").header("host", "one.test"));
    assert_eq!((answer.text(), answer.header("x-seen")), ("two.test", "2 two"));
}

#[test]
fn a_client_behind_a_trusted_proxy_is_lent_by_its_address() {
    let two =
        App::new().get("/", async |ctx: &mut Ctx| format!("{:?} {}", ctx.connection().peer(), ctx.secure()));
    let trust: Trust = "loopback".parse().unwrap();
    let one = App::new().trust(trust).get("/", async |ctx: &mut Ctx| -> Result<String> {
        ctx.call("two.test", "/", &[]).as_client().await?.text().await
    });
    let client = hosts(one, two).test().over_tls().from(SocketAddr::from(([127, 0, 0, 1], 9)));
    let answer = block_on(client.get("/").header("host", "one.test").header("x-forwarded-for", "192.0.2.7"));
    assert_eq!(answer.text(), "Ip(192.0.2.7:0) true");
    let answer = block_on(client.get("/").header("host", "one.test"));
    assert_eq!(answer.text(), "Ip(127.0.0.1:9) true");
}
