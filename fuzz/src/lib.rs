//! What is fuzzed: functions that take bytes and panic when a rule is broken.
//!
//! `tests/replay.rs` calls each with its seeds and with random bytes, `fuzz_targets/` hands them to libFuzzer. An
//! input may be of any length; those that cost more than their length is worth are cut.
#![forbid(unsafe_code)]

mod accept;
mod bus_agent;
mod cookies;
mod front;
mod http1;
mod multipart;
mod proxy_protocol;
mod query;
mod tora;
mod websocket;

pub use self::{
    accept::accept,
    bus_agent::bus_agent,
    cookies::cookies,
    front::{fastcgi, scgi},
    http1::{http1_chunked, http1_head},
    multipart::multipart,
    proxy_protocol::proxy_protocol,
    query::query,
    tora::tora,
    websocket::websocket,
};

/// A target: what `fuzz_targets/<name>.rs` and `seeds/<name>/` are called, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, by name.
pub const TARGETS: [Target; 12] = [
    ("accept", accept),
    ("bus_agent", bus_agent),
    ("cookies", cookies),
    ("fastcgi", fastcgi),
    ("http1_chunked", http1_chunked),
    ("http1_head", http1_head),
    ("multipart", multipart),
    ("proxy_protocol", proxy_protocol),
    ("query", query),
    ("scgi", scgi),
    ("tora", tora),
    ("websocket", websocket),
];
