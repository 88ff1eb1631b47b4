//! `cargo xtask insn`: what a request costs through each door, in user-space instructions, which a machine's load does not
//! change. It fails where that is more than a bound.
//!
//! The program of `tests/counted` serves a text to itself. callgrind counts two runs that differ in their number of
//! requests only, so that the start and the end cancel out; the client's own part, which does not change, is in the figure.
//! The profile `counted` is that of a release without its link-time optimisation, which takes minutes.

use std::process::Stdio;

use crate::Failure;
use crate::outcome::Outcome;
use crate::process::{cargo, find, program, root, succeeds};

/// The doors, and the most instructions of a request: what it was, and a tenth more.
const DOORS: [(&str, u64); 3] = [("http", 11_200), ("fastcgi", 16_500), ("scgi", 24_400)];
/// Requests of the shorter run; the longer one has three times as many.
const REQUESTS: u64 = 4_800;

/// `insn`
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    if let Some(arg) = args.first() {
        return Err(Failure::Usage(format!("insn takes no argument, as {arg:?}")));
    }
    match count(false) {
        Outcome::Failed(why) => {
            println!("{why}");
            Err(Failure::Failed)
        }
        Outcome::Passed(remark) | Outcome::Skipped(remark) => {
            println!("{remark}");
            Ok(())
        }
    }
}

/// The step of `ci`.
pub(crate) fn count(install: bool) -> Outcome {
    if find("valgrind").is_none() {
        return Outcome::missing("install valgrind".into(), install);
    }
    let build = ["build", "--quiet", "--locked", "--profile", "counted", "-p", "cepa-counted"];
    if !succeeds(&mut cargo(build)) {
        return Outcome::Failed("build".into());
    }
    let mut figures = Vec::new();
    let mut is_well = true;
    for (door, most) in DOORS {
        let Some(per) = instructions(door, REQUESTS).zip(instructions(door, 3 * REQUESTS)) else {
            return Outcome::Failed(format!("{door}: callgrind has counted nothing"));
        };
        let per = per.1.saturating_sub(per.0) / (2 * REQUESTS);
        is_well &= per > 0 && per <= most;
        figures.push(format!("{door} {per} of at most {most}"));
    }
    let figures = format!("instructions per request: {}", figures.join(", "));
    if is_well { Outcome::Passed(figures) } else { Outcome::Failed(figures) }
}

/// The instructions of one run.
fn instructions(door: &str, requests: u64) -> Option<u64> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root().join("target"), Into::into);
    let mut valgrind = program("valgrind");
    valgrind
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null", "--fair-sched=yes"])
        .arg(target.join("counted/cepa-counted"))
        .args([door, &requests.to_string()])
        .stdout(Stdio::null())
        .stderr(Stdio::piped());
    let output = valgrind.output().ok().filter(|output| output.status.success())?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let (_, count) = said.rsplit_once("Collected : ")?;
    count.split_whitespace().next()?.parse().ok()
}
