//! Logging in and out as a browser does it, and as an attacker tries it.

#![allow(clippy::unwrap_used, reason = "a panic is a test's answer")]

use cepa::{
    core::test::{Answer, Client},
    prelude::*,
};
use tokio::runtime::LocalRuntime;

/// Calls a new app in memory.
fn visit(test: impl AsyncFnOnce(Client)) {
    let mut boot = Boot::load_with("test", &[]).unwrap();
    let client = login::app(&mut boot).unwrap().test();
    // Passwords are checked on threads of the runtime.
    LocalRuntime::new().unwrap().block_on(test(client));
}

/// The token in the form of a page.
fn token(page: &Answer) -> String {
    let (_, rest) = page.text().split_once("name=\"_csrf\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

async fn log_in(client: &Client, account: &str, password: &str) -> Answer {
    let token = token(&client.get("/login").await);
    client.post("/login").form(&[("account", account), ("password", password), ("_csrf", &token)]).await
}

fn leads_to(answer: &Answer) -> (u16, &str) {
    (answer.status().as_u16(), answer.header("location"))
}

#[test]
fn who_knows_the_password_gets_in_and_out() {
    visit(async |client| {
        assert_eq!(leads_to(&client.get("/").await), (302, "/login"));
        assert_eq!(leads_to(&log_in(&client, "ada", "onion").await), (303, "/"));
        let page = client.get("/").await;
        assert!(page.text().contains("Hello, ada") && page.header("cache-control") == "no-store");
        let answer = client.post("/logout").form(&[("_csrf", &token(&page))]).await;
        assert_eq!(leads_to(&answer), (303, "/login"));
        assert_eq!(leads_to(&client.get("/").await), (302, "/login"));
    });
}

#[test]
fn nobody_else_gets_in() {
    visit(async |client| {
        let long = format!("onion{}", "x".repeat(100));
        for (account, password) in
            [("ada", "garlic"), ("ada", ""), ("nobody", ""), ("", ""), ("ada", &long), ("<b>", "x")]
        {
            let answer = log_in(&client, account, password).await;
            assert_eq!(answer.status(), 403, "{account}");
            assert!(answer.text().contains("another password") && !answer.text().contains("<b>"));
            assert_eq!(leads_to(&client.get("/").await), (302, "/login"));
        }
    });
}

#[test]
fn a_session_from_before_the_login_is_dead() {
    visit(async |client| {
        client.get("/login").await;
        let cookie = |client: &Client| {
            let value = |name| client.cookie(name).unwrap();
            format!("cepa.sess={}; cepa.sess.sig={}", value("cepa.sess"), value("cepa.sess.sig"))
        };
        let planted = cookie(&client);
        log_in(&client, "ada", "onion").await;
        assert_eq!(leads_to(&client.get("/").header("cookie", &planted).await), (302, "/login"));
        // And after the logout that of the time between.
        let kept = cookie(&client);
        let page = client.get("/").await;
        client.post("/logout").form(&[("_csrf", &token(&page))]).await;
        assert_eq!(leads_to(&client.get("/").header("cookie", &kept).await), (302, "/login"));
    });
}

#[test]
fn a_page_of_another_site_logs_nobody_in_or_out() {
    visit(async |client| {
        let known = token(&client.get("/login").await);
        let form = [("account", "ada"), ("password", "onion"), ("_csrf", &*known)];
        let evil = client.post("/login").header("origin", "https://evil.test").form(&form).await;
        assert_eq!(evil.status(), 403);
        let without = client.post("/login").form(&form[..2]).await;
        assert_eq!((without.status().as_u16(), without.text()), (403, "Invalid CSRF token"));
        log_in(&client, "ada", "onion").await;
        assert_eq!(client.post("/logout").await.status(), 403);
        assert_eq!(client.get("/").await.status(), 200);
    });
}

#[test]
fn the_page_runs_nothing_but_its_own() {
    visit(async |client| {
        let page = client.get("/login").await;
        let (_, rest) = page.text().split_once("<style nonce=\"").unwrap();
        let source = format!("style-src 'self' 'nonce-{}'", rest.split('"').next().unwrap());
        assert!(page.header("content-security-policy").contains(&source));
    });
}
