//! What every peer shares, so that all of them answer the same contract (see ../../README.md).
use serde::{Deserialize, Serialize};

pub const HELLO: &str = "Hello, World!";

/// `GET /json`
#[derive(Serialize, Clone, Copy)]
pub struct Message {
    pub message: &'static str,
}

impl Message {
    pub fn new() -> Self {
        Message { message: HELLO }
    }
}

impl Default for Message {
    fn default() -> Self {
        Self::new()
    }
}

/// `GET /users/:id`
#[derive(Serialize)]
pub struct User<S> {
    pub id: S,
}

/// `POST /echo`: exactly 1024 bytes as compact JSON in data/echo.json.
#[derive(Serialize, Deserialize)]
pub struct Payload {
    pub id: u64,
    pub name: String,
    pub email: String,
    pub active: bool,
    pub score: f64,
    pub tags: Vec<String>,
    pub items: Vec<Item>,
    pub note: String,
}

#[derive(Serialize, Deserialize)]
pub struct Item {
    pub sku: String,
    pub qty: u32,
    pub price: f64,
}

pub struct Args {
    pub port: u16,
    pub workers: usize,
    /// "" or a variant name, for peers that have more than one way to run
    pub variant: String,
}

/// `peer PORT WORKERS [VARIANT]`
pub fn args() -> Args {
    let mut a = std::env::args().skip(1);
    Args {
        port: a.next().and_then(|s| s.parse().ok()).unwrap_or(8080),
        workers: a.next().and_then(|s| s.parse().ok()).unwrap_or(2),
        variant: a.next().unwrap_or_default(),
    }
}

/// A Unix socket to listen on besides the port, where one is asked for.
pub fn unix_path() -> Option<String> {
    std::env::var("BENCH_SOCKET").ok()
}

/// The 100 KiB file behind `GET /file`.
pub fn file_path() -> String {
    std::env::var("BENCH_FILE").unwrap_or_else(|_| concat!(env!("CARGO_MANIFEST_DIR"), "/../../data/static/file.txt").into())
}

/// The 100 parameter routes. `/users/<param>` sits in the middle (index 50), so that neither a
/// linear router nor a last-registered-first one gets it for nothing. `p` writes one parameter in
/// the framework's own syntax, e.g. `|n| format!("{{{n}}}")`.
pub fn routes(p: impl Fn(&str) -> String) -> Vec<String> {
    let mut v = Vec::with_capacity(100);
    for i in 0..100 {
        v.push(match i {
            50 => format!("/users/{}", p("id")),
            i if i % 2 == 0 => format!("/res{i}/{}", p("id")),
            i => format!("/api/v1/res{i}/{}/items/{}", p("id"), p("item")),
        });
    }
    v
}

pub const USERS_INDEX: usize = 50;
pub const BACKLOG: u32 = 4096;
