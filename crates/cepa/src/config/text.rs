//! Layers as people write them: TOML files, variables, flags.

use std::{
    ffi::OsStr,
    fs::File,
    io::{self, Read},
    ops::Range,
    panic::Location,
    path::Path,
    str::FromStr,
    sync::Arc,
};

use serde::de::Error as _;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    error::ConfigError,
    node::{self, Node, Origin, Table, Value},
};

/// Bytes of a file; more is no configuration.
const LARGEST: u64 = 1 << 20;
/// Keys within keys in a variable or flag; the TOML parser has a like limit for files.
const DEEPEST: usize = 32;
/// What a variable that is a setting begins with.
const PREFIX: &str = "CEPA__";

/// Reads a file; `None` if there is none.
pub(super) fn file(path: &Path) -> Result<Option<Table>, ConfigError> {
    let shown: Arc<str> = path.display().to_string().into();
    let fault = |text: String| ConfigError::source(None, format!("{shown}: {text}"));
    let mut bytes = Vec::new();
    match File::open(path).and_then(|file| file.take(LARGEST + 1).read_to_end(&mut bytes)) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault(format!("cannot be read: {error}"))),
    }
    if bytes.len() as u64 > LARGEST {
        return Err(fault("larger than 1 MiB, so no configuration; is it the right file?".to_owned()));
    }
    let text = String::from_utf8(bytes).map_err(|_| fault("not UTF-8; save it as such".to_owned()))?;
    document(&text, &shown).map(Some)
}

/// Reads the text of a file.
pub(super) fn document(text: &str, path: &Arc<str>) -> Result<Table, ConfigError> {
    let lines = Lines::new(text);
    let origin = |span: Range<usize>| Origin::File { path: path.clone(), line: lines.at(span.start) };
    match DeTable::parse(text) {
        Ok(root) => table(root.into_inner(), &origin),
        Err(error) => {
            let origin = origin(error.span().unwrap_or_default());
            Err(ConfigError::source(Some(origin), one_line(error.message())))
        }
    }
}

/// A value to be set, and the keys that lead to it.
#[derive(Clone)]
pub(crate) struct Setting {
    keys: Vec<String>,
    origin: Origin,
    values: Written,
}

#[derive(Clone)]
enum Written {
    /// TOML if it is, otherwise text.
    Value(Arc<str>),
    Texts(Vec<String>),
}

impl Setting {
    /// A list of texts, set by a flag of its own.
    pub(crate) fn texts(flag: &str, keys: [&str; 2], texts: Vec<String>) -> Self {
        Self {
            keys: keys.map(str::to_owned).into(),
            origin: Origin::Flag(flag.into()),
            values: Written::Texts(texts),
        }
    }

    /// One value, set by a flag of its own.
    pub(crate) fn value(flag: &str, keys: [&str; 2], value: &str) -> Self {
        Self {
            keys: keys.map(str::to_owned).into(),
            origin: Origin::Flag(flag.into()),
            values: Written::Value(value.into()),
        }
    }

    /// The same, set by a line of the program.
    pub(crate) fn at_line(self, place: &'static Location<'static>) -> Self {
        Self { origin: Origin::Code(place), ..self }
    }

    /// The setting as it is typed behind `--set`.
    #[cfg(feature = "dev")]
    pub(crate) fn to_flag(&self) -> String {
        let value = match &self.values {
            Written::Value(text) => text.to_string(),
            // TOML has the same lists of texts as Rust, but for escapes that no flag has.
            Written::Texts(texts) => format!("{texts:?}"),
        };
        format!("{}={value}", self.keys.join("."))
    }

    /// Puts the value over what is there.
    pub(super) fn apply(self, root: &mut Table) {
        let node = match self.values {
            Written::Value(text) => value(&text, &self.origin),
            Written::Texts(texts) => {
                let element = |text| Node::new(Value::Text(text), &self.origin);
                Node::new(Value::List(texts.into_iter().map(element).collect()), &self.origin)
            }
        };
        let around = |node, key| Node::new(Value::Table([(key, node)].into()), &self.origin);
        if let Value::Table(table) = self.keys.into_iter().rev().fold(node, around).value {
            node::merge(root, table);
        }
    }
}

/// Why `--set` cannot take a text.
#[derive(Debug, thiserror::Error)]
#[error("write a key with dots and its value: server.workers=4")]
pub(crate) struct SettingError;

impl FromStr for Setting {
    type Err = SettingError;

    /// Reads `section.key=value`.
    fn from_str(text: &str) -> Result<Self, SettingError> {
        let (path, value) = text.split_once('=').ok_or(SettingError)?;
        let path = path.trim();
        let origin = Origin::Flag(format!("--set {path}").into());
        let keys = keys(path, ".").ok_or(SettingError)?;
        Ok(Self { keys, origin, values: Written::Value(value.into()) })
    }
}

/// Reads a variable; `None` if it is no setting.
pub(super) fn variable(name: &OsStr, value: &OsStr) -> Result<Option<Setting>, ConfigError> {
    let Some(path) = name.to_str().and_then(|name| name.strip_prefix(PREFIX)) else { return Ok(None) };
    let origin = Origin::Variable(format!("{PREFIX}{path}").into());
    let Some(keys) = keys(&path.to_ascii_lowercase(), "__") else {
        let text = "a setting is named like CEPA__SERVER__WORKERS";
        return Err(ConfigError::source(Some(origin), text));
    };
    let Some(value) = value.to_str() else {
        return Err(ConfigError::source(Some(origin), "its value is not UTF-8"));
    };
    Ok(Some(Setting { keys, origin, values: Written::Value(value.into()) }))
}

/// Bytes of a file that holds one text; more is no password.
const LARGEST_TEXT: u64 = 64 << 10;

/// The file that a text is to be read from: `{ file = "/run/secrets/x" }`.
pub(super) fn of_file(node: &Node) -> Option<&str> {
    match &node.value {
        Value::Table(table) if table.len() == 1 => match &table.get("file")?.value {
            Value::Text(path) => Some(path),
            _ => None,
        },
        _ => None,
    }
}

/// Reads the text in a file, without the line break that editors put at its end.
pub(super) fn in_file(path: &str) -> Result<String, ConfigError> {
    let fault = |text: String| ConfigError::custom(format!("{path}: {text}"));
    let mut text = String::new();
    let read = File::open(path).and_then(|file| file.take(LARGEST_TEXT + 1).read_to_string(&mut text));
    match read {
        Ok(length) if length as u64 > LARGEST_TEXT => {
            Err(fault("larger than 64 KiB, so no single text".to_owned()))
        }
        Ok(_) => {
            let end = text.strip_suffix('\n').map(|line| line.strip_suffix('\r').unwrap_or(line));
            text.truncate(end.unwrap_or(&text).len());
            Ok(text)
        }
        Err(error) => Err(fault(format!("cannot be read: {error}"))),
    }
}

/// Splits a path into keys, none of them empty.
fn keys(path: &str, separator: &str) -> Option<Vec<String>> {
    let keys: Vec<String> = path.split(separator).map(str::to_owned).collect();
    let sound = keys.len() <= DEEPEST && keys.iter().all(|key| !key.is_empty());
    sound.then_some(keys)
}

/// A value outside of a file: TOML if it is, otherwise text.
fn value(text: &Arc<str>, origin: &Origin) -> Node {
    let parsed = DeValue::parse(text).ok();
    let read = parsed.and_then(|value| node(value.into_inner(), origin, &|_| origin.clone()).ok());
    let node = read.unwrap_or_else(|| Node::new(Value::Text(text.to_string()), origin));
    Node { written: Some(text.clone()), ..node }
}

fn table(table: DeTable<'_>, origin: &dyn Fn(Range<usize>) -> Origin) -> Result<Table, ConfigError> {
    let entry = |(key, value): (Spanned<_>, Spanned<_>)| {
        let place = origin(key.span());
        let key: std::borrow::Cow<'_, str> = key.into_inner();
        let node = node(value.into_inner(), &place, origin).map_err(|error| error.within(&key))?;
        Ok((key.into_owned(), node))
    };
    table.into_iter().map(entry).collect()
}

fn node(
    value: DeValue<'_>,
    place: &Origin,
    origin: &dyn Fn(Range<usize>) -> Origin,
) -> Result<Node, ConfigError> {
    let no_number = || ConfigError::source(Some(place.clone()), "a number here is none, or too large");
    let value = match value {
        DeValue::String(text) => Value::Text(text.into_owned()),
        DeValue::Integer(number) => {
            Value::Integer(i128::from_str_radix(number.as_str(), number.radix()).map_err(|_| no_number())?)
        }
        DeValue::Float(number) => Value::Float(number.as_str().parse().map_err(|_| no_number())?),
        DeValue::Boolean(value) => Value::Bool(value),
        DeValue::Datetime(time) => Value::Text(time.to_string()),
        DeValue::Array(list) => {
            let element = |value: Spanned<DeValue<'_>>| {
                let place = origin(value.span());
                node(value.into_inner(), &place, origin)
            };
            Value::List(list.into_iter().map(element).collect::<Result<_, _>>()?)
        }
        DeValue::Table(below) => Value::Table(table(below, origin)?),
    };
    Ok(Node::new(value, place))
}

/// Where the lines of a text begin.
struct Lines(Vec<usize>);

impl Lines {
    fn new(text: &str) -> Self {
        Self(text.bytes().enumerate().filter_map(|(at, byte)| (byte == b'\n').then_some(at)).collect())
    }

    /// The line of a byte, from 1 on.
    fn at(&self, byte: usize) -> usize {
        self.0.partition_point(|&end| end < byte) + 1
    }
}

/// Text without line breaks, which would look like a message of its own.
fn one_line(text: &str) -> String {
    text.lines().map(str::trim).collect::<Vec<_>>().join("; ")
}
