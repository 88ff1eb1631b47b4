//! The cluster as real processes: they start, crash, are replaced, and end with nothing left behind.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    time::{Duration, Instant},
};

use cepa_cluster::{
    Found, RunFolder,
    control::{Request, Role, State},
};
use cepa_tests::{
    cluster::{Starting, is_alive, signal, state},
    http::Response,
    stats::eventually,
    wire::{Ended, Wire},
};
use rustix::process::Signal;

fn clustered() -> Starting {
    Starting::new(env!("CARGO_BIN_EXE_clustered")).set("cluster.workers=2")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

fn pid_of(response: &Response) -> u32 {
    response.all("x-pid").next().and_then(|pid| pid.parse().ok()).expect("an answer names its process")
}

fn pid(wire: &mut Wire) -> u32 {
    wire.send(get("/"));
    pid_of(&wire.response())
}

#[test]
fn it_starts_serves_and_stops() {
    let mut cluster = clustered().start();
    let status = cluster.status();
    assert_eq!((status.master.pid, status.generation), (cluster.pid(), 1));
    let processes: Vec<_> =
        status.processes.iter().map(|it| (it.role, it.slot, it.generation, it.state)).collect();
    let serving = |role, slot| (role, slot, 1, State::Serving);
    assert_eq!(processes, [serving(Role::Agent, 0), serving(Role::Worker, 0), serving(Role::Worker, 1)]);
    let mut pids: Vec<u32> = (0..40).map(|_| pid(&mut Wire::connect(cluster.address()).unwrap())).collect();
    pids.sort_unstable();
    pids.dedup();
    assert_eq!(pids.len(), 2, "the system spreads connections over the workers");
    eventually("the requests are counted", || {
        cluster.serving().iter().map(|worker| worker.requests).sum::<u64>() == 40
    });
    let memory = cluster.serving()[0].memory_bytes;
    assert!(memory > 1 << 20 && memory < 100 << 20, "{memory}");
    cluster.stop();
}

#[test]
fn the_control_socket_stops_it_and_closes_when_it_is_gone() {
    let mut cluster = clustered().start();
    cluster.status();
    let mut control = cluster.control().unwrap();
    control.ask(&Request::Stop, |_| ()).unwrap();
    control.wait_for_the_end().unwrap();
    assert_eq!(cluster.ended().code(), Some(0));
}

#[test]
fn a_second_start_is_told_the_process_of_the_first() {
    let cluster = clustered().start();
    let output = std::process::Command::new(cluster.program())
        .args(["start", "--listen", "127.0.0.1:0"])
        .current_dir(cluster.folder())
        .output()
        .unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(error.contains(&format!("it runs already, as process {}", cluster.pid())), "{error}");
    let folder = RunFolder::new(&cluster.folder().join("run"), "clustered").unwrap();
    assert_eq!(folder.running().unwrap(), Found::Running(Some(cluster.pid())));
    cluster.stop();
}

#[test]
fn a_start_that_fails_says_why_once_and_leaves_nothing() {
    for (how, reason) in [
        ("fail the moon is full", "has not started: the moon is full"),
        ("abort", "has not started: was killed by signal 6"),
        ("hang", "has not started: it was not ready within 1s (cluster.ready_timeout)"),
    ] {
        let starting = clustered().set("cluster.ready_timeout=1s");
        fs::write(starting.folder().join("how"), how).unwrap();
        let mut cluster = starting.spawn();
        assert_eq!(cluster.ended().code(), Some(1));
        eventually("the reason is told", || cluster.log().contains("error: worker"));
        let log = cluster.log();
        let told = log.lines().filter(|line| line.starts_with("error: ")).count();
        assert!(log.contains(reason) && told == 1, "{how}: {log}");
    }
    // What the master itself finds.
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut cluster = clustered().listen(&taken.local_addr().unwrap().to_string()).spawn();
    assert_eq!(cluster.ended().code(), Some(1));
    eventually("the reason is told", || cluster.log().contains("something else listens there"));
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_who_waits_in_its_backlog_is_served() {
    let mut cluster = clustered().set("cluster.workers=1").start();
    let mut idle = Wire::connect(cluster.address()).unwrap();
    let before = pid(&mut idle);
    // It stands still, so that everybody else waits for it.
    signal(before, Signal::STOP);
    eventually("it stands still", || state(before) == Some('T'));
    let mut waiting: Vec<Wire> = (0..50).map(|_| Wire::open(cluster.address(), get("/"))).collect();
    signal(before, Signal::KILL);
    let after: Vec<_> = waiting
        .iter_mut()
        .map(|wire| {
            let response = wire.response();
            response.all("x-pid").next().unwrap().to_owned()
        })
        .collect();
    assert!(after.iter().all(|pid| *pid == after[0] && *pid != before.to_string()));
    assert_eq!(idle.rest(), (Vec::new(), Ended::Closed));
    let worker = &cluster.serving()[0];
    assert_eq!((worker.slot, worker.restarts, worker.generation), (0, 1, 1));
    assert!(cluster.log().contains("was killed by signal 9"));
    cluster.stop();
}

#[test]
fn a_worker_that_crashes_takes_only_its_own_requests_along() {
    let mut cluster = clustered().start();
    let mut others: Vec<Wire> = (0..20).map(|_| Wire::connect(cluster.address()).unwrap()).collect();
    let pids: Vec<u32> = others.iter_mut().map(pid).collect();
    let mut wire = Wire::connect(cluster.address()).unwrap();
    let crashed = pid(&mut wire);
    wire.send(get("/abort"));
    assert!(wire.try_response(false).is_err());
    for (wire, before) in others.iter_mut().zip(pids).filter(|(_, before)| *before != crashed) {
        assert_eq!(pid(wire), before);
    }
    cluster.wait_until_it_is_calm();
    cluster.stop();
}

#[test]
fn the_agent_is_replaced() {
    let mut cluster = clustered().start();
    let agent = cluster.status().processes.remove(0);
    signal(agent.pid, Signal::KILL);
    eventually("there is another one", || {
        let now = cluster.status().processes.remove(0);
        now.pid != agent.pid && now.state == State::Serving && now.restarts == 1
    });
    cluster.stop();
}

#[test]
fn a_worker_whose_loop_stands_still_is_replaced() {
    let mut cluster = clustered().set("cluster.workers=1").set("cluster.beat_timeout=2s").start();
    let stuck = cluster.serving().remove(0).pid;
    let mut wire = Wire::open(cluster.address(), get("/stuck"));
    wire.assert_closed();
    let mut next = Wire::connect(cluster.address()).unwrap();
    assert_ne!(pid(&mut next), stuck);
    assert!(cluster.log().contains("an event loop stood still for 2s"), "{}", cluster.log());
    cluster.stop();
}

#[test]
fn a_cluster_that_crashes_too_often_ends() {
    let mut cluster = clustered().set("cluster.workers=1").set("cluster.reforks=2").start();
    for _ in 0..3 {
        // The replacement may still be on its way: this waits in the backlog.
        let mut wire = Wire::open(cluster.address(), get("/abort"));
        wire.rest();
    }
    assert_eq!(cluster.ended().code(), Some(1));
    let reason = "error: 3 processes have ended by themselves within 60s";
    eventually("the reason is told", || cluster.log().contains(reason));
}

#[test]
fn children_leave_when_their_master_is_killed() {
    let mut cluster = clustered().start();
    let processes: Vec<u32> = cluster.status().processes.iter().map(|process| process.pid).collect();
    let mut at_work = Wire::open(cluster.address(), get("/slow/300"));
    let mut idle = Wire::connect(cluster.address()).unwrap();
    pid(&mut idle);
    cluster.signal(Signal::KILL);
    assert_eq!(at_work.response().text(), "slow");
    idle.assert_closed();
    eventually("they are gone", || !processes.iter().any(|pid| is_alive(*pid)));
    // What is left is recognised, by a cluster in the same place.
    let run = cluster.folder().join("run");
    let folder = RunFolder::new(&run, "clustered").unwrap();
    assert!(folder.pid_file().exists() && matches!(folder.running().unwrap(), Found::Stale(_)));
}

#[test]
fn a_stop_ends_in_its_time_whatever_is_open() {
    let mut cluster = clustered()
        .set("server.limits.drain=1s")
        .set("cluster.kill_after=1s")
        .set("cluster.workers=4")
        .start();
    cluster.status();
    let mut idle = Wire::connect(cluster.address()).unwrap();
    pid(&mut idle);
    let mut half = Wire::open(cluster.address(), "GET / HTTP/1.1\r\nho");
    let mut never = Wire::open(cluster.address(), get("/never"));
    let mut events = Wire::open(cluster.address(), get("/events"));
    assert!(events.read_exact(15).is_ok_and(|status| status == *b"HTTP/1.1 200 OK"));
    eventually("they are there", || {
        cluster.serving().iter().map(|worker| worker.connections).sum::<u64>() == 4
    });
    let mut stuck = Wire::open(cluster.address(), get("/stuck"));
    eventually("it stands still", || cluster.folder().join("stuck").exists());
    let started = Instant::now();
    cluster.signal(Signal::TERM);
    assert_eq!(cluster.ended().code(), Some(0));
    // A drain, twice the time to end, and what a machine that is busy adds.
    assert!(started.elapsed() < Duration::from_secs(10), "{:?}", started.elapsed());
    for wire in [&mut idle, &mut half, &mut never, &mut stuck] {
        wire.assert_closed();
    }
    events.rest();
}

#[test]
fn starts_and_stops_that_race_leave_nothing_behind() {
    for round in 0..10 {
        let cluster = clustered().set("cluster.workers=4").spawn();
        let mut cluster = cluster;
        // Sometimes before it has anything, sometimes while its processes start, sometimes when it serves.
        if round % 3 == 2 {
            cluster.wait_until_it_serves();
            cluster.status();
        } else {
            eventually("it has taken the signals", || {
                cluster.control().is_ok_and(|mut control| control.status().is_ok())
            });
        }
        cluster.signal(if round % 2 == 0 { Signal::TERM } else { Signal::INT });
        assert_eq!(cluster.ended().code(), Some(0), "{round}: {}", cluster.log());
    }
}

#[test]
fn a_worker_that_has_done_enough_is_replaced_and_no_client_sees_it() {
    let mut cluster = clustered().set("cluster.workers=1").set("cluster.recycle.requests=50").start();
    let mut wire = Wire::connect(cluster.address()).unwrap();
    let first = pid(&mut wire);
    let started = Instant::now();
    loop {
        if pid(&mut wire) != first {
            break;
        }
        assert!(started.elapsed() < Duration::from_secs(30), "{}", cluster.log());
    }
    cluster.wait_until_it_is_calm();
    // The same by hand.
    let second = cluster.serving()[0].pid;
    signal(second, Signal::TERM);
    eventually("it is replaced", || pid(&mut wire) != second);
    cluster.wait_until_it_is_calm();
    assert_eq!(cluster.serving()[0].restarts, 0);
    cluster.stop();
}

/// A user or group of a process, of those that `/proc/PID/status` lists in this line.
fn identity(pid: u32, line: &str) -> String {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("the process is there");
    let found = status.lines().find_map(|text| text.strip_prefix(line)).expect("it has such a line");
    found.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn root_binds_the_sockets_and_is_root_no_more() {
    if !rustix::process::geteuid().is_root() {
        return eprintln!("nobody but root can see this");
    }
    let starting =
        clustered().set("cluster.user=65534").set("cluster.group=65533").set("cluster.umask='0027'");
    let folder = starting.folder().to_owned();
    fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).unwrap();
    // Where the tests are built, that user may have nothing to look for.
    let program = folder.join("clustered");
    let copied = std::process::Command::new("cp").arg(env!("CARGO_BIN_EXE_clustered")).arg(&program).status();
    assert!(copied.unwrap().success());
    let socket = folder.join("run/app.sock");
    // A port that nobody but root may bind, at an address that nobody else takes.
    let own = std::process::id().to_be_bytes();
    let low = format!("127.77.{}.{}:81", own[2], own[3]);
    let listen = format!(
        "server.listen=['{low}', {{ address = 'unix:{}', options.mode = '0620' }}]",
        socket.display()
    );
    let starting = starting.program(&program).listen_as_configured().set(&listen);
    fs::create_dir(folder.join("run")).unwrap();
    std::os::unix::fs::chown(folder.join("run"), Some(65534), Some(65533)).unwrap();
    let mut cluster = starting.start();
    let made = fs::metadata(&socket).unwrap();
    assert_eq!((made.uid(), made.gid(), made.permissions().mode() & 0o7777), (65534, 65533, 0o620));
    for file in ["clustered.pid", "clustered.sock", "clustered.bus"] {
        let made = fs::metadata(folder.join("run").join(file)).unwrap();
        assert_eq!((made.uid(), made.permissions().mode() & 0o077), (65534, 0), "{file}");
    }
    let status = cluster.status();
    for pid in status.processes.iter().map(|process| process.pid).chain([status.master.pid]) {
        assert_eq!(identity(pid, "Uid:"), "65534 65534 65534 65534");
        assert_eq!(identity(pid, "Gid:"), "65533 65533 65533 65533");
        assert_eq!(identity(pid, "Groups:"), "");
        assert_eq!(identity(pid, "Umask:"), "0027");
        // Nothing is left of what root may.
        assert_eq!(identity(pid, "CapEff:"), "0000000000000000");
    }
    // The sockets stay, though nobody could bind them any more.
    for request in [Request::Reload, Request::Upgrade] {
        cluster.ask(&request).unwrap();
        let mut wire = Wire::open(low.parse().unwrap(), get("/"));
        assert_eq!(wire.response().status, 200);
    }
    cluster.wait_until_it_is_calm();
    cluster.stop();
}

#[test]
fn children_get_the_variables_that_they_may() {
    let cluster = clustered()
        .env("SECRET_OF_THE_SHELL", "1")
        .env("WANTED", "2")
        .env("NOTIFY_SOCKET", "/none")
        .set("cluster.env=['WANTED', 'PATH']")
        .start();
    for (name, value) in
        [("SECRET_OF_THE_SHELL", ""), ("WANTED", "2"), ("NOTIFY_SOCKET", ""), ("CEPA_ENV", "test")]
    {
        let mut wire = Wire::open(cluster.address(), get(&format!("/env/{name}")));
        assert_eq!(wire.response().text(), value, "{name}");
    }
    cluster.stop();
}
