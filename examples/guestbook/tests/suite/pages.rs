//! What a person with a browser sees.

use crate::fixture::{Shelf, visit};
use cepa_programs::needs;

#[test]
fn signing_leads_to_a_page_that_thanks_once_and_knows_the_name() {
    visit(async |browser| {
        let page = browser.get("/").await;
        assert_eq!((page.status().as_u16(), page.header("content-type")), (200, "text/html; charset=utf-8"));
        assert!(page.text().contains("Be the first!"));

        let signed = browser.post("/").form(&[("name", "Ada"), ("message", "Hello,\r\nonion")]).await;
        assert_eq!((signed.status().as_u16(), signed.header("location")), (303, "/"));

        let page = browser.get("/").await;
        assert!(page.text().contains("Thank you!"));
        assert!(page.text().contains(r#"class="entry mine" id="entry-1""#));
        assert!(page.text().contains("Hello,\nonion</p>"));
        assert!(page.text().contains(r#"name="name" value="Ada""#));
        assert!(!browser.cookie("visitor").unwrap().contains("Ada"), "the cookie is encrypted");

        let page = browser.get("/").await;
        assert!(!page.text().contains("Thank you!"), "thanks are given once");
        assert!(page.text().contains(r#"name="name" value="Ada""#));
    });
}

#[test]
fn a_forged_cookie_is_worth_nothing() {
    visit(async |browser| {
        let page = browser.get("/").header("cookie", "thanks=1; thanks.sig=AAAA; visitor=AAAA").await;
        assert_eq!(page.status(), 200);
        assert!(!page.text().contains("Thank you!"));
    });
}

#[test]
fn what_is_wrong_stands_in_the_form_beside_what_was_written() {
    visit(async |browser| {
        let long = "x".repeat(1_001);
        let page = browser.post("/").form(&[("name", "\"><script>"), ("message", &long)]).await;
        assert_eq!(page.status(), 422);
        assert!(page.text().contains("At most 1000 characters, please; these are 1001."));
        assert!(page.text().contains("&quot;&gt;&lt;script&gt;") && !page.text().contains("<script>"));
        assert!(page.text().contains(&long));

        let page = browser.post("/").form(&[]).await;
        assert!(page.text().contains("Please tell your name."));
        assert!(page.text().contains("Please write a few words."));
        assert!(browser.get("/").await.text().contains("Be the first!"), "nothing was written");
    });
}

#[test]
fn what_visitors_write_never_becomes_markup() {
    visit(async |browser| {
        let script = "<script>alert('&')</script>";
        browser.post("/").form(&[("name", script), ("message", script)]).await;
        for (path, status) in [("/", 200), ("/?before=9", 200), ("/?before=<script>", 400)] {
            let page = browser.get(path).await;
            assert_eq!(page.status(), status, "{path}");
            assert!(!page.text().contains("<script>"), "{path}: {}", page.text());
        }
    });
}

#[test]
fn a_form_of_another_site_is_refused() {
    visit(async |browser| {
        for (name, value) in [("origin", "https://evil.test"), ("sec-fetch-site", "cross-site")] {
            let form = [("name", "Mallory"), ("message", "mine now")];
            let answer = browser.post("/").header(name, value).form(&form).await;
            assert_eq!(answer.status(), 403);
            assert!(answer.text().contains("the request comes from another site"));
        }
        let page = browser.get("/").header("sec-fetch-site", "cross-site").await;
        assert_eq!(page.status(), 200, "links from other sites are welcome");
        assert!(page.text().contains("Be the first!"), "nothing was written");
    });
}

#[test]
fn older_entries_have_a_page_of_their_own() {
    visit(async |browser| {
        for message in ["one", "two", "three", "four"] {
            browser.post("/").form(&[("name", "Ada"), ("message", message)]).await;
        }
        let first = browser.get("/").await;
        assert!(first.text().contains("four</p>") && !first.text().contains("one</p>"));
        assert!(first.text().contains(r#"href="/?before=2""#));
        let second = browser.get("/?before=2").await;
        assert!(second.text().contains("one</p>") && !second.text().contains("two</p>"));
        assert!(!second.text().contains("<form") && !second.text().contains("Older"));
    });
}

#[test]
fn failures_are_pages_with_their_status() {
    visit(async |browser| {
        for (answer, status) in [
            (browser.get("/nowhere").await, 404),
            (browser.get("/static/nowhere.css").await, 404),
            (browser.get("/static/../Cargo.toml").await, 404),
            (browser.delete("/").await, 405),
            (browser.post("/").json("no form").await, 415),
        ] {
            assert_eq!(
                (answer.status().as_u16(), answer.header("content-type")),
                (status, "text/html; charset=utf-8")
            );
            assert!(answer.text().contains(&format!(r#"<p class="status">{status}</p>"#)));
            assert!(answer.header("content-security-policy").starts_with("default-src 'none';"));
            assert!(answer.header("x-response-time").ends_with(" ms"));
        }
    });
}

#[test]
fn a_browser_signs_over_a_socket_and_a_restart_keeps_the_entry() {
    needs!("curl");
    let shelf = Shelf::new();
    let jar = shelf.path("cookies");
    let jar = jar.to_str().unwrap();
    let browser = ["--cookie", jar, "--cookie-jar", jar];

    let book = shelf.serve();
    let form =
        [&browser[..], &["--data", "name=Ada", "--data-urlencode", "message=<script>1</script>"]].concat();
    let signed = book.curl(&form, "/");
    assert_eq!((signed.status(), signed.header("location")), (303, "/"));
    let page = book.curl(&browser, "/");
    assert!(page.body.contains("&lt;script&gt;1&lt;&#x2f;script&gt;") && !page.body.contains("<script>"));
    assert!(page.body.contains("Thank you!"));

    let file = book.curl(&[], "/static/style.css");
    assert_eq!((file.status(), file.header("content-type")), (200, "text/css"));
    let known = format!("If-None-Match: {}", file.header("etag"));
    assert_eq!(book.curl(&["--header", &known], "/static/style.css").status(), 304);
    assert_eq!(book.curl(&["--path-as-is"], "/static/../Cargo.toml").status(), 404);
    book.running.stop().unwrap();

    let book = shelf.serve();
    assert!(book.curl(&[], "/").body.contains("&lt;script&gt;1"));
    book.running.stop().unwrap();
}
