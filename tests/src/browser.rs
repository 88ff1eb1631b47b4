//! Has Chromium run a script of `tests/browser`, in a profile of its own and with a deadline.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use cepa_programs::{find, has_not_run};
use serde_json::{Value, json};
use tempfile::TempDir;

/// How long a script may take, browser and all.
const DEADLINE: Duration = Duration::from_secs(120);

/// How long a script that is told to end may take to end its browser.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a script, which finds the members of `given` in the object of this name.
///
/// Where a program is missing it says so and runs nothing, but for runs that nobody watches (`CI`): these fail.
///
/// # Panics
/// When the script fails, or is not done in time: its output is in the message.
pub fn browse(script: &str, mut given: Value) {
    let scripts = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser");
    let both = found("chromium", "apt-get install chromium")
        .and_then(|chromium| Ok((chromium, found("node", "apt-get install nodejs npm")?)))
        .and_then(|found| match scripts.join("node_modules/puppeteer-core").is_dir() {
            true => Ok(found),
            false => Err("no puppeteer-core; npm ci --ignore-scripts --prefix tests/browser".to_owned()),
        });
    let (chromium, node) = match both {
        Ok(found) => found,
        Err(missing) => return has_not_run(script, &missing),
    };
    let home = tempfile::tempdir().expect("there is room for a directory");
    given["chromium"] = json!(chromium);
    given["profile"] = json!(home.path().join("profile"));
    let mut program = Command::new(node);
    program.arg(scripts.join(script)).arg(given.to_string());
    let (status, output) = run(program, &home);
    let ended = status.map_or_else(|| format!("not done after {DEADLINE:?}"), |status| status.to_string());
    assert!(status.is_some_and(|status| status.success()), "{script}: {ended}\n{output}");
}

fn found(name: &str, how_to_get: &str) -> Result<PathBuf, String> {
    find(name).ok_or_else(|| format!("no {name}; {how_to_get}"))
}

/// Runs a program to its end, or to the deadline; how it ended, and what it wrote.
fn run(mut program: Command, home: &TempDir) -> (Option<ExitStatus>, String) {
    let (mut output, end) = io::pipe().expect("there are descriptors left");
    let errors = end.try_clone().expect("there are descriptors left");
    // Nothing of the browser is left behind in the home of who runs the test.
    program.env("HOME", home.path()).env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
    program.stdin(Stdio::null()).stdout(end).stderr(errors);
    let mut child = program.spawn().expect("it was found just now");
    // The ends that it writes to are the child's alone now: what it writes ends when it does.
    drop(program);
    let (written, all) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = output.read_to_end(&mut bytes);
        written.send(read.map(|_| String::from_utf8_lossy(&bytes).into_owned()))
    });
    if let Ok(text) = all.recv_timeout(DEADLINE) {
        let status = child.wait().expect("a child can be waited for");
        return (Some(status), text.expect("a pipe can be read"));
    }
    // A script that is asked to end ends its browser first; the browser of one that is killed ends with its pipe.
    let asked = Command::new("kill").arg(child.id().to_string()).status();
    let text = asked.ok().and_then(|_| all.recv_timeout(GRACE).ok());
    child.kill().and_then(|()| child.wait()).expect("a child can be ended");
    let text = text.or_else(|| all.recv_timeout(GRACE).ok()).and_then(Result::ok);
    (None, text.unwrap_or_default())
}
