//! The cargo subcommands that are not part of Rust: found, or installed when that is wanted.

use crate::process::{cargo, find, succeeds};

/// A cargo subcommand, and the version that is installed if it is missing.
pub(crate) struct Tool {
    name: &'static str,
    version: &'static str,
}

/// Checks licences, bans and sources of the dependency tree.
pub(crate) const DENY: Tool = Tool { name: "cargo-deny", version: "0.20.2" };
/// Builds and drives the libFuzzer targets.
pub(crate) const FUZZ: Tool = Tool { name: "cargo-fuzz", version: "0.13.2" };

impl Tool {
    /// Whether it can be used now. A missing one is installed into cargo's own bin folder if
    /// `install` says so: unoptimised, for building it takes longer than its work here.
    pub(crate) fn is_ready(&self, install: bool) -> bool {
        let spec = format!("{}@{}", self.name, self.version);
        find(self.name).is_some()
            || install && succeeds(&mut cargo(["install", "--locked", "--debug", &spec]))
    }

    /// What to type to get it.
    pub(crate) fn how_to_get(&self) -> String {
        format!("cargo install --locked {}@{}", self.name, self.version)
    }
}

/// Missing tools are installed without asking where nobody could answer.
pub(crate) fn is_ci() -> bool {
    std::env::var_os("CI").is_some_and(|v| !v.is_empty() && v != "0" && v != "false")
}
