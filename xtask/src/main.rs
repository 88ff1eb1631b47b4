//! Tasks of the repository, run by `cargo xtask`.

mod bench;
mod ci;
mod features;
mod fuzz;
mod guide;
mod insn;
mod outcome;
mod process;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask <task>

  ci [--install] [STEP…]      everything a change must pass: fmt, clippy, features, doc, deny, fuzz, insn,
                              test
                              (named steps: only those; --install or CI=true: get missing cargo tools)
  insn                        what a request costs in instructions, against a bound
  fuzz [--install] [--seconds N] [TARGET…]
                              run the fuzz targets, N seconds each (default 10)
  guide                       write the reference of the configuration from the comments at its fields
  bench [OPTIONS]             build, verify and measure Cepa beside its peers, then report
                              (--rounds N --secs S --rows A,B --only A,B --skip A,B)
  bench COMMAND [OPTIONS]     one part of it: build, verify, run, mem, insn, report; or closer: fanout, alloc, sys, start
  bench live [OPTIONS]        park subscribers, 10,000 or a million, and measure them
  bench reload [--reloads N] [--upgrades N] [--kills N]
                              reload and upgrade a cluster under load, kill its workers, count what is lost
";

/// What a task that ran to its end says; a usage error is told apart so that it can exit with 2.
enum Failure {
    /// The task ran and something in it failed; it has said what.
    Failed,
    /// The command line makes no sense, for this reason.
    Usage(String),
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (task, rest) = match args.split_first() {
        Some((task, rest)) => (task.as_str(), rest),
        None => ("help", &[][..]),
    };
    let result = match task {
        "ci" => ci::run(rest),
        "fuzz" => fuzz::run(rest),
        "insn" => insn::run(rest),
        "guide" => guide::run(rest),
        "bench" => bench::run(rest),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(())
        }
        other => Err(Failure::Usage(format!("there is no task {other:?}"))),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(Failure::Failed) => ExitCode::FAILURE,
        Err(Failure::Usage(why)) => {
            eprint!("xtask: {why}\n\n{USAGE}");
            ExitCode::from(2)
        }
    }
}
