//! `cargo xtask fuzz`: the targets of `fuzz/`, first replayed as plain tests, then driven by libFuzzer.
//!
//! A target is a function of `fuzz/src/lib.rs` that takes bytes and panics when a rule is broken. The
//! crate's own tests call it with `fuzz/seeds/<target>/*` and with random bytes, which needs nothing
//! but stable Rust. `fuzz/fuzz_targets/<target>.rs` hands the same function to libFuzzer, behind the
//! crate's feature `libfuzzer` (its build needs a C++ compiler). cargo-fuzz asks for a nightly
//! compiler because of its `-Z sanitizer` and coverage flags; the stable one has the same code and
//! ships the AddressSanitizer runtime, so `RUSTC_BOOTSTRAP=1` is all it takes (tried with Rust 1.95
//! and cargo-fuzz 0.13: coverage guided, sanitizer on).

use crate::Failure;
use crate::outcome::Outcome;
use crate::process::{cargo, find, root, succeeds};
use crate::tools::{FUZZ, is_ci};
use std::{fs, io};

const SMOKE_SECONDS: u64 = 10;

/// `fuzz [--install] [--seconds N] [TARGET…]`
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let mut install = is_ci();
    let mut seconds = SMOKE_SECONDS;
    let mut chosen = Vec::new();
    let known = targets().map_err(|error| {
        println!("fuzz/fuzz_targets: {error}");
        Failure::Failed
    })?;
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--install" => install = true,
            "--seconds" => {
                let value = args.next().and_then(|n| n.parse().ok());
                seconds = value.ok_or_else(|| Failure::Usage("--seconds takes a number".into()))?;
            }
            target if known.iter().any(|name| name == target) => chosen.push(target.to_owned()),
            other => {
                let known = known.join(", ");
                return Err(Failure::Usage(format!("no fuzz target {other:?}; there are: {known}")));
            }
        }
    }
    match fuzz(if chosen.is_empty() { &known } else { &chosen }, seconds, install) {
        Outcome::Failed(_) => Err(Failure::Failed),
        Outcome::Passed(remark) | Outcome::Skipped(remark) => {
            println!("{remark}");
            Ok(())
        }
    }
}

/// The fuzz step of `ci`: every target, briefly.
pub(crate) fn smoke(install: bool) -> Outcome {
    match targets() {
        Ok(targets) => fuzz(&targets, SMOKE_SECONDS, install),
        Err(error) => Outcome::Failed(format!("fuzz/fuzz_targets: {error}")),
    }
}

fn fuzz(targets: &[String], seconds: u64, install: bool) -> Outcome {
    if targets.is_empty() {
        return Outcome::Skipped("fuzz/ has no targets".into());
    }
    if !succeeds(&mut cargo(["test", "--manifest-path", "fuzz/Cargo.toml"])) {
        return Outcome::Failed("replay".into());
    }
    if find("c++").is_none() {
        let why = "replayed only: no C++ compiler for libFuzzer (apt-get install g++)";
        return Outcome::missing(why.into(), install);
    }
    if !FUZZ.is_ready(install) {
        let why = format!("replayed only: no cargo-fuzz; {}", FUZZ.how_to_get());
        return Outcome::missing(why, install);
    }
    let broken: Vec<&str> =
        targets.iter().map(String::as_str).filter(|target| !drive(target, seconds)).collect();
    if broken.is_empty() {
        Outcome::Passed(format!("{} targets, {seconds} s each", targets.len()))
    } else {
        Outcome::Failed(broken.join(", "))
    }
}

/// One target under libFuzzer. What it finds new goes to `corpus/`, an input that breaks a rule to
/// `artifacts/`; `seeds/` is committed and only read.
fn drive(target: &str, seconds: u64) -> bool {
    let corpus = format!("fuzz/corpus/{target}");
    let seeds = format!("fuzz/seeds/{target}");
    for dir in [&corpus, &seeds] {
        if let Err(error) = fs::create_dir_all(root().join(dir)) {
            println!("{dir}: {error}");
            return false;
        }
    }
    let time = format!("-max_total_time={seconds}");
    let args =
        ["fuzz", "run", "--features", "libfuzzer", target, &corpus, &seeds, "--", &time, "-timeout=10"];
    succeeds(cargo(args).env("RUSTC_BOOTSTRAP", "1"))
}

/// The names of the files in `fuzz/fuzz_targets`, in order; none if there is no such folder.
fn targets() -> io::Result<Vec<String>> {
    let entries = match fs::read_dir(root().join("fuzz/fuzz_targets")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|e| e == "rs") {
            names.extend(path.file_stem().map(|stem| stem.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}
