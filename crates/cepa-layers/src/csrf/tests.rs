//! Tests of the check: tables, the recorded tokens, attacks by name.

use std::path::Path;

use super::*;
use crate::{
    ViewsExt, When, inflate,
    views::{self, views},
};
use cepa_core::{
    App,
    cookie::Keys,
    test::{Client, block_on},
};
use serde_json::{Value, json};

fn app(options: Options) -> App {
    App::new()
        .keys(Keys::new(["k"]).unwrap())
        .with(session(session::Options::koa()).unwrap())
        .with(csrf(options).unwrap())
        .get("/", async |ctx: &mut Ctx| ctx.csrf_token())
        .post("/", async |ctx: &mut Ctx| ctx.text().await)
        .post("/login", async |ctx: &mut Ctx| ctx.rotate_csrf())
        .get("/changes", async |_: &mut Ctx| "changed")
}

fn origins() -> Client {
    app(Options { trusted_origins: vec!["https://admin.test".into()], ..Options::default() }).test()
}

fn tokens(tokens: Tokens) -> Client {
    app(Options { tokens: Some(tokens), ..Options::default() }).test()
}

#[test]
fn pages_of_this_site_and_programs_pass() {
    for (site, origin, referer, passes) in [
        ("", "", "", true),
        ("", "http://localhost", "", true),
        ("", "https://localhost", "", true),
        ("", "http://localhost:80", "", true),
        ("", "http://localhost:443", "", false),
        ("", "https://localhost:8443", "", false),
        ("", "http://LOCALHOST", "", true),
        ("", "https://evil.test", "", false),
        ("", "https://localhost.evil.test", "", false),
        ("", "https://localhost@evil.test", "", false),
        ("", "https://evil.test/localhost", "", false),
        ("", "ftp://localhost", "", false),
        ("", "null", "", false),
        ("", "https://admin.test", "", true),
        ("", "http://admin.test", "", false),
        ("", "https://admin.test.evil.test", "", false),
        ("", "", "http://localhost/page?q", true),
        ("", "", "http://localhost?q", true),
        ("", "", "http://localhost.evil.test/", false),
        ("", "", "http://evil.test/?http://localhost/", false),
        ("", "", "https://admin.test/page", true),
        ("", "", "https://admin.test@evil.test/", false),
        ("", "", "nothing", false),
        ("same-origin", "https://behind-a-proxy.test", "", true),
        ("none", "", "", true),
        ("same-site", "http://localhost", "", false),
        ("cross-site", "", "", false),
        ("cross-site", "https://admin.test", "", true),
        ("?", "", "", false),
    ] {
        let client = origins();
        let mut call = client.post("/");
        for (name, value) in [("sec-fetch-site", site), ("origin", origin), ("referer", referer)] {
            if !value.is_empty() {
                call = call.header(name, value);
            }
        }
        assert_eq!(block_on(call).status() == 200, passes, "{site} {origin} {referer}");
    }
}

#[test]
fn a_plain_page_is_not_trusted_by_a_host_with_tls() {
    let client = origins().over_tls();
    for (origin, status) in [("https://localhost", 200), ("http://localhost", 403)] {
        assert_eq!(block_on(client.post("/").header("origin", origin)).status(), status, "{origin}");
    }
}

#[test]
fn strict_wants_a_page() {
    let client = app(Options { strict: true, ..Options::default() }).test();
    block_on(async {
        assert_eq!(client.post("/").await.status(), 403);
        assert_eq!(client.post("/").header("origin", "http://localhost").await.status(), 200);
        assert_eq!(client.get("/changes").await.status(), 200);
    });
}

#[test]
fn attack_method_override() {
    let client = origins();
    block_on(async {
        let evil = |path: &str| client.get(path).header("origin", "https://evil.test");
        assert_eq!(evil("/changes").await.status(), 200, "reading is harmless");
        for name in ["x-http-method-override", "x-http-method", "X-Method-Override"] {
            assert_eq!(evil("/changes").header(name, "DELETE").await.status(), 403, "{name}");
        }
        assert_eq!(evil("/changes?_method=DELETE").await.status(), 403);
        assert_eq!(evil("/changes?%5Fmethod=DELETE").await.status(), 403);
        // Whatever a layer further out has made of the method.
        let evil = client.post("/").header("origin", "https://evil.test");
        assert_eq!(evil.header("x-http-method-override", "GET").await.status(), 403);
    });
}

#[test]
fn attack_method_override_around_the_layer() {
    let app = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            if let Some(method) = ctx.get("x-http-method-override").and_then(|method| method.parse().ok()) {
                ctx.set_method(method);
            }
            next.run(ctx).await
        })
        .with(csrf(Options::default()).unwrap())
        .get("/", async |_: &mut Ctx| "read");
    let client = app.test();
    let evil = client.post("/").header("origin", "https://evil.test").header("x-http-method-override", "GET");
    assert_eq!(block_on(evil).status(), 403);
}

#[test]
fn attack_content_type() {
    for client in [origins(), tokens(Tokens::Koa), tokens(Tokens::Egg)] {
        for kind in
            ["text/plain", "application/json", "multipart/form-data; boundary=x", "", "APPLICATION/JSON;x"]
        {
            let evil = client.post("/").header("origin", "https://evil.test").header("content-type", kind);
            assert_eq!(block_on(evil.body(r#"{"a":1}"#)).status(), 403, "{kind}");
        }
    }
    // What an old browser sends of a page of anybody's, to an app with tokens.
    for kind in ["text/plain", "application/json", "multipart/form-data; boundary=x"] {
        let evil = tokens(Tokens::Koa);
        assert_eq!(
            block_on(evil.post("/").header("content-type", kind).body(r#"{"_csrf":"x"}"#)).status(),
            403
        );
    }
}

#[test]
fn attack_websocket_of_another_site() {
    let tokens_alone = |tokens| app(Options { origin: false, tokens: Some(tokens), ..Options::default() });
    for client in [origins(), tokens_alone(Tokens::Koa).test(), tokens_alone(Tokens::Egg).test()] {
        block_on(async {
            let handshake = || client.get("/changes").header("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA==");
            assert_eq!(handshake().header("origin", "https://evil.test").await.status(), 403);
            assert_eq!(handshake().header("origin", "http://localhost").await.status(), 200);
        });
    }
}

#[test]
fn tokens_are_those_of_koa() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/data/koa/vectors/csrf_token.json");
    let vectors: Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let vectors = vectors["vectors"].as_array().unwrap();
    assert_eq!(vectors.len(), 7);
    for vector in vectors {
        let [secret, token] = ["secret", "token"].map(|name| vector[name].as_str().unwrap());
        assert_eq!(secret::verify(secret, token), vector["verify"] == true, "{vector}");
        if let Some(salt) = vector["salt"].as_str() {
            assert_eq!(secret::make(salt, secret), token);
            assert!(!secret::verify("another", token));
        }
    }
}

#[test]
fn a_token_is_taken_from_a_body_a_header_or_if_allowed_the_query() {
    for (tokens, name) in [(Tokens::Koa, "koa.sess"), (Tokens::Egg, "csrfToken")] {
        for query in [false, true] {
            let client = app(Options { tokens: Some(tokens), query, ..Options::default() }).test();
            block_on(async {
                assert_eq!(client.post("/").await.status(), 403, "without a token");
                let token = client.get("/").await.text().to_owned();
                assert!(client.cookie(name).is_some());
                assert_eq!(client.post("/").await.status(), 403, "a cookie alone is none");
                // The body is there for the handler as well.
                let answer = client.post("/").form(&[("a", "1"), ("_csrf", &token)]).await;
                assert_eq!((answer.status().as_u16(), answer.text().starts_with("a=1&")), (200, true));
                assert_eq!(client.post("/").json(&json!({"_csrf": token})).await.status(), 200);
                assert_eq!(client.post("/").header("X-CSRF-Token", &token).await.status(), 200);
                let status = if query { 200 } else { 403 };
                assert_eq!(client.post(&format!("/?_csrf={token}")).await.status(), status);
                // The first that is there decides.
                let answer = client.post("/").form(&[("_csrf", "x-y")]).header("csrf-token", &token).await;
                assert_eq!(answer.status(), 403);
                let large = "x".repeat(2 << 20);
                let answer = client.post("/").form(&[("a", &large)]).header("csrf-token", &token).await;
                assert_eq!(answer.status(), 200, "a large body sends it in a header");
                let answer = client.post("/").form(&[("a", &large), ("_csrf", &token)]).await;
                assert_eq!(answer.status(), 403);
                // Another visitor's does not fit.
                let other = client.get("/").header("cookie", "a=1").await.text().to_owned();
                let _ = client.get("/").await;
                let stranger = app(Options { tokens: Some(tokens), ..Options::default() }).test();
                stranger.get("/").await;
                assert_eq!(stranger.post("/").header("csrf-token", &other).await.status(), 403);
            });
        }
    }
}

#[test]
fn rotating_makes_old_tokens_void() {
    for kind in [Tokens::Koa, Tokens::Egg] {
        let client = tokens(kind);
        block_on(async {
            let token = client.get("/").await.text().to_owned();
            client.post("/login").header("csrf-token", &token).await;
            assert_eq!(client.post("/").header("csrf-token", &token).await.status(), 403);
            let token = client.get("/").await.text().to_owned();
            assert_eq!(client.post("/").header("csrf-token", &token).await.status(), 200);
        });
    }
}

#[test]
fn the_cookie_of_egg_is_for_scripts() {
    let client = tokens(Tokens::Egg);
    block_on(async {
        let answer = client.get("/changes").await;
        let line = answer.header("set-cookie");
        assert!(line.starts_with("csrfToken=") && !line.contains("httponly"), "{line}");
        let secret = client.cookie("csrfToken").unwrap();
        assert_eq!(secret.len(), 24);
        assert_eq!(client.post("/").header("x-csrf-token", &secret).await.status(), 200);
        for (cookie, text) in [
            ("csrfToken=; a=1".to_owned(), "missing csrf token"),
            ("csrfToken=x".to_owned(), "missing csrf token"),
            (format!("csrfToken={secret}; csrfToken={secret}"), "missing csrf token"),
        ] {
            let answer = client.post("/").header("cookie", &cookie).await;
            assert_eq!((answer.status().as_u16(), answer.text()), (403, text));
        }
        // Two cookies: somebody may have planted one, so that neither counts.
        let tossed = format!("csrfToken={secret}; csrfToken={secret}");
        let answer = client.post("/").header("cookie", &tossed).header("x-csrf-token", &secret).await;
        assert_eq!((answer.status().as_u16(), answer.text()), (403, "invalid csrf token"));
    });
}

/// A client of an app with pages: one with a form, one without, one whose token handlers see as well.
fn pages(tokens: Option<Tokens>) -> (tempfile::TempDir, Client) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("form.html", "{{ csrf_field() }}"),
        ("token.html", "{{ csrf_token }}"),
        ("plain.html", "plain"),
        ("error.html", "{{ csrf_token|default('none') }}"),
    ] {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    let templates = views(views::Options { dir: dir.path().to_owned(), ..Default::default() }).unwrap();
    let app = App::new()
        .keys(Keys::new(["k"]).unwrap())
        .provide(templates)
        .with(async |ctx: &mut Ctx, next: Next<'_>| match next.run(ctx).await {
            Err(_) => ctx.render("error.html", &()),
            Ok(()) => Ok(()),
        })
        .with(session(session::Options::koa()).unwrap())
        .with(csrf(Options { tokens, ..Options::default() }).unwrap())
        .get("/page/{name}", async |ctx: &mut Ctx| {
            let name = ctx.param("name").unwrap_or_default().into_owned();
            ctx.render(&name, &())
        })
        .get("/all", async |ctx: &mut Ctx| -> Result {
            let first = ctx.view("token.html", &())?;
            assert!(ctx.view("form.html", &())?.contains(&first));
            assert_eq!(ctx.csrf_token()?, first);
            ctx.rotate_csrf()?;
            let second = ctx.view("token.html", &())?;
            assert_ne!(first, second);
            assert_eq!(ctx.csrf_token()?, second);
            ctx.render("token.html", &())
        })
        .get("/fails", async |ctx: &mut Ctx| -> Result {
            ctx.view("token.html", &())?;
            Err(ctx.error(404, ""))
        })
        .post("/", async |_: &mut Ctx| "posted");
    (dir, app.test())
}

#[test]
fn pages_have_the_token() {
    for kind in [Tokens::Koa, Tokens::Egg] {
        for page in ["/page/token.html", "/page/form.html", "/all"] {
            let (_dir, client) = pages(Some(kind));
            block_on(async {
                let text = client.get(page).await.text().to_owned();
                let token = match text.strip_prefix(r#"<input type="hidden" name="_csrf" value=""#) {
                    Some(rest) => rest.strip_suffix("\">").unwrap().to_owned(),
                    None => text,
                };
                assert_eq!(client.post("/").form(&[("_csrf", &token)]).await.text(), "posted", "{page}");
                // Once there is a secret, pages leave it alone.
                assert_ne!(client.get(page).await.text(), token);
                if page != "/all" {
                    assert_eq!(client.post("/").form(&[("_csrf", &token)]).await.text(), "posted", "{page}");
                }
            });
        }
    }
}

#[test]
fn only_pages_that_show_the_token_begin_a_session() {
    let (_dir, client) = pages(Some(Tokens::Koa));
    block_on(async {
        assert_eq!(client.get("/page/plain.html").await.text(), "plain");
        assert_eq!(
            client.get("/fails").await.text(),
            "none",
            "nothing is left for pages outside of the layer"
        );
        assert_eq!(client.cookie("koa.sess"), None);
        client.get("/page/form.html").await;
        assert!(client.cookie("koa.sess").is_some());
    });
}

#[test]
fn a_page_without_a_session_can_be_rendered() {
    let (dir, _) = pages(None);
    let app = App::new()
        .keys(Keys::new(["k"]).unwrap())
        .provide(views(views::Options { dir: dir.path().to_owned(), ..Default::default() }).unwrap())
        .with(session(session::Options::koa()).unwrap().except("/"))
        .with(csrf(Options { tokens: Some(Tokens::Koa), ..Options::default() }).unwrap())
        .get("/{name}", async |ctx: &mut Ctx| {
            let name = ctx.param("name").unwrap_or_default().into_owned();
            ctx.render(&name, &())
        });
    let client = app.test();
    assert_eq!(block_on(client.get("/plain.html")).text(), "plain");
    assert_eq!(block_on(client.get("/form.html")).status(), 500);
}

#[test]
fn without_tokens_the_field_is_empty() {
    let (_dir, client) = pages(None);
    block_on(async {
        for page in ["/page/form.html", "/page/token.html"] {
            let answer = client.get(page).await;
            assert_eq!((answer.status().as_u16(), answer.text()), (200, ""));
        }
    });
}

#[test]
fn tokens_in_compressed_forms_can_be_read() {
    let layer = |tokens| csrf(Options { tokens, ..Options::default() }).unwrap();
    let inflate = || inflate(Default::default());
    for tokens in [None, Some(Tokens::Egg)] {
        assert!(App::new().with(inflate()).with(layer(tokens)).build().is_ok());
        assert_eq!(App::new().with(layer(tokens)).with(inflate()).build().is_ok(), tokens.is_none());
    }
}

#[test]
fn tokens_in_a_session_need_one() {
    let layer = |tokens| csrf(Options { tokens: Some(tokens), ..Options::default() }).unwrap();
    let session = || session(session::Options::koa()).unwrap();
    let app = || App::new().keys(Keys::new(["k"]).unwrap());
    assert!(app().with(session()).with(layer(Tokens::Koa).except("/hook")).build().is_ok());
    assert!(app().with(session().except("/static")).with(layer(Tokens::Koa)).build().is_ok());
    assert!(App::new().with(layer(Tokens::Egg)).build().is_ok());
    let error = app().with(layer(Tokens::Koa).except("/hook")).with(session()).build().unwrap_err();
    assert!(error.to_string().contains("csrf has to be further in than session"), "{error}");
}

#[test]
fn options_that_cannot_be_meant_are_refused() {
    for origin in [
        "admin.test",
        "https://admin.test/",
        "https://*.test",
        "HTTPS://admin.test",
        "https://a:443",
        "null",
        "",
    ] {
        let options = Options { trusted_origins: vec![origin.to_owned()], ..Options::default() };
        assert_eq!(csrf(options).unwrap_err(), OptionsError::Origin(origin.to_owned()));
    }
    let options = Options { origin: false, ..Options::default() };
    assert_eq!(csrf(options).unwrap_err(), OptionsError::NothingChecked);
    assert!(csrf(Options { cookie: "a b".into(), ..Options::default() }).is_err());
    let options: Options = toml::from_str("tokens = 'koa'\nquery = true").unwrap();
    assert_eq!(options.tokens, Some(Tokens::Koa));
}
