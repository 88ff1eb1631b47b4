//! What `cepa new` makes: it builds without a warning, its tests pass, and it is formatted.

#![allow(clippy::unwrap_used, reason = "a panic is a test's answer, also where tests share code")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

/// A folder whose path is the same each time, so that cargo builds into the same place.
fn place(name: &str) -> PathBuf {
    let place = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = fs::remove_dir_all(&place);
    place
}

fn cepa(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cepa")).args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_new_app_is_sound() {
    let folder = place("ring-shop");
    let made = cepa(&["new", "ring-shop"], folder.parent().unwrap());
    assert!(made.status.success(), "{}", text(&made.stderr));
    assert!(
        text(&made.stdout).ends_with("\n\n    cd ring-shop\n    cargo run -- dev\n"),
        "{}",
        text(&made.stdout)
    );
    // The versions that are here already: nothing is fetched, and what was built of them serves again.
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    fs::copy(workspace.join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    let target = Path::new(env!("CARGO_BIN_EXE_cepa")).ancestors().nth(2).unwrap();
    let cargo = |arguments: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(arguments)
            .current_dir(&folder)
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_TERM_COLOR", "never");
        let ended = cargo.output().unwrap();
        let said = text(&ended.stdout) + &text(&ended.stderr);
        assert!(ended.status.success() && !said.contains("warning"), "{said}");
        said
    };
    let tested = cargo(&["test", "--offline"]);
    assert!(tested.contains("4 passed"), "{tested}");
    let checked = cargo(&["run", "--offline", "--", "check", "--env", "production"]);
    assert!(
        checked.contains("ok: environment production, config/default.toml, config/production.toml, "),
        "{checked}"
    );
    // By the rules that everybody has, and not by those of this repository, where its target folder may be.
    fs::write(folder.join(".rustfmt.toml"), "").unwrap();
    cargo(&["fmt", "--check"]);

    let again = cepa(&["new", "ring-shop"], folder.parent().unwrap());
    assert_eq!(again.status.code(), Some(1));
    assert!(text(&again.stderr).starts_with("error: ring-shop: it is there already, and stays as it is"));
}

#[test]
fn a_wrong_command_line_is_told_how_to_be_right() {
    let here = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (arguments, part) in [
        (&["new", "Ring Shop"][..], "a name has up to 64 lower-case letters"),
        (&["new"], "Usage: cepa new"),
        (&["old"], "unrecognized subcommand 'old'"),
        (&["dev", "--no-such-flag"], "unexpected argument '--no-such-flag'"),
    ] {
        let ended = cepa(arguments, here);
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}");
        assert!(text(&ended.stderr).contains(part), "{}", text(&ended.stderr));
    }
    let help = cepa(&["dev", "--help"], here);
    assert!(
        help.status.success() && text(&help.stdout).contains("Usage: cepa dev [OPTIONS] [-- <ARGUMENT>...]")
    );
}
