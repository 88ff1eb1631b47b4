//! `cargo xtask bench reload`: a cluster under constant load is reloaded, upgraded, and loses workers; says what its
//! clients have seen of that, and what starting it and its processes cost.

use std::{
    env,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use cepa_cluster::control::Request;
use cepa_tests::{
    cluster::{Cluster, Starting, signal},
    listeners::{Counts, Listeners},
    load::{Load, Seen, Wrk},
    stats::{eventually, memory},
};
use rustix::process::Signal;

/// Clients that keep connections, and that make fresh ones.
const CLIENTS: (usize, usize) = (4, 4);

/// Answers between one event and the next.
const BETWEEN: u64 = 2_000;

/// Between one number that all who wait hear, and the next.
const BETWEEN_NUMBERS: Duration = Duration::from_millis(20);

/// The most time that a cluster of `hello` may take to start, and bytes that its processes may take.
const LONGEST_START: Duration = Duration::from_millis(300);
const MOST_OF_MASTER: u64 = 5_000_000;
const MOST_OF_WORKER: u64 = 15_000_000;

fn main() -> ExitCode {
    let count = |name: &str, default: usize| {
        let mut args = env::args().skip_while(|arg| arg != name);
        args.nth(1).and_then(|count| count.parse().ok()).unwrap_or(default)
    };
    let (reloads, upgrades, kills) = (count("--reloads", 20), count("--upgrades", 5), count("--kills", 20));
    let changes = changes(reloads, upgrades);
    let waits = waits(reloads, count("--waiting", 3_000));
    let kills = kills_of(kills);
    let cheap = costs();
    if changes && waits && kills && cheap { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// A program that was built beside this one.
fn built(name: &str) -> String {
    let own = env::current_exe().unwrap_or_default();
    own.with_file_name(name).display().to_string()
}

fn start() -> Cluster {
    Starting::new(&built("clustered")).set("cluster.workers=4").start()
}

fn let_pass(load: &Load) {
    let until = load.answered() + BETWEEN;
    eventually("clients are answered", || load.answered() >= until);
}

/// Reloads and upgrades; whether nothing was lost.
fn changes(reloads: usize, upgrades: usize) -> bool {
    let mut cluster = start();
    let load = Load::start(cluster.address(), CLIENTS.0, CLIENTS.1);
    let wrk = Wrk::start(cluster.address(), 10);
    if wrk.is_none() {
        println!("without wrk: apt-get install wrk");
    }
    let mut slowest = Duration::ZERO;
    let requests =
        std::iter::repeat_n(Request::Reload, reloads).chain(std::iter::repeat_n(Request::Upgrade, upgrades));
    for request in requests {
        let_pass(&load);
        let started = Instant::now();
        if let Err(error) = cluster.ask(&request) {
            println!("{request:?} has failed: {error}");
        }
        slowest = slowest.max(started.elapsed());
    }
    let_pass(&load);
    let seen = load.end();
    println!("{reloads} reloads and {upgrades} upgrades, of 4 workers, the slowest in {slowest:?}");
    say(&seen, seen.lost.len());
    let by_wrk = wrk.map(Wrk::end);
    if let Some((said, _)) = &by_wrk {
        println!("  wrk: {said}");
    }
    cluster.wait_until_it_is_calm();
    cluster.stop();
    seen.lost.is_empty() && by_wrk.is_none_or(|(_, clean)| clean)
}

/// Reloads with so many clients that wait, a third each in streams of events, long polls and WebSockets; whether none was
/// dropped, and all have heard everything once.
fn waits(reloads: usize, clients: usize) -> bool {
    let mut cluster = Starting::new(&built("parked")).set("cluster.workers=4").start();
    let third = clients / 3;
    let counts = Counts { streams: third, polls: third, sockets: third };
    let listeners = Listeners::start(cluster.address(), counts, BETWEEN_NUMBERS);
    let mut slowest = Duration::ZERO;
    for _ in 0..reloads {
        let until = listeners.heard() + 10 * third as u64;
        eventually("what is said is heard", || listeners.heard() >= until);
        let started = Instant::now();
        if let Err(error) = cluster.ask(&Request::Reload) {
            println!("the reload has failed: {error}");
        }
        // None of those before is left: whoever hears something hears it from others.
        cluster.wait_until_it_is_calm();
        slowest = slowest.max(started.elapsed());
    }
    let heard = listeners.end();
    println!(
        "{reloads} reloads of 4 workers with {} clients that wait, the slowest in {slowest:?}",
        3 * third
    );
    println!(
        "  {} messages heard; {} connections dropped, {} messages lost, {} heard twice; the longest silence {:?}",
        heard.heard, heard.dropped, heard.lost, heard.doubled, heard.longest
    );
    heard.faults.iter().for_each(|fault| println!("  {fault}"));
    cluster.stop();
    heard.is_all()
}

/// Kills workers; whether only what was in them was lost.
fn kills_of(kills: usize) -> bool {
    let mut cluster = start();
    let load = Load::start(cluster.address(), CLIENTS.0, CLIENTS.1);
    let mut killed = Vec::new();
    for round in 0..kills {
        let_pass(&load);
        cluster.wait_until_it_is_calm();
        let Some(victim) = cluster.serving().get(round % 4).map(|worker| worker.pid) else { continue };
        killed.push((victim, Instant::now()));
        signal(victim, Signal::KILL);
    }
    let_pass(&load);
    let seen = load.end();
    let unexcused = seen.lost.iter().filter(|lost| !killed.iter().any(|killed| lost.was_in(*killed))).count();
    let refused = seen.lost.iter().filter(|lost| lost.refused).count();
    println!("{kills} workers of 4 killed (-9), each at work");
    say(&seen, unexcused);
    println!(
        "  {} requests were in the workers that were killed; {refused} connections were refused",
        seen.lost.len()
    );
    cluster.wait_until_it_is_calm();
    cluster.stop();
    unexcused == 0
}

fn say(seen: &Seen, failed: usize) {
    println!(
        "  {} answers by {} processes in {:.1} s, {failed} failed; the slowest took {:?}",
        seen.answered,
        seen.pids.len(),
        seen.time.as_secs_f64(),
        seen.slowest
    );
    for lost in seen.lost.iter().take(5).filter(|_| failed > 0) {
        println!("  {lost:?}");
    }
}

/// What starting costs, and what processes take; whether that is as little as it should be.
fn costs() -> bool {
    let hello = PathBuf::from(built("hello"));
    if !hello.exists() {
        println!("without the figures of `hello`, which is not built");
        return true;
    }
    let mut times = Vec::new();
    let mut last = Vec::new();
    for _ in 0..5 {
        let started = Instant::now();
        let mut cluster = Starting::new(&hello.display().to_string()).set("cluster.workers=4").start();
        times.push(started.elapsed());
        let status = cluster.status();
        let processes = status.processes.iter().map(|process| (process.role.name(), memory(process.pid)));
        last = std::iter::once(("master", memory(status.master.pid))).chain(processes).collect();
        cluster.stop();
    }
    times.sort_unstable();
    println!("`hello` with 4 workers serves after {:?} (median of 5)", times[2]);
    println!("  {:8}{:>14}{:>14}{:>14}", "MB", "resident", "its share", "its own");
    let mb = |bytes: u64| format!("{:.2}", bytes as f64 / 1e6);
    for (role, memory) in &last {
        println!("  {role:8}{:>14}{:>14}{:>14}", mb(memory.resident), mb(memory.share), mb(memory.own));
    }
    let share = last.iter().map(|(_, memory)| memory.share).sum();
    println!("  {:8}{:>14}{:>14}", "all", "", mb(share));
    times[2] < LONGEST_START
        && last.iter().all(|(role, memory)| match *role {
            "master" => memory.share < MOST_OF_MASTER,
            _ => memory.resident < MOST_OF_WORKER,
        })
}
