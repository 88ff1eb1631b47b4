//! Reloads and upgrades of a cluster under load: no request is lost.

use std::{fs, time::Duration};

use cepa_cluster::control::{ControlError, Request, Role, State};
use cepa_tests::{
    cluster::{Cluster, Starting, signal},
    load::{Load, Lost, Wrk},
    stats::{eventually, pause},
    wire::{Ended, Wire},
};
use rustix::process::Signal;
use serde_json::json;

fn clustered() -> Starting {
    Starting::new(env!("CARGO_BIN_EXE_clustered")).set("cluster.workers=2")
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// What the app says, which is what was written to its file when it started.
fn says(wire: &mut Wire) -> String {
    wire.send(get("/"));
    wire.response().text()
}

#[test]
fn a_reload_brings_what_is_new_and_nobody_sees_the_old_go() {
    let starting = clustered();
    fs::write(starting.folder().join("how"), "one").unwrap();
    let mut cluster = starting.start();
    let mut kept: Vec<Wire> = (0..20).map(|_| Wire::connect(cluster.address()).unwrap()).collect();
    assert!(kept.iter_mut().all(|wire| says(wire) == "one"));
    let mut silent = Wire::connect(cluster.address()).unwrap();
    let mut at_work = Wire::open(cluster.address(), get("/slow/500"));
    pause(Duration::from_millis(50));

    cluster.how("two");
    let mut progress = Vec::new();
    let done = cluster.control().unwrap().ask(&Request::Reload, |text| progress.push(text.to_owned()));
    assert_eq!(done.unwrap(), json!({"generation": 2}));
    assert_eq!(progress, ["generation 2: 2 workers are being started"]);
    let draining = cluster.status().processes.iter().filter(|it| it.state == State::Draining).count();
    assert!(draining >= 1, "somebody is at work for the old");
    assert_eq!(at_work.response().text(), "slow");
    cluster.wait_until_it_is_calm();
    for wire in kept.iter_mut().chain([&mut silent, &mut at_work]) {
        assert_eq!(says(wire), "two");
    }
    let workers = cluster.serving();
    assert!(
        workers.len() == 2 && workers.iter().all(|worker| worker.generation == 2 && worker.restarts == 0)
    );
    cluster.stop();
    for wire in &mut kept {
        assert_eq!(wire.rest(), (Vec::new(), Ended::Closed));
    }
}

#[test]
fn a_reload_that_fails_changes_nothing() {
    let mut cluster = clustered().set("cluster.ready_timeout=2s").start();
    let mut wire = Wire::connect(cluster.address()).unwrap();
    says(&mut wire);
    let before: Vec<u32> = cluster.serving().iter().map(|worker| worker.pid).collect();
    for (how, reason) in [
        ("fail the tide is out", "the tide is out"),
        ("abort", "was killed by signal 6"),
        ("hang", "not ready within 2s"),
    ] {
        cluster.how(how);
        let error = cluster.ask(&Request::Reload).unwrap_err();
        assert!(matches!(&error, ControlError::Refused(told) if told.contains(reason)), "{error}");
        assert_eq!(says(&mut wire), "");
    }
    // What the master itself reads.
    cluster.how("");
    let config = cluster.folder().join("config");
    fs::create_dir(&config).unwrap();
    fs::write(config.join("default.toml"), "[cluster]\nworkers = 'many'\n").unwrap();
    // A flag wins over a file, so this is found in another key.
    fs::write(config.join("default.toml"), "[cluster]\nworker = 3\n").unwrap();
    for request in [Request::Reload, Request::Upgrade] {
        let error = cluster.ask(&request).unwrap_err().to_string();
        assert!(error.contains("cluster.worker"), "{error}");
    }
    cluster.wait_until_it_is_calm();
    let after: Vec<u32> = cluster.serving().iter().map(|worker| worker.pid).collect();
    assert_eq!((before, cluster.status().generation), (after, 1));
    fs::remove_dir_all(config).unwrap();
    assert_eq!(cluster.ask(&Request::Reload).unwrap(), json!({"generation": 2}));
    cluster.stop();
}

#[test]
fn a_reload_takes_new_addresses_and_another_number_of_workers() {
    let starting = Starting::new(env!("CARGO_BIN_EXE_clustered")).listen_as_configured();
    let config = starting.folder().join("config");
    let socket = starting.folder().join("app.sock");
    fs::create_dir(&config).unwrap();
    let write = |listen: &str, workers: u32| {
        let text = format!("[server]\nlisten = [{listen}]\n[cluster]\nworkers = {workers}\n");
        fs::write(config.join("default.toml"), text).unwrap();
    };
    write("'127.0.0.1:0'", 3);
    let mut cluster = starting.start();
    let mut kept: Vec<Wire> = (0..30).map(|_| Wire::connect(cluster.address()).unwrap()).collect();
    kept.iter_mut().for_each(|wire| drop(says(wire)));
    let load = Load::start(cluster.address(), 2, 2);
    for (listen, workers) in
        [(format!("'127.0.0.1:0', 'unix:{}'", socket.display()), 1), ("'127.0.0.1:0'".to_owned(), 4)]
    {
        write(&listen, workers);
        cluster.ask(&Request::Reload).unwrap();
        cluster.wait_until_it_is_calm();
        assert_eq!(cluster.serving().len(), workers as usize);
        assert_eq!(socket.exists(), workers == 1);
        kept.iter_mut().for_each(|wire| drop(says(wire)));
    }
    assert_nothing_lost(&load.end().lost);
    cluster.stop();
}

fn assert_nothing_lost(lost: &[Lost]) {
    assert!(lost.is_empty(), "{} were lost: {:?}", lost.len(), &lost[..lost.len().min(5)]);
}

/// Waits until clients have been answered so often again.
fn let_pass(load: &Load, requests: u64) {
    let until = load.answered() + requests;
    eventually("clients are answered", || load.answered() >= until);
}

#[test]
fn reloads_and_upgrades_under_load_lose_nothing() {
    let mut cluster = clustered().start();
    let load = Load::start(cluster.address(), 4, 4);
    let_pass(&load, 500);
    for generation in 2..6 {
        assert_eq!(cluster.ask(&Request::Reload).unwrap(), json!({"generation": generation}));
        let_pass(&load, 200);
    }
    for generation in 6..8 {
        assert_eq!(cluster.ask(&Request::Upgrade).unwrap(), json!({"generation": generation}));
        let_pass(&load, 200);
    }
    // By signals, which nobody answers.
    for (what, generation) in [(Signal::HUP, 8), (Signal::USR2, 9)] {
        cluster.signal(what);
        eventually("it has", || cluster.status().generation == generation);
    }
    let seen = load.end();
    assert_nothing_lost(&seen.lost);
    assert!(seen.pids.len() >= 10, "{:?}", seen.pids);
    cluster.wait_until_it_is_calm();
    cluster.stop();
}

#[test]
fn wrk_sees_no_error_over_reloads_and_upgrades() {
    cepa_programs::needs!("wrk");
    let mut cluster = clustered().start();
    let wrk = Wrk::start(cluster.address(), 8).expect("it is there");
    for (request, generation) in [(Request::Reload, 2), (Request::Upgrade, 3), (Request::Reload, 4)] {
        cluster.ask(&request).unwrap();
        // They say so once a second.
        eventually("the new workers serve wrk", || {
            cluster.serving().iter().any(|worker| worker.generation == generation && worker.requests > 0)
        });
    }
    let (said, clean) = wrk.end();
    assert!(clean, "{said}");
    cluster.wait_until_it_is_calm();
    cluster.stop();
}

#[test]
fn kills_under_load_lose_only_what_was_in_the_killed() {
    let mut cluster = clustered().start();
    let load = Load::start(cluster.address(), 4, 4);
    let mut killed = Vec::new();
    for _ in 0..5 {
        let_pass(&load, 300);
        cluster.wait_until_it_is_calm();
        let victim = cluster.serving()[killed.len() % 2].pid;
        killed.push((victim, std::time::Instant::now()));
        signal(victim, Signal::KILL);
    }
    let_pass(&load, 300);
    let seen = load.end();
    let unexcused: Vec<_> =
        seen.lost.into_iter().filter(|lost| !killed.iter().any(|killed| lost.was_in(*killed))).collect();
    assert_nothing_lost(&unexcused);
    cluster.wait_until_it_is_calm();
    cluster.stop();
}

#[test]
fn an_upgrade_keeps_the_master_its_children_and_its_place() {
    let mut cluster = clustered().start();
    let before = cluster.status();
    let mut wire = Wire::connect(cluster.address()).unwrap();
    says(&mut wire);
    let mut progress = Vec::new();
    let mut control = cluster.control().unwrap();
    let done = control.ask(&Request::Upgrade, |text| progress.push(text.to_owned()));
    assert_eq!(done.unwrap(), json!({"generation": 2}));
    assert_eq!(progress.len(), 2, "{progress:?}");
    // The connection goes on as well.
    let after = control.status().unwrap();
    assert_eq!(after.master.pid, before.master.pid);
    let agent = |status: &cepa_cluster::control::Status| {
        status.processes.iter().find(|it| it.role == Role::Agent).map(|it| it.pid)
    };
    assert_eq!(agent(&after), agent(&before));
    says(&mut wire);
    // It still looks after all.
    cluster.wait_until_it_is_calm();
    signal(agent(&after).unwrap(), Signal::KILL);
    let worker = cluster.serving()[0].pid;
    signal(worker, Signal::KILL);
    eventually("they are replaced", || {
        let status = cluster.status();
        status.processes.len() == 3
            && status.processes.iter().all(|it| it.pid != worker && Some(it.pid) != agent(&after))
    });
    // And nobody else can be in its place.
    let second = std::process::Command::new(cluster.program())
        .args(["start", "--listen", "127.0.0.1:0"])
        .current_dir(cluster.folder())
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&second.stderr).contains("it runs already"));
    cluster.wait_until_it_is_calm();
    cluster.stop();
}

/// A copy of the program, which a test may put another one in the place of.
fn copied(starting: Starting) -> (Cluster, std::path::PathBuf) {
    let program = starting.folder().join("clustered");
    copy(env!("CARGO_BIN_EXE_clustered"), &program);
    (starting.program(&program).start(), program)
}

/// Not by this process: while it writes, another test may make a process, which would hold the file open for writing.
fn copy(from: &str, to: &std::path::Path) {
    let copied = std::process::Command::new("cp").arg(from).arg(to).status();
    assert!(copied.is_ok_and(|status| status.success()), "{from} can be copied");
}

fn replace(program: &std::path::Path, by: &str) {
    let next = program.with_extension("next");
    copy(by, &next);
    fs::rename(&next, program).expect("a program can be replaced");
}

#[test]
fn a_program_that_cannot_go_on_is_refused() {
    let (mut cluster, program) = copied(clustered());
    let mut wire = Wire::connect(cluster.address()).unwrap();
    says(&mut wire);
    // It ends at once, and says nothing.
    replace(&program, "/bin/true");
    for request in [Request::Upgrade, Request::Reload] {
        let error = cluster.ask(&request).unwrap_err().to_string();
        assert!(error.contains("exited with code 0"), "{error}");
    }
    fs::remove_file(&program).unwrap();
    for request in [Request::Upgrade, Request::Reload] {
        let error = cluster.ask(&request).unwrap_err().to_string();
        assert!(error.contains("the program cannot be started"), "{error}");
    }
    says(&mut wire);
    replace(&program, env!("CARGO_BIN_EXE_clustered"));
    assert_eq!(cluster.ask(&Request::Upgrade).unwrap(), json!({"generation": 2}));
    cluster.wait_until_it_is_calm();
    says(&mut wire);
    cluster.stop();
}

#[test]
fn reloads_that_are_asked_for_at_once_are_two() {
    let mut cluster = clustered().start();
    let asked: Vec<_> = (0..8)
        .map(|_| {
            let mut control = cluster.control().unwrap();
            std::thread::spawn(move || control.ask(&Request::Reload, |_| ()).unwrap())
        })
        .collect();
    for asked in asked {
        asked.join().unwrap();
    }
    let generation = cluster.status().generation;
    assert!((3..=9).contains(&generation), "{generation}");
    cluster.wait_until_it_is_calm();
    cluster.stop();
}

#[test]
fn a_stop_during_a_reload_or_an_upgrade_is_a_stop() {
    for (request, how) in [
        (Request::Reload, Some(Signal::TERM)),
        (Request::Upgrade, None),
        (Request::Reload, Some(Signal::INT)),
        (Request::Upgrade, None),
    ] {
        let mut cluster = clustered().start();
        cluster.status();
        let mut control = cluster.control().unwrap();
        let begun = if request == Request::Reload { "reload: " } else { "upgrade: " };
        let asked = std::thread::spawn(move || control.ask(&request, |_| ()));
        eventually("it has begun", || cluster.log().contains(begun));
        match how {
            Some(signal) => cluster.signal(signal),
            // Who has connected while the programs change may be cut off, and asks again.
            None => eventually("it stops", || {
                matches!(cluster.ask(&Request::Stop), Ok(_) | Err(ControlError::NotRunning(_)))
            }),
        }
        // Done, refused, or cut off: but never left waiting.
        let _ = asked.join().unwrap();
        assert_eq!(cluster.ended().code(), Some(0), "{}", cluster.log());
    }
}
