//! A cluster that stays well: processes that have done enough or have ended are replaced, the log says why, and none of
//! them takes more than it should.

use cepa_cluster::control::{Role, State};
use cepa_tests::{
    cluster::{Cluster, Starting, signal},
    load::Load,
    stats::{eventually, memory},
    wire::Wire,
};
use rustix::process::Signal;

fn clustered() -> Starting {
    Starting::new(env!("CARGO_BIN_EXE_clustered"))
}

fn living() -> Starting {
    Starting::new(env!("CARGO_BIN_EXE_living"))
}

fn get(cluster: &Cluster, path: &str) -> Wire {
    Wire::open(cluster.address(), format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n"))
}

#[test]
fn workers_that_are_old_or_large_are_replaced_one_after_the_other_and_no_client_sees_it() {
    for (setting, reason) in [
        ("cluster.recycle.age=1s", "s old (cluster.recycle.age)"),
        ("cluster.recycle.memory='1 MiB'", "bytes of memory (cluster.recycle.memory)"),
    ] {
        let mut cluster = clustered().set("cluster.workers=2").set(setting).start();
        let first: Vec<u32> = cluster.serving().iter().map(|worker| worker.pid).collect();
        let load = Load::start(cluster.address(), 2, 2);
        eventually("both are replaced", || {
            let status = cluster.status();
            let workers = || status.processes.iter().filter(|process| process.role == Role::Worker);
            let new = workers().filter(|worker| worker.state != State::Draining).count();
            assert!(new <= 3, "one at a time: {status:?}");
            !workers().any(|worker| first.contains(&worker.pid))
        });
        let lost = load.end().lost;
        assert!(lost.is_empty(), "{setting}: {lost:?}");
        assert!(cluster.log().contains(reason), "{setting}: {}", cluster.log());
        assert!(cluster.serving().iter().all(|worker| worker.restarts == 0), "{:?}", cluster.status());
        cluster.stop();
    }
}

#[test]
fn the_log_says_how_a_process_has_ended() {
    let mut cluster = living().set("cluster.workers=1").start();
    let worker = |cluster: &mut Cluster| {
        cluster.wait_until_it_is_calm();
        cluster.serving().remove(0).pid
    };
    let ended = |cluster: &Cluster, role: &str, pid: u32, reason: &str| {
        let line = |log: String| {
            log.lines().any(|line| {
                let parts =
                    ["has ended by itself", &format!("role=\"{role}\""), &format!("pid={pid}"), reason];
                parts.iter().all(|part| line.contains(part))
            })
        };
        eventually("the reason is in the log", || line(cluster.log()));
    };
    let pid = worker(&mut cluster);
    get(&cluster, "/exit/3").assert_closed();
    ended(&cluster, "worker", pid, "exited with code 3");
    let pid = worker(&mut cluster);
    signal(pid, Signal::QUIT);
    ended(&cluster, "worker", pid, "was killed by signal 3");
    worker(&mut cluster);
    let agent = cluster.status().processes.remove(0).pid;
    signal(agent, Signal::TERM);
    ended(&cluster, "agent", agent, "exited with code 0");
    cluster.wait_until_it_is_calm();
    cluster.stop();
}

#[test]
fn what_the_agent_has_on_disk_is_there_again_when_it_was_killed() {
    let starting = living().set("cluster.workers=2").set("bus.store=store.redb");
    let mut cluster = starting.start();
    let count = |cluster: &Cluster| get(cluster, "/count").response().text();
    assert_eq!((count(&cluster), count(&cluster)), ("1 1".to_owned(), "2 2".to_owned()));
    let agent = cluster.status().processes.remove(0).pid;
    signal(agent, Signal::KILL);
    eventually("there is another one", || {
        let now = cluster.status().processes.remove(0);
        now.pid != agent && now.state == State::Serving
    });
    // Workers find it by themselves, and a request waits for that or fails in time.
    let mut said = String::new();
    eventually("the workers have found it", || {
        said = count(&cluster);
        said.ends_with(" 1")
    });
    let written: u32 = said.split(' ').next().and_then(|count| count.parse().ok()).unwrap();
    assert!(written >= 3, "{said}");
    // The workers are the same.
    assert!(cluster.serving().iter().all(|worker| worker.restarts == 0));
    cluster.stop();
}

#[test]
fn processes_take_little_memory_of_their_own() {
    // The pages of the program's file, which all share and the system may drop, are as many as it happens to have read.
    let mut cluster = clustered().set("cluster.workers=4").start();
    let status = cluster.status();
    let own = |pid| memory(pid).own;
    let master = own(status.master.pid);
    assert!(master < 5 << 20, "the master has {master} bytes");
    for process in status.processes {
        let bytes = own(process.pid);
        assert!(bytes < 15 << 20, "{process:?} has {bytes} bytes");
    }
    // What it makes, answers and replaces leaves nothing behind.
    for _ in 0..10 {
        cluster.ask(&cepa_cluster::control::Request::Reload).unwrap();
        cluster.wait_until_it_is_calm();
    }
    let after = own(cluster.pid());
    assert!(after < master + (1 << 20), "{master} bytes have become {after}");
    cluster.stop();
}
