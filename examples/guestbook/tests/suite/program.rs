//! The program, from its command line.

use std::process::Command;

use crate::fixture::Shelf;

fn guestbook(shelf: &Shelf, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_guestbook"));
    // As `cargo run` does it from anywhere, which hands on the folder of the package.
    command.current_dir(shelf.path("")).args(arguments);
    command.arg("--set").arg(format!("guestbook.path={}", shelf.path("book.redb").display()));
    let output = command.output().unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(text).unwrap())
}

#[test]
fn it_finds_its_files_wherever_cargo_runs_it() {
    let (ok, text) = guestbook(&Shelf::new(), &["check", "--env", "test"]);
    assert!(ok && text.starts_with("ok: environment test, config/default.toml, "), "{text}");
}

#[test]
fn a_wrong_setting_is_named() {
    let shelf = Shelf::new();
    for (setting, part) in [
        ("guestbook.page_size=0", "guestbook.page_size is 0: it must be from 1 to 100"),
        ("guestbook.titel=x", "title"),
        ("guestbook.keys=['']", "key 0 is empty"),
    ] {
        let (ok, text) = guestbook(&shelf, &["check", "--set", setting]);
        assert!(!ok && text.contains(part), "{text}");
    }
}

#[test]
fn a_book_that_is_open_elsewhere_is_named() {
    let shelf = Shelf::new();
    let _app = shelf.app();
    let (ok, text) = guestbook(&shelf, &["check"]);
    assert!(!ok && text.contains("book.redb cannot be opened: Database already open"), "{text}");
}
