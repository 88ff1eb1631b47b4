//! The configuration: layers of tables merged into one, of which each value knows where it was written.
//!
//! The way of a value: [`text`] reads it from a file, a variable or a flag into a [`Node`](node::Node), the layers
//! are merged, and [`read`] takes a section out as a type of the program. Whatever goes wrong on that way is a
//! [`ConfigError`], which names the place.

mod dump;
mod error;
mod nearest;
mod node;
mod read;
#[cfg(test)]
mod tests;
mod text;

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use serde::de::DeserializeOwned;

pub use self::error::ConfigError;
use self::{
    error::Fault,
    node::{Table, Value},
    read::{Absent, Reader},
};
pub(crate) use self::{nearest::hint, text::Setting};

/// Sections that Cepa itself reads.
const OWN: [&str; 8] = ["server", "log", "cluster", "lifecycle", "plugins", "schedules", "jobs", "dev"];

/// Where the layers come from; a later one wins over those before.
pub(crate) struct Layers<'a> {
    /// A file below those of the folder, which may be missing.
    pub(crate) file: Option<&'a Path>,
    /// The folder of `default.toml` and `{env}.toml`, which may both be missing, and the folder too.
    pub(crate) dir: &'a Path,
    /// The name of the environment.
    pub(crate) env: &'a str,
    /// The variables of the process; those that begin with `CEPA__` are settings.
    pub(crate) variables: Vec<(OsString, OsString)>,
    /// What was set on the command line.
    pub(crate) flags: Vec<Setting>,
}

/// All layers, merged.
pub(crate) struct Config {
    root: Table,
    /// The sections that were asked for, whether or not they are there.
    asked: RefCell<BTreeSet<String>>,
    /// The files that were read.
    files: Vec<PathBuf>,
}

impl Config {
    /// Reads and merges all layers.
    pub(crate) fn load(layers: Layers<'_>) -> Result<Self, ConfigError> {
        let asked = RefCell::new(OWN.map(str::to_owned).into());
        let mut config = Self { root: Table::new(), asked, files: Vec::new() };
        let of_folder = ["default", layers.env].map(|name| layers.dir.join(format!("{name}.toml")));
        for path in layers.file.map(Path::to_owned).into_iter().chain(of_folder) {
            if let Some(table) = text::file(&path)? {
                node::merge(&mut config.root, table);
                config.files.push(path);
            }
        }
        let mut variables = layers.variables;
        // In their own order they would win over each other by chance.
        variables.sort();
        for (name, value) in &variables {
            if let Some(setting) = text::variable(name, value)? {
                setting.apply(&mut config.root);
            }
        }
        for setting in layers.flags {
            setting.apply(&mut config.root);
        }
        Ok(config)
    }

    /// Puts layers of defaults below all others, a later one over those before; their sections are known from then on.
    pub(crate) fn put_below(&mut self, layers: &[(String, &str)]) -> Result<(), ConfigError> {
        let mut root = Table::new();
        for (name, text) in layers {
            let table = text::document(text, &name.as_str().into())?;
            self.asked.borrow_mut().extend(table.keys().cloned());
            node::merge(&mut root, table);
        }
        node::merge(&mut root, std::mem::take(&mut self.root));
        self.root = root;
        Ok(())
    }

    /// Sets a value over all layers.
    pub(crate) fn set(&mut self, setting: Setting) {
        setting.apply(&mut self.root);
    }

    /// Makes a section known without reading it.
    pub(crate) fn know(&self, section: &str) {
        self.asked.borrow_mut().insert(section.to_owned());
    }

    /// Where the value below these keys was written.
    pub(crate) fn origin(&self, [first, rest @ ..]: &[&str; 3]) -> Option<String> {
        Some(self.root.get(*first)?.at(rest.iter().copied())?.origin.to_string())
    }

    /// The error for a value below this key, such as `hosts[1].mounts[0].files`, that a type cannot see to be wrong.
    pub(crate) fn fault(&self, key: &str, text: String) -> ConfigError {
        let mut steps = key.split(['.', '[']).map(|step| step.trim_end_matches(']'));
        let mut node = steps.next().and_then(|section| self.root.get(section));
        // As far as it was written: what is missing is missed in the table around it.
        for step in steps {
            match node.and_then(|node| node.step(step)) {
                Some(below) => node = Some(below),
                None => break,
            }
        }
        let error = ConfigError::from(Fault::Value(text)).within(key);
        match node {
            Some(node) => error.at(&node.origin),
            None => error,
        }
    }

    /// Checks that a table of names, a section or one in it, has none but these.
    pub(crate) fn check_names<'a>(
        &self,
        path: &str,
        what: &'static str,
        known: impl Iterator<Item = &'a str> + Clone,
    ) -> Result<(), ConfigError> {
        let (section, below) =
            path.split_once('.').map_or((path, None), |(section, below)| (section, Some(below)));
        let node = self.root.get(section).and_then(|node| node.at(below.into_iter()));
        let Some(Value::Table(table)) = node.map(|node| &node.value) else { return Ok(()) };
        match table.iter().find(|(name, _)| !known.clone().any(|known| known == *name)) {
            Some((name, node)) => {
                let hint = nearest::hint(name, &format!("{what}s"), known);
                Err(ConfigError::from(Fault::Unknown { what, hint })
                    .at(&node.origin)
                    .within(name)
                    .within(path))
            }
            None => Ok(()),
        }
    }

    /// The files that were read, in the order of the layers.
    pub(crate) fn files(&self) -> &[PathBuf] {
        &self.files
    }

    /// Takes a section out. One that is nowhere written is read as an empty table.
    pub(crate) fn section<T: DeserializeOwned>(&self, name: &str) -> Result<T, ConfigError> {
        self.asked.borrow_mut().insert(name.to_owned());
        let Some(node) = self.root.get(name) else {
            return T::deserialize(Absent).map_err(|error| self.misspelt(name).unwrap_or(error.within(name)));
        };
        T::deserialize(Reader::new(node)).map_err(|error| error.placed(node).within(name))
    }

    /// Checks that every section was asked for by somebody: one that was not is a slip of the pen.
    pub(crate) fn check_sections(&self) -> Result<(), ConfigError> {
        let asked = self.asked.borrow();
        match self.root.keys().find(|name| !asked.contains(*name)) {
            Some(name) => Err(self.unknown(name, asked.iter().map(String::as_str))),
            None => Ok(()),
        }
    }

    /// The error for what may have been meant to be the section `name`, which is needed and not there.
    fn misspelt(&self, name: &str) -> Option<ConfigError> {
        let asked = self.asked.borrow();
        let others = self.root.keys().map(String::as_str).filter(|other| !asked.contains(*other));
        nearest::nearest(name, others).map(|other| self.unknown(other, [name].into_iter()))
    }

    fn unknown<'a>(&self, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> ConfigError {
        let node = &self.root[name];
        // A value at the root stands above the section where it belongs.
        let what = if matches!(node.value, Value::Table(_)) { "section" } else { "key" };
        let hint = nearest::hint(name, "sections", known);
        ConfigError::from(Fault::Unknown { what, hint }).at(&node.origin).within(name)
    }
}
