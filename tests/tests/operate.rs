//! What an operator does with a cluster, by the commands of its program.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, TcpListener},
    os::{
        fd::OwnedFd,
        unix::{
            fs::{MetadataExt, PermissionsExt},
            net::UnixDatagram,
        },
    },
    path::Path,
    process::{Command, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use cepa_cluster::control::{Role, State, Status};
use cepa_programs::needs;
use cepa_tests::{
    cluster::{is_alive, signal},
    site::{Said, Site},
    stats::eventually,
    wire::{PATIENCE, Wire},
};
use rustix::process::Signal;

fn site() -> Site {
    Site::new(env!("CARGO_BIN_EXE_clustered"))
}

fn address(status: &Status) -> SocketAddr {
    status.master.listen[0].parse().expect("it is the address of a port")
}

/// The answer of a cluster: the text that `how` was when the worker was started.
fn answer(status: &Status) -> String {
    let mut wire = Wire::open(address(status), "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    String::from_utf8_lossy(&wire.response().body).into_owned()
}

#[test]
fn a_daemon_serves_until_it_is_stopped() {
    let mut site = site();
    site.how("one");
    let said = site.run("start --daemon").done();
    let status = site.status();
    let pid = status.master.pid;
    assert_eq!(said, format!("clustered serves as process {pid}\n"));
    assert_eq!(answer(&status), "one");

    // It is the first of a session of its own, without a terminal, and nothing is left of what has started it.
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    assert_eq!((fields[3], fields[4]), (&*pid.to_string(), "0"), "{stat}");
    let open = |number: u32| fs::read_link(format!("/proc/{pid}/fd/{number}")).unwrap();
    assert_eq!(open(0), Path::new("/dev/null"));
    assert_eq!((open(1), open(2)), (site.path("run/clustered.log"), site.path("run/clustered.log")));
    assert_eq!(fs::metadata(open(1)).unwrap().permissions().mode() & 0o777, 0o600);
    let line = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(line.ends_with("clustered\0start\0"), "{line:?}");

    let refused = site.run("start --daemon").failed();
    assert!(refused.starts_with(&format!("it runs already, as process {pid}; ")), "{refused}");
    let refused = site.run("start").failed();
    assert!(refused.starts_with(&format!("it runs already, as process {pid}; ")), "{refused}");

    assert_eq!(site.run("stop").done(), "clustered has stopped\n");
    site.assert_empty();
    assert!(site.log().contains("listening on 127.0.0.1:"), "{}", site.log());
    assert_eq!(site.run("stop").done(), "clustered is not running\n");
    let nobody = site.run("status").failed();
    assert_eq!(
        nobody,
        format!("clustered is not running: there is no {}", site.path("run/clustered.pid").display())
    );
    assert_eq!(site.run("reload").failed(), nobody);
}

#[test]
fn a_reload_and_an_upgrade_keep_the_process() {
    let mut site = site();
    site.how("one");
    site.run("start --daemon").done();
    let before = site.status();
    site.how("two");
    assert_eq!(site.run("reload").done(), "clustered is reloaded: generation 2 serves\n");
    let status = site.status();
    assert_eq!((status.generation, answer(&status)), (2, "two".to_owned()));
    site.how("three");
    assert_eq!(site.run("upgrade").done(), "clustered is upgraded: generation 3 serves\n");
    let status = site.status();
    assert_eq!((status.generation, answer(&status)), (3, "three".to_owned()));
    assert_eq!((before.master.pid, &before.master.listen), (status.master.pid, &status.master.listen));

    // What cannot start does not take the place of what serves.
    site.how("fail the moon is full");
    let failed = site.run("reload").failed();
    assert!(failed.contains("the moon is full"), "{failed}");
    let status = site.status();
    assert_eq!((status.generation, answer(&status)), (3, "three".to_owned()));
    assert_eq!(site.run("reopen").done(), "clustered writes to new log files\n");
    assert!(site.run("run-schedule none").failed().len() > 10);
    site.run("stop").done();
    site.assert_empty();
}

#[test]
fn a_start_that_fails_says_why_and_leaves_nothing() {
    let site = site();
    for (how, reason) in [
        ("fail the moon is full", " has not started: the moon is full\n  at tests/src/bin/clustered.rs:"),
        ("abort", "has not started: was killed by signal 6"),
        ("hang", "it was not ready within 1s (cluster.ready_timeout)"),
    ] {
        site.how(how);
        let failed = site.run("start --daemon --set cluster.ready_timeout=1s").failed();
        assert!(failed.contains(reason), "{how}: {failed}");
        site.assert_empty();
    }
    site.how("");
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let failed = site.run(&format!("start --daemon --listen {}", taken.local_addr().unwrap())).failed();
    assert!(failed.contains("something else listens there"), "{failed}");
    site.assert_empty();
    // What is found before there is a daemon.
    let failed = site.run("start --daemon --set cluster.worker=1").failed();
    assert!(failed.contains("unknown key `cluster.worker`"), "{failed}");
    let failed = site.run(&format!("start --daemon --set cluster.run_dir={}", "x".repeat(120))).failed();
    assert!(failed.starts_with("cluster.run_dir: "), "{failed}");
    fs::write(site.path("file"), "").unwrap();
    let failed = site.run("start --daemon --set cluster.run_dir=file").failed();
    assert!(failed.starts_with("cluster.run_dir: "), "{failed}");
}

#[test]
fn what_a_killed_master_has_left_is_no_cluster() {
    let mut site = site();
    site.run("start --daemon").done();
    let pid = site.status().master.pid;
    signal(pid, Signal::KILL);
    eventually("it is gone", || !is_alive(pid));
    let nobody = site.run("status").failed();
    assert!(
        nobody.ends_with(&format!("clustered.pid was left behind by process {pid}, which has ended")),
        "{nobody}"
    );
    assert_eq!(site.run("stop").done(), "clustered is not running\n");
    eventually("its children leave", || site.alive() == 0);
    // Also if another process has its number by now.
    fs::write(site.path("run/clustered.pid"), format!("{}\nstart=1\n", std::process::id())).unwrap();
    assert_eq!(site.run("stop").done(), "clustered is not running\n");
    site.run("start --daemon").done();
    site.status();
    site.run("stop").done();
    site.assert_empty();
}

#[test]
fn ten_restarts_leave_nothing_behind() {
    let mut site = site();
    for _ in 0..10 {
        let said = site.run("restart").done();
        let status = site.status();
        assert_eq!(said, format!("clustered serves as process {}\n", status.master.pid));
        // A process lets go of its lock a moment before the system counts it as ended.
        eventually("the others are gone", || site.alive() == 1 + status.processes.len());
    }
    site.run("stop").done();
    site.assert_empty();
}

#[test]
fn of_two_that_start_at_once_one_does_and_a_stop_at_once_ends_it() {
    let mut site = site();
    for _ in 0..10 {
        let starts = [(); 2].map(|()| {
            site.command("start --daemon").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        });
        let said = starts.map(|start| Said::from(start.wait_with_output().unwrap()));
        let pid = site.status().master.pid;
        let mut codes = said.iter().map(|said| said.code).collect::<Vec<_>>();
        codes.sort_unstable();
        assert_eq!(codes, [Some(0), Some(1)], "{said:?}");
        for said in &said {
            let told = format!("{}{}", said.out, said.error);
            assert!(told.contains(&format!("process {pid}")), "{told}");
        }
        let stops = [(); 2].map(|()| site.command("stop").stdout(Stdio::null()).spawn().unwrap());
        for mut stop in stops {
            assert_eq!(stop.wait().unwrap().code(), Some(0));
        }
        site.assert_empty();
    }
}

#[test]
fn a_restart_looks_before_it_stops() {
    let mut site = site();
    site.run("start --daemon").done();
    let before = site.status();
    for (how, flags, reason) in [
        ("", "--set server.worker=1", "unknown key `server.worker`"),
        ("", "--env restart --set nope.x=1", "unknown section `nope`"),
        ("fail the moon is full", "", "the moon is full"),
    ] {
        site.how(how);
        let failed = site.run(&format!("restart {flags}")).failed();
        assert!(failed.contains(reason), "{failed}");
        assert_eq!(site.status().master.pid, before.master.pid);
    }
    site.how("");
    site.run("restart --env restart --workers 3").done();
    let status = site.status();
    assert!(status.master.pid != before.master.pid);
    assert_eq!(status.processes.len(), 4);
    site.run("stop").done();
    site.assert_empty();
}

#[test]
fn a_stop_waits_for_what_was_begun_and_says_so() {
    let mut site = site();
    site.run("start --daemon").done();
    let status = site.status();
    let mut wire = Wire::open(address(&status), "GET /slow/700 HTTP/1.1\r\nhost: a\r\n\r\n");
    eventually("the request is there", || {
        site.status().processes.iter().any(|process| process.connections > 0)
    });
    assert_eq!(site.run("stop").done(), "clustered has stopped\n");
    assert_eq!(wire.response().body, b"slow");
    site.assert_empty();
}

#[test]
fn a_cluster_whose_socket_was_cleaned_up_can_be_stopped() {
    let mut site = site();
    site.run("start --daemon").done();
    let pid = site.status().master.pid;
    fs::remove_file(site.path("run/clustered.sock")).unwrap();
    let silent = site.run("reload").failed();
    assert!(
        silent.starts_with(&format!("clustered runs (process {pid}), but does not answer at ")),
        "{silent}"
    );
    assert_eq!(site.run("stop").done(), "clustered has stopped\n");
    site.assert_empty();
}

#[test]
fn a_status_is_a_table_and_can_be_watched() {
    let mut site = site();
    site.run("start --daemon").done();
    let status = site.status();
    let table = site.run("status").done();
    let states: Vec<_> = status.processes.iter().map(|process| (process.role, process.state)).collect();
    assert_eq!(states, [Role::Agent, Role::Worker, Role::Worker].map(|role| (role, State::Serving)));
    for process in &status.processes {
        assert!(table.contains(&format!(" {} ", process.pid)), "{table}");
    }
    assert!(!table.contains('\x1b'), "{table}");

    let watch = |line: &str| {
        let mut watch = site.command(line).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(watch.stdout.take().unwrap()).lines().map(Result::unwrap);
        (watch, lines)
    };
    let (tables, mut lines) = watch("status --watch");
    let (json, mut objects) = watch("status --watch --json");
    for _ in 0..2 {
        let table = lines.by_ref().take_while(|line| !line.is_empty()).collect::<Vec<_>>();
        assert_eq!(table.len(), 6, "{table:?}");
        let status: Status = serde_json::from_str(&objects.next().unwrap()).unwrap();
        assert_eq!(status.processes.len(), 3);
    }
    // It goes on over an upgrade, and ends with the cluster.
    site.run("upgrade").done();
    let generations = objects.by_ref().map(|line| serde_json::from_str::<Status>(&line).unwrap().generation);
    assert!(generations.into_iter().any(|generation| generation == 2));
    site.run("stop").done();
    for watch in [tables, json] {
        let said = watch.wait_with_output().unwrap();
        assert_eq!(said.status.code(), Some(1), "{said:?}");
        assert!(String::from_utf8(said.stderr).unwrap().contains("error: "));
    }
    site.assert_empty();
}

#[test]
fn a_supervisor_is_told_the_whole_course() {
    let mut site = site();
    let socket = UnixDatagram::bind(site.path("notify")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut beats = 0;
    let mut hear = || loop {
        let mut bytes = [0; 4096];
        let length = socket.recv(&mut bytes).unwrap();
        match String::from_utf8(bytes[..length].to_vec()).unwrap() {
            beat if beat == "WATCHDOG=1" => beats += 1,
            state => return state,
        }
    };
    let mut start = site.command("start");
    start.env("NOTIFY_SOCKET", site.path("notify")).env("WATCHDOG_USEC", "100000").stderr(Stdio::null());
    let mut master = start.spawn().unwrap();
    let pid = master.id();
    site.has_seen(pid);
    let ready = |generation: u32| {
        format!("READY=1\nMAINPID={pid}\nSTATUS=generation {generation} serves, with 2 workers")
    };
    assert_eq!(hear(), ready(1));
    signal(pid, Signal::HUP);
    let reloading = hear();
    let time = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").and_then(|rest| rest.split_once('\n'));
    assert!(time.is_some_and(|(time, _)| time.parse::<u64>().is_ok()), "{reloading}");
    assert_eq!(hear(), ready(2));
    // It is the next program that says so.
    signal(pid, Signal::USR2);
    loop {
        let state = hear();
        if state == ready(3) {
            break;
        }
        assert!(state.starts_with("RELOADING=1\n"), "{state}");
    }
    site.how("fail the moon is full");
    signal(pid, Signal::HUP);
    assert!(hear().starts_with("RELOADING=1\n"));
    let kept = hear();
    assert!(kept.starts_with(&format!("READY=1\nMAINPID={pid}\nSTATUS=the reload has failed: ")), "{kept}");
    // What the agent and the workers inherit is not for them.
    let environment = |pid: u32| fs::read(format!("/proc/{pid}/environ")).unwrap();
    let processes = site.status().processes;
    for process in processes.iter().filter(|process| process.state == State::Serving) {
        let text = String::from_utf8_lossy(&environment(process.pid)).into_owned();
        assert!(!text.contains("NOTIFY_SOCKET") && !text.contains("WATCHDOG_USEC"), "{text}");
    }
    signal(pid, Signal::TERM);
    assert!(hear().starts_with("STOPPING=1\n"));
    assert_eq!(master.wait().unwrap().code(), Some(0));
    assert!(beats > 0);
}

#[test]
fn a_socket_of_the_supervisor_is_listened_on() {
    let mut site = site();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    // As systemd does it: the socket is descriptor 3, and the variables name the process.
    let script = "exec 3<&0 </dev/null; LISTEN_PID=$$ exec \"$0\" start --listen fd:web";
    let mut start = site.command_of("sh", "-c");
    start.args([script, env!("CARGO_BIN_EXE_clustered")]).stdin(OwnedFd::from(listener.try_clone().unwrap()));
    let mut master =
        start.env("LISTEN_FDS", "1").env("LISTEN_FDNAMES", "web").stderr(Stdio::null()).spawn().unwrap();
    drop(start);
    site.has_seen(master.id());
    // It waits in the backlog until somebody serves.
    let mut wire = Wire::open(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(wire.response().status, 200);
    site.run("reload").done();
    site.run("upgrade").done();
    let mut wire = Wire::open(address, "GET / HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(wire.response().status, 200);
    site.run("stop").done();
    assert_eq!(master.wait().unwrap().code(), Some(0));
    // It is the supervisor's, who keeps it.
    drop(TcpListener::bind(address).unwrap_err());
}

#[test]
fn a_role_without_a_line_is_none() {
    let mut site = site();
    for role in ["daemon", "worker", "agent", "master"] {
        let mut master = site.command("start").env("CEPA_ROLE", role).stderr(Stdio::null()).spawn().unwrap();
        eventually("it serves", || site.run("status").code == Some(0));
        assert_eq!(site.status().master.pid, master.id());
        site.run("stop").done();
        assert_eq!(master.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn who_may_not_is_told_whose_it_is() {
    // Root may everything, so it is another user who may not.
    if !rustix::process::geteuid().is_root() || cepa_programs::find("setpriv").is_none() {
        return cepa_programs::has_not_run("who_may_not_is_told_whose_it_is", "needs root and setpriv");
    }
    let mut site = site();
    let program = site.program_for_all();
    site.run("start --daemon").done();
    site.status();
    for command in ["status", "stop", "start --daemon"] {
        let line = format!("--reuid=65534 --regid=65534 --clear-groups -- {} {command}", program.display());
        let denied = Said::from(site.command_of("setpriv", &line).output().unwrap()).failed();
        assert!(denied.ends_with(" belongs to user root; do this as that user, or as root"), "{denied}");
    }
    site.run("stop").done();
    site.assert_empty();
}

#[test]
fn what_root_starts_belongs_to_the_user_of_the_cluster() {
    if !rustix::process::geteuid().is_root() {
        return cepa_programs::has_not_run(
            "what_root_starts_belongs_to_the_user_of_the_cluster",
            "needs root",
        );
    }
    let site = site();
    let program = site.program_for_all();
    let line = "start --daemon --set cluster.user=65534 --set cluster.group=65534";
    for _ in 0..2 {
        let start = site.command_of(&program, line).output();
        Said::from(start.unwrap()).done();
        for file in ["run", "run/clustered.pid", "run/clustered.sock", "run/clustered.log"] {
            assert_eq!(fs::metadata(site.path(file)).unwrap().uid(), 65534, "{file}");
        }
        assert_eq!(site.run("stop").done(), "clustered has stopped\n");
    }
    site.assert_empty();
}

#[test]
fn how_far_a_long_stop_is_changes_a_line_on_a_terminal_and_is_a_line_elsewhere() {
    needs!("script", "bsdutils");
    let mut site = site();
    site.run("start --daemon").done();
    let status = site.status();
    let mut wire = Wire::open(address(&status), "GET /slow/7000 HTTP/1.1\r\nhost: a\r\n\r\n");
    eventually("the request is there", || {
        site.status().processes.iter().any(|process| process.connections > 0)
    });
    let piped = |mut command: Command| {
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).env("TERM", "xterm").spawn().unwrap()
    };
    let elsewhere = piped(site.command("stop"));
    let mut terminal = site.command_of("script", "-qec");
    terminal.arg(format!("{} stop", env!("CARGO_BIN_EXE_clustered"))).arg("/dev/null");
    let [elsewhere, terminal] =
        [elsewhere, piped(terminal)].map(|stop| Said::from(stop.wait_with_output().unwrap()));
    assert_eq!(wire.response().body, b"slow");
    site.assert_empty();

    let state = "stopping: workers: 1 draining with 1 connection";
    assert_eq!(elsewhere.error, format!("{state}\n"));
    assert_eq!(elsewhere.done(), "clustered has stopped\n");
    // `script` has one stream for both. What was written over is gone at the end.
    let said = terminal.done();
    assert!(said.contains(&format!("\x1b[2K{state} (3 s)\x1b")), "{said:?}");
    assert!(said.ends_with("\r\x1b[2Kclustered has stopped\r\n"), "{said:?}");
}

#[test]
fn completions_are_understood_by_their_shells() {
    let site = site();
    assert_eq!(site.run("completions").code, Some(2));
    let words = ["reload", "restart", "reopen"];
    for (shell, asks) in [
        (
            "bash",
            "source ./script; COMP_WORDS=(clustered re) COMP_CWORD=1; _clustered clustered re clustered; \
             printf '%s\\n' \"${COMPREPLY[@]}\"",
        ),
        ("fish", "source ./script; complete -C 'clustered re'"),
        // Completing is for a terminal only; what would be offered there is printed instead.
        (
            "zsh",
            "compdef() { }; source ./script; _describe() { print -l -- ${${(P)4}/:/$'\\t'} }; \
             _clustered_commands",
        ),
    ] {
        if cepa_programs::find(shell).is_none() {
            let missing = format!("no {shell}; apt-get install {shell}");
            cepa_programs::has_not_run("completions_are_understood_by_their_shells", &missing);
            continue;
        }
        fs::write(site.path("script"), site.run(&format!("completions {shell}")).done()).unwrap();
        let said = Said::from(site.command_of(shell, "-c").arg(asks).output().unwrap());
        assert_eq!(said.error, "", "{shell}");
        let lines: Vec<_> =
            said.out.lines().map(|line| line.split('\t').next().unwrap_or_default()).collect();
        for word in words {
            assert!(lines.contains(&word), "{shell}: {}", said.out);
        }
    }
}

#[test]
fn a_reload_is_seen_by_nobody_who_asks_all_the_time() {
    let mut site = site();
    site.run("start --daemon").done();
    let at = address(&site.status());
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let client = scope.spawn(|| {
            let mut count = 0;
            let mut wire = Wire::connect(at).unwrap();
            while !stop.load(Ordering::Relaxed) {
                wire.send("GET / HTTP/1.1\r\nhost: a\r\n\r\n");
                assert_eq!(wire.response().status, 200);
                count += 1;
            }
            count
        });
        site.run("reload").done();
        site.run("upgrade").done();
        stop.store(true, Ordering::Relaxed);
        assert!(client.join().unwrap() > 0);
    });
    site.status();
    site.run("stop").done();
    site.assert_empty();
}
