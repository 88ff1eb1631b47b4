//! Locales in a folder, asked for over the test client.

use std::fs;

use cepa_core::{App, test::block_on};
use minijinja::context;
use tempfile::TempDir;

use super::*;
use crate::{ViewsExt, views, views::Options as ViewsOptions};

fn folder(files: &[(&str, &str)]) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

fn locales() -> TempDir {
    folder(&[
        (
            "en.toml",
            "only_en = \"only\"\nhi = \"Hi, {name}\"\n[cart.items]\none = \"{count} item\"\nother = \"{count} items\"",
        ),
        (
            "de.toml",
            "hi = \"Hallo, {name}\"\n[cart.items]\none = \"{count} Ding\"\nother = \"{count} Dinge\"",
        ),
        ("zh_TW.json", r#"{"hi": "你好，{name}", "cart": {"items": {"other": "{count} 件"}}}"#),
        ("zh.json", r#"{"hans": "是", "list": "%s 和 %s", "n": 3, "yes": true}"#),
        (
            "pl.toml",
            "[cart.items]\none=\"{count} rzecz\"\nfew=\"{count} rzeczy\"\nmany=\"{count} rzeczy!\"\nother=\"x\"",
        ),
        ("notes.txt", "no locale"),
    ])
}

fn options(dir: &TempDir) -> Options {
    Options { dirs: vec![dir.path().to_owned()], ..Options::default() }
}

fn app(options: Options) -> App {
    App::new().with(i18n(options).unwrap()).get("/", async |ctx: &mut Ctx| ctx.locale().to_owned())
}

#[test]
fn the_locale_is_that_of_query_cookie_header_default_in_this_order() {
    let dir = locales();
    let long = format!("/?locale={}", "de-".repeat(100));
    let table: [(&str, &str, &str, &str); 18] = [
        ("/", "", "", "en"),
        ("/?locale=de", "zh-tw", "pl", "de"),
        ("/?locale=DE_at", "", "", "de"),
        ("/", "zh-tw", "pl", "zh-tw"),
        ("/?locale=xx", "de", "pl", "de"),
        ("/?locale=xx", "yy", "pl", "pl"),
        ("/?locale=zh_Hant_TW", "", "", "zh"),
        ("/", "", "de-CH, en;q=0.8", "de"),
        ("/", "", "fr, pl;q=0.5, de;q=0.7", "de"),
        ("/", "", "zh-TW", "zh-tw"),
        ("/", "", "*", "en"),
        ("/", "", "fr", "en"),
        ("/", "", "", "en"),
        ("/?locale=", "", "pl", "pl"),
        ("/?locale=de%0d%0aset-cookie:x=y", "", "", "en"),
        ("/?locale=../../etc/passwd", "", "", "en"),
        (&long, "", "", "en"),
        ("/?locale=%C3%A9", "d\u{e9}", "\u{ff}", "en"),
    ];
    for (target, cookie, header, expected) in table {
        let client = app(options(&dir)).test();
        let mut call = client.get(target);
        if !cookie.is_empty() {
            call = call.header("cookie", &format!("locale={cookie}"));
        }
        if !header.is_empty() {
            call = call.header("accept-language", header);
        }
        assert_eq!(block_on(call).text(), expected, "{target} {cookie} {header}");
    }
}

#[test]
fn the_choice_is_remembered_and_answers_say_what_they_depend_on() {
    let dir = locales();
    let client = app(options(&dir)).test();
    let plain = block_on(client.get("/"));
    assert_eq!((plain.header("set-cookie"), plain.header("vary")), ("", "Cookie, Accept-Language"));
    let chosen = block_on(client.get("/?locale=de_AT"));
    let cookie = chosen.header("set-cookie").to_owned();
    assert!(
        cookie.starts_with("locale=de; path=/; expires=") && cookie.ends_with("; samesite=lax"),
        "{cookie}"
    );
    assert_eq!(chosen.header("vary"), "");
    let again = block_on(client.get("/?locale=de"));
    assert_eq!(again.header("set-cookie"), "", "it is known already");
    let later = block_on(client.get("/"));
    assert_eq!((later.text(), later.header("vary")), ("de", "Cookie"));

    let always = app(Options { remember: Remember::Always, ..options(&dir) }).test();
    let answer = block_on(always.get("/").header("accept-language", "pl"));
    assert!(answer.header("set-cookie").starts_with("locale=pl;"));
    let never = app(Options { remember: Remember::Never, ..options(&dir) }).test();
    assert_eq!(block_on(never.get("/?locale=de")).header("set-cookie"), "");
    let nothing = Options {
        query: String::new(),
        cookie: String::new(),
        accept_language: false,
        remember: Remember::Always,
        ..options(&dir)
    };
    let answer = block_on(app(nothing).test().get("/?locale=de").header("accept-language", "de"));
    assert_eq!((answer.text(), answer.header("vary"), answer.header("set-cookie")), ("en", "", ""));
}

#[test]
fn messages_fall_back_and_count() {
    let dir = locales();
    let i18n = i18n(Options { fallbacks: [("pl".into(), "de".into())].into(), ..options(&dir) }).unwrap();
    let app = App::new().with(i18n).get("/", async |ctx: &mut Ctx| {
        let items = |count: u32| ctx.t("cart.items").with("count", count).to_string();
        let told = [
            ctx.t("hi").with("name", "Ada").to_string(),
            items(1),
            items(3),
            items(5),
            ctx.t("only_en").to_string(),
            ctx.t("list").arg("a").arg("b").to_string(),
            ctx.t("n").to_string(),
            ctx.t("Not {0}").arg("there").to_string(),
        ];
        told.join("|")
    });
    let client = app.test();
    for (locale, expected) in [
        ("en", "Hi, Ada|1 item|3 items|5 items|only|list|n|Not there"),
        ("de", "Hallo, Ada|1 Ding|3 Dinge|5 Dinge|only|list|n|Not there"),
        ("zh-tw", "你好，Ada|1 件|3 件|5 件|only|a 和 b|3|Not there"),
        ("pl", "Hallo, Ada|1 rzecz|3 rzeczy|5 rzeczy!|only|list|n|Not there"),
    ] {
        assert_eq!(block_on(client.get(&format!("/?locale={locale}"))).text(), expected, "{locale}");
    }
}

#[test]
fn a_message_of_a_fallback_counts_by_the_rules_of_its_own_language() {
    let dir = folder(&[("en.toml", "n = { one = \"one\", other = \"other\" }"), ("ja.toml", "")]);
    let app = App::new().with(i18n(options(&dir)).unwrap());
    let app = app.get("/", async |ctx: &mut Ctx| format!("{} {}", ctx.t("n").arg(1), ctx.t("n").arg(2)));
    assert_eq!(block_on(app.test().get("/?locale=ja")).text(), "one other");
}

#[test]
fn templates_translate_and_escape() {
    let dir = locales();
    let pages = folder(&[(
        "a.html",
        "{{ locale }} {{ t('hi', name=v) }} {{ t('cart.items', count=2) }} {{ t('%s', 1) }}",
    )]);
    let views = views(ViewsOptions { dir: pages.path().to_owned(), ..Default::default() }).unwrap();
    let app = App::new().provide(views).with(i18n(options(&dir)).unwrap()).get("/", async |ctx: &mut Ctx| {
        assert!(!ctx.set_locale("xx"));
        if ctx.query_value("set").is_some() {
            ctx.view("a.html", &context! { v => "" })?;
            assert!(ctx.set_locale("de_DE"));
        }
        ctx.render("a.html", &context! { v => "<b>" })
    });
    let client = app.test();
    assert_eq!(block_on(client.get("/")).text(), "en Hi, &lt;b&gt; 2 items 1");
    assert_eq!(block_on(client.get("/?set")).text(), "de Hallo, &lt;b&gt; 2 Dinge 1");
}

#[test]
fn without_the_layer_the_key_is_the_message() {
    let app = App::new().get("/", async |ctx: &mut Ctx| {
        assert!(!ctx.set_locale("en"));
        format!("{} {}", ctx.locale(), ctx.t("hi {0}").arg(1))
    });
    assert_eq!(block_on(app.test().get("/")).text(), "und hi 1");
}

#[test]
fn faults_are_told_at_start() {
    let dir = locales();
    let fallbacks = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(from, to)| ((*from).to_owned(), (*to).to_owned())).collect::<BTreeMap<_, _>>()
    };
    let fault = |options: Options| i18n(options).unwrap_err().to_string();
    for (options, part) in [
        (Options { default: "fr".into(), ..options(&dir) }, "no file for \"fr\""),
        (Options { dirs: vec!["/nowhere".into()], ..options(&dir) }, "/nowhere"),
        (Options { cookie: "a b".into(), ..options(&dir) }, "cookie name"),
        (Options { cookie_domain: Some("x;y".into()), ..options(&dir) }, "domain"),
        (Options { fallbacks: fallbacks(&[("de", "fr")]), ..options(&dir) }, "\"fr\""),
        (Options { fallbacks: fallbacks(&[("de", "pl"), ("pl", "de")]), ..options(&dir) }, "lead back"),
        (Options { fallbacks: fallbacks(&[("de", "de")]), ..options(&dir) }, "lead back"),
    ] {
        let fault = fault(options);
        assert!(fault.contains(part), "{part}: {fault}");
    }
    for (name, text, part) in [
        ("en.toml", "a = [1]", "\"a\" is neither"),
        ("en.toml", "a = ", "en.toml"),
        ("en.json", "{\"a\": null}", "\"a\" is neither"),
        ("not a locale.json", "{}", "no name of a locale"),
    ] {
        let fault = fault(options(&folder(&[(name, text)])));
        assert!(fault.contains(part), "{part}: {fault}");
    }
}
