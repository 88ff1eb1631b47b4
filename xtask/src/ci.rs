//! `cargo xtask ci`: everything a change must pass, each step timed, all of them run even if one fails.

use crate::Failure;
use crate::features;
use crate::fuzz;
use crate::insn;
use crate::outcome::Outcome;
use crate::process::{cargo, succeeds, succeeds_watched};
use crate::tools::{DENY, is_ci};
use std::time::{Duration, Instant};

/// A name and what to do; `true` means that missing cargo tools may be installed.
type Step = (&'static str, fn(bool) -> Outcome);

/// Quick ones first. The tests come last so that their lines stand at the end of the log.
const STEPS: [Step; 8] = [
    ("fmt", fmt),
    ("clippy", clippy),
    ("features", features::each),
    ("doc", doc),
    ("deny", deny),
    ("fuzz", fuzz::smoke),
    ("insn", insn::count),
    ("test", test),
];

/// `ci [--install] [STEP…]`
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    let mut install = is_ci();
    let mut chosen = Vec::new();
    for arg in args {
        match (arg.as_str(), STEPS.iter().find(|(name, _)| name == arg)) {
            ("--install", _) => install = true,
            (_, Some(step)) => chosen.push(*step),
            (other, None) => return Err(Failure::Usage(format!("ci has no step {other:?}"))),
        }
    }
    if chosen.is_empty() {
        chosen.extend(STEPS);
    }
    let mut ended = Vec::with_capacity(chosen.len());
    for (name, step) in chosen {
        println!("\n=== {name}");
        let started = Instant::now();
        let outcome = step(install);
        ended.push((name, outcome, started.elapsed()));
    }
    print!("\n{}", table(&ended));
    if ended.iter().any(|(_, outcome, _)| matches!(outcome, Outcome::Failed(_))) {
        return Err(Failure::Failed);
    }
    Ok(())
}

fn table(ended: &[(&str, Outcome, Duration)]) -> String {
    let mut text = format!("{:<9}{:<9}{:>9}\n", "step", "result", "time");
    for (name, outcome, time) in ended {
        let (result, remark) = outcome.parts();
        let line = format!("{name:<9}{result:<9}{:>7.1} s  {remark}", time.as_secs_f64());
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

fn fmt(_: bool) -> Outcome {
    Outcome::of(succeeds(&mut cargo(["fmt", "--all", "--check"])))
}

fn clippy(_: bool) -> Outcome {
    let args = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    Outcome::of(succeeds(&mut cargo(args)))
}

fn doc(_: bool) -> Outcome {
    let args = ["doc", "--workspace", "--no-deps", "--document-private-items", "--features", "cepa/full"];
    Outcome::of(succeeds(cargo(args).env("RUSTDOCFLAGS", "-D warnings")))
}

/// The advisory database lives on another host than the crates, so it is left to those who can
/// reach it.
fn deny(install: bool) -> Outcome {
    if !DENY.is_ready(install) {
        return Outcome::missing(format!("no cargo-deny; {}", DENY.how_to_get()), install);
    }
    let passed = succeeds(&mut cargo(["deny", "check", "bans", "licenses", "sources"]));
    let remark = "advisories not checked here: `cargo deny check advisories` where github.com is reachable";
    if passed { Outcome::Passed(remark.into()) } else { Outcome::Failed(String::new()) }
}

/// Unit, integration and documentation tests of every crate.
fn test(_: bool) -> Outcome {
    let mut counted = Counts::default();
    let passed =
        succeeds_watched(&mut cargo(["test", "--workspace", "--no-fail-fast"]), |line| counted.add(line));
    let remark = format!(
        "{} passed, {} failed, {} ignored in {} test binaries",
        counted.passed, counted.failed, counted.ignored, counted.binaries
    );
    if passed { Outcome::Passed(remark) } else { Outcome::Failed(remark) }
}

/// The sum over libtest's `test result:` lines.
#[derive(Debug, Default, PartialEq)]
struct Counts {
    binaries: u64,
    passed: u64,
    failed: u64,
    ignored: u64,
}

impl Counts {
    fn add(&mut self, line: &str) {
        let Some((_, counts)) = line.strip_prefix("test result: ").and_then(|rest| rest.split_once(". "))
        else {
            return;
        };
        self.binaries += 1;
        for part in counts.split(';') {
            let Some((n, what)) = part.trim().split_once(' ') else { continue };
            let n = n.parse().unwrap_or(0);
            match what {
                "passed" => self.passed += n,
                "failed" => self.failed += n,
                "ignored" => self.ignored += n,
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn libtest_lines_are_summed_and_others_ignored() {
        let mut counts = Counts::default();
        for line in [
            "running 3 tests",
            "test a::b ... ok",
            "test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.01s",
            "test result: FAILED. 10 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.00s",
            "test result: ",
        ] {
            counts.add(line);
        }
        assert_eq!(counts, Counts { binaries: 2, passed: 13, failed: 2, ignored: 1 });
    }

    #[test]
    fn the_table_has_one_plain_line_for_each_step() {
        let ended = [
            ("fmt", Outcome::of(true), Duration::from_millis(1_240)),
            ("deny", Outcome::Skipped("no cargo-deny".into()), Duration::ZERO),
        ];
        let want = "\
step     result        time
fmt      ok           1.2 s
deny     skipped      0.0 s  no cargo-deny
";
        assert_eq!(table(&ended), want);
    }
}
