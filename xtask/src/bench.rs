//! `cargo xtask bench`: Cepa beside its peers, by way of `benches/bench.py`; `bench live`: parked subscribers, by way
//! of `benches/live`; `bench reload`: a cluster under load that is changed and damaged.

use crate::Failure;
use crate::process::{cargo, find, program, succeeds};
use std::process::Command;

/// In the order in which the whole run takes them; the rest are for looking closer.
const WHOLE_RUN: [&str; 6] = ["build", "verify", "run", "mem", "insn", "report"];
const CLOSER: [&str; 5] = ["fanout", "alloc", "doors", "sys", "start"];

/// A program the bed calls: its Debian package, and the commands that need it.
const NEEDS: [(&str, &str, &[&str]); 9] = [
    ("nginx", "nginx", &["doors"]),
    ("cc", "gcc libc6-dev", &["build"]),
    ("npm", "nodejs npm", &["build"]),
    ("wrk", "wrk", &["doors", "run", "sys"]),
    ("h2load", "nghttp2-client", &["doors", "run", "insn", "alloc", "sys"]),
    ("taskset", "util-linux", &["doors", "run", "insn", "alloc", "sys"]),
    ("valgrind", "valgrind", &["doors", "insn"]),
    ("perf", "linux-perf", &["sys"]),
    (
        "python3",
        "python3",
        &["build", "verify", "run", "mem", "fanout", "insn", "report", "alloc", "doors", "sys", "start"],
    ),
];

/// `bench [COMMAND] [OPTIONS]`
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    match args.split_first().map(|(first, rest)| (first.as_str(), rest)) {
        Some(("live", options)) => return live(options),
        Some(("reload", options)) => return reload(options),
        _ => {}
    }
    let (commands, options) = match args.split_first() {
        Some((first, rest)) if !first.starts_with('-') => {
            let known = WHOLE_RUN.iter().chain(&CLOSER).find(|name| *name == first);
            let name = *known.ok_or_else(|| Failure::Usage(format!("bench has no command {first:?}")))?;
            (vec![name], rest)
        }
        _ => (WHOLE_RUN.to_vec(), args),
    };
    let missing = missing(&commands);
    if !missing.is_empty() {
        missing.iter().for_each(|line| println!("{line}"));
        return Err(Failure::Failed);
    }
    let whole = commands.len() > 1;
    let mut failed = false;
    for name in commands {
        let mut command = program("python3");
        command.arg("benches/bench.py").arg(name).args(options);
        if whole && name != "report" {
            command.arg("--fresh");
        }
        failed |= !succeeds(&mut command);
        // figures of servers that do not build or answer wrong would only mislead
        if whole && failed && matches!(name, "build" | "verify") {
            println!("Not measured. To measure the others: --skip NAME");
            return Err(Failure::Failed);
        }
    }
    if failed { Err(Failure::Failed) } else { Ok(()) }
}

/// Builds the program that parks subscribers, and runs it.
fn live(options: &[String]) -> Result<(), Failure> {
    let mut cargo = program("cargo");
    cargo.args([
        "run",
        "--release",
        "--locked",
        "--quiet",
        "--manifest-path",
        "benches/live/Cargo.toml",
        "--",
    ]);
    if succeeds(cargo.args(options)) { Ok(()) } else { Err(Failure::Failed) }
}

/// Builds the cluster that is to be loaded, and what loads it, and runs them.
fn reload(options: &[String]) -> Result<(), Failure> {
    let build = ["build", "--release", "--package", "cepa-tests", "--bins", "--package", "hello"];
    let run = ["run", "--release", "--quiet", "--package", "cepa-tests", "--bin", "bench_reload", "--"];
    let run = run.into_iter().chain(options.iter().map(String::as_str));
    if succeeds(&mut cargo(build)) && succeeds(&mut cargo(run)) { Ok(()) } else { Err(Failure::Failed) }
}

/// A line for each program these commands need and do not find.
fn missing(commands: &[&str]) -> Vec<String> {
    let mut lines: Vec<String> = NEEDS
        .iter()
        .filter(|(name, _, users)| commands.iter().any(|c| users.contains(c)) && find(name).is_none())
        .map(|(name, package, _)| format!("{name} is missing: apt-get install {package}"))
        .collect();
    // tomllib came with Python 3.11
    let new_enough = Command::new("python3").args(["-c", "import tomllib"]).status();
    if find("python3").is_some() && !new_enough.is_ok_and(|status| status.success()) {
        lines.push("python3 is older than 3.11: Debian 12 and later have a newer one".to_owned());
    }
    lines
}
