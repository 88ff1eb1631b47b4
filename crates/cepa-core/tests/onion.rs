//! The onion: in which order layers run, what they see of errors and panics, and what a client sees.

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    io,
    pin::pin,
    rc::Rc,
    sync::{Arc, Mutex, MutexGuard},
    task::Poll,
};

use cepa_core::{
    App, Ctx, Error, Handler, LocalBoxFuture, Middleware, Next, Panicked, Request, Result, router::get,
    test::block_on,
};
use http::{HeaderName, HeaderValue, Method, header};

const SECRET: &str = "the password is hunter2";

/// What happened, in order.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().expect("nothing panics while it notes")
    }

    fn note(&self, text: impl Into<String>) {
        self.lines().push(text.into());
    }

    fn take(&self) -> String {
        std::mem::take(&mut *self.lines()).join(" ")
    }

    /// A layer that notes when it is entered, and how it is left.
    fn layer(&self, name: &'static str) -> impl Middleware {
        let log = self.clone();
        async move |ctx: &mut Ctx, next: Next<'_>| {
            log.note(format!("{name}("));
            let result = next.run(ctx).await;
            log.note(match &result {
                Ok(()) => format!("{name})"),
                Err(error) => format!("{name}!{}", error.status().as_u16()),
            });
            result
        }
    }

    fn handler(&self, text: &'static str) -> impl Handler<&'static str> {
        let log = self.clone();
        async move |_: &mut Ctx| {
            log.note(text);
            text
        }
    }
}

#[test]
fn layers_run_in_the_order_they_were_added_and_back() {
    let log = Log::default();
    let inner = App::new().with(log.layer("mounted")).get("/", log.handler("below"));
    let nested = cepa_core::router::Router::new()
        .get("/", log.handler("nest"))
        .with(log.layer("router"))
        .route("/one", get(log.handler("one")).with(log.layer("route")));
    let client = App::new()
        .with(log.layer("a"))
        .get("/", log.handler("root"))
        .with(log.layer("b"))
        .nest("/nest", nested)
        .mount("/mount", inner)
        .fallback(log.handler("fallback"))
        .test();
    for (path, expected) in [
        ("/", "a( b( root b) a)"),
        ("/nest", "a( b( router( nest router) b) a)"),
        ("/nest/one", "a( b( router( route( one route) router) b) a)"),
        ("/mount", "a( b( mounted( below mounted) b) a)"),
        ("/mount/nowhere", "a( b( mounted( fallback mounted) b) a)"),
        ("/nowhere", "a( b( fallback b) a)"),
        ("/nest/nowhere", "a( b( fallback b) a)"),
    ] {
        block_on(client.get(path));
        assert_eq!(log.take(), expected, "{path}");
    }
}

#[test]
fn a_layer_that_does_not_run_next_answers_by_itself() {
    let log = Log::default();
    let client = App::new()
        .with(log.layer("a"))
        .with(async |ctx: &mut Ctx, _: Next<'_>| ctx.set_body("closed"))
        .get("/", log.handler("never"))
        .test();
    let answer = block_on(client.get("/"));
    assert_eq!((answer.status().as_u16(), answer.text()), (200, "closed"));
    assert_eq!(log.take(), "a( a)");
}

#[test]
fn an_error_passes_all_layers_and_keeps_the_headers_they_have_set() {
    let log = Log::default();
    let client = App::new()
        .with(log.layer("a"))
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            ctx.set("access-control-allow-origin", "*")?;
            ctx.vary("Origin")?;
            ctx.cookies().set("seen", "1", &Default::default())?;
            next.run(ctx).await
        })
        .with(log.layer("b"))
        .get("/", async |ctx: &mut Ctx| -> Result<&'static str> {
            // What describes the body that is not sent must go.
            ctx.set_type("png")?;
            ctx.set_length(5);
            ctx.set_etag("abc")?;
            ctx.set_cache_control("public, max-age=60")?;
            ctx.set("content-encoding", "gzip")?;
            Err(ctx.error(422, "no such colour"))
        })
        .test();
    let answer = block_on(client.get("/"));
    assert_eq!((answer.status().as_u16(), answer.text()), (422, "no such colour"));
    assert_eq!(log.take(), "a( b( b!422 a!422");
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("vary", "Origin"),
        ("set-cookie", "seen=1; path=/; httponly"),
        ("content-type", "text/plain; charset=utf-8"),
        ("content-length", "14"),
        ("etag", ""),
        ("cache-control", ""),
        ("content-encoding", ""),
    ] {
        assert_eq!(answer.header(name), value, "{name}");
    }
}

#[test]
fn a_layer_may_answer_an_inner_error() {
    let client = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| match next.run(ctx).await {
            Err(error) if error.status() == 404 => ctx.set_body("a kinder page"),
            other => other,
        })
        .get("/missing", async |ctx: &mut Ctx| -> Result { Err(ctx.error(404, "gone")) })
        .get("/broken", async |ctx: &mut Ctx| -> Result { Err(ctx.error(409, "conflict")) })
        .test();
    let missing = block_on(client.get("/missing"));
    assert_eq!((missing.status().as_u16(), missing.text()), (200, "a kinder page"));
    let broken = block_on(client.get("/broken"));
    assert_eq!((broken.status().as_u16(), broken.text()), (409, "conflict"));
}

#[test]
fn headers_of_an_error_are_in_its_answer() {
    let client = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            ctx.set("www-authenticate", "Basic")?;
            next.run(ctx).await
        })
        .get("/", async |ctx: &mut Ctx| -> Result {
            let challenge = |text| HeaderValue::from_static(text);
            Err(ctx
                .error(401, "who?")
                .with_header(header::WWW_AUTHENTICATE, challenge("Bearer"))
                .with_header(header::WWW_AUTHENTICATE, challenge("Negotiate"))
                .with_header(header::CONTENT_TYPE, challenge("image/png"))
                .with_header(HeaderName::from_static("retry-after"), HeaderValue::from(3)))
        })
        .test();
    let answer = block_on(client.get("/"));
    let challenges: Vec<_> = answer.headers().get_all(header::WWW_AUTHENTICATE).iter().collect();
    assert_eq!(challenges, ["Bearer", "Negotiate"]);
    assert_eq!(answer.header("retry-after"), "3");
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
}

#[test]
fn a_client_reads_the_messages_of_4xx_and_never_a_cause() {
    let cause = || io::Error::other(SECRET);
    let client = App::new()
        .get("/exposed", async |ctx: &mut Ctx| -> Result { Err(ctx.error(400, "bad colour")) })
        .get("/hidden", async |ctx: &mut Ctx| -> Result { Err(ctx.error(500, SECRET)) })
        .get("/shown", async |ctx: &mut Ctx| -> Result { Err(ctx.error(503, "soon").expose(true)) })
        .get("/withheld", async |ctx: &mut Ctx| -> Result { Err(ctx.error(403, SECRET).expose(false)) })
        .get("/cause", async move |ctx: &mut Ctx| -> Result {
            Err(ctx.error(400, "bad colour").with_cause(cause()))
        })
        .get("/question", async move |_: &mut Ctx| -> Result { Err(cause())? })
        .get("/odd", async |ctx: &mut Ctx| -> Result { Err(ctx.error(200, "no error status")) })
        .get("/unnamed", async |ctx: &mut Ctx| -> Result { Err(ctx.error(499, "left")) })
        .get("/header", async |ctx: &mut Ctx| ctx.set("x-a", format!("a\r\n{SECRET}")))
        .test();
    for (path, status, body) in [
        ("/exposed", 400, "bad colour"),
        ("/hidden", 500, "Internal Server Error"),
        ("/shown", 503, "soon"),
        ("/withheld", 403, "Forbidden"),
        ("/cause", 400, "bad colour"),
        ("/question", 500, "Internal Server Error"),
        ("/odd", 500, "Internal Server Error"),
        ("/unnamed", 499, "left"),
        ("/header", 500, "Internal Server Error"),
    ] {
        let answer = block_on(client.get(path));
        assert_eq!((answer.status().as_u16(), answer.text()), (status, body), "{path}");
        assert!(!format!("{:?}", answer.headers()).contains("hunter2"), "{path}");
    }
}

/// A layer that panics before it returns a future.
struct Hasty;

impl Middleware for Hasty {
    fn call<'a>(&'a self, _: &'a mut Ctx, _: Next<'a>) -> LocalBoxFuture<'a, Result> {
        panic!("{SECRET}")
    }
}

#[test]
fn a_panic_is_an_error_to_the_layers_around_it_and_a_500_to_the_client() {
    let log = Log::default();
    let inner =
        App::new().with(log.layer("mounted")).get("/", async |_: &mut Ctx| -> Result { panic!("{SECRET}") });
    let client = App::new()
        .with(log.layer("a"))
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            ctx.set("x-outer", "kept")?;
            let result = next.run(ctx).await;
            if let Err(error) = &result {
                assert!(error.downcast_ref::<Panicked>().is_some_and(|why| why.to_string().contains(SECRET)));
            }
            ctx.set("x-path", ctx.path().to_owned())?;
            result
        })
        .get("/handler", async |_: &mut Ctx| -> Result { panic!("{SECRET}") })
        .get("/later", async |ctx: &mut Ctx| -> Result {
            ctx.set_body("not this")?;
            yield_now().await;
            panic!("{}", SECRET.to_owned())
        })
        .route(
            "/layer",
            get(log.handler("never"))
                .with(log.layer("b"))
                .with(async |_: &mut Ctx, _: Next<'_>| -> Result { std::panic::panic_any(7) }),
        )
        .route("/hasty", get(log.handler("never")).with(log.layer("b")).with(Hasty))
        .mount("/mount", inner)
        .test();
    for (path, expected) in [
        ("/handler", "a( a!500"),
        ("/later", "a( a!500"),
        ("/hasty", "a( b( b!500 a!500"),
        ("/mount", "a( mounted( mounted!500 a!500"),
    ] {
        let answer = block_on(client.get(path));
        assert_eq!((answer.status().as_u16(), answer.text()), (500, "Internal Server Error"), "{path}");
        assert_eq!((answer.header("x-outer"), answer.header("x-path")), ("kept", path));
        assert!(!format!("{answer:?}").contains("hunter2"), "{path}");
        assert_eq!(log.take(), expected, "{path}");
    }
    // The layer in front panics on a panic without text; that too is only an error to those outside.
    assert_eq!(block_on(client.get("/layer")).status(), 500);
    assert_eq!(log.take(), "a( b( b!500 a!500");
}

async fn yield_now() {
    let mut yielded = false;
    poll_fn(|cx| {
        if std::mem::replace(&mut yielded, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Lets what is inside run for one poll only, as a layer with a deadline does.
async fn one_poll(ctx: &mut Ctx, next: Next<'_>) -> Result {
    let done = {
        let mut inner = pin!(next.run(ctx));
        poll_fn(|cx| Poll::Ready(inner.as_mut().poll(cx))).await
    };
    match done {
        Poll::Ready(result) => result,
        Poll::Pending => {
            Err(ctx.error(503, format!("too slow: {}|{}", ctx.mount_path(), ctx.path())).expose(true))
        }
    }
}

#[test]
fn a_layer_may_give_up_on_what_is_inside_and_finds_the_ctx_as_it_was() {
    let inner = App::new().get("/slow/{id}", async |_: &mut Ctx| pending::<()>().await);
    let client = App::new().with(one_poll).mount("/mount", inner).test();
    let answer = block_on(client.get("/mount/slow/7"));
    assert_eq!((answer.status().as_u16(), answer.text()), (503, "too slow: |/mount/slow/7"));
}

#[test]
fn dropping_a_request_drops_what_its_layers_hold() {
    struct Held(Rc<Cell<u32>>);
    impl Drop for Held {
        fn drop(&mut self) {
            self.0.set(self.0.get() + 1);
        }
    }
    let onion = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            let count = ctx.state::<Rc<Cell<u32>>>().cloned().unwrap_or_default();
            ctx.insert(Held(Rc::clone(&count)));
            let _held = Held(count);
            next.run(ctx).await
        })
        .get("/", async |_: &mut Ctx| pending::<()>().await)
        .build()
        .unwrap();
    let mut running = onion.handle(Request::new(Method::GET, "/"));
    block_on(poll_fn(|cx| {
        assert!(running.poll_response(cx).is_pending());
        Poll::Ready(())
    }));
    drop(running);
    assert_eq!(Arc::strong_count(&onion), 1);
}

#[test]
fn an_error_turns_into_a_boxed_error_and_keeps_its_place() {
    let error = Error::new(418, "tea").with_cause(io::Error::other("pot"));
    assert!(error.place().file().ends_with("onion.rs"));
    let boxed: Box<dyn std::error::Error + Send + Sync> = error.into();
    assert_eq!(boxed.to_string(), "418 tea: pot");
}
