//! The command line.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use crate::new::{Name, New};

#[derive(Parser)]
#[command(name = "cepa", version, disable_help_subcommand = true, arg_required_else_help = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Makes the folder of an app that can be served, tested and changed
    New {
        /// Its name: lower-case letters and digits, in words with "-" or "_" between them
        name: Name,
        /// The folder, which must not be there yet [default: NAME]
        #[arg(long, value_name = "FOLDER")]
        path: Option<PathBuf>,
        /// Where the sources of Cepa are [default: where this program was built, while they are there]
        #[arg(long, value_name = "FOLDER")]
        cepa: Option<PathBuf>,
    },
    /// Serves the app of the package in this folder while it is written
    #[command(disable_help_flag = true)]
    Dev {
        /// What the program of an app takes behind `dev`; `cepa dev --help` lists it
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// Does what a command line asks for, the program's own name first, and gives the exit code: 0 if all is well, 1 if
/// something has failed, 2 if the command line is wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let line = match CommandLine::try_parse_from(arguments) {
        Ok(line) => line,
        Err(text) => {
            // Nobody is left to be told that this cannot be printed.
            let _ = text.print();
            return ExitCode::from(if text.use_stderr() { 2 } else { 0 });
        }
    };
    match line.command {
        Command::Dev { arguments } => cepa::develop(arguments),
        Command::New { name, path, cepa } => match (New { name, path, cepa }).make() {
            Ok(made) => {
                let text = format!(
                    "{made} is made. Next:\n\n    cd {made}\n    cargo run -- dev\n",
                    made = made.display()
                );
                let _ = io::stdout().write_all(text.as_bytes());
                ExitCode::SUCCESS
            }
            Err(error) => {
                let _ = writeln!(io::stderr(), "error: {error}");
                ExitCode::FAILURE
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn what_stands_behind_dev_is_left_to_it() {
        let line = ["cepa", "dev", "--listen", "127.0.0.1:0", "--help", "--", "--release"];
        let Command::Dev { arguments } = CommandLine::try_parse_from(line).unwrap().command else { panic!() };
        assert_eq!(arguments, line[2..]);
    }
}
