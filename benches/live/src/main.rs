//! Parks subscribers on a queue, as many as asked for, and measures what they cost and how fast a message reaches
//! them all.
//!
//! A process has a limit of descriptors, so there are many: this one starts as many servers as it takes, each with
//! one worker thread, and as many loaders, each with a source address of its own in 127.0.0.0/8. It talks to both by
//! lines on their standard input and output.
//!
//! In reading order: `options` is the command line; `run` leads; `serve` and `load` are the two kinds of children;
//! `children`, `delays` and `memory` are what `run` counts with.

mod children;
mod delays;
mod load;
mod memory;
mod options;
mod run;
mod serve;

use std::process::ExitCode;

use options::{Asked, Options};

type Result<T = ()> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let asked = match options::parse(&args) {
        Ok(asked) => asked,
        Err(text) => {
            eprintln!("{text}");
            return ExitCode::from(2);
        }
    };
    let done = match asked {
        Asked::Help => {
            println!("{}", options::HELP);
            Ok(())
        }
        Asked::Run(options) => run::run(&options),
        Asked::Serve { kind, heartbeat } => serve::serve(kind, heartbeat),
        Asked::Load { kind, source, target } => load::load(kind, source, target),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Nanoseconds of the clock that all processes of a machine have in common.
fn now() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}
