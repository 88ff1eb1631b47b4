//! A value of the configuration, and where it was written.

use std::{cell::Cell, collections::BTreeMap, fmt, panic::Location, sync::Arc};

/// A value with its place. It has no `Debug`: it may be a secret.
pub(super) struct Node {
    pub(super) value: Value,
    pub(super) origin: Origin,
    /// The text of a variable or flag as it was written, for a program that wants text where it reads like a number.
    pub(super) written: Option<Arc<str>>,
    /// Whether the program has read it as a secret.
    pub(super) secret: Cell<bool>,
}

/// What TOML can say; dates and times are text.
pub(super) enum Value {
    Bool(bool),
    /// Wide enough for what `i64` and `u64` hold.
    Integer(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    Table(Table),
}

/// Keys and values.
pub(super) type Table = BTreeMap<String, Node>;

/// Where a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// A line of a file, from 1 on.
    File { path: Arc<str>, line: usize },
    /// A variable of the environment.
    Variable(Arc<str>),
    /// A flag of the command line, without its value.
    Flag(Arc<str>),
    /// A line of the program.
    Code(&'static Location<'static>),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File { path, line } => write!(f, "{path}:{line}"),
            Self::Variable(name) => write!(f, "environment variable {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
            Self::Code(place) => write!(f, "{}:{}", place.file(), place.line()),
        }
    }
}

impl Node {
    pub(super) fn new(value: Value, origin: &Origin) -> Self {
        Self { value, origin: origin.clone(), written: None, secret: Cell::new(false) }
    }

    /// The value of a key, or at a place of a list.
    pub(super) fn step(&self, key: &str) -> Option<&Self> {
        match &self.value {
            Value::Table(table) => table.get(key),
            Value::List(list) => list.get(key.parse::<usize>().ok()?),
            _ => None,
        }
    }

    /// The value below these keys.
    pub(super) fn at<'a>(&self, mut keys: impl Iterator<Item = &'a str>) -> Option<&Self> {
        keys.try_fold(self, |node, key| match &node.value {
            Value::Table(table) => table.get(key),
            _ => None,
        })
    }
}

/// Puts a later layer over an earlier one: tables merge, anything else is replaced.
///
/// A table that both have keeps its earlier place, which is where a reader looks for what is missing in it.
pub(super) fn merge(below: &mut Table, above: Table) {
    for (key, node) in above {
        match (below.get_mut(&key).map(|old| &mut old.value), node.value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (_, value) => {
                below.insert(key, Node { value, ..node });
            }
        }
    }
}
