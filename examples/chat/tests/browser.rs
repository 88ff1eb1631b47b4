//! The chat as people have it: pages of Chromium talk to each other while servers end, by a signal or by force, and
//! begin anew.

#![allow(clippy::unwrap_used, reason = "a panic is a test's answer")]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
};

use cepa::prelude::*;
use cepa_bus::{AgentServer, Bus};
use cepa_tests::{browser::browse, serve};
use serde::Deserialize;
use serde_json::json;
use tempfile::TempDir;

/// The program, which the browser's script can end and start.
struct Site {
    backend: String,
    /// `127.0.0.1:` and a port, which is 0 until there is one.
    address: String,
    process: Option<Child>,
}

impl Site {
    fn start(backend: &str) -> Self {
        let (backend, address) = (backend.to_owned(), "127.0.0.1:0".to_owned());
        let mut site = Self { backend, address, process: None };
        site.begin();
        site
    }

    fn begin(&mut self) {
        let mut program = Command::new(env!("CARGO_BIN_EXE_chat"));
        program.current_dir(env!("CARGO_MANIFEST_DIR")).stdin(Stdio::null()).stderr(Stdio::piped());
        program.args(["serve", "--env", "test", "--listen", &self.address]);
        program.args(["--set", &format!("bus.backend={}", self.backend), "--set", "server.workers=2"]);
        let mut process = program.spawn().unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("listening on") {
            line.clear();
            assert_ne!(log.read_line(&mut line).unwrap(), 0, "the program has ended");
        }
        // What it says later is for who looks at the output of a test that has failed.
        std::thread::spawn(move || log.lines().map_while(Result::ok).for_each(|line| eprintln!("{line}")));
        let address = line.split("http://").nth(1).unwrap();
        self.address = address.split([';', ',', ' ', '\n']).next().unwrap().to_owned();
        self.process = Some(process);
    }

    fn end(&mut self, how: How) {
        let Some(mut process) = self.process.take() else { return };
        match how {
            How::Kill => process.kill().unwrap(),
            How::Term => {
                let pid = process.id().to_string();
                assert!(Command::new("kill").arg(pid).status().unwrap().success());
            }
        }
        process.wait().unwrap();
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.end(How::Kill);
    }
}

/// How a server ends.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum How {
    Kill,
    Term,
}

type Sites = Arc<Mutex<Vec<Site>>>;

/// What the script asks to end a server, or to start it again.
fn operator(sites: &Sites) -> App {
    let (ends, begins) = (Arc::clone(sites), Arc::clone(sites));
    App::new()
        .post("/end/{site}/{how}", async move |ctx: &mut Ctx| {
            let (site, how): (usize, How) = ctx.params()?;
            ends.lock().unwrap()[site].end(how);
            Ok::<_, Error>("ended")
        })
        .post("/begin/{site}", async move |ctx: &mut Ctx| {
            let site: usize = ctx.params()?;
            begins.lock().unwrap()[site].begin();
            Ok::<_, Error>("begun")
        })
}

fn talk(sites: Vec<Site>) {
    let homes: Vec<_> = sites.iter().map(|site| format!("http://{}", site.address)).collect();
    let sites = Arc::new(Mutex::new(sites));
    let operator = serve(operator(&sites)).unwrap();
    let keeps = sites.lock().unwrap().len() > 1;
    browse(
        "chat.js",
        json!({
            "sites": homes,
            "operator": format!("http://{}", operator.address()),
            // Whether what was said is kept elsewhere than in the one server.
            "keeps": keeps,
        }),
    );
}

#[test]
fn one_server_that_restarts() {
    talk(vec![Site::start("memory")]);
}

#[test]
fn two_servers_that_restart_beside_an_agent() {
    let folder = TempDir::new().unwrap();
    let socket = folder.path().join("bus");
    agent(&socket);
    let backend = format!("agent:{}", socket.display());
    talk(vec![Site::start(&backend), Site::start(&backend)]);
}

/// An agent, until this process ends.
fn agent(socket: &Path) {
    let listener = std::os::unix::net::UnixListener::bind(socket).unwrap();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::UnixListener::from_std(listener).unwrap();
            match AgentServer::serve(listener, Bus::new()).await {}
        })
    });
}
