//! The app as its clients have it, in memory.

use cepa::{Started, prelude::*, schedule::Outcome};
use tokio::runtime::LocalRuntime;

/// Starts the app for a test.
fn start(test: impl AsyncFnOnce(&Started)) {
    let runtime = LocalRuntime::new().expect("there is a runtime");
    runtime.block_on(async {
        let boot = Boot::load("test").expect("the configuration can be read");
        let started = boot.start(my_app::app).await.expect("the app starts");
        test(&started).await;
        started.close().await;
    });
}

#[test]
fn the_first_page_greets() {
    start(async |app| {
        let client = app.client();
        let page = client.get("/").await;
        assert_eq!(page.status(), 200);
        assert_eq!(page.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(page.header("x-powered-by"), "Cepa");
        assert!(page.text().contains("<h1>Hello, onion</h1>"));
        let page = client.get("/").header("accept-language", "de").await;
        assert!(page.text().contains("<h1>Hallo, onion</h1>"));
    });
}

#[test]
fn programs_are_greeted_by_name() {
    start(async |app| {
        let client = app.client();
        let answer = client.get("/api/greeting/Ada").await;
        assert_eq!(answer.text(), r#"{"greeting":"Hello, Ada"}"#);
        let long = "a".repeat(61);
        let answer = client.get(&format!("/api/greeting/{long}")).await;
        assert_eq!(answer.status(), 422);
    });
}

#[test]
fn public_files_are_served() {
    start(async |app| {
        let client = app.client();
        let file = client.get("/public/style.css").await;
        assert_eq!(file.status(), 200);
        assert_eq!(file.header("content-type"), "text/css; charset=utf-8");
        assert_eq!(client.get("/public/none.css").await.status(), 404);
    });
}

#[test]
fn the_schedule_runs() {
    start(async |app| {
        let outcome = app.run_schedule("good_morning").await;
        assert_eq!(outcome.expect("there is that schedule"), Outcome::Done);
    });
}
