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
    line(&status, "VmRSS:").expect("a process has memory") as usize
}

/// What a process takes of the memory, in bytes, see proc(5).
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// All of its pages that are in memory, also those of the program's file that other processes have as well.
    pub resident: u64,
    /// The same, with its part only of what it shares: what the processes of a cluster take together is the sum.
    pub share: u64,
    /// Those that no other process has and that are in no file.
    pub own: u64,
}

/// The memory of a process.
///
/// # Panics
/// Without `/proc`, or such a process.
pub fn memory(pid: u32) -> Memory {
    let rollup = fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).expect("the process is there");
    let of = |name| line(&rollup, name).expect("Linux says so since 5.9");
    Memory { resident: of("Rss:"), share: of("Pss:"), own: of("Anonymous:") }
}

/// Bytes, by a line that says `Name:  number kB`.
fn line(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim_end_matches("kB").trim().parse::<u64>().ok()? * 1024)
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
