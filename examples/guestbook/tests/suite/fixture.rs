//! A book of its own for each test, read in memory or served on a port that the system chooses.

use std::{
    path::PathBuf,
    process::{Command, Output},
};

use cepa::{App, Running, ServerConfig, core::test::Client, prelude::Boot};
use tempfile::TempDir;
use tokio::runtime::LocalRuntime;

/// A folder that keeps a book until the test ends.
pub(crate) struct Shelf(TempDir);

impl Shelf {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The guestbook with its book on this shelf, and the configuration it comes with.
    pub(crate) fn app(&self) -> App {
        let path = format!("guestbook.path={}", self.path("book.redb").display());
        let mut boot = Boot::load_with("test", &[&path, "guestbook.page_size=3"]).unwrap();
        guestbook::app(&mut boot).unwrap()
    }

    pub(crate) fn serve(&self) -> Served {
        let listen = vec!["127.0.0.1:0".parse::<cepa::server::listen::Address>().unwrap().into()];
        let config = ServerConfig { listen, workers: 2, ..ServerConfig::default() };
        let running = cepa::serve(self.app().build().unwrap(), config).unwrap();
        Served { url: format!("http://{}", running.endpoints()[0]), running }
    }
}

/// Calls a new guestbook in memory.
pub(crate) fn visit(test: impl AsyncFnOnce(Client)) {
    let shelf = Shelf::new();
    // Blocking work needs a runtime.
    LocalRuntime::new().unwrap().block_on(test(shelf.app().test()));
}

/// A guestbook at work.
pub(crate) struct Served {
    pub(crate) url: String,
    pub(crate) running: Running,
}

impl Served {
    /// curl with a URL of this server as its last argument, which gives up before the test's patience ends.
    pub(crate) fn command(&self, arguments: &[&str], path: &str) -> Command {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--no-buffer", "--max-time", "25", "--noproxy", "*"]);
        command.args(arguments).arg(format!("{}{path}", self.url));
        command
    }

    pub(crate) fn curl(&self, arguments: &[&str], path: &str) -> Answer {
        let Output { status, stdout, stderr } =
            self.command(arguments, path).arg("--include").output().expect("curl is installed");
        assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
        let text = String::from_utf8(stdout).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        Answer { head: head.to_owned(), body: body.to_owned() }
    }
}

/// What curl has got.
#[derive(Debug)]
pub(crate) struct Answer {
    head: String,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn status(&self) -> u16 {
        self.head.split(' ').nth(1).unwrap().parse().unwrap()
    }

    /// The value of a header; empty when it is missing.
    pub(crate) fn header(&self, name: &str) -> &str {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }
}
