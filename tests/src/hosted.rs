//! A folder that the program `cepa` hosts.

use std::{
    fs,
    io::{BufRead, BufReader},
    net::{Ipv4Addr, SocketAddr, TcpListener},
    os::unix::fs::PermissionsExt,
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
};

use cepa_core::{App, Ctx};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::{Served, http::Response, serve, stats::eventually, wire::Wire};

/// A folder, and the servers that its site asks.
#[derive(Debug)]
pub struct Folder {
    program: PathBuf,
    folder: TempDir,
    others: Mutex<Vec<Served>>,
}

/// A site at work; it ends when this is dropped.
#[derive(Debug)]
pub struct Hosted {
    process: Child,
    address: SocketAddr,
    said: Arc<Mutex<String>>,
}

impl Folder {
    /// An empty folder, for this program to host.
    ///
    /// # Panics
    /// When there is no room for it.
    pub fn new(program: &str) -> Self {
        let folder = tempfile::tempdir().expect("there is a folder for temporary files");
        Self { program: program.into(), folder, others: Mutex::default() }
    }

    /// Where a file of that name is.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file, in folders that are made for it.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self, name: &str, text: &str) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().expect("it is in the folder")).expect("there is room");
        fs::write(path, text).expect("there is room");
    }

    /// Writes a program for the shell.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn script(&self, name: &str, text: &str) {
        self.write(name, &format!("#!/bin/sh\n{text}\n"));
        fs::set_permissions(self.path(name), fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    /// Serves an app, which answers with its name and the path, for the site to ask.
    ///
    /// # Panics
    /// When it cannot be served.
    pub fn serve_other(&self, name: &'static str) -> SocketAddr {
        let app = App::new().all("/", async move |ctx: &mut Ctx| format!("{name} {}", ctx.path()));
        let app = app.all("/{*path}", async move |ctx: &mut Ctx| format!("{name} {}", ctx.path()));
        let served = serve(app).expect("a port is free");
        let address = served.address();
        self.others.lock().unwrap_or_else(PoisonError::into_inner).push(served);
        address
    }

    /// The program with a command line, from the folder around: its name is the last argument.
    pub fn command(&self, line: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        let (around, name) = (self.folder.path().parent(), self.folder.path().file_name());
        command.args(line).args(name).current_dir(around.expect("it has a name")).stdin(Stdio::null());
        command.env("CEPA_ENV", "test").env("NO_COLOR", "1");
        command
    }

    /// Runs a command to its end: whether all went well, and what it has written, without the name of the folder.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn run(&self, line: &[&str]) -> (bool, String) {
        let output = self.command(line).output().expect("the program starts");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said).replace(&*self.folder.path().to_string_lossy(), "SITE");
        (output.status.success(), said)
    }

    /// Serves the folder on a port that the system chooses.
    pub fn serve(&self) -> Hosted {
        self.serve_with(&["serve", "--workers", "1", "--listen", "127.0.0.1:0"])
    }

    /// Serves the folder by a command line.
    ///
    /// # Panics
    /// When it does not serve.
    pub fn serve_with(&self, line: &[&str]) -> Hosted {
        let mut process = self.command(line).stderr(Stdio::piped()).spawn().expect("the program starts");
        let stderr = process.stderr.take().expect("it is piped");
        let said = Arc::new(Mutex::new(String::new()));
        let heard = Arc::clone(&said);
        thread::spawn(move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                let mut heard = heard.lock().unwrap_or_else(PoisonError::into_inner);
                heard.push_str(&line);
                heard.push('\n');
            }
        });
        let mut hosted = Hosted { process, address: (Ipv4Addr::LOCALHOST, 0).into(), said };
        let mut ended = None;
        eventually("it serves", || {
            ended = hosted.process.try_wait().expect("it is a child");
            hosted.is_listening() || ended.is_some()
        });
        assert!(ended.is_none(), "{ended:?}: {}", hosted.said());
        hosted
    }
}

impl Hosted {
    fn is_listening(&mut self) -> bool {
        let said = self.said();
        let behind = said.split_once("listening on ").and_then(|(_, rest)| rest.split_once("://"));
        let address = behind.and_then(|(_, rest)| rest.split([',', ';']).next()?.parse().ok());
        if let Some(address) = address {
            self.address = address;
        }
        address.is_some()
    }

    /// The first address that it listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it has written to its standard error.
    pub fn said(&self) -> String {
        self.said.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Asks for a path of a host, as a browser does.
    pub fn get(&self, host: &str, path: &str) -> Response {
        let asked = format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n");
        Wire::open(self.address, format!("{asked}Connection: close\r\n\r\n")).response()
    }

    /// Ends it as an operator does, and waits for its last line of the log.
    ///
    /// # Panics
    /// When it has failed.
    pub fn stop(mut self) {
        self.terminate();
        let status = self.process.wait().expect("it is a child");
        assert!(status.success(), "{status}: {}", self.said());
    }

    fn terminate(&self) {
        if let Some(pid) = Pid::from_raw(self.process.id().cast_signed()) {
            // It may have ended by itself.
            let _ = kill_process(pid, Signal::TERM);
        }
    }
}

impl Drop for Hosted {
    fn drop(&mut self) {
        // Whoever waits for it in order has called `stop`.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Two ports that nobody had a moment ago.
///
/// # Panics
/// When there are none.
pub fn free_ports() -> [u16; 2] {
    let listeners = [0, 1].map(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port is free"));
    listeners.map(|listener| listener.local_addr().expect("it is bound").port())
}

/// Stops the cluster of a folder when it is dropped.
#[derive(Debug)]
pub struct Stops<'a>(pub &'a Folder);

impl Drop for Stops<'_> {
    fn drop(&mut self) {
        let (is_well, said) = self.0.run(&["stop"]);
        // A second panic would hide the first.
        assert!(is_well || thread::panicking(), "{said}");
    }
}
