//! The command line: what may be asked of a program, and the flags that are a layer of its configuration.

use std::path::PathBuf;

use cepa_server::listen::Address;
use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand};
use http::Method;

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
    /// Serves the app until it is told to stop (the default)
    Serve(Flags),
    /// Lists the routes of the app, or explains what answers a path
    Routes(RoutesFlags),
    /// Reads the configuration and builds the app, but does not serve it
    Check(Flags),
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
#[derive(Args)]
struct Flags {
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
    /// Listens here, and not where the configuration says: 127.0.0.1:3000, unix:/run/app.sock; may be
    /// repeated
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<Address>,
    /// The number of worker threads, 0 for one per processor
    #[arg(long, value_name = "NUMBER")]
    workers: Option<u16>,
}

/// What is asked of a program.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Serve,
    Routes,
    Explain(Question),
    Check,
    /// What no command line asks for, but a front server: one request by CGI.
    Cgi,
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
    arguments: impl IntoIterator<Item = std::ffi::OsString>,
    name: &str,
    version: &str,
) -> Result<(Command, Surroundings), clap::Error> {
    let mut clap = CommandLine::command().name(name.to_owned()).version(version.to_owned());
    let matches = clap.try_get_matches_from_mut(arguments)?;
    let line = CommandLine::from_arg_matches(&matches).map_err(|error| error.format(&mut clap))?;
    let (command, behind) = match line.command {
        None => (Command::Serve, None),
        Some(Subcommands::Serve(flags)) => (Command::Serve, Some(flags)),
        Some(Subcommands::Check(flags)) => (Command::Check, Some(flags)),
        Some(Subcommands::Routes(RoutesFlags { flags, explain, method, host })) => {
            let question = explain.map(|path| Question { method, host, path });
            (question.map_or(Command::Routes, Command::Explain), Some(flags))
        }
    };
    let flags = match behind {
        Some(behind) => line.flags.and(behind),
        None => line.flags,
    };
    Ok((command, flags.surroundings(name)))
}

impl Flags {
    /// These flags, and then those.
    fn and(mut self, then: Self) -> Self {
        self.set.extend(then.set);
        self.listen.extend(then.listen);
        Self {
            env: then.env.or(self.env),
            config: then.config.or(self.config),
            workers: then.workers.or(self.workers),
            ..self
        }
    }

    fn surroundings(self, name: &str) -> Surroundings {
        let mut flags = self.set;
        if !self.listen.is_empty() {
            let addresses = self.listen.iter().map(Address::to_string).collect();
            flags.push(Setting::texts("--listen", ["server", "listen"], addresses));
        }
        if let Some(workers) = self.workers {
            flags.push(Setting::value("--workers", ["server", "workers"], &workers.to_string()));
        }
        Surroundings { name: name.to_owned(), env: self.env, dir: self.config, flags }
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
        parse(arguments, "hello", "1.2.3")
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
            (&["routes"], Command::Routes),
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
    fn flags_stand_before_and_behind_the_command() {
        let line =
            ["--env", "a", "--set", "x.a=1", "--config", "here", "check", "--env", "b", "--set", "x.a=2"];
        let (_, surroundings) = parsed(&line).unwrap();
        assert_eq!(surroundings.env, Some("b".parse().unwrap()));
        assert_eq!(surroundings.dir, Some("here".into()));
        assert_eq!(surroundings.flags.len(), 2);
    }

    #[test]
    fn the_help_is_short() {
        insta::assert_snapshot!(parsed(&["--help"]).map(drop).unwrap_err());
    }
}
