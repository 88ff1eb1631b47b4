//! Mounts: what lies below a prefix sees its own path, and nothing of that is left outside.

#[path = "shared/table.rs"]
mod table;

use cepa_core::{
    App, Body, Ctx, Next, Request, Result,
    router::{Mount, Router, get},
    test::block_on,
};

use http::Method;

use table::{answers, says};

/// What a handler sees of the way that led to it.
async fn seen(ctx: &mut Ctx) -> String {
    let params: Vec<_> = ctx.param_pairs().map(|(name, value)| format!("{name}={value}")).collect();
    let (mount, path, original) = (ctx.mount_path(), ctx.path(), ctx.original_url());
    format!("{mount}|{path}|{original}|{}", params.join(","))
}

#[test]
fn a_mount_takes_its_prefix_off_the_path_and_puts_it_back() {
    let inner = || App::new().get("/", seen).get("/u/{id}", seen).get("/down/{id}", seen);
    let twice = App::new().mount("/in/{more}", App::new().get("/{*rest}", seen));
    let client = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            next.run(ctx).await?;
            let after = seen(ctx).await;
            ctx.set("x-after", after)?;
            ctx.set("x-pattern", ctx.route_pattern().unwrap_or("none").to_owned())
        })
        .mount("/app", inner())
        .mount("/kept", Mount::new(App::new().get("/kept/u/{id}", seen)).keep_path())
        .mount("/t/{tenant}", inner())
        .mount("/twice", twice)
        .mount("/handler/{x}", seen)
        .test();
    for (target, inside, outside, pattern) in [
        ("/app", "/app|/|/app|", "|/app|/app|", "/"),
        ("/app/", "/app|/|/app/|", "|/app/|/app/|", "/"),
        ("/app/u/7?q=1", "/app|/u/7|/app/u/7?q=1|id=7", "|/app/u/7|/app/u/7?q=1|id=7", "/u/{id}"),
        ("/kept/u/7", "|/kept/u/7|/kept/u/7|id=7", "|/kept/u/7|/kept/u/7|id=7", "/kept/u/{id}"),
        (
            "/t/a%20b/u/7",
            "/t/a%20b|/u/7|/t/a%20b/u/7|tenant=a b,id=7",
            "|/t/a%20b/u/7|/t/a%20b/u/7|tenant=a b,id=7",
            "/u/{id}",
        ),
        (
            "/twice/in/1/a/b",
            "/twice/in/1|/a/b|/twice/in/1/a/b|more=1,rest=a/b",
            "|/twice/in/1/a/b|/twice/in/1/a/b|more=1,rest=a/b",
            "/{*rest}",
        ),
        (
            "/handler/1/a//b",
            "/handler/1|/a//b|/handler/1/a//b|x=1",
            "|/handler/1/a//b|/handler/1/a//b|x=1",
            "none",
        ),
    ] {
        let answer = block_on(client.get(target));
        assert_eq!(answer.text(), inside, "{target}");
        assert_eq!((answer.header("x-after"), answer.header("x-pattern")), (outside, pattern), "{target}");
    }
    answers(&client, &[("GET /apple", 404, "Not Found"), ("GET /app/nowhere", 404, "Not Found")]);
}

#[test]
fn a_mount_answers_every_method_and_leaves_405_to_what_is_mounted() {
    let inner = App::new().get("/a", says("a"));
    let client = App::new()
        .lenient_slash()
        .get("/m/b", says("outer"))
        .mount("/m", inner)
        .mount("/", says("root"))
        .test();
    answers(
        &client,
        &[
            ("POST /m/a", 405, "Method Not Allowed"),
            ("LOCK /m/a", 501, "Not Implemented"),
            ("GET /m/b", 200, "outer"),
            ("LOCK /", 200, "root"),
            ("GET /elsewhere/x", 200, "root"),
            ("GET /m/", 404, "Not Found"),
        ],
    );
}

#[test]
fn a_mounted_app_has_what_the_app_around_it_has() {
    struct Outer(&'static str);
    let inner = App::new().get("/", async |ctx: &mut Ctx| {
        let outer = ctx.provided::<Outer>()?.0;
        Result::Ok(format!("{outer} {:?}", ctx.settings().subdomain_offset))
    });
    let client = App::new().provide(Outer("outer")).subdomain_offset(3).mount("/in", inner).test();
    answers(&client, &[("GET /in", 200, "outer Some(3)")]);
    let missing = App::new().get("/", async |ctx: &mut Ctx| ctx.provided::<Outer>().map(|_| ()));
    answers(&missing.test(), &[("GET /", 500, "Internal Server Error")]);
}

#[test]
fn a_layer_in_front_of_a_mount_may_change_the_path() {
    let rewrites = async |ctx: &mut Ctx, next: Next<'_>| {
        let path = ctx.query_value("to").map(|path| path.into_owned());
        if let Some(path) = path {
            ctx.set_path(&path);
        }
        next.run(ctx).await
    };
    let router = Router::new().with(rewrites).mount("/m", App::new().get("/{*rest}", seen).get("/", seen));
    let client = App::new().nest("/in", router).test();
    for (target, expected) in [
        ("/in/m/long/enough", "/in/m|/long/enough|/in/m/long/enough|rest=long/enough"),
        ("/in/m/long/enough?to=/in/m/x", "/in/m|/x|/in/m/long/enough?to=/in/m/x|rest=x"),
        ("/in/m/long/enough?to=/in/m", "/in/m|/|/in/m/long/enough?to=/in/m|"),
        ("/in/m/long/enough?to=/x", "|/x|/in/m/long/enough?to=/x|rest=x"),
        ("/in/m/long/enough?to=/in/mx", "|/in/mx|/in/m/long/enough?to=/in/mx|rest=in/mx"),
    ] {
        assert_eq!(block_on(client.get(target)).text(), expected);
    }
}

#[test]
fn a_layer_runs_an_app_below_a_prefix_that_it_finds_itself() {
    let inner = App::new()
        .get("/", async |ctx: &mut Ctx| format!("root of {}", ctx.mount_path()))
        .route("/users/{id}", get(async |ctx: &mut Ctx| ctx.url_for("user", &[("id", "8")])).name("user"));
    let inner = inner.into_handler().unwrap();
    let client = App::new()
        .with(async move |ctx: &mut Ctx, next: Next<'_>| {
            if ctx.run_below("/deep/inner/", &inner).await? {
                return ctx.set("x-after", format!("{}{}", ctx.mount_path(), ctx.path()));
            }
            next.run(ctx).await
        })
        .get("/{*rest}", async |ctx: &mut Ctx| format!("outer {}", ctx.path()))
        .test();
    block_on(async {
        for (path, text, after) in [
            ("/deep/inner", "root of /deep/inner", "/deep/inner"),
            ("/deep/inner/users/7", "/deep/inner/users/8", "/deep/inner/users/7"),
            ("/deep/inners", "outer /deep/inners", ""),
            ("/deep", "outer /deep", ""),
        ] {
            let answer = client.get(path).await;
            assert_eq!((answer.text(), answer.header("x-after")), (text, after), "{path}");
        }
        assert_eq!(client.get("/deep/inner/none").await.status(), 404);
    });
}

#[test]
fn a_server_in_front_may_have_mounted_the_app() {
    let onion = App::new().get("/u/{id}", seen).get("/", seen).mount("/in", App::new().get("/x", seen));
    let onion = onion.build().unwrap();
    for (target, prefix, mounted, saw) in [
        ("/app/u/7?q=1", "/app", true, "/app|/u/7|/app/u/7?q=1|id=7"),
        ("/app/u/7", "/app/", true, "/app|/u/7|/app/u/7|id=7"),
        ("/app", "/app", true, "/app|/|/app|"),
        ("/app/in/x", "/app", true, "/app/in|/x|/app/in/x|"),
        ("/u/7", "", true, "|/u/7|/u/7|id=7"),
        ("/u/7", "/", true, "|/u/7|/u/7|id=7"),
        ("/u/7", "/app", false, "|/u/7|/u/7|id=7"),
        ("/u/7", "/u/7/8", false, "|/u/7|/u/7|id=7"),
        ("http://a/app/u/7", "/app", true, "/app|/u/7|http://a/app/u/7|id=7"),
    ] {
        let mut request = Request::new(Method::GET, target);
        assert_eq!(request.mount_at(prefix), mounted, "{target} {prefix}");
        let answer = block_on(onion.handle(request));
        let text = answer.body().and_then(Body::as_bytes).unwrap();
        assert_eq!(text, saw, "{target} {prefix}");
    }
}
