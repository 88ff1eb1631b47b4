//! A build by cargo.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    fs, io,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::Stdio,
};

use rustix::process::Signal;
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, BufReader};

use super::{
    process::Group,
    project::{Project, cargo},
    terminal::{has_colours, pass, plain},
};

/// What a build has come to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Built {
    Program {
        path: PathBuf,
        /// Whether it is the one that was there before.
        is_old: bool,
    },
    /// What cargo and the compilers have said, with colours.
    Failed(String),
}

/// A message of cargo, see its documentation of external tools.
#[derive(Deserialize)]
#[serde(tag = "reason")]
enum Message {
    #[serde(rename = "compiler-message")]
    Said { message: Diagnostic },
    #[serde(rename = "compiler-artifact")]
    Made { target: Target, executable: Option<PathBuf>, fresh: bool },
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct Diagnostic {
    level: String,
    rendered: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
}

/// Ends the build when it is dropped, with its compilers.
struct Running(Option<Group>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            group.signal(Signal::TERM);
        }
    }
}

/// Builds the program. Dropped half way, it ends.
///
/// # Errors
/// Cargo cannot be run.
pub(super) async fn build(project: &Project, arguments: &[OsString]) -> io::Result<Built> {
    let mut cargo = cargo();
    cargo.args(["build", "--message-format", "json-diagnostic-rendered-ansi"]);
    cargo.args(["--package", &project.package, "--bin", &project.program]).args(arguments);
    // What it says goes through here, so that it does not see a terminal.
    cargo.env("CARGO_TERM_COLOR", if has_colours() { "always" } else { "never" });
    cargo.current_dir(&project.folder).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    let mut child = tokio::process::Command::from(cargo).spawn()?;
    let mut running = Running(child.id().map(Group::of));
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let ((program, errors), said) = tokio::join!(read_messages(stdout, &project.program), pass_on(stderr));
    let status = child.wait().await?;
    // Its number may be another's from here on.
    running.0 = None;
    Ok(match program.filter(|_| status.success()) {
        Some((path, is_old)) => Built::Program { path, is_old },
        None if errors.is_empty() => Built::Failed(said),
        None => Built::Failed(errors),
    })
}

/// Passes on what the compilers say, and keeps the errors, and the program.
async fn read_messages(
    output: Option<impl AsyncRead + Unpin>,
    name: &str,
) -> (Option<(PathBuf, bool)>, String) {
    let (mut program, mut errors) = (None, String::new());
    let Some(output) = output else { return (program, errors) };
    let mut lines = BufReader::new(output).lines();
    while let Ok(Some(line)) = lines.next_line().await {
        match serde_json::from_str(&line) {
            Ok(Message::Said { message: Diagnostic { level, rendered: Some(text) } }) => {
                pass(if has_colours() { text.clone() } else { plain(&text) }.as_bytes());
                if level.starts_with("error") {
                    errors.push_str(&text);
                }
            }
            Ok(Message::Made { target, executable: Some(path), fresh })
                if target.name == name && target.kind.iter().any(|kind| kind == "bin") =>
            {
                program = Some((path, fresh));
            }
            Ok(_) | Err(_) => {}
        }
    }
    (program, errors)
}

/// Passes on what cargo itself says, and keeps the end of it.
async fn pass_on(output: Option<impl AsyncRead + Unpin>) -> String {
    const KEPT: usize = 32 * 1024;
    let mut kept = Vec::new();
    let Some(mut output) = output else { return String::new() };
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = output.read(&mut piece).await {
        pass(&piece[..length]);
        kept.extend_from_slice(&piece[..length]);
        kept.drain(..kept.len().saturating_sub(KEPT));
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The files that a program was made from, as cargo has written them down beside it.
pub(super) fn made_from(program: &Path) -> BTreeSet<PathBuf> {
    let mut list = program.as_os_str().to_owned();
    list.push(".d");
    let text = fs::read_to_string(list).unwrap_or_default();
    let files = text.lines().flat_map(dependencies);
    // `include_str!("../view/home.html")` stands there as it was written.
    files.map(|file| fs::canonicalize(&file).unwrap_or(file)).collect()
}

/// The paths behind the colon of a rule of make, in which spaces have a backslash.
fn dependencies(rule: &str) -> Vec<PathBuf> {
    let Some((_, list)) = rule.split_once(": ") else { return Vec::new() };
    let joined = list.replace("\\ ", "\0");
    joined.split_ascii_whitespace().map(|path| path.replace('\0', " ").into()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_in_what_cargo_writes_down() {
        let rule = "/w/target/debug/my\\ app: /w/src/main.rs /w/my\\ view/a.html";
        assert_eq!(dependencies(rule), [PathBuf::from("/w/src/main.rs"), "/w/my view/a.html".into()]);
        assert_eq!(dependencies(""), [""; 0].map(PathBuf::from));
    }

    #[tokio::test]
    async fn messages_tell_the_program_and_the_errors() {
        let said = concat!(
            r#"{"reason":"compiler-message","message":{"level":"warning","rendered":"warning: w\n"}}"#,
            "\nno json\n",
            r#"{"reason":"compiler-message","message":{"level":"error: internal compiler error","rendered":"E\n"}}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"app","kind":["lib"]},"executable":null,"fresh":true}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"app","kind":["bin"]},"executable":"/w/app","fresh":false}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        let (program, errors) = read_messages(Some(said.as_bytes()), "app").await;
        assert_eq!((program, &*errors), (Some(("/w/app".into(), false)), "E\n"));
    }
}
