//! What a process costs, as `/proc` tells it, and waiting for what it does.

use std::{
    fs,
    time::{Duration, Instant},
};

/// Clock ticks of processor time that the worker threads of this process have used; 100 are one second.
///
/// All servers of the process count: a test that asks must run alone, or ask for little.
///
/// # Panics
/// Without `/proc`.
pub fn worker_ticks() -> u64 {
    let tasks = fs::read_dir("/proc/self/task").expect("Linux has /proc");
    let stats = tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("stat")).ok());
    stats.filter(|stat| stat.contains("(worker-")).map(|stat| ticks(&stat).unwrap_or(0)).sum()
}

/// User and system time out of a line of `stat`.
fn ticks(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let user: u64 = fields.nth(11)?.parse().ok()?;
    let system: u64 = fields.next()?.parse().ok()?;
    Some(user + system)
}

/// Bytes of memory that this process has resident.
///
/// # Panics
/// Without `/proc`.
pub fn resident() -> usize {
    let status = fs::read_to_string("/proc/self/status").expect("Linux has /proc");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a process has memory");
    let kib: usize = line.trim_end_matches("kB").trim().parse().expect("VmRSS is a number");
    kib * 1024
}

/// How many connections to itself this process may have, beside those of other tests: each takes two descriptors.
///
/// # Panics
/// Without `/proc`.
pub fn most_connections() -> usize {
    let limits = fs::read_to_string("/proc/self/limits").expect("Linux has /proc");
    let files = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    let most =
        files.and_then(|files| files.split_whitespace().next()).expect("the number of files has a limit");
    most.parse().unwrap_or(1_000_000usize).saturating_sub(500) / 2
}

/// Does nothing for a time: a test, unlike a worker, has its thread to itself.
#[expect(clippy::disallowed_methods, reason = "no connection is served on this thread")]
pub fn pause(time: Duration) {
    std::thread::sleep(time);
}

/// Waits until something is so.
///
/// # Panics
/// When that takes longer than [`PATIENCE`](crate::wire::PATIENCE).
#[track_caller]
pub fn eventually(what: &str, mut so: impl FnMut() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < crate::wire::PATIENCE, "it never came to this: {what}");
        pause(Duration::from_millis(5));
    }
}
