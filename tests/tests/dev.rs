//! `dev` as people have it: a new app is changed, and Chromium sees the change.

#![allow(clippy::unwrap_used, reason = "a panic is a test's answer, also where tests share code")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use cepa_cli::new::New;
use cepa_tests::browser::browse;
use serde_json::json;

/// How long the first build may take, which is for all that the app depends on.
const FIRST: Duration = Duration::from_secs(600);

/// `dev` at work; it ends with the test.
struct Dev(Child);

impl Dev {
    /// Makes an app, and serves it while it is written; with the first address.
    fn start(folder: &Path) -> (Self, String) {
        let app = New { name: "demo".parse().unwrap(), path: Some(folder.to_owned()), cepa: None };
        app.make().unwrap();
        // The versions that are here already: nothing is fetched.
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
        let target = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap();
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["run", "--offline", "--", "dev", "--listen", "127.0.0.1:0", "--", "--offline"]);
        cargo.current_dir(folder).env("CARGO_TARGET_DIR", target);
        let mut child = cargo.stdin(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let said = BufReader::new(child.stderr.take().unwrap());
        let (served, address) = mpsc::channel();
        thread::spawn(move || {
            for line in said.lines().map_while(Result::ok) {
                // What a test prints is shown when it fails.
                println!("{line}");
                if let Some((_, address)) = line.split_once("serving on ") {
                    let _ = served.send(address.to_owned());
                }
            }
        });
        let this = Self(child);
        let address = address.recv_timeout(FIRST).expect("the app is built and served");
        (this, address)
    }
}

impl Drop for Dev {
    fn drop(&mut self) {
        // As Ctrl-C does: it ends what it has started.
        let _ = Command::new("kill").arg(self.0.id().to_string()).status();
        let _ = self.0.wait();
    }
}

#[test]
fn the_browser_sees_each_change() {
    // The same each time, so that cargo builds into the same place.
    let folder: PathBuf = Path::new(env!("CARGO_TARGET_TMPDIR")).join("demo");
    let _ = fs::remove_dir_all(&folder);
    let (_dev, home) = Dev::start(&folder);
    browse("dev.js", json!({ "home": home, "folder": folder }));
}
