//! The part of the command line that is about a cluster.

use clap::{Args, Subcommand};

use super::{Command, Flags, Place};
use crate::operate::{Operation, Shown};

#[derive(Subcommand)]
pub(super) enum Subcommands {
    /// Serves the app in a cluster: a master, an agent and workers
    Start(Start),
    /// Stops the cluster, whose connections get time to finish
    Stop(Place),
    /// Stops the cluster, if there is one, and starts it as a daemon
    Restart(Flags),
    /// Replaces the workers by new ones, with the program and the configuration that are there now
    Reload(Place),
    /// Replaces the master too, by the program that is there now
    Upgrade(Place),
    /// Shows the processes of the cluster
    Status(Status),
    /// Opens the files of the logs anew, after something has moved them
    Reopen(Place),
}

#[derive(Args)]
pub(super) struct Start {
    #[command(flatten)]
    flags: Flags,
    /// Leaves the terminal, and returns when the cluster serves
    #[arg(long)]
    daemon: bool,
}

#[derive(Args)]
pub(super) struct Status {
    #[command(flatten)]
    place: Place,
    /// Prints JSON
    #[arg(long)]
    json: bool,
    /// Shows it again each second, until Ctrl-C
    #[arg(long)]
    watch: bool,
}

impl Subcommands {
    /// What is asked for, and the flags that were given with it.
    pub(super) fn command(self) -> (Command, Flags) {
        let at = |place| Flags { place, ..Flags::default() };
        let (operation, flags) = match self {
            Self::Start(Start { flags, daemon: false }) => return (Command::Start, flags),
            Self::Start(Start { flags, daemon: true }) => (Operation::Launch, flags),
            Self::Stop(place) => (Operation::Stop, at(place)),
            Self::Restart(flags) => (Operation::Restart, flags),
            Self::Reload(place) => (Operation::Reload, at(place)),
            Self::Upgrade(place) => (Operation::Upgrade, at(place)),
            Self::Status(Status { place, json, watch }) => {
                (Operation::Status(Shown { json, watch }), at(place))
            }
            Self::Reopen(place) => (Operation::Reopen, at(place)),
        };
        (Command::Operate(operation), flags)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{boot::Surroundings, command};

    fn parsed(arguments: &[&str]) -> Result<(Command, Surroundings), clap::Error> {
        command::parse(
            ["/opt/app"].iter().chain(arguments).map(|&argument| argument.into()),
            "app",
            "1.2.3",
            false,
        )
    }

    #[test]
    fn each_command_line_means_one_operation() {
        let status = |json, watch| Operation::Status(Shown { json, watch });
        for (arguments, operation) in [
            (&["start", "--daemon"][..], Operation::Launch),
            (&["restart", "--workers", "2"], Operation::Restart),
            (&["stop"], Operation::Stop),
            (&["--env", "test", "reload"], Operation::Reload),
            (&["upgrade", "--set", "cluster.run_dir=/run/app"], Operation::Upgrade),
            (&["status"], status(false, false)),
            (&["status", "--json", "--watch"], status(true, true)),
            (&["reopen"], Operation::Reopen),
        ] {
            let command = parsed(arguments).map(|(command, _)| command).ok();
            assert_eq!(command, Some(Command::Operate(operation)), "{arguments:?}");
        }
        assert_eq!(parsed(&["start"]).map(|(command, _)| command).ok(), Some(Command::Start));
    }

    #[test]
    fn what_makes_no_sense_is_a_usage_error() {
        for arguments in [
            &["stop", "--daemon"][..],
            &["reload", "--listen", "[::]:80"],
            &["status", "app"],
            &["start", "--json"],
        ] {
            let error = parsed(arguments).map(drop).unwrap_err();
            assert!(error.use_stderr(), "{arguments:?}: {error}");
        }
    }

    #[test]
    fn the_helps_are_short() {
        let helps = ["start", "stop", "restart", "status"];
        let helps =
            helps.map(|name| format!("{name}:\n{}", parsed(&[name, "--help"]).map(drop).unwrap_err()));
        insta::assert_snapshot!(helps.join("\n"));
    }
}
