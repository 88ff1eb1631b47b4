//! Which plugins are on, and in what order they come.

use std::fmt;

use crate::config::hint;

/// Why the plugins of a program do not fit together.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum PluginError {
    /// A name that none can have.
    #[error("a plugin has a name of 1 to 64 letters, digits, \"-\" and \"_\", not {0:?}")]
    Name(String),
    /// Two plugins of one name.
    #[error("two plugins are named `{0}`")]
    Twice(String),
    /// A plugin that is needed and not there.
    #[error("the plugin `{by}` needs `{name}`, which the program does not have{hint}")]
    Missing {
        /// The plugin that needs it.
        by: String,
        /// The plugin that is needed.
        name: String,
        /// What may have been meant.
        hint: String,
    },
    /// A plugin that is needed and off.
    #[error("the plugin `{by}` needs `{name}`, which is off: {why}")]
    Off {
        /// The plugin that needs it.
        by: String,
        /// The plugin that is needed.
        name: String,
        /// Why it is off.
        why: String,
    },
    /// Plugins that need each other.
    #[error("plugins need each other in a circle: {}", .0.join(" needs "))]
    Cycle(Vec<String>),
}

/// Why a plugin is off.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Off {
    /// The configuration says so, here.
    Switched(String),
    /// It is for other environments than this.
    Environment(String),
    /// It has to be switched on.
    ByDefault,
}

impl fmt::Display for Off {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Switched(place) => write!(f, "{place} says so"),
            Self::Environment(env) => write!(f, "it is not for the environment {env}"),
            Self::ByDefault => f.write_str("it is not on by default, and plugins.NAME.enable is not true"),
        }
    }
}

/// A plugin that may take part.
#[derive(Clone, Debug)]
pub(crate) struct Candidate<'a> {
    pub(crate) name: &'a str,
    pub(crate) dependencies: &'a [&'a str],
    pub(crate) optional: &'a [&'a str],
    pub(crate) off: Option<Off>,
}

/// The places of those that are on, each behind what it needs, and otherwise as they were given.
pub(crate) fn order(all: &[Candidate<'_>]) -> Result<Vec<usize>, PluginError> {
    for (at, candidate) in all.iter().enumerate() {
        let name = candidate.name;
        let sound = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !sound || !(1..=64).contains(&name.len()) {
            return Err(PluginError::Name(name.to_owned()));
        }
        if all[..at].iter().any(|other| other.name == name) {
            return Err(PluginError::Twice(name.to_owned()));
        }
    }
    let mut walk = Walk { all, done: Vec::new(), path: Vec::new() };
    for at in (0..all.len()).filter(|&at| all[at].off.is_none()) {
        walk.visit(at)?;
    }
    Ok(walk.done)
}

struct Walk<'a> {
    all: &'a [Candidate<'a>],
    done: Vec<usize>,
    /// From the plugin that was asked for to the one that is being looked at.
    path: Vec<usize>,
}

impl Walk<'_> {
    /// Puts a plugin behind what it needs.
    fn visit(&mut self, at: usize) -> Result<(), PluginError> {
        if self.done.contains(&at) {
            return Ok(());
        }
        let all = self.all;
        if let Some(begin) = self.path.iter().position(|&on_path| on_path == at) {
            let circle = self.path[begin..].iter().chain([&at]).map(|&at| all[at].name.to_owned());
            return Err(PluginError::Cycle(circle.collect()));
        }
        self.path.push(at);
        let this = &all[at];
        for name in this.dependencies {
            self.visit(self.needed(this, name)?)?;
        }
        for name in this.optional {
            if let Some(at) = all.iter().position(|other| other.name == *name && other.off.is_none()) {
                self.visit(at)?;
            }
        }
        self.path.pop();
        self.done.push(at);
        Ok(())
    }

    fn needed(&self, by: &Candidate<'_>, name: &str) -> Result<usize, PluginError> {
        let (by, owned) = (by.name.to_owned(), name.to_owned());
        let Some(at) = self.all.iter().position(|other| other.name == name) else {
            let hint = hint(name, "plugins", self.all.iter().map(|other| other.name));
            return Err(PluginError::Missing { by, name: owned, hint });
        };
        match &self.all[at].off {
            Some(off) => {
                let why = off.to_string().replace("NAME", name);
                Err(PluginError::Off { by, name: owned, why })
            }
            None => Ok(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Written as `name: needs needs ?likes`, with `!` before the name for one that is off.
    fn ordered(plugins: &[&str]) -> Result<String, String> {
        let parts: Vec<_> = plugins
            .iter()
            .map(|text| {
                let (name, rest) = text.split_once(':').unwrap_or((text, ""));
                let (likes, needs): (Vec<_>, Vec<_>) =
                    rest.split_whitespace().partition(|word| word.starts_with('?'));
                let likes: Vec<_> = likes.iter().map(|word| &word[1..]).collect();
                (name.trim_start_matches('!'), name.starts_with('!'), needs, likes)
            })
            .collect();
        let all: Vec<_> = parts
            .iter()
            .map(|(name, off, needs, likes)| Candidate {
                name,
                dependencies: needs,
                optional: likes,
                off: off.then_some(Off::ByDefault),
            })
            .collect();
        let order = order(&all).map_err(|error| error.to_string())?;
        Ok(order.into_iter().map(|at| all[at].name).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn each_stands_behind_what_it_needs() {
        for (plugins, expected) in [
            (&[][..], ""),
            (&["a", "b", "c"], "a b c"),
            (&["a: c", "b", "c"], "c a b"),
            (&["a: b c", "b: d", "c: d", "d"], "d b c a"),
            (&["a: ?b", "b"], "b a"),
            (&["a: ?b", "!b"], "a"),
            (&["a: ?b"], "a"),
            (&["!a: x", "b"], "b"),
        ] {
            assert_eq!(ordered(plugins).as_deref(), Ok(expected), "{plugins:?}");
        }
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let circle = "plugins need each other in a circle: ";
        for (plugins, fault) in [
            (&["a: datbase", "database"][..], "the plugin `a` needs `datbase`, which the program does not have; did you mean `database`?".to_owned()),
            (
                &["a: b", "!b"],
                "the plugin `a` needs `b`, which is off: it is not on by default, and plugins.b.enable is not true".to_owned(),
            ),
            (&["a: a"], format!("{circle}a needs a")),
            (&["x: a", "a: b", "b: c", "c: a"], format!("{circle}a needs b needs c needs a")),
            (&["a: ?b", "b: a"], format!("{circle}a needs b needs a")),
            (&["a", "a"], "two plugins are named `a`".to_owned()),
            (&["a b"], "a plugin has a name of 1 to 64 letters, digits, \"-\" and \"_\", not \"a b\"".to_owned()),
        ] {
            assert_eq!(ordered(plugins), Err(fault), "{plugins:?}");
        }
    }
}
