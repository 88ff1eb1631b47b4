//! The program `cepa`.

use std::{env, process::ExitCode};

fn main() -> ExitCode {
    cepa_cli::run(env::args_os())
}
