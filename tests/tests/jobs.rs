//! Jobs and schedules in a cluster of real processes: workers and the agent are killed, replaced and reloaded meanwhile.

#[path = "../../crates/cepa-bus/tests/shared/redis_server.rs"]
mod redis_server;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::Duration,
};

use cepa_cluster::control::{Request, Role};
use cepa_tests::{
    cluster::{Cluster, Starting, signal},
    http::{Failure, Response},
    stats::{eventually, pause},
    wire::Wire,
};
use rustix::process::Signal;

fn working() -> Starting {
    Starting::new(env!("CARGO_BIN_EXE_working")).set("cluster.workers=2").set("bus.store=shares.redb")
}

fn try_ask(to: SocketAddr, method: &str, path: &str, body: &str) -> Result<Response, Failure> {
    let mut wire = Wire::connect(to)?;
    let length = body.len();
    wire.try_send(format!(
        "{method} {path} HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n{body}"
    ))?;
    wire.try_response(false)
}

/// A request that is answered well: the text, and by whom.
#[track_caller]
fn ask(to: SocketAddr, method: &str, path: &str, body: &str) -> (String, u32) {
    let response = try_ask(to, method, path, body).expect("an answer");
    let text = String::from_utf8(response.body.clone()).expect("a text");
    assert_eq!(response.status, 200, "{text}");
    let pid = response.all("x-pid").next().and_then(|pid| pid.parse().ok());
    (text, pid.expect("an answer names its process"))
}

/// Adds a job: its number, and in which process.
#[track_caller]
fn add(to: SocketAddr, word: &str) -> (u64, u32) {
    let (number, pid) = ask(to, "POST", "/jobs/note", word);
    (number.parse().expect("a number"), pid)
}

/// A line of the journal.
#[derive(Clone, Debug)]
struct Line {
    what: String,
    words: Vec<String>,
    pid: u32,
}

impl Line {
    fn number(&self) -> u64 {
        self.words[0].parse().expect("a number")
    }
}

/// What the processes have done.
fn journal(folder: &Path) -> Vec<Line> {
    let text = fs::read_to_string(folder.join("journal")).unwrap_or_default();
    // The last line may be about to be written.
    let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
    let lines = lines.map(|line| {
        let mut words = line.split(' ').map(str::to_owned);
        let what = words.next().expect("a line has words");
        let mut words: Vec<_> = words.collect();
        let pid = words.pop().and_then(|pid| pid.parse().ok()).expect("it ends with the process");
        Line { what, words, pid }
    });
    lines.collect()
}

fn all(folder: &Path, what: &str) -> Vec<Line> {
    journal(folder).into_iter().filter(|line| line.what == what).collect()
}

fn done(folder: &Path) -> BTreeSet<u64> {
    all(folder, "done").iter().map(Line::number).collect()
}

fn agent(cluster: &mut Cluster) -> u32 {
    let processes = cluster.status().processes.into_iter();
    processes.filter(|process| process.role == Role::Agent).map(|agent| agent.pid).next().expect("an agent")
}

fn run_schedule(cluster: &Cluster, name: &str) -> Command {
    let mut command = Command::new(cluster.program());
    command.args(["run-schedule", name]).current_dir(cluster.folder()).env("CEPA_ENV", "test");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// The exit code, and what it has said.
fn told(output: &Output) -> (Option<i32>, String) {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn workers_share_out_what_any_of_them_was_given() {
    let cluster = working().start();
    let to = cluster.address();
    let mut added = BTreeMap::new();
    for _ in 0..60 {
        let (number, pid) = add(to, "slow");
        assert!(added.insert(number, pid).is_none(), "{number} was given twice");
    }
    let adders: BTreeSet<_> = added.values().collect();
    assert_eq!(adders.len(), 2, "both take requests");
    eventually("all are done", || done(cluster.folder()).len() == 60);
    let lines = all(cluster.folder(), "done");
    assert_eq!(lines.len(), 60, "each is done once");
    let doers: BTreeSet<_> = lines.iter().map(|line| line.pid).collect();
    assert_eq!(doers.len(), 2, "both do them");
    eventually("none is left", || ask(to, "GET", "/jobs", "").0 == "0 0 0");
    cluster.stop();
}

#[test]
fn what_a_killed_worker_was_at_is_done_by_another_at_once() {
    let mut cluster = working().start();
    let to = cluster.address();
    let (number, _) = add(to, "hang");
    eventually("it has begun", || !all(cluster.folder(), "begun").is_empty());
    let first = all(cluster.folder(), "begun")[0].pid;
    assert!(cluster.serving().iter().any(|worker| worker.pid == first));
    signal(first, Signal::KILL);
    eventually("it is done", || done(cluster.folder()).contains(&number));
    let second = all(cluster.folder(), "done")[0].clone();
    assert_ne!(second.pid, first);
    assert_eq!(second.words[2], "2", "the attempt of the killed one counts");
    eventually("none is left", || ask(to, "GET", "/jobs", "").0 == "0 0 0");
    cluster.wait_until_it_is_calm();
    cluster.stop();
}

/// Adds jobs until it is told to end; gives the numbers of those that were promised.
fn keep_adding(to: SocketAddr, ending: &std::sync::atomic::AtomicBool) -> Vec<u64> {
    let mut promised = Vec::new();
    while !ending.load(std::sync::atomic::Ordering::Relaxed) {
        match try_ask(to, "POST", "/jobs/note", "quick") {
            Ok(response) if response.status == 200 => {
                let number = String::from_utf8(response.body).ok().and_then(|text| text.parse().ok());
                promised.push(number.expect("a number"));
            }
            // It fails plainly: nothing was promised.
            Ok(response) => assert_eq!(response.status, 503),
            // It was in a killed worker.
            Err(_) => {}
        }
    }
    promised
}

/// Kills processes of a cluster while jobs are added, and sees all that were promised done.
fn kill_and_see_all_done(mut cluster: Cluster, mut kill: impl FnMut(&mut Cluster, u32)) {
    let to = cluster.address();
    let ending = std::sync::atomic::AtomicBool::new(false);
    let promised: Vec<u64> = thread::scope(|scope| {
        let clients: Vec<_> = (0..3).map(|_| scope.spawn(|| keep_adding(to, &ending))).collect();
        for round in 0..4 {
            let before = done(cluster.folder()).len();
            eventually("more is done", || done(cluster.folder()).len() >= before + 20);
            kill(&mut cluster, round);
        }
        let before = done(cluster.folder()).len();
        eventually("it goes on", || done(cluster.folder()).len() >= before + 20);
        ending.store(true, std::sync::atomic::Ordering::Relaxed);
        clients.into_iter().flat_map(|client| client.join().expect("a client goes on")).collect()
    });
    let numbers: BTreeSet<_> = promised.iter().copied().collect();
    assert_eq!(numbers.len(), promised.len(), "a number was given twice");
    assert!(numbers.len() > 80, "{} were promised", numbers.len());
    eventually("all that was promised is done", || done(cluster.folder()).is_superset(&numbers));
    eventually("none is left", || ask(to, "GET", "/jobs", "").0 == "0 0 0");
    // As many as were at work in those that were killed.
    let lines = all(cluster.folder(), "done").len();
    let again = lines - done(cluster.folder()).len();
    assert!(again <= 4 * 8, "{again} were done again");
    cluster.wait_until_it_is_calm();
    cluster.stop();
}

#[test]
fn nothing_that_was_promised_is_lost_when_the_agent_is_killed() {
    kill_and_see_all_done(working().start(), |cluster, _| {
        let before = agent(cluster);
        signal(before, Signal::KILL);
        eventually("there is another", || agent(cluster) != before);
    });
}

#[test]
fn nothing_that_was_promised_is_lost_when_workers_are_killed_or_reloaded() {
    kill_and_see_all_done(working().start(), |cluster, round| {
        if round % 2 == 0 {
            let worker = cluster.serving()[0].pid;
            signal(worker, Signal::KILL);
            eventually("there is another", || {
                let serving = cluster.serving();
                serving.len() == 2 && serving.iter().all(|other| other.pid != worker)
            });
        } else {
            cluster.ask(&Request::Reload).expect("it is reloaded");
        }
    });
}

#[test]
fn what_was_promised_is_done_by_the_next_cluster_when_all_of_one_is_killed() {
    let mut cluster = working().start();
    let to = cluster.address();
    let numbers: BTreeSet<u64> = (0..30).map(|_| add(to, "slow").0).collect();
    let pids: Vec<_> = cluster.status().processes.iter().map(|process| process.pid).collect();
    signal(cluster.pid(), Signal::KILL);
    pids.iter().for_each(|pid| signal(*pid, Signal::KILL));
    eventually("all are gone", || !pids.iter().any(|pid| cepa_tests::cluster::is_alive(*pid)));
    // In place, by the way of somebody who runs no cluster.
    let output = run_schedule(&cluster, "fine").output().unwrap();
    let (code, text) = told(&output);
    assert!(code == Some(0) && text.starts_with("fine: done\n"), "{text}");
    let mut again = Command::new(cluster.program());
    again.args(["start", "--listen", "127.0.0.1:0", "--set", "cluster.workers=2"]);
    again.current_dir(cluster.folder()).env("CEPA_ENV", "test").stderr(Stdio::null());
    let mut again = again.spawn().unwrap();
    eventually("all are done", || done(cluster.folder()).is_superset(&numbers));
    signal(again.id(), Signal::TERM);
    assert!(again.wait().unwrap().success());
}

#[test]
fn what_only_new_workers_know_is_left_to_them() {
    let cluster = working().start();
    let to = cluster.address();
    let unknown = try_ask(to, "POST", "/jobs/new", "word").unwrap();
    assert_eq!(unknown.status, 500);
    cluster.how("new");
    cluster.ask(&Request::Reload).unwrap();
    let (old, _) = add(to, "quick");
    ask(to, "POST", "/jobs/new", "word");
    eventually("both are done", || {
        done(cluster.folder()).contains(&old) && all(cluster.folder(), "new").len() == 1
    });
    cluster.stop();
}

#[test]
fn one_of_two_workers_runs_a_schedule_at_each_of_its_times() {
    let mut cluster = working().start();
    eventually("it runs", || all(cluster.folder(), "tick").len() >= 10);
    let serving = cluster.serving();
    signal(serving[0].pid, Signal::KILL);
    let before = all(cluster.folder(), "tick").len();
    eventually("it goes on", || all(cluster.folder(), "tick").len() >= before + 5);
    cluster.ask(&Request::Reload).unwrap();
    let before = all(cluster.folder(), "tick").len();
    eventually("it goes on", || all(cluster.folder(), "tick").len() >= before + 5);
    let times: Vec<_> = all(cluster.folder(), "tick").iter().map(Line::number).collect();
    let each: BTreeSet<_> = times.iter().collect();
    assert_eq!(each.len(), times.len(), "each time has one run: {times:?}");
    assert!(each.iter().all(|time| **time % 200 == 0), "{times:?}");
    cluster.stop();
}

#[test]
fn a_schedule_is_run_by_hand_in_a_worker_and_how_it_ends_is_told() {
    let mut cluster = working().start();
    let run = |cluster: &Cluster, name| told(&run_schedule(cluster, name).output().unwrap());
    assert_eq!(run(&cluster, "fine"), (Some(0), "fine: done\n".to_owned()));
    let by = all(cluster.folder(), "fine")[0].pid;
    assert!(cluster.serving().iter().any(|worker| worker.pid == by), "it was a worker of the cluster");
    let (code, text) = run(&cluster, "bad");
    assert_eq!((code, text.lines().last()), (Some(1), Some("error: bad: failed: no luck")));
    let (code, text) = run(&cluster, "fien");
    assert_eq!(code, Some(1));
    assert!(
        text.contains("there is no schedule `fien`; there are `bad`, `fine`, `hang`, `slow`, `tick`"),
        "{text}"
    );
    // A worker that leaves finishes what it runs, and says so.
    let slow = run_schedule(&cluster, "slow").spawn().unwrap();
    eventually("it runs", || !all(cluster.folder(), "slow").is_empty());
    cluster.ask(&Request::Reload).unwrap();
    let (code, text) = told(&slow.wait_with_output().unwrap());
    assert_eq!((code, &*text), (Some(0), "slow: done\n"));
    let hangs = run_schedule(&cluster, "hang").spawn().unwrap();
    eventually("it runs", || !all(cluster.folder(), "hang").is_empty());
    signal(all(cluster.folder(), "hang")[0].pid, Signal::KILL);
    let (code, text) = told(&hangs.wait_with_output().unwrap());
    assert_eq!(code, Some(1));
    assert!(text.contains("the worker that ran it has left before it said how that ended"), "{text}");
    cluster.wait_until_it_is_calm();
    let folder = cluster.folder().to_owned();
    let runs = all(&folder, "fine").len();
    signal(cluster.pid(), Signal::TERM);
    cluster.ended();
    let (code, text) = run(&cluster, "fine");
    assert!(code == Some(0) && text.starts_with("fine: done\n"), "{text}");
    assert_eq!(all(&folder, "fine").len(), runs + 1);
}

#[test]
fn durable_shares_and_queues_are_the_same_after_a_reload_and_shares_after_the_agent_was_killed() {
    let mut cluster = working().start();
    let to = cluster.address();
    let visit = || ask(to, "POST", "/visits", "").0.parse::<u64>().unwrap();
    for count in 1..=10 {
        assert_eq!(visit(), count);
    }
    let log = || ask(to, "GET", "/log", "").0;
    let expected = (1..=10).map(|count| format!("{count} ")).collect::<String>();
    eventually("the log is there", || log() == expected);
    let before: BTreeSet<_> = cluster.serving().iter().map(|worker| worker.pid).collect();
    cluster.ask(&Request::Reload).unwrap();
    assert!(cluster.serving().iter().all(|worker| !before.contains(&worker.pid)));
    assert_eq!(visit(), 11);
    eventually("the log goes on", || log() == format!("{expected}11 "));
    let killed = agent(&mut cluster);
    signal(killed, Signal::KILL);
    eventually("there is another", || agent(&mut cluster) != killed);
    eventually("it is there", || {
        try_ask(to, "POST", "/visits", "").is_ok_and(|response| response.status == 200)
    });
    assert!(visit() >= 13);
    cluster.stop();
}

#[test]
fn jobs_in_redis_outlive_workers_and_redis() {
    cepa_programs::needs!("redis-server");
    let mut redis = redis_server::Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
    let store = format!("jobs.store=redis://127.0.0.1:{}", redis.port());
    let starting = working().set(&store).set("jobs.lease=3s");
    kill_and_see_all_done(starting.start(), |cluster, round| {
        if round % 2 == 0 {
            signal(cluster.serving()[0].pid, Signal::KILL);
        } else {
            redis.kill();
            pause(Duration::from_millis(100));
            redis.start_again();
        }
    });
}
