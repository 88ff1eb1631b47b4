//! Which plugins of a program take part.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::LifecycleError;
use crate::{
    Boot,
    plugin::{self, Candidate, Erased, Off},
};

/// The switch of a plugin in the configuration.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Switch {
    enable: Option<bool>,
}

/// The plugins that are on, in their order.
pub(super) fn choose(boot: &mut Boot) -> Result<Vec<Box<dyn Erased>>, LifecycleError> {
    let mut plugins: Vec<_> = std::mem::take(&mut boot.plugins).into_iter().map(Some).collect();
    let all: Vec<&dyn Erased> = plugins.iter().flatten().map(|plugin| &**plugin).collect();
    let switches: BTreeMap<String, Switch> = boot.config.section("plugins")?;
    boot.config.check_names("plugins", "plugin", all.iter().map(|plugin| plugin.name()))?;
    let off = |plugin: &dyn Erased| {
        let name = plugin.name();
        let is_here = plugin.environments().is_empty() || plugin.environments().contains(&boot.env());
        match switches.get(name).and_then(|switch| switch.enable) {
            Some(false) => {
                let place = boot.config.origin(&["plugins", name, "enable"]);
                Some(Off::Switched(place.unwrap_or_default()))
            }
            _ if !is_here => Some(Off::Environment(boot.env().to_owned())),
            None if !plugin.is_enabled() => Some(Off::ByDefault),
            _ => None,
        }
    };
    let candidates: Vec<_> = all
        .iter()
        .map(|plugin| Candidate {
            name: plugin.name(),
            dependencies: plugin.dependencies(),
            optional: plugin.optional_dependencies(),
            off: off(*plugin),
        })
        .collect();
    let order = plugin::order(&candidates)?;
    Ok(order.into_iter().filter_map(|at| plugins[at].take()).collect())
}
