//! Routes: which one answers, and what is answered where none does.

#[path = "shared/table.rs"]
mod table;

use cepa_core::{
    App, Ctx, Next, Result,
    router::{Resources, Router, get},
    test::block_on,
};
use http::StatusCode;

use table::{answers, method, says, send};

#[test]
fn a_method_that_no_route_has_is_answered_with_those_there_are() {
    let client = App::new()
        .get("/a", says("a"))
        .put("/a", says("a put"))
        .post("/b", says("b"))
        .options("/b", says("b options"))
        .head("/b", says("b head"))
        .all("/c", says("c"))
        .on(method("QUERY"), "/d", says("d"))
        .delete("/x/{id}", says("x"))
        .get("/x/{*rest}", says("rest"))
        .test();
    for (line, status, allow) in [
        ("GET /a", 200, ""),
        ("HEAD /a", 200, ""),
        ("POST /a", 405, "HEAD, GET, PUT"),
        ("OPTIONS /a", 200, "HEAD, GET, PUT"),
        ("GET /b", 405, "POST, OPTIONS, HEAD"),
        ("OPTIONS /b", 200, ""),
        ("HEAD /b", 200, ""),
        ("OPTIONS /c", 200, ""),
        ("QUERY /d", 200, ""),
        ("GET /d", 405, "QUERY"),
        ("QUERY /a", 405, "HEAD, GET, PUT"),
        ("LOCK /a", 501, "HEAD, GET, PUT"),
        ("LOCK /c", 200, ""),
        ("LOCK /nowhere", 501, ""),
        ("QUERY /nowhere", 404, ""),
        ("OPTIONS /nowhere", 404, ""),
        ("POST /nowhere", 404, ""),
        ("DELETE /x/1", 200, ""),
        ("GET /x/1", 200, ""),
        ("PUT /x/1", 405, "DELETE, HEAD, GET"),
        ("PUT /x/1/2", 405, "HEAD, GET"),
        ("OPTIONS *", 200, "GET, PUT, POST, OPTIONS, HEAD, QUERY, DELETE"),
    ] {
        let answer = send(&client, line);
        assert_eq!((answer.status().as_u16(), answer.header("allow")), (status, allow), "{line}");
    }
    assert_eq!(send(&client, "POST /a").text(), "Method Not Allowed");
    assert_eq!(send(&client, "LOCK /a").text(), "Not Implemented");
    assert_eq!(send(&client, "OPTIONS /a").text(), "");
    // An app without routes implements nothing and refuses nothing.
    assert_eq!(send(&App::new().test(), "LOCK /").status(), 404);
}

#[test]
fn head_is_get_without_its_body() {
    let client = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            next.run(ctx).await?;
            ctx.set("x-layer", "seen")
        })
        .get("/text", says("four"))
        .get("/json", async |ctx: &mut Ctx| ctx.set_json(&[1, 2, 3]))
        .get("/method", async |ctx: &mut Ctx| ctx.method().to_string())
        .get("/error", async |ctx: &mut Ctx| -> Result { Err(ctx.error(403, "no")) })
        .test();
    for path in ["/text", "/json", "/error"] {
        let (get, head) = (send(&client, &format!("GET {path}")), send(&client, &format!("HEAD {path}")));
        assert_eq!((get.status(), get.headers()), (head.status(), head.headers()), "{path}");
        assert!(!get.bytes().is_empty() && head.bytes().is_empty(), "{path}");
        assert_eq!(head.header("content-length"), get.bytes().len().to_string(), "{path}");
    }
    assert_eq!(send(&client, "HEAD /method").header("content-length"), "4", "the handler sees HEAD");
    let missing = send(&client, "HEAD /nowhere");
    assert_eq!((missing.status().as_u16(), missing.header("content-type")), (404, ""));
}

#[test]
fn the_most_specific_route_answers_whatever_the_order() {
    let entries: [fn(App) -> App; 7] = [
        |app| app.get("/{*rest}", says("rest")),
        |app| app.get("/users/{id}", says("id")),
        |app| app.get("/users/{id:int}", says("int")),
        |app| app.get("/users/new", says("new")),
        |app| app.nest("/users", Router::new().ignore_case().get("/NEW/{x}", says("nested"))),
        |app| app.nest("/lenient", Router::new().lenient_slash().get("/a", says("lenient"))),
        |app| app.get("/lenient/{x}", says("exact")),
    ];
    let table = [
        ("GET /users/new", 200, "new"),
        ("GET /users/7", 200, "int"),
        ("GET /users/7x", 200, "id"),
        ("GET /users/new/1", 200, "nested"),
        ("GET /users/NEW/1", 200, "nested"),
        ("GET /USERS/new/1", 200, "nested"),
        ("GET /users/7/posts", 200, "rest"),
        ("GET /lenient/a", 200, "lenient"),
        ("GET /lenient/a/", 200, "lenient"),
        ("GET /lenient/b", 200, "exact"),
        ("GET /lenient/b/", 200, "rest"),
    ];
    let forward = entries.iter().fold(App::new(), |app, add| add(app)).test();
    answers(&forward, &table);
    let backward = entries.iter().rev().fold(App::new(), |app, add| add(app)).test();
    answers(&backward, &table);
}

#[test]
fn case_and_trailing_slashes_count_unless_they_are_told_not_to() {
    let routes = |app: App| app.get("/Page", says("page")).get("/", says("root"));
    answers(
        &routes(App::new()).test(),
        &[
            ("GET /Page", 200, "page"),
            ("GET /page", 404, "Not Found"),
            ("GET /Page/", 404, "Not Found"),
            ("GET //", 404, "Not Found"),
        ],
    );
    answers(
        &routes(App::new().ignore_case().lenient_slash()).test(),
        &[
            ("GET /PAGE/", 200, "page"),
            ("GET /page", 200, "page"),
            ("GET /", 200, "root"),
            ("GET /page//", 404, "Not Found"),
        ],
    );
    // Of one shape the exact one answers.
    let both =
        App::new().nest("", Router::new().ignore_case().get("/a", says("any"))).get("/a", says("exact"));
    answers(&both.test(), &[("GET /a", 200, "exact"), ("GET /A", 200, "any")]);
}

#[test]
fn hosts_are_tried_from_the_most_specific_on() {
    let site = |name| Router::new().get("/", says(name));
    let hosts = ["*.example.com", "API.example.com", "*.eu.example.com", "[::1]"];
    let names = ["sub", "api", "eu", "six"];
    let app = std::iter::zip(hosts, names).fold(App::new(), |app, (host, name)| app.host(host, site(name)));
    let client = app.get("/", says("any")).get("/only-any", says("only any")).test();
    for (host, expected) in [
        ("api.example.com", "api"),
        ("API.Example.COM:8080", "api"),
        ("api.example.com.", "api"),
        ("www.example.com", "sub"),
        ("a.b.example.com", "sub"),
        ("x.eu.example.com", "eu"),
        ("example.com", "any"),
        ("notexample.com", "any"),
        ("[::1]:80", "six"),
        (".example.com", "any"),
        ("evil.test", "any"),
        ("api.example.com@evil.test", "any"),
        ("", "any"),
    ] {
        let answer = block_on(client.get("/").header("host", host));
        assert_eq!(answer.text(), expected, "{host}");
    }
    let below = block_on(client.get("/only-any").header("host", "api.example.com"));
    assert_eq!(below.text(), "only any", "what a host does not know, the routes for any host may");
}

#[test]
fn a_prefix_holds_for_all_that_is_nested() {
    let posts = Router::new().get("/", says("posts")).get("/{post}", async |ctx: &mut Ctx| {
        let (user, post): (String, u32) = ctx.params()?;
        Result::Ok(format!("{user} {post} {}", ctx.route_pattern().unwrap_or_default()))
    });
    let users = Router::new().nest("/{user}/posts/", posts).get("", says("users"));
    let client = App::new().nest("/users", users).test();
    answers(
        &client,
        &[
            ("GET /users", 200, "users"),
            ("GET /users/", 404, "Not Found"),
            ("GET /users/tobi/posts", 200, "posts"),
            ("GET /users/t%C3%B6bi/posts/7", 200, "töbi 7 /users/{user}/posts/{post}"),
            ("GET /users/tobi/posts/x", 404, "Not Found"),
        ],
    );
}

#[test]
fn a_resource_has_seven_actions() {
    let action = |name: &'static str| {
        async move |ctx: &mut Ctx| {
            let route = ctx.route_name().unwrap_or("none");
            format!("{name} {} {route}", ctx.param("id").unwrap_or_default())
        }
    };
    let posts = || {
        Resources::new()
            .name("posts")
            .destroy(action("destroy"))
            .index(action("index"))
            .new_form(action("new"))
            .create(action("create"))
            .show(action("show"))
            .edit(action("edit"))
            .update(action("update"))
    };
    let client = App::new().resources("/posts", posts()).test();
    answers(
        &client,
        &[
            ("GET /posts", 200, "index  posts"),
            ("GET /posts/new", 200, "new  new_post"),
            ("POST /posts", 200, "create  posts"),
            ("GET /posts/7", 200, "show 7 post"),
            ("GET /posts/7/edit", 200, "edit 7 edit_post"),
            ("PATCH /posts/7", 200, "update 7 post"),
            ("PUT /posts/7", 200, "update 7 post"),
            ("DELETE /posts/7", 200, "destroy 7 destroy_post"),
            ("POST /posts/7", 405, "Method Not Allowed"),
        ],
    );
    let urls = App::new().resources("/api/posts/", posts()).get("/", async |ctx: &mut Ctx| {
        let names = ["posts", "new_post", "post", "edit_post", "destroy_post"];
        let urls: Result<Vec<String>> = names.iter().map(|name| ctx.url_for(name, &[("id", "7")])).collect();
        Result::Ok(urls?.join(" "))
    });
    let expected = "/api/posts?id=7 /api/posts/new?id=7 /api/posts/7 /api/posts/7/edit /api/posts/7";
    answers(&urls.test(), &[("GET /", 200, expected)]);
    let some = App::new().resources("/r", Resources::new().index(says("index")).destroy(says("gone"))).test();
    answers(&some, &[("GET /r/1", 405, "Method Not Allowed"), ("GET /r/1/edit", 404, "Not Found")]);
}

#[test]
fn urls_are_made_from_names_and_always_lead_back() {
    let url = |ctx: &mut Ctx| {
        let pairs: Vec<(String, String)> =
            ctx.query_pairs().map(|(name, value)| (name.into_owned(), value.into_owned())).collect();
        let pairs: Vec<(&str, &str)> = pairs.iter().map(|(name, value)| (&**name, &**value)).collect();
        ctx.url_for("file", &pairs)
    };
    let inner = App::new()
        .route("/{user}/{*path}", get(says("file")).put(says("put")).name("file"))
        .post("/", async move |ctx: &mut Ctx| url(ctx))
        .delete("/", async |ctx: &mut Ctx| ctx.url_for_values("file", &["1", "a"], &[("q", "x y")]));
    let client = App::new().mount("/m/{t}", inner).test();
    for (line, status, url) in [
        ("POST /m/1?user=tobi&path=a", 200, "/m/1/tobi/a"),
        ("POST /m/a%20b?user=%C3%A9+/&path=a/b+c&x=1&x=%26", 200, "/m/a%20b/%C3%A9%20%2F/a/b%20c?x=1&x=%26"),
        ("DELETE /m/1", 200, "/m/1/1/a?q=x+y"),
        ("POST /m/1?user=tobi", 500, "Internal Server Error"),
        ("POST /m/1?user=tobi&path=", 500, "Internal Server Error"),
        ("POST /m/1?user=..&path=a", 500, "Internal Server Error"),
        ("POST /m/1?user=a&path=a/../../b", 500, "Internal Server Error"),
    ] {
        let answer = send(&client, line);
        assert_eq!((answer.status().as_u16(), answer.text()), (status, url), "{line}");
        if status == 200 && line.starts_with("POST") {
            let path = url.split('?').next().unwrap_or_default();
            assert_eq!(send(&client, &format!("GET {path}")).text(), "file", "{path}");
        }
    }
    let unknown = App::new().get("/", async |ctx: &mut Ctx| ctx.url_for("nobody", &[]));
    answers(&unknown.test(), &[("GET /", 500, "Internal Server Error")]);
}

#[test]
fn a_redirecting_route_fills_parameters_in_and_stays_on_its_site() {
    let client = App::new()
        .redirect("/old", "/new")
        .redirect("/u/{id}/{name}", "/users/{name}/{id}?from={id}#{{x}}")
        .redirect_with("/docs/{*path}", "https://docs.example.com/{*path}", StatusCode::PERMANENT_REDIRECT)
        .redirect_with("/any/{*path}", "/{*path}", StatusCode::SEE_OTHER)
        .redirect("/one/{*path}", "/x/{path}")
        .redirect("/tenant/{name}", "https://{name}.example.com/")
        .nest("/nested/{a}", Router::new().redirect("/{b}", "/{b}/{a}"))
        .test();
    for (line, status, location) in [
        ("GET /old", 301, "/new"),
        ("POST /old", 301, "/new"),
        ("GET /u/7/t%C3%B6bi", 301, "/users/t%C3%B6bi/7?from=7#%7Bx%7D"),
        ("GET /u/a%0d%0ab/x%26y", 301, "/users/x%26y/a%0D%0Ab?from=a%0D%0Ab#%7Bx%7D"),
        ("GET /docs/a/b%20c", 308, "https://docs.example.com/a/b%20c"),
        ("GET /any/a/b", 303, "/a/b"),
        ("GET /any//evil.test", 404, ""),
        ("GET /any/%2Fevil.test", 404, ""),
        ("GET /any/%5Cevil.test", 303, "/%5Cevil.test"),
        ("GET /one/a/b", 301, "/x/a%2Fb"),
        ("GET /nested/1/2", 301, "/2/1"),
        ("GET /tenant/a", 301, "https://a.example.com/"),
        ("GET /tenant/evil.test%2F", 404, ""),
        ("GET /tenant/evil.test%23", 404, ""),
        ("GET /tenant/user%40evil.test%3A1%2F", 404, ""),
    ] {
        let answer = send(&client, line);
        assert_eq!((answer.status().as_u16(), answer.header("location")), (status, location), "{line}");
    }
}

#[test]
fn a_layer_can_tell_the_way_of_its_request() {
    let app = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            next.run(ctx).await?;
            let kinds: Vec<String> = ctx.explain().iter().map(|step| step.kind.to_string()).collect();
            ctx.set("x-way", kinds.join(" "))
        })
        .get("/", async |_: &mut Ctx| "a");
    let client = app.test();
    block_on(async {
        assert_eq!(client.get("/").await.header("x-way"), "layer handler");
        assert_eq!(client.get("/none").await.header("x-way"), "layer answer");
    });
}
