//! Running other programs: from the repository's root, announced, and never through a shell.

use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The repository's root.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

/// A program to be run from the repository's root.
pub(crate) fn program(name: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(name);
    command.current_dir(root());
    command
}

/// The cargo that runs us.
pub(crate) fn cargo<'a>(args: impl IntoIterator<Item = &'a str>) -> Command {
    let mut command = program(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    command.args(args);
    command
}

/// Runs it to its end with our own input and output; whether it succeeded.
pub(crate) fn succeeds(command: &mut Command) -> bool {
    announce(command);
    report(command.status().map(|status| status.success()), command)
}

/// Like [`succeeds`], and shows each line of its standard output to `look` as it passes.
pub(crate) fn succeeds_watched(command: &mut Command, look: impl FnMut(&str)) -> bool {
    announce(command);
    report(watch(command, look), command)
}

fn watch(command: &mut Command, mut look: impl FnMut(&str)) -> io::Result<bool> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    if let Some(out) = child.stdout.take() {
        for line in BufReader::new(out).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            println!("{line}");
            look(&line);
        }
    }
    Ok(child.wait()?.success())
}

/// Where a program of this name lies in `PATH`.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

fn announce(command: &Command) {
    let name = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let mut line = format!("$ {}", name.to_string_lossy());
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&arg.to_string_lossy());
    }
    println!("{line}");
}

fn report(result: io::Result<bool>, command: &Command) -> bool {
    result.unwrap_or_else(|error| {
        println!("{}: {error}", command.get_program().to_string_lossy());
        false
    })
}
