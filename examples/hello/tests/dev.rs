//! `dev` as a process among processes, with a cargo that says what the test wants; `tests/tests/dev.rs` has a real one.

#![allow(clippy::unwrap_used, reason = "a panic is a test's answer, also where tests share code")]

use std::{
    fs,
    io::{self, Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// Says the messages that lie beside it, and waits while there is a file `wait`.
const CARGO: &str = r#"#!/bin/sh
cd "$(dirname "$0")"
if [ "$1" = metadata ]; then
    cat metadata
    exit
fi
echo begun >> builds
while [ -e wait ]; do sleep 0.02; done
cat messages
cat said >&2
exit "$(cat code)"
"#;

/// `dev` at work for a package of the test's own, in which nothing is ever compiled.
struct Dev {
    folder: TempDir,
    child: Child,
    address: String,
}

impl Dev {
    fn new(prepare: impl FnOnce(&Path)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = fs::canonicalize(folder.path()).unwrap();
        for name in ["src", "config", "public", "cargo"] {
            fs::create_dir(path.join(name)).unwrap();
        }
        fs::write(path.join("src/main.rs"), "").unwrap();
        fs::write(path.join("cargo/cargo"), CARGO).unwrap();
        fs::set_permissions(path.join("cargo/cargo"), PermissionsExt::from_mode(0o755)).unwrap();
        let at = path.display();
        let metadata = format!(
            r#"{{"packages":[{{"id":"hello","name":"hello","source":null,"manifest_path":"{at}/Cargo.toml","default_run":null,
            "targets":[{{"name":"hello","kind":["bin"],"src_path":"{at}/src/main.rs"}}]}}],"workspace_members":["hello"],
            "resolve":{{"root":"hello","nodes":[]}},"target_directory":"{at}/target","workspace_root":"{at}"}}"#
        );
        fs::write(path.join("cargo/metadata"), metadata).unwrap();
        let message = format!(
            r#"{{"reason":"compiler-artifact","target":{{"name":"hello","kind":["bin"]}},"executable":"{}","fresh":false}}"#,
            env!("CARGO_BIN_EXE_hello")
        );
        fs::write(path.join("cargo/messages"), message).unwrap();
        fs::write(path.join("cargo/said"), "").unwrap();
        fs::write(path.join("cargo/code"), "0").unwrap();
        prepare(&path);
        let log = fs::File::create(path.join("log")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hello"));
        command.args(["dev", "--listen", "127.0.0.1:0", "--workers", "1"]).current_dir(&path);
        // What cargo tells a test is about this package.
        command.env_remove("CARGO_MANIFEST_DIR").env("CARGO", path.join("cargo/cargo")).stderr(log);
        let child = command.stdin(Stdio::null()).spawn().unwrap();
        let mut dev = Self { folder, child, address: String::new() };
        let log = dev.wait_for("; Ctrl-C stops", 1);
        dev.address = log.split("dev: http://").nth(1).unwrap().split(';').next().unwrap().to_owned();
        dev
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Waits until the log has so many of these; the log.
    fn wait_for(&self, part: &str, times: usize) -> String {
        let mut log = String::new();
        wait(|| {
            log = fs::read_to_string(self.path("log")).unwrap_or_default();
            log.matches(part).count() >= times
        });
        log
    }

    /// Puts a file in its place as a whole, as editors do: half of it would be another change.
    fn change(&self, name: &str, text: &str) {
        let beside = self.path(&format!("{name}~"));
        fs::write(&beside, text).unwrap();
        fs::rename(beside, self.path(name)).unwrap();
    }

    /// What is answered, whole.
    fn get(&self, path: &str, headers: &str) -> io::Result<String> {
        let mut socket = TcpStream::connect(&self.address)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        write!(socket, "GET {path} HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n{headers}\r\n")?;
        let mut answer = String::new();
        socket.read_to_string(&mut answer)?;
        Ok(answer)
    }

    /// The first event that pages are told.
    fn event(&self) -> String {
        let mut socket = TcpStream::connect(&self.address).unwrap();
        write!(socket, "GET /__dev/events HTTP/1.1\r\nHost: a.test\r\n\r\n").unwrap();
        let (mut told, mut piece) = (String::new(), [0; 4096]);
        while !(told.contains("data: ") && told.contains("}\n\n")) {
            let length = socket.read(&mut piece).unwrap();
            assert!(length > 0, "{told}");
            told.push_str(std::str::from_utf8(&piece[..length]).unwrap());
        }
        told.split("data: ").nth(1).unwrap().split('\n').next().unwrap().to_owned()
    }

    /// Waits until so many of the processes that it has started have this on their command line.
    fn wait_for_processes(&self, with: &str, count: usize) -> Vec<u32> {
        let mut found = Vec::new();
        wait(|| {
            let tasks =
                fs::read_dir(format!("/proc/{}/task", self.child.id())).into_iter().flatten().flatten();
            let lists = tasks.filter_map(|task| fs::read_to_string(task.path().join("children")).ok());
            let all = lists.collect::<Vec<_>>().join(" ");
            let has_it = |id: &str| {
                fs::read_to_string(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.contains(with))
            };
            found = all
                .split_ascii_whitespace()
                .filter(|id| has_it(id))
                .filter_map(|id| id.parse().ok())
                .collect();
            found.len() == count
        });
        found
    }

    fn end(&mut self) -> ExitStatus {
        kill("-TERM", self.child.id());
        self.child.wait().unwrap()
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Says that a test is done.
struct Done<'a>(&'a AtomicBool);

impl Drop for Done<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn kill(signal: &str, process: u32) {
    assert!(Command::new("kill").args([signal, &process.to_string()]).status().unwrap().success());
}

fn wait(mut until: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !until() {
        assert!(Instant::now() < deadline, "it does not come");
        thread::yield_now();
    }
}

#[test]
fn no_request_fails_while_programs_change() {
    let mut dev = Dev::new(|_| {});
    dev.wait_for("serving on", 1);
    let first = dev.event();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        // Also when something fails, or the client would go on for ever.
        let done_at_last = Done(&done);
        let client = scope.spawn(|| {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                let answer = dev.get("/", "").unwrap();
                assert!(
                    answer.starts_with("HTTP/1.1 200 OK") && answer.ends_with("Hello, onion"),
                    "{answer}"
                );
                count += 1;
            }
            count
        });
        for round in 2..5 {
            dev.change("src/main.rs", &round.to_string());
            dev.wait_for("serving on", round);
        }
        // The configuration is read by a program that starts; nothing is built for that.
        dev.change("config/default.toml", "[log]\nlevel = 'debug'\n");
        dev.wait_for("serving on", 5);
        drop(done_at_last);
        assert!(client.join().unwrap() > 10);
    });
    assert_eq!(fs::read_to_string(dev.path("cargo/builds")).unwrap(), "begun\n".repeat(4));
    let last = dev.event();
    assert_ne!(first, last);
    // A public file is read for each request: the page is told, by the same program.
    let children = dev.wait_for_processes("serve-dev", 1);
    dev.change("public/style.css", "p {}");
    wait(|| dev.event() != last);
    assert_eq!(dev.wait_for_processes("serve-dev", 1), children);
    assert!(dev.end().success());
    assert!(TcpStream::connect(&dev.address).is_err(), "nobody is left to listen");
}

#[test]
fn what_is_wrong_is_told_by_whoever_answers() {
    let broken = r#"{"reason":"compiler-message","message":{"level":"error","rendered":"\u001b[1merror\u001b[0m: no <onion>\n"}}"#;
    let mut dev = Dev::new(|path| {
        fs::rename(path.join("cargo/messages"), path.join("cargo/good")).unwrap();
        fs::write(path.join("cargo/messages"), broken).unwrap();
        fs::write(path.join("cargo/code"), "101").unwrap();
    });
    // Nothing was ever built.
    dev.wait_for("dev: the build has failed", 1);
    let answer = dev.get("/", "Accept: text/html\r\n").unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("error: no &lt;onion&gt;"), "{answer}");
    assert!(answer.contains("<script src=\"/__dev/script.js\""), "{answer}");
    let answer = dev.get("/", "").unwrap();
    assert!(answer.contains("\r\n\r\nThe build has failed\n\nerror: no <onion>\n"), "{answer}");
    assert!(dev.event().contains(r#""title":"The build has failed""#));

    // Built, but it does not start.
    fs::copy(dev.path("cargo/good"), dev.path("cargo/messages")).unwrap();
    dev.change("cargo/code", "0");
    dev.change("config/default.toml", "[onoin]\n");
    dev.change("src/main.rs", "2");
    dev.wait_for("dev: the app does not start: ", 1);
    wait(|| dev.get("/", "").unwrap().contains("config/default.toml:1: unknown section"));

    dev.change("config/default.toml", "");
    dev.wait_for("serving on", 1);
    wait(|| dev.get("/", "").unwrap().ends_with("Hello, onion"));
    assert!(dev.event().contains(r#""trouble":null"#));

    // What serves goes on, and its pages are told.
    fs::write(dev.path("cargo/messages"), "").unwrap();
    dev.change("cargo/said", "error: no such manifest");
    dev.change("cargo/code", "101");
    dev.change("src/main.rs", "3");
    dev.wait_for("dev: the build has failed", 2);
    assert!(dev.get("/", "").unwrap().ends_with("Hello, onion"));
    wait(|| dev.event().contains("no such manifest"));
    dev.change("config/default.toml", "[onoin]\n");
    dev.wait_for("dev: the app does not start: ", 2);
    wait(|| dev.event().contains("dev.overlap = false"));
    dev.change("config/default.toml", "");
    dev.wait_for("serving on", 2);

    // The program ends by itself.
    kill("-KILL", dev.wait_for_processes("serve-dev", 1)[0]);
    dev.wait_for("dev: the app has ended: signal: 9", 1);
    wait(|| dev.get("/", "").unwrap().contains("The app has ended"));
    assert!(dev.end().success());
}

#[test]
fn the_old_program_answers_while_a_build_is_slow_and_a_new_change_ends_it() {
    let mut dev = Dev::new(|_| {});
    dev.wait_for("serving on", 1);
    dev.change("cargo/wait", "");
    dev.change("src/main.rs", "2");
    wait(|| fs::read_to_string(dev.path("cargo/builds")).unwrap().lines().count() == 2);
    assert!(dev.get("/", "").unwrap().ends_with("Hello, onion"));
    wait(|| dev.event().contains(r#""building":true"#));
    let slow = dev.wait_for_processes("cargo\0build", 1);
    dev.change("src/main.rs", "3");
    wait(|| fs::read_to_string(dev.path("cargo/builds")).unwrap().lines().count() == 3);
    wait(|| dev.wait_for_processes("cargo\0build", 1) != slow);
    // Ctrl-C ends the build that is under way, too.
    let children =
        [dev.wait_for_processes("cargo\0build", 1), dev.wait_for_processes("serve-dev", 1)].concat();
    assert!(dev.end().success());
    wait(|| children.iter().all(|child| !Path::new(&format!("/proc/{child}")).exists()));
}

#[test]
fn a_program_that_cannot_share_ends_before_the_next_begins_and_requests_wait() {
    let mut dev =
        Dev::new(|path| fs::write(path.join("config/default.toml"), "[dev]\noverlap = false\n").unwrap());
    dev.wait_for("serving on", 1);
    let first = dev.wait_for_processes("serve-dev", 1);
    dev.change("src/main.rs", "2");
    dev.wait_for("; starting", 2);
    assert!(dev.get("/", "").unwrap().ends_with("Hello, onion"));
    let log = dev.wait_for("cepa: listening on", 2);
    assert!(log.rfind("cepa: stopped").unwrap() < log.rfind("cepa: listening on").unwrap(), "{log}");
    assert!(!Path::new(&format!("/proc/{}", first[0])).exists());
    assert!(dev.end().success());
}

#[test]
fn without_dev_the_program_goes() {
    let mut dev = Dev::new(|_| {});
    dev.wait_for("serving on", 1);
    let children = dev.wait_for_processes("serve-dev", 1);
    dev.child.kill().unwrap();
    dev.child.wait().unwrap();
    wait(|| !Path::new(&format!("/proc/{}", children[0])).exists());
}

#[test]
fn what_cannot_be_developed_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hello"));
    command.arg("dev").current_dir(&folder).env_remove("CARGO_MANIFEST_DIR").env("CARGO", "/no/cargo");
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: cargo cannot be run: "));
}
