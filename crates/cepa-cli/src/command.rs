//! The command line.

use std::{
    ffi::OsString,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use cepa::server::cgi::process;
use clap::{CommandFactory, FromArgMatches, Parser, Subcommand, error::ErrorKind};

use crate::{
    import_apache,
    new::{Name, New},
};

#[derive(Parser)]
#[command(name = "cepa", version, disable_help_subcommand = true)]
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
    /// Prints the configuration of a site that answers as Apache does, and what of Apache's is not in it
    ImportApache {
        /// The file of Apache: all of it, such as /etc/apache2/apache2.conf, or that of one virtual host
        file: PathBuf,
        /// A name that the configuration asks for by `<IfDefine>` or `${NAME}`, as apache2 -D has it
        #[arg(short = 'D', long = "define", value_name = "NAME[=VALUE]")]
        defines: Vec<String>,
    },
    /// Serves the app of the package in this folder while it is written
    #[command(disable_help_flag = true)]
    Dev {
        /// What the program of an app takes behind `dev`; `cepa dev --help` lists it
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
}

/// The commands that are those of every app's program, here for the site in a folder. They are read there.
const OF_SITES: [(&str, &str); 12] = [
    ("serve", "Serves the site in a folder until it is told to stop (the default)"),
    ("start", "Serves the site in a cluster: a master, an agent and workers"),
    ("stop", "Stops the cluster, whose connections get time to finish"),
    ("restart", "Stops the cluster, if there is one, and starts it as a daemon"),
    ("reload", "Replaces the workers by new ones, with the site that is there now"),
    ("upgrade", "Replaces the master too, by the program that is there now"),
    ("status", "Shows the processes of the cluster"),
    ("reopen", "Opens the files of the logs anew, after something has moved them"),
    ("routes", "Lists the hosts and mounts of the site, or explains what answers a path"),
    ("check", "Reads the configuration and builds the site, but does not serve it"),
    ("run-schedule", "Runs a schedule once"),
    ("completions", "Prints what a shell needs to complete command lines of these commands"),
];

/// The definition of the command line, with what is read elsewhere.
fn definition() -> clap::Command {
    let of_sites =
        OF_SITES.map(|(name, about)| clap::Command::new(name).about(about).disable_help_flag(true));
    let line = CommandLine::command().subcommands(of_sites).override_usage("cepa [COMMAND [SITE]]");
    line.after_help(
        "SITE is a folder, this one by default. `cepa COMMAND --help` lists the flags of a command.",
    )
}

/// Whether a command line is read here: it asks for an own command, for the help, the version, or what is no command.
fn is_own(first: Option<&OsString>) -> bool {
    let Some(first) = first.and_then(|first| first.to_str()) else { return false };
    match first.starts_with('-') {
        true => matches!(first, "--help" | "-h" | "--version" | "-V"),
        false => OF_SITES.iter().all(|(name, _)| *name != first),
    }
}

/// Does what a command line asks for, the program's own name first, and gives the exit code: 0 if all is well, 1 if
/// something has failed, 2 if the command line is wrong.
pub fn run(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    // The arguments of a CGI program are those of the client.
    if process::is_cgi() || !is_own(arguments.get(1)) {
        let mut program = cepa_site::program("cepa", env!("CARGO_PKG_VERSION"));
        for own in CommandLine::command().get_subcommands() {
            let about = own.get_about().map_or_else(String::new, ToString::to_string);
            program = program.read_elsewhere(own.get_name(), about);
        }
        return program.run(cepa_site::app);
    }
    let first = arguments.get(1).map(PathBuf::from);
    let read = definition().try_get_matches_from(arguments);
    let line = match read.and_then(|matches| CommandLine::from_arg_matches(&matches)) {
        Ok(line) => line,
        Err(error) => return told(&error, first.as_deref()),
    };
    match line.command {
        Command::ImportApache { file, defines } => import(&file, defines),
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

/// Prints why a command line is none, or the help that it asks for.
fn told(error: &clap::Error, first: Option<&Path>) -> ExitCode {
    let folder = first.filter(|first| error.kind() == ErrorKind::InvalidSubcommand && first.is_dir());
    // Nobody is left to be told that this cannot be printed.
    let _ = match folder.map(Path::display) {
        Some(folder) => {
            writeln!(io::stderr(), "error: {folder} is a folder, no command; `cepa serve {folder}` serves it")
        }
        None => error.print(),
    };
    ExitCode::from(if error.use_stderr() { 2 } else { 0 })
}

/// Prints what becomes of a configuration of Apache, and notes what does not.
fn import(file: &Path, defines: Vec<String>) -> ExitCode {
    let defines = defines.into_iter().map(|define| match define.split_once('=') {
        Some((name, value)) => (name.to_owned(), value.to_owned()),
        None => (define, String::new()),
    });
    let imported = match import_apache::import(file, defines.collect()) {
        Ok(imported) => imported,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: {error}");
            return ExitCode::FAILURE;
        }
    };
    for note in &imported.notes {
        let _ = writeln!(io::stderr(), "{note}");
    }
    match io::stdout().write_all(imported.text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "error: cannot write to standard output: {error}");
            ExitCode::FAILURE
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_sound() {
        definition().debug_assert();
    }

    #[test]
    fn what_is_about_a_site_is_read_elsewhere() {
        let is_own = |first: &str| super::is_own(Some(&first.into()));
        for first in ["new", "dev", "nwe", "--help", "-h", "--version", "-V"] {
            assert!(is_own(first), "{first}");
        }
        for (first, _) in OF_SITES {
            assert!(!is_own(first), "{first}");
        }
        assert!(!is_own("--env") && !super::is_own(None));
    }

    #[test]
    fn the_help_names_all_commands() {
        insta::assert_snapshot!(definition().render_help());
    }

    #[test]
    fn what_stands_behind_dev_is_left_to_it() {
        let line = ["cepa", "dev", "--listen", "127.0.0.1:0", "--help", "--", "--release"];
        let Command::Dev { arguments } = CommandLine::try_parse_from(line).unwrap().command else { panic!() };
        assert_eq!(arguments, line[2..]);
    }
}
