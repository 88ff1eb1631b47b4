//! Real processes and a real Redis server on one bus, killed, stopped and cut off: what is promised holds.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

mod access;
mod bounds;
mod faults;
mod order;

#[path = "../shared/flaky.rs"]
mod flaky;
#[path = "../shared/numbers.rs"]
mod numbers;
#[path = "../shared/process.rs"]
mod process;
#[path = "../shared/redis_server.rs"]
mod redis_server;

use process::Process;
use redis_server::Redis;

/// A server that writes down all that it does before it says so.
const SYNCED: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

/// A process of the bus that this server keeps.
fn worker(server: &Redis, task: &str) -> Process {
    Process::start(&["worker", &format!("redis://127.0.0.1:{}", server.port()), task])
}
