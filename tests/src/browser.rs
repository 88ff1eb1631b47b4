//! Has Chromium run a script of `tests/browser`, in a profile of its own and with a deadline.

use std::{
    env,
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

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
    let found = find("chromium", "apt-get install chromium")
        .and_then(|chromium| Ok((chromium, find("node", "apt-get install nodejs npm")?)))
        .and_then(|found| match scripts.join("node_modules/puppeteer-core").is_dir() {
            true => Ok(found),
            false => Err("no puppeteer-core; npm ci --ignore-scripts --prefix tests/browser".to_owned()),
        });
    let (chromium, node) = match found {
        Ok(found) => found,
        Err(missing) => return skip(script, &missing),
    };
    let home = tempfile::tempdir().expect("there is room for a directory");
    given["chromium"] = json!(chromium);
    given["profile"] = json!(home.path().join("profile"));
    let (status, output) = run(Command::new(node).arg(scripts.join(script)).arg(given.to_string()), &home);
    let ended = status.map_or_else(|| format!("not done after {DEADLINE:?}"), |status| status.to_string());
    assert!(status.is_some_and(|status| status.success()), "{script}: {ended}\n{output}");
}

fn find(name: &str, how_to_get: &str) -> Result<PathBuf, String> {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file());
    found.ok_or_else(|| format!("no {name}; {how_to_get}"))
}

fn skip(script: &str, missing: &str) {
    let nobody_watches = env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "0" && ci != "false");
    assert!(!nobody_watches, "{script}: {missing}");
    // What a test prints by the macros is not shown when it passes.
    let line = format!("\n*** {script} HAS NOT RUN: {missing}\n\n");
    io::stderr().write_all(line.as_bytes()).expect("there is a standard error");
}

/// Runs a program to its end, or to the deadline; how it ended, and what it wrote.
fn run(program: &mut Command, home: &TempDir) -> (Option<ExitStatus>, String) {
    let path = home.path().join("output");
    let output = File::create(&path).expect("there is room for a file");
    let errors = output.try_clone().expect("a file may be open twice");
    // Nothing of the browser is left behind in the home of who runs the test.
    program.env("HOME", home.path()).env_remove("XDG_CONFIG_HOME").env_remove("XDG_CACHE_HOME");
    program.stdin(Stdio::null()).stdout(output).stderr(errors);
    let mut child = program.spawn().expect("it was found just now");
    let status = wait(&mut child, DEADLINE);
    if status.is_none() {
        end(&mut child);
    }
    (status, String::from_utf8_lossy(&fs::read(path).unwrap_or_default()).into_owned())
}

/// A script that is asked to end ends its browser first; the browser of one that is killed ends with its pipe.
fn end(child: &mut Child) {
    let asked = Command::new("kill").arg(child.id().to_string()).status().is_ok();
    if !asked || wait(child, GRACE).is_none() {
        child.kill().and_then(|()| child.wait()).expect("a child can be ended");
    }
}

fn wait(child: &mut Child, most: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        let ended = child.try_wait().expect("a child can be waited for");
        if ended.is_some() || started.elapsed() > most {
            return ended;
        }
        sleep(Duration::from_millis(20));
    }
}
