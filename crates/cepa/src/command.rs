//! The command line: what may be asked of a program, and the flags that are a layer of its configuration.

#[cfg(feature = "cluster")]
mod cluster;

use std::{ffi::OsString, path::PathBuf};

use cepa_server::listen::Address;
use clap::{Arg, Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use clap_complete::Shell;
use http::Method;

#[cfg(feature = "dev")]
use crate::dev::Wanted;
#[cfg(feature = "cluster")]
use crate::operate::Operation;
use crate::{
    boot::{EnvName, Surroundings},
    config::Setting,
};

#[derive(Parser)]
#[command(disable_help_subcommand = true)]
struct CommandLine {
    #[command(flatten)]
    flags: Flags,
    #[command(subcommand)]
    command: Option<Subcommands>,
}

#[derive(Subcommand)]
enum Subcommands {
    /// Serves the app in this process until it is told to stop (the default)
    Serve(Flags),
    /// Serves the app while it is written: builds it anew when a file changes, and has pages reload
    #[cfg(feature = "dev")]
    Dev(DevFlags),
    /// What `dev` runs
    #[cfg(feature = "dev")]
    #[command(hide = true)]
    ServeDev(Flags),
    #[cfg(feature = "cluster")]
    #[command(flatten)]
    Cluster(cluster::Subcommands),
    /// Lists the routes of the app, or explains what answers a path
    Routes(RoutesFlags),
    /// Reads the configuration and builds the app, but does not serve it
    Check(CheckFlags),
    /// Runs a schedule of the app once
    #[cfg(feature = "cluster")]
    RunSchedule(RunScheduleFlags),
    /// Prints what a shell needs to complete command lines of this program
    Completions {
        /// The shell
        shell: Shell,
    },
}

#[cfg(feature = "cluster")]
#[derive(Args)]
struct RunScheduleFlags {
    #[command(flatten)]
    flags: Flags,
    /// The name of the schedule
    name: String,
}

#[derive(Args)]
struct CheckFlags {
    #[command(flatten)]
    flags: Flags,
    /// Prints the configuration as it takes effect, with the origin of each value and without secrets
    #[arg(long)]
    dump: bool,
}

#[cfg(feature = "dev")]
#[derive(Args)]
struct DevFlags {
    #[command(flatten)]
    flags: Flags,
    /// The package of the app, in a workspace that has several [default: that of this folder]
    #[arg(long, short, value_name = "NAME")]
    package: Option<String>,
    /// The program of the package, if it has several
    #[arg(long, value_name = "NAME")]
    bin: Option<String>,
    /// Arguments for `cargo build`, behind `--`
    #[arg(last = true, value_name = "ARGUMENT")]
    cargo: Vec<OsString>,
}

#[derive(Args)]
struct RoutesFlags {
    #[command(flatten)]
    flags: Flags,
    /// Shows the layers and the handler that a request for this path passes, outermost first
    #[arg(long, value_name = "PATH", value_parser = absolute_path)]
    explain: Option<String>,
    /// The method of that request
    #[arg(long, requires = "explain", default_value = "GET")]
    method: Method,
    /// The host of that request
    #[arg(long, requires = "explain", default_value = "localhost")]
    host: String,
}

// The flags that every command takes, before its name or behind it. (Documentation here would become the help's.)
#[derive(Args, Default)]
struct Place {
    /// The environment, which chooses the file NAME.toml [default: $CEPA_ENV, else development or production
    /// by the kind of build]
    #[arg(long, value_name = "NAME")]
    env: Option<EnvName>,
    /// The folder of the configuration files [default: config]
    #[arg(long, value_name = "DIR")]
    config: Option<PathBuf>,
    /// Sets a key of the configuration; may be repeated
    #[arg(long, value_name = "SECTION.KEY=VALUE")]
    set: Vec<Setting>,
}

// Those of commands that need the app.
#[derive(Args, Default)]
struct Flags {
    #[command(flatten)]
    place: Place,
    /// Listens here, and not where the configuration says: 127.0.0.1:3000, unix:/run/app.sock; may be
    /// repeated
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<Address>,
    /// The number of workers, 0 for one per processor: processes in a cluster, threads otherwise
    #[arg(long, value_name = "NUMBER")]
    workers: Option<u16>,
}

/// What is asked of a program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Serve,
    #[cfg(feature = "dev")]
    Dev {
        wanted: Wanted,
        /// Arguments for `cargo build`.
        cargo: Vec<OsString>,
        /// Flags for the program that is built.
        flags: Vec<OsString>,
    },
    /// Serve as `dev` says.
    #[cfg(feature = "dev")]
    ServeDev,
    Routes,
    Explain(Question),
    Check,
    /// What no command line asks for, but a front server: one request by CGI.
    Cgi,
    Dump,
    #[cfg(feature = "cluster")]
    RunSchedule(String),
    Completions(Shell),
    /// Serves in a cluster, of which this process is the master.
    #[cfg(feature = "cluster")]
    Start,
    #[cfg(feature = "cluster")]
    Operate(Operation),
}

/// A request whose way is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Question {
    pub(crate) method: Method,
    pub(crate) host: String,
    pub(crate) path: String,
}

/// Reads a command line, the program's own name first.
///
/// # Errors
/// What clap prints: the help, the version, or what is wrong and how to write it.
pub(crate) fn parse(
    arguments: impl IntoIterator<Item = OsString>,
    name: &str,
    version: &str,
    hosts_folders: bool,
) -> Result<(Command, Surroundings), clap::Error> {
    let mut clap = command_line(hosts_folders).name(name.to_owned()).version(version.to_owned());
    let matches = clap.try_get_matches_from_mut(arguments)?;
    let line = CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut clap))?;
    let folder = matches.subcommand().and_then(|(_, of_command)| of_command.try_get_one(FOLDER).ok()?);
    let folder: Option<PathBuf> = folder.cloned();
    #[cfg_attr(not(feature = "dev"), expect(unused_mut, reason = "only `dev` hands flags on"))]
    let (mut command, behind) = match line.command {
        None => (Command::Serve, Flags::default()),
        Some(Subcommands::Serve(flags)) => (Command::Serve, flags),
        Some(Subcommands::Check(CheckFlags { flags, dump })) => {
            (if dump { Command::Dump } else { Command::Check }, flags)
        }
        #[cfg(feature = "cluster")]
        Some(Subcommands::RunSchedule(RunScheduleFlags { flags, name })) => {
            (Command::RunSchedule(name), flags)
        }
        Some(Subcommands::Completions { shell }) => (Command::Completions(shell), Flags::default()),
        #[cfg(feature = "cluster")]
        Some(Subcommands::Cluster(of_cluster)) => of_cluster.command(),
        #[cfg(feature = "dev")]
        Some(Subcommands::Dev(DevFlags { flags, package, bin, cargo })) => {
            let wanted = Wanted { package, program: bin, own: Some(name.to_owned()) };
            (Command::Dev { wanted, cargo, flags: Vec::new() }, flags)
        }
        #[cfg(feature = "dev")]
        Some(Subcommands::ServeDev(flags)) => (Command::ServeDev, flags),
        Some(Subcommands::Routes(RoutesFlags { flags, explain, method, host })) => {
            let question = explain.map(|path| Question { method, host, path });
            (question.map_or(Command::Routes, Command::Explain), flags)
        }
    };
    let workers = match &command {
        #[cfg(feature = "cluster")]
        Command::Start | Command::Operate(_) => ["cluster", "workers"],
        _ => ["server", "workers"],
    };
    let flags = line.flags.and(behind);
    #[cfg(feature = "dev")]
    if let Command::Dev { flags: handed_on, .. } = &mut command {
        *handed_on = flags.arguments();
    }
    Ok((command, Surroundings { folder, ..flags.surroundings(name, workers) }))
}

/// The argument that names the folder to work in.
const FOLDER: &str = "folder";

/// The definition of all command lines.
fn command_line(hosts_folders: bool) -> clap::Command {
    let line = CommandLine::command();
    if !hosts_folders {
        return line;
    }
    line.mut_subcommands(|command| match command.get_name() {
        "completions" => command,
        // There is no app to be built.
        "dev" | "serve-dev" => command.hide(true),
        _ => command.arg(
            Arg::new(FOLDER)
                .value_name("SITE")
                .value_parser(clap::value_parser!(PathBuf))
                .help("The folder of the site [default: this one]"),
        ),
    })
}

/// The one of these command lines that asks for `what`.
///
/// A word can be a command, a flag or the value of a flag: which it was is known by what comes of changing it.
#[cfg(feature = "cluster")]
pub(crate) fn that_asks_for(
    what: &Command,
    mut lines: impl Iterator<Item = Vec<OsString>>,
) -> Option<Vec<OsString>> {
    lines.find(|line| parse(line.iter().cloned(), "", "", true).is_ok_and(|(command, _)| command == *what))
}

/// What a shell needs to complete command lines of the program, with commands that are read elsewhere.
pub(crate) fn completions(
    shell: Shell,
    name: &str,
    hosts_folders: bool,
    elsewhere: &[(String, String)],
) -> String {
    let mut line = command_line(hosts_folders);
    for (command, about) in elsewhere {
        line = match line.find_subcommand(command) {
            Some(_) => line.mut_subcommand(command, |command| command.hide(false)),
            None => line.subcommand(clap::Command::new(command.clone()).about(about.clone())),
        };
    }
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut line, name, &mut script);
    String::from_utf8_lossy(&script).into_owned()
}

impl Flags {
    /// These flags, and then those.
    fn and(mut self, then: Self) -> Self {
        self.place.set.extend(then.place.set);
        self.listen.extend(then.listen);
        let place = Place {
            env: then.place.env.or(self.place.env),
            config: then.place.config.or(self.place.config),
            set: self.place.set,
        };
        Self { place, listen: self.listen, workers: then.workers.or(self.workers) }
    }

    /// These flags as they are typed, but for those of the environment and the folder of the configuration.
    #[cfg(feature = "dev")]
    fn arguments(&self) -> Vec<OsString> {
        let set = self.place.set.iter().map(|setting| ["--set".to_owned(), setting.to_flag()]);
        let listen = self.listen.iter().map(|address| ["--listen".to_owned(), address.to_string()]);
        let workers = self.workers.iter().map(|workers| ["--workers".to_owned(), workers.to_string()]);
        set.chain(listen).chain(workers).flatten().map(OsString::from).collect()
    }

    /// The surroundings that they make; `workers` is the key that their number is set by.
    fn surroundings(self, name: &str, workers: [&str; 2]) -> Surroundings {
        let mut flags = self.place.set;
        if !self.listen.is_empty() {
            let addresses = self.listen.iter().map(Address::to_string).collect();
            flags.push(Setting::texts("--listen", ["server", "listen"], addresses));
        }
        if let Some(number) = self.workers {
            flags.push(Setting::value("--workers", workers, &number.to_string()));
        }
        let Place { env, config: dir, .. } = self.place;
        Surroundings { name: name.to_owned(), folder: None, file: None, settle: None, env, dir, flags }
    }
}

/// A path as a request has it.
fn absolute_path(path: &str) -> Result<String, &'static str> {
    if path.starts_with('/') { Ok(path.to_owned()) } else { Err("a path begins with a slash") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(arguments: &[&str]) -> Result<(Command, Surroundings), clap::Error> {
        let arguments = ["/opt/app"].iter().chain(arguments).map(|&argument| argument.into());
        parse(arguments, "hello", "1.2.3", false)
    }

    #[test]
    fn the_definition_is_sound() {
        CommandLine::command().debug_assert();
    }

    #[test]
    fn each_command_line_means_one_command() {
        for (arguments, command) in [
            (&[][..], Command::Serve),
            (&["--workers", "2"], Command::Serve),
            (&["serve", "--listen", "[::1]:0"], Command::Serve),
            (&["check"], Command::Check),
            (&["check", "--dump"], Command::Dump),
            (&["completions", "bash"], Command::Completions(Shell::Bash)),
            (&["routes"], Command::Routes),
            #[cfg(feature = "cluster")]
            (&["run-schedule", "clean"], Command::RunSchedule("clean".to_owned())),
        ] {
            let parsed = parsed(arguments).map(|(command, _)| command).ok();
            assert_eq!(parsed, Some(command), "{arguments:?}");
        }
        let explain = parsed(&["routes", "--explain", "/a", "--method", "PURGE", "--host", "a.test"]);
        let question = Question {
            method: Method::from_bytes(b"PURGE").unwrap(),
            host: "a.test".to_owned(),
            path: "/a".to_owned(),
        };
        assert_eq!(explain.ok().map(|(command, _)| command), Some(Command::Explain(question)));
    }

    #[test]
    fn what_is_no_command_line_is_a_usage_error() {
        for arguments in [
            &["start-over"][..],
            &["completions"],
            &["completions", "csh"],
            &["--colour"],
            &["routes", "--explain", "no-slash"],
            &["routes", "--method", "GET"],
            &["--listen", "3000"],
            &["--workers", "-1"],
            &["--workers", "65536"],
            &["--env", "../secrets"],
            &["--env", "default"],
            &["--env", ""],
            &["--set", "server"],
            &["--set", ".workers=1"],
            &["--set", "=1"],
        ] {
            let error = parsed(arguments).map(drop).unwrap_err();
            assert!(error.use_stderr(), "{arguments:?}: {error}");
        }
        for arguments in [&["--help"][..], &["routes", "--help"], &["--version"]] {
            assert!(!parsed(arguments).map(drop).unwrap_err().use_stderr(), "{arguments:?}");
        }
    }

    #[test]
    fn a_folder_stands_behind_the_command_of_a_program_that_hosts_folders() {
        let folder = |arguments: &[&str], hosts| {
            let line = ["cepa"].iter().chain(arguments).map(|&argument| argument.into());
            parse(line, "cepa", "1", hosts).map(|(_, surroundings)| surroundings.folder).map_err(drop)
        };
        for (arguments, site) in [
            (&["serve", "there"][..], Some("there")),
            (&["--env", "a", "check", "--dump", "there", "--set", "x.a=1"], Some("there")),
            (&["routes", "--explain", "/", "there"], Some("there")),
            (&["serve"], None),
            (&[], None),
            #[cfg(feature = "cluster")]
            (&["start", "--daemon", "there"], Some("there")),
            #[cfg(feature = "cluster")]
            (&["reload", "there"], Some("there")),
            #[cfg(feature = "cluster")]
            (&["run-schedule", "clean", "there"], Some("there")),
        ] {
            assert_eq!(folder(arguments, true), Ok(site.map(PathBuf::from)), "{arguments:?}");
            assert_eq!(folder(arguments, false).is_ok(), site.is_none(), "{arguments:?}");
        }
        for arguments in [&["there"][..], &["serve", "one", "two"], &["completions", "bash", "there"]] {
            assert_eq!(folder(arguments, true), Err(()), "{arguments:?}");
        }
        command_line(true).debug_assert();
    }

    #[test]
    fn flags_stand_before_and_behind_the_command() {
        let line =
            ["--env", "a", "--set", "x.a=1", "--config", "here", "check", "--env", "b", "--set", "x.a=2"];
        let (_, surroundings) = parsed(&line).unwrap();
        assert_eq!(surroundings.env, Some("b".parse().unwrap()));
        assert_eq!(surroundings.dir, Some("here".into()));
        assert_eq!(surroundings.flags.len(), 2);
    }

    #[test]
    fn completions_are_for_the_program_by_its_name() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell, Shell::Elvish] {
            let elsewhere = [("plant".to_owned(), "Plants an onion".to_owned())];
            let script = completions(shell, "my-app", false, &elsewhere);
            for word in ["my-app", "explain", "plant"] {
                assert!(script.contains(word), "{shell}: {script}");
            }
        }
    }

    #[cfg(feature = "dev")]
    #[test]
    fn dev_hands_its_flags_to_what_it_builds() {
        let line = [
            "--set",
            "x.a=1",
            "dev",
            "--env",
            "b",
            "--bin",
            "web",
            "--set",
            "x.b=[\"c = d\"]",
            "--listen",
            "[::1]:0",
            "--workers",
            "2",
            "--",
            "--release",
            "--bin",
        ];
        let (command, surroundings) = parsed(&line).unwrap();
        let Command::Dev { wanted, cargo, flags } = command else { panic!("{command:?}") };
        let named =
            Wanted { program: Some("web".to_owned()), own: Some("hello".to_owned()), ..Wanted::default() };
        assert_eq!((wanted, surroundings.env), (named, Some("b".parse().unwrap())));
        assert_eq!(cargo, ["--release", "--bin"]);
        let handed_on =
            ["--set", "x.a=1", "--set", "x.b=[\"c = d\"]", "--listen", "[::1]:0", "--workers", "2"]
                .map(OsString::from);
        assert_eq!(flags, handed_on);
        let again: Vec<_> = flags.iter().filter_map(|flag| flag.to_str()).chain(["serve-dev"]).collect();
        let (command, again) = parsed(&again).unwrap();
        assert_eq!((command, again.flags.len()), (Command::ServeDev, surroundings.flags.len()));
    }

    #[test]
    fn the_help_is_short() {
        insta::assert_snapshot!(parsed(&["--help"]).map(drop).unwrap_err());
    }
}
