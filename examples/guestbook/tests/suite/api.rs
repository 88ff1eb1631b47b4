//! What programs get.

use cepa::core::test::Answer;
use serde_json::{Value, json};

use crate::fixture::visit;

const PROBLEM: &str = "application/problem+json";

fn ids(list: &Value) -> Vec<u64> {
    list["entries"].as_array().unwrap().iter().map(|entry| entry["id"].as_u64().unwrap()).collect()
}

#[test]
fn an_entry_is_made_and_found_where_it_is_said_to_be() {
    visit(async |client| {
        let made = client.post("/api/entries").json(&json!({"name": " Ada ", "message": "<b>"})).await;
        assert_eq!((made.status().as_u16(), made.header("location")), (201, "/api/entries/1"));
        let entry: Value = made.json();
        assert_eq!(
            (&entry["id"], &entry["name"], &entry["message"]),
            (&json!(1), &json!("Ada"), &json!("<b>"))
        );

        let found = client.get("/api/entries/1").await;
        assert_eq!(found.json::<Value>(), entry);
        let known = client.get("/api/entries/1").header("if-none-match", found.header("etag")).await;
        assert_eq!((known.status().as_u16(), known.text()), (304, ""));
        let head = client.head("/api/entries/1").await;
        assert_eq!(head.header("content-length"), found.bytes().len().to_string());
    });
}

#[test]
fn a_list_leads_to_the_next_until_there_is_none() {
    visit(async |client| {
        for message in ["one", "two", "three", "four", "five"] {
            client.post("/api/entries").json(&json!({"name": "Ada", "message": message})).await;
        }
        let mut url = "/api/entries?limit=2".to_owned();
        let mut seen = Vec::new();
        loop {
            let list: Value = client.get(&url).await.json();
            seen.push(ids(&list));
            match list["next"].as_str() {
                Some(next) => url = next.to_owned(),
                None => break,
            }
        }
        assert_eq!(seen, [vec![1, 2], vec![3, 4], vec![5]]);
        let full: Value = client.get("/api/entries?limit=5").await.json();
        assert_eq!(full["next"], "/api/entries?after=5&limit=5");
        assert_eq!(ids(&client.get("/api/entries?after=99").await.json()), [0; 0]);
    });
}

#[test]
fn a_list_is_not_sent_again_until_somebody_signs() {
    visit(async |client| {
        let etag = client.get("/api/entries").await.header("etag").to_owned();
        let ask = async || client.get("/api/entries").header("if-none-match", &etag).await.status().as_u16();
        assert_eq!(ask().await, 304);
        client.post("/api/entries").json(&json!({"name": "Ada", "message": "one"})).await;
        assert_eq!(ask().await, 200);
    });
}

#[test]
fn failures_are_problem_details() {
    fn check(answer: &Answer, status: u16, part: &str) {
        assert_eq!((answer.status().as_u16(), answer.header("content-type")), (status, PROBLEM), "{part}");
        assert_eq!(answer.json::<Value>()["status"], status);
        assert!(answer.text().contains(part), "{part}: {}", answer.text());
    }

    visit(async |client| {
        check(&client.get("/api/nowhere").await, 404, r#""title":"Not Found""#);
        check(&client.get("/api/entries/1").await, 404, "there is no such entry");
        check(&client.get("/api/entries/one").await, 404, "Not Found");
        check(&client.get("/api/entries?limit=101").await, 400, "limit: from 1 to 100");
        check(&client.get("/api/entries?limit=many").await, 400, "limit");
        check(&client.get("/api/entries?limits=2").await, 400, "limits");
        check(&client.post("/api/entries").body("{}").await, 415, "content type");
        check(&client.post("/api/entries").json("text").await, 400, "JSON body");
        let nameless = client.post("/api/entries").json(&json!({"message": "x"})).await;
        check(&nameless, 422, r#""fields":{"name":"Please tell your name."}"#);
        let put = client.put("/api/entries").json(&json!({})).await;
        check(&put, 405, "Method Not Allowed");
        assert_eq!(put.header("allow"), "HEAD, GET, POST");
        let forged = client.post("/api/entries").header("origin", "https://evil.test").json(&json!({})).await;
        check(&forged, 403, "another site");
    });
}
