//! Runs the program as its users do, and ends it as nobody should.

use std::{
    collections::BTreeSet,
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use cepa::Boot;

fn program(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parcels"));
    let setting = |key: &str, file: &str| format!("{key}={}", folder.join(file).display());
    command.args(arguments);
    command.args([
        "--set",
        &setting("jobs.path", "jobs.redb"),
        "--set",
        &setting("ledger.path", "ledger.txt"),
    ]);
    command.env("NO_COLOR", "1").stderr(Stdio::piped());
    command
}

/// A server that is ended with the test.
struct Serving {
    child: Child,
    address: String,
    log: PathBuf,
}

impl Serving {
    fn start(folder: &Path) -> Self {
        let arguments = ["serve", "--listen", "127.0.0.1:0", "--workers", "2"];
        let mut child = program(folder, &arguments).spawn().expect("the program starts");
        let mut lines = BufReader::new(child.stderr.take().expect("it is a pipe")).lines();
        let address = lines.find_map(|line| {
            let line = line.ok()?;
            let (_, at) = line.split_once("listening on http://")?;
            Some(at.split(';').next().unwrap_or(at).to_owned())
        });
        let log = folder.join("log");
        let mut copy = fs::File::create(&log).expect("the folder is there");
        // Read to its end, so that the program never waits for its log.
        thread::spawn(move || lines.map_while(Result::ok).try_for_each(|line| writeln!(copy, "{line}")));
        Self { child, address: address.expect("it listens"), log }
    }

    fn signal(&self, name: &str) {
        let status = Command::new("kill").args([name, &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill {name}");
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Sends a request, and reads the body of a response that came whole.
fn send(address: &str, method: &str, body: &str) -> Option<String> {
    let mut socket = TcpStream::connect(address).ok()?;
    let length = body.len();
    let head = format!(
        "{method} /parcels HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: {length}\r\n\r\n"
    );
    socket.write_all(format!("{head}{body}").as_bytes()).ok()?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "))?;
    (length.parse() == Ok(body.len())).then(|| body.to_owned())
}

/// The numbers in the ledger behind a word.
fn ledger(folder: &Path, word: &str) -> Vec<u64> {
    let text = fs::read_to_string(folder.join("ledger.txt")).unwrap_or_default();
    let numbers = text.lines().filter_map(|line| line.strip_prefix(word)?.split(' ').nth(1)?.parse().ok());
    numbers.collect()
}

/// Lets time pass.
#[expect(clippy::disallowed_methods, reason = "no connection is served on this thread")]
fn pause(time: Duration) {
    thread::sleep(time);
}

fn eventually(what: &str, so: impl Fn() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !so() {
        assert!(Instant::now() < until, "{what}");
        pause(Duration::from_millis(20));
    }
}

#[test]
fn what_was_accepted_is_delivered_though_the_process_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut accepted = BTreeSet::new();
    for round in 0..4 {
        let mut serving = Serving::start(folder.path());
        let clients: Vec<_> = (0..4)
            .map(|_| {
                let address = serving.address.clone();
                thread::spawn(move || {
                    let sent = std::iter::from_fn(|| send(&address, "POST", "Ada"));
                    sent.map(|number| number.parse::<u64>().expect("a number")).collect::<Vec<_>>()
                })
            })
            .collect();
        pause(Duration::from_millis(150 + 70 * round));
        serving.child.kill().unwrap();
        serving.child.wait().unwrap();
        for client in clients {
            for number in client.join().unwrap() {
                assert!(accepted.insert(number), "number {number} was given twice");
            }
        }
    }
    assert!(accepted.len() > 20, "{} were accepted", accepted.len());

    let mut serving = Serving::start(folder.path());
    let delivered = || ledger(folder.path(), "delivered").into_iter().collect::<BTreeSet<_>>();
    eventually("all are delivered", || delivered().is_superset(&accepted));
    let all_done =
        || send(&serving.address, "GET", "").is_some_and(|text| text.starts_with("0 waiting, 0 on"));
    eventually("none is left", all_done);
    assert_eq!(send(&serving.address, "GET", "").as_deref(), Some("0 waiting, 0 on their way, 0 came back"));
    let again = ledger(folder.path(), "delivered").len() - delivered().len();
    assert!(again <= 4 * 8, "{again} were delivered twice: more than were on their way");
    serving.signal("-TERM");
    assert!(serving.child.wait().unwrap().success());
}

#[test]
fn what_comes_back_is_kept_and_complained_about() {
    let folder = tempfile::tempdir().unwrap();
    let mut serving = Serving::start(folder.path());
    for to in ["nowhere", "a busy place", "Ada"] {
        send(&serving.address, "POST", to).expect("it is accepted");
    }
    eventually("two are delivered", || ledger(folder.path(), "delivered").len() == 2);
    eventually("one came back", || {
        send(&serving.address, "GET", "").is_some_and(|text| text.ends_with("1 came back"))
    });
    eventually("all are noted", || ledger(folder.path(), "accepted").len() == 3);
    // The file is the server's.
    let output = program(folder.path(), &["run-schedule", "complain"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(!output.status.success() && text.contains("another process uses it"), "{text}");
    serving.signal("-TERM");
    assert!(serving.child.wait().unwrap().success());
    eventually("the log is read", || {
        fs::read_to_string(&serving.log).is_ok_and(|log| log.contains("stopped"))
    });

    let output = program(folder.path(), &["run-schedule", "complain"]).output().unwrap();
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains("parcel 1 came back: there is no such place"), "{text}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "complain: done\n");
    let unknown = program(folder.path(), &["run-schedule", "complian"]).output().unwrap();
    let text = String::from_utf8(unknown.stderr).unwrap();
    assert_eq!(unknown.status.code(), Some(1));
    assert!(text.contains("there is no schedule `complian`; there are `complain`"), "{text}");
    assert!(program(folder.path(), &["check"]).output().unwrap().status.success());
}

#[test]
fn a_start_that_hangs_is_given_up_by_a_signal() {
    let folder = tempfile::tempdir().unwrap();
    // To open one for writing waits for a reader.
    let pipe = Command::new("mkfifo").arg(folder.path().join("ledger.txt")).status();
    assert!(pipe.is_ok_and(|status| status.success()));
    let settings = ["serve", "--listen", "127.0.0.1:0", "--set", "lifecycle.slow=50ms"];
    let mut child = program(folder.path(), &settings).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let slow = lines.find(|line| line.contains("has been at work for 50ms")).unwrap();
    assert!(slow.contains("did_load of the plugin `ledger`"), "{slow}");
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status();
    assert!(killed.is_ok_and(|status| status.success()));
    assert!(lines.any(|line| line.contains("SIGTERM: the start is given up")));
    assert!(child.wait().unwrap().success());
}

#[test]
fn without_a_process() {
    let folder = tempfile::tempdir().unwrap();
    let setting = |key: &str, file: &str| format!("{key}={}", folder.path().join(file).display());
    let (jobs, path) = (setting("jobs.path", "jobs.redb"), setting("ledger.path", "ledger.txt"));
    tokio::runtime::LocalRuntime::new().unwrap().block_on(async {
        let boot = Boot::load_with("test", &[&jobs, &path]).unwrap().plugin(parcels::ledger::LedgerPlugin);
        let started = boot.start(parcels::app).await.unwrap();
        assert_eq!(started.client().post("/parcels").await.status(), 422);
        assert_eq!(started.client().post("/parcels").body("Ada").await.text(), "1");
        assert_eq!(started.run_jobs().await, Ok(1));
        started.close().await;
    });
    assert_eq!(ledger(folder.path(), "accepted"), [1]);
    assert_eq!(ledger(folder.path(), "delivered"), [1]);
}
