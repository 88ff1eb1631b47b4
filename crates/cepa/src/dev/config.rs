//! The section `dev` of the configuration.

use std::{path::PathBuf, time::Duration};

use cepa_server::limits::units;
use serde::{Deserialize, Serialize};

/// What the command `dev` watches, and how it changes from one program to the next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DevConfig {
    /// Folders below the package whose files the app reads for each request, so that a change only reloads the page;
    /// default `["public", "static", "templates", "view"]`. What the program includes when it is built counts as source.
    pub reload: Vec<PathBuf>,
    /// Folders whose files the app reads when it starts, beside that of the configuration; default `["locales"]`.
    pub restart: Vec<PathBuf>,
    /// Folders whose files a build reads without saying so; default none. Sources, manifests and what `include_str!` and
    /// its like name are known without.
    pub rebuild: Vec<PathBuf>,
    /// How long no file may change before something is done, default `"100ms"`.
    #[serde(with = "units::duration")]
    pub quiet: Duration,
    /// Whether the new program starts while the old one serves, so that one that does not start changes nothing; default
    /// true. With false the old one ends first: for an app that holds what only one process can, such as a redb file.
    pub overlap: bool,
    /// How long a program that is to end may finish what it has begun, default `"3s"`; then it is cut.
    #[serde(with = "units::duration")]
    pub grace: Duration,
}

impl Default for DevConfig {
    fn default() -> Self {
        Self {
            reload: ["public", "static", "templates", "view"].map(PathBuf::from).into(),
            restart: vec!["locales".into()],
            rebuild: Vec::new(),
            quiet: Duration::from_millis(100),
            overlap: true,
            grace: Duration::from_secs(3),
        }
    }
}
