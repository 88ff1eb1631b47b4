//! A Redis server of a test's own.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError, Weak},
    thread,
    time::Duration,
};

use cepa_bus::Backend;
use tempfile::TempDir;

/// A server on a port of its own, whose folder outlives its end.
pub(crate) struct Redis {
    child: Child,
    port: u16,
    folder: TempDir,
    options: Vec<String>,
}

/// One server for all tests that use it at the same time.
#[allow(dead_code, reason = "each test file uses its part")]
pub(crate) fn shared() -> Arc<Redis> {
    static SHARED: Mutex<Weak<Redis>> = Mutex::new(Weak::new());
    let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
    shared.upgrade().unwrap_or_else(|| {
        let server = Arc::new(Redis::start(&["--appendonly", "no"]));
        *shared = Arc::downgrade(&server);
        server
    })
}

#[allow(dead_code, reason = "each test file uses its part")]
impl Redis {
    pub(crate) fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let options: Vec<_> = options.iter().map(|&option| option.to_owned()).collect();
        // Between here and there another program may take the port.
        for _ in 0..5 {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
            let port = listener.local_addr().expect("an address").port();
            drop(listener);
            if let Some(child) = spawn(port, &folder, &options) {
                return Self { child, port, folder, options };
            }
        }
        panic!("redis-server does not start");
    }

    pub(crate) fn backend(&self) -> Backend {
        format!("redis://127.0.0.1:{}", self.port).parse().expect("an address")
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Kills it, as a fault would.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it runs");
        self.child.wait().expect("it ends");
    }

    pub(crate) fn start_again(&mut self) {
        self.child = spawn(self.port, &self.folder, &self.options).expect("redis-server starts again");
    }

    /// Sends it a signal, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let sent = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(sent.expect("a program").success());
    }

    /// Does a command, and answers what it says as it says it.
    pub(crate) fn command(&self, command: &str) -> String {
        ask(self.port, command).expect("an answer")
    }

    /// How many are connected, and the one who asks.
    pub(crate) fn clients(&self) -> usize {
        self.command("CLIENT LIST").matches("id=").count()
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server that takes connections, with all its data; `None` where it has ended instead.
fn spawn(port: u16, folder: &TempDir, options: &[String]) -> Option<Child> {
    let mut command = Command::new("redis-server");
    command
        .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--save", "", "--dir"])
        .arg(folder.path());
    command.args(options).stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("redis-server starts");
    let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines().map_while(Result::ok);
    if !lines.any(|line| line.contains("Ready to accept connections")) {
        child.wait().expect("it ends");
        return None;
    }
    // It would wait for whoever does not read what it says.
    thread::spawn(move || lines.for_each(drop));
    Some(child)
}

fn ask(port: u16, command: &str) -> std::io::Result<String> {
    let mut socket = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(Duration::from_secs(5)))?;
    socket.write_all(format!("{command}\r\nQUIT\r\n").as_bytes())?;
    let mut answer = String::new();
    socket.read_to_string(&mut answer)?;
    Ok(answer)
}
