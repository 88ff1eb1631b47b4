//! The chat as strangers try it: whatever they send, it is refused, is no error of the server's, and disturbs nobody.

#![allow(clippy::unwrap_used, reason = "a panic is a test's answer")]

use cepa::{core::test::Client, prelude::*};
use serde_json::{Value, json};

fn chat() -> Client {
    let mut boot = Boot::load_with("test", &["bus.backend=memory"]).unwrap();
    chat::app(&mut boot).unwrap().test()
}

#[tokio::test]
async fn what_no_page_of_ours_sends_is_refused() {
    let chat = chat();
    let long = "x".repeat(300);
    for path in [
        format!("/rooms/{long}?who=ada"),
        "/rooms/lobby?who=".to_owned(),
        "/rooms/lobby?who=%0A".to_owned(),
        "/rooms/lobby?who=a%0Ab".to_owned(),
        format!("/rooms/lobby?who={long}"),
        format!("/rooms/{long}/poll?who=ada"),
    ] {
        assert_eq!(chat.get(&path).await.status(), 422, "{path}");
    }
    for line in [
        json!({ "id": "1", "by": " ", "text": "x" }),
        json!({ "id": "1", "by": "ada", "text": "x".repeat(2001) }),
        json!({ "id": long, "by": "ada", "text": "x" }),
    ] {
        assert_eq!(chat.post("/rooms/lobby").json(&line).await.status(), 422, "{line}");
    }
    assert_eq!(chat.get("/rooms/lobby").await.status(), 400, "nobody has come");
}

#[tokio::test]
async fn who_is_not_let_in_is_not_told_to_be_here() {
    let chat = chat();
    assert_eq!(chat.get("/rooms/lobby/socket?who=eve").await.status(), 426);
    let line = json!({ "id": "1", "by": "ada", "text": "hello" });
    assert_eq!(chat.post("/rooms/lobby").json(&line).await.status(), 204);
    let told: Value = chat.get("/rooms/lobby/poll?who=ada").await.json();
    let told = told["messages"].as_array().unwrap();
    assert_eq!(told.iter().map(|message| &message["data"]).collect::<Vec<_>>(), [&json!({ "said": line })]);
}
