//! Runs the program as its users do: from the command line to the answer over a socket.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

fn hello(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hello"));
    command.args(arguments).env("NO_COLOR", "1");
    command
}

/// A server that is ended with the test.
struct Serving(Child);

impl Drop for Serving {
    fn drop(&mut self) {
        // It may have ended by itself, if the test fails because of that.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_says_hello() {
    let child = hello(&["--listen", "127.0.0.1:0", "--workers", "1"]).stderr(Stdio::piped()).spawn();
    let mut serving = Serving(child.unwrap());
    let log = BufReader::new(serving.0.stderr.take().unwrap());
    let address = log.lines().find_map(|line| {
        let line = line.unwrap();
        let (_, at) = line.split_once("listening on http://")?;
        Some(at.split(';').next().unwrap_or(at).to_owned())
    });
    let mut socket = TcpStream::connect(address.unwrap()).unwrap();
    socket.write_all(b"GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n").unwrap();
    let mut answer = String::new();
    socket.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-response-time: "), "{answer}");
    assert!(answer.ends_with("\r\n\r\nHello, onion"), "{answer}");
}

/// Waits until a file has a line with that in it.
fn wait_for(path: &Path, part: &str) {
    let until = Instant::now() + Duration::from_secs(60);
    while !fs::read_to_string(path).is_ok_and(|text| text.contains(part)) {
        assert!(Instant::now() < until, "{}: no {part:?}", path.display());
        thread::yield_now();
    }
}

#[test]
fn it_opens_its_log_anew_and_writes_the_last_line() {
    let folder = tempfile::tempdir().unwrap();
    let (log, moved) = (folder.path().join("hello.log"), folder.path().join("moved.log"));
    let appender = format!("log.appenders.file={{type='date_file', filename='{}'}}", log.display());
    let settings = ["--set", &appender, "--set", "log.categories.default.appenders=['file']"];
    let arguments = [&["--listen", "127.0.0.1:0", "--workers", "1"][..], &settings].concat();
    let mut serving = Serving(hello(&arguments).stderr(Stdio::null()).spawn().unwrap());
    let signal = |name: &str| {
        let status = Command::new("kill").args([name, &serving.0.id().to_string()]).status();
        assert!(status.unwrap().success());
    };

    wait_for(&log, "listening on http://");
    fs::rename(&log, &moved).unwrap();
    signal("-HUP");
    wait_for(&log, "SIGHUP: log files are opened anew");
    signal("-TERM");
    assert!(serving.0.wait().unwrap().success());
    let text = fs::read_to_string(&log).unwrap();
    assert!(text.ends_with(" INFO cepa: stopped\n") && !text.contains("listening"), "{text}");
}

#[test]
fn it_lists_its_routes() {
    let output = hello(&["routes"]).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success());
    assert!(text.contains("GET") && text.contains("src/main.rs:12"), "{text}");
}

#[test]
fn it_is_what_the_first_page_shows() {
    let readme = include_str!("../../../README.md");
    let (_, source) = include_str!("../src/main.rs").split_once("\n\n").unwrap();
    assert!(readme.contains(&format!("\n{source}```\n")));
}
