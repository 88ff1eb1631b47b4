//! Templates in a folder, rendered over the test client.

use std::fs;

use cepa_core::{App, Ctx, Next, router::get, test::block_on};
use minijinja::context;
use tempfile::TempDir;

use super::*;
use crate::safe::Rules;

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = dir.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    dir
}

fn options(dir: &TempDir) -> Options {
    Options { dir: dir.path().to_owned(), ..Options::default() }
}

/// An app that renders the template its query names, with a value from there.
fn app(views: Views) -> App {
    App::new()
        .provide(views)
        .route("/users/{id}", get(async |_: &mut Ctx| "user").name("user"))
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            let locals = Locals::of(ctx);
            locals
                .set("nonce", "a&b")
                .set_html("csrf_field", "<input>")
                .set_with("made", || Some("a&b"))
                .set("v", "taken away")
                .remove("v")
                .set_function("twice", |n: u32| n * 2);
            next.run(ctx).await
        })
        .get("/{*template}", async |ctx: &mut Ctx| {
            let template = ctx.param("template").unwrap_or_default().into_owned();
            let value = ctx.query_value("v").map(|value| value.into_owned());
            ctx.render(&template, &context! { v => value })
        })
}

#[test]
fn what_is_shown_is_escaped_by_the_ending_of_the_name() {
    let endings = ["html", "html.j2", "xml", "svg", "unknown", "txt", "json", "js"];
    let dir = tempfile::tempdir().unwrap();
    for ending in endings {
        fs::write(dir.path().join(format!("a.{ending}")), "{{ v }}").unwrap();
    }
    let client = app(views(options(&dir)).unwrap()).test();
    let value = "v=%3C/script%3E%22";
    let types = ["text/html", "text/html", "", "image/svg+xml", "", "text/plain", "", ""];
    for (ending, kind) in endings.iter().zip(types) {
        let answer = block_on(client.get(&format!("/a.{ending}?{value}")));
        let shown = match *ending {
            "txt" => "</script>\"",
            "json" | "js" => r#""</script>\"""#,
            _ => "&lt;&#x2f;script&gt;&quot;",
        };
        assert_eq!(answer.text(), shown, "{ending}");
        assert!(
            answer.header("content-type").starts_with(kind),
            "{ending}: {}",
            answer.header("content-type")
        );
    }
}

#[test]
fn templates_know_locals_globals_filters_and_routes_also_inside_of_macros() {
    let dir = folder(&[
        ("layout.html", "<t>{{ title }}</t>{% block main %}{% endblock %}"),
        (
            "parts/link.html",
            "{% macro link(id) %}{{ url_for('user', id=id, q=none, tab='a b') }} {{ nonce }}{% endmacro %}",
        ),
        (
            "page.html",
            "{% extends 'layout.html' %}{% from 'parts/link.html' import link %}{% block main %}\
             {{ link(7) }} {{ nonce }} {{ csrf_field }} {{ twice(4) }} {{ made }} {{ 'x'|loud }}{% endblock %}",
        ),
    ]);
    let views = views(options(&dir)).unwrap();
    let views = views.global("title", "Onion").filter("loud", |text: String| format!("{text}!"));
    let answer = block_on(app(views).test().get("/page.html"));
    let expected = "<t>Onion</t>&#x2f;users&#x2f;7?tab=a+b a&amp;b a&amp;b <input> 8 a&amp;b x!";
    assert_eq!(answer.text(), expected);
}

#[test]
fn filters_make_values_safe_for_their_place() {
    let dir = folder(&[
        (
            "page.html",
            "{{ v|sjs }} {{ {'k': v}|sjson }} {{ ('/?q='~v)|surl }} {{ v|surl }} {{ v|shtml }} {{ v|spath }} {{ 5|sjs }}",
        ),
        ("page.js", "'{{ v|sjs }}' {{ [v]|sjson }}"),
        ("hosts.html", "{{ '<a href=http://a.test>a</a>'|shtml }}"),
    ]);
    let client = app(views(options(&dir)).unwrap()).test();
    let page = block_on(client.get("/page.html?v=%3Cb%20onclick=x%3E'/.."));
    assert_eq!(
        page.text(),
        "\\x3cb\\x20onclick\\x3dx\\x3e\\x27\\x2f\\x2e\\x2e \
         {\"k\":\"\\\\x3cb\\\\x20onclick\\\\x3dx\\\\x3e\\\\x27\\\\x2f\\\\x2e\\\\x2e\"} \
         /?q=&lt;b%20onclick=x&gt;&#x27;/..  <b>'/..</b> None 5"
    );
    assert_eq!(block_on(client.get("/page.js?v='%3C")).text(), "'\\x27\\x3c' [\"\\\\x27\\\\x3c\"]");
    assert_eq!(block_on(client.get("/hosts.html")).text(), "<a>a</a>");
    let rules = Rules { hosts: vec!["a.test".into()], ..Rules::default() };
    let views = views(options(&dir)).unwrap().sanitizer(Sanitizer::new(rules).unwrap());
    let page = block_on(app(views).test().get("/hosts.html"));
    assert_eq!(page.text(), "<a href=\"http://a.test/\">a</a>");
}

#[test]
fn what_a_page_is_rendered_with_wins_over_locals() {
    let dir = folder(&[("a.txt", "{{ nonce }}")]);
    let app = App::new().provide(views(options(&dir)).unwrap()).get("/", async |ctx: &mut Ctx| {
        Locals::of(ctx).set("nonce", "local");
        let first = ctx.view("a.txt", &())?;
        Locals::of(ctx).set("nonce", "later");
        Ok::<_, Error>(format!(
            "{first} {} {}",
            ctx.view("a.txt", &())?,
            ctx.view("a.txt", &context! { nonce => 1 })?
        ))
    });
    assert_eq!(block_on(app.test().get("/")).text(), "local later 1");
}

#[test]
fn what_is_left_for_later_is_made_once_and_only_for_pages() {
    let dir = folder(&[("a.txt", "{{ count }}")]);
    struct Count(u32);
    let app =
        App::new().provide(views(options(&dir)).unwrap()).with(async |ctx: &mut Ctx, next: Next<'_>| {
            ctx.insert(Count(0));
            Locals::of(ctx).later(|ctx| {
                Locals::of(ctx).later(|ctx| {
                    let Some(Count(count)) = ctx.state_mut() else { return Err(Error::new(500, "no count")) };
                    *count += 1;
                    let count = *count;
                    Locals::of(ctx).set("count", count);
                    Ok(())
                });
                Ok(())
            });
            next.run(ctx).await?;
            let Some(Count(count)) = ctx.state() else { return Ok(()) };
            ctx.set("x-count", count.to_string())
        });
    let app = app.get("/plain", async |_: &mut Ctx| "plain").get("/fails", async |ctx: &mut Ctx| {
        Locals::of(ctx).later(|_| Err(Error::new(503, "not now")));
        ctx.render("a.txt", &())
    });
    let app = app.get("/", async |ctx: &mut Ctx| {
        ctx.view("a.txt", &())?;
        ctx.render("a.txt", &())
    });
    let client = app.test();
    let answer = block_on(client.get("/"));
    assert_eq!((answer.text(), answer.header("x-count")), ("1", "1"));
    assert_eq!(block_on(client.get("/plain")).header("x-count"), "0");
    assert_eq!(block_on(client.get("/fails")).status(), 503);
}

#[test]
fn what_cannot_be_rendered_is_private_and_names_the_place() {
    let dir = folder(&[
        ("undefined.html", "one\n{{ missing }}"),
        (
            "endless.html",
            "{% for a in range(10000) %}{% for b in range(10000) %}{{ b }}{% endfor %}{% endfor %}",
        ),
        ("recursive.html", "{% include 'recursive.html' %}"),
        ("includes.html", "\n\n{% include 'nowhere.html' %}"),
        ("route.html", "{{ url_for('nobody') }}"),
    ]);
    let cases = [
        ("undefined.html", "undefined.html:2"),
        ("endless.html", "ran out of fuel"),
        ("recursive.html", "recursi"),
        ("includes.html", "includes.html:3"),
        ("nowhere.html", "nowhere.html"),
        ("../secret", "secret"),
        ("route.html", "no route is named \"nobody\""),
    ];
    for reload in [false, true] {
        let views = views(Options { reload, ..options(&dir) }).unwrap();
        let app = App::new().provide(views).get("/", async |ctx: &mut Ctx| {
            let template = ctx.query_value("t").unwrap_or_default().into_owned();
            let error = ctx.view(&template, &()).unwrap_err();
            assert_eq!((error.status().as_u16(), error.public_message()), (500, "Internal Server Error"));
            assert!(error.place().file().ends_with("tests.rs"));
            error.to_string()
        });
        let client = app.test();
        for (template, told) in cases {
            let answer = block_on(client.get(&format!("/?t={template}")));
            assert!(answer.text().contains(told), "{template}: {}", answer.text());
        }
    }
}

#[test]
fn faults_of_the_folder_are_told_at_start() {
    let broken = folder(&[("fine.html", "a"), ("sub/broken.html", "\n{% if %}")]);
    let error = views(options(&broken)).unwrap_err().to_string();
    assert!(error.contains("sub/broken.html:2"), "{error}");
    assert!(views(Options { reload: true, ..options(&broken) }).is_ok(), "it may be mended while it runs");
    let missing = Options { dir: "/nowhere/at/all".into(), ..Options::default() };
    assert!(matches!(views(missing.clone()), Err(ViewsError::Read { .. })));
    assert!(matches!(views(Options { reload: true, ..missing }), Err(ViewsError::Read { .. })));
    let binary = folder(&[]);
    fs::write(binary.path().join("a.html"), b"\xff").unwrap();
    assert!(matches!(views(options(&binary)), Err(ViewsError::NoTemplate(_))));
    let deep = Options { recursion: 501, ..options(&folder(&[])) };
    assert!(matches!(views(deep), Err(ViewsError::Recursion(501))));
    let looped = folder(&[("a.html", "a")]);
    std::os::unix::fs::symlink(looped.path(), looped.path().join("loop")).unwrap();
    assert!(matches!(views(options(&looped)), Err(ViewsError::TooMany(_) | ViewsError::Read { .. })));
}

#[test]
fn a_changed_file_is_read_again_only_where_that_is_wanted() {
    for (reload, after) in [(true, "two!"), (false, "one")] {
        let dir =
            folder(&[("layout.txt", "{% block a %}{% endblock %}"), (".hidden.txt", "no"), ("a.txt", "one")]);
        let client = app(views(Options { reload, ..options(&dir) }).unwrap()).test();
        assert_eq!(block_on(client.get("/a.txt")).text(), "one");
        assert_eq!(block_on(client.get("/.hidden.txt")).status(), 500);
        fs::write(dir.path().join("a.txt"), "two!").unwrap();
        assert_eq!(block_on(client.get("/a.txt")).text(), after);
    }
}

#[test]
fn without_views_the_error_names_what_is_missing() {
    let app = App::new().get("/", async |ctx: &mut Ctx| ctx.view("a.html", &()).unwrap_err().to_string());
    assert!(block_on(app.test().get("/")).text().contains("Views"));
}
