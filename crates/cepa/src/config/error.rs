//! What is wrong with the configuration: the place, the key, and what to do.

use std::fmt;

use serde::de::{self, Expected, Unexpected};

use super::{
    nearest,
    node::{Node, Origin},
};

/// What is wrong with the configuration.
///
/// Its text names the file and line, the variable or the flag, then the key, and what was expected. It does
/// not repeat text that stands where something else belongs, since that may be a secret.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    origin: Option<Origin>,
    /// The key from the root on: `server.listen[0].tls`.
    key: String,
    fault: Fault,
}

#[derive(Debug)]
pub(super) enum Fault {
    /// A key or a section that nobody reads.
    Unknown { what: &'static str, hint: String },
    /// A table without a key that it must have.
    Missing(&'static str),
    /// A value that will not do.
    Value(String),
    /// A section that is nowhere written and cannot be an empty table.
    Absent,
    /// Not of one key: a file that cannot be read, TOML that cannot be parsed.
    Source(String),
}

impl From<Fault> for ConfigError {
    fn from(fault: Fault) -> Self {
        Self { origin: None, key: String::new(), fault }
    }
}

impl ConfigError {
    /// An error of a whole source.
    pub(super) fn source(origin: Option<Origin>, text: impl Into<String>) -> Self {
        Self { origin, ..Fault::Source(text.into()).into() }
    }

    /// A key that the type has no use for; its name is added on the way out.
    pub(super) fn unknown_key(key: &str, known: &'static [&'static str]) -> Self {
        let hint = nearest::hint(key, "keys", known.iter().copied());
        Fault::Unknown { what: "key", hint }.into()
    }

    /// The key at fault, from the root on, such as `server.listen[0].tls`; empty if it is not of one key.
    pub fn key(&self) -> &str {
        &self.key
    }

    /// Says where the error is, unless that is known better already.
    pub(super) fn at(mut self, origin: &Origin) -> Self {
        self.origin.get_or_insert_with(|| origin.clone());
        self
    }

    /// Says in which value the error is, unless a value in it was named already.
    pub(super) fn placed(self, node: &Node) -> Self {
        let below = match &self.fault {
            // A check of a whole table names its key first: "http2.streams is 0: it must be …".
            Fault::Value(text) if self.key.is_empty() => text.split([' ', ':']).next(),
            Fault::Unknown { .. } => Some(self.key.as_str()),
            _ => None,
        };
        let place = below.and_then(|key| node.at(key.split('.'))).unwrap_or(node);
        self.at(&place.origin)
    }

    /// Says below which key the error is.
    pub(super) fn within(mut self, key: &str) -> Self {
        let dot = if self.key.is_empty() || self.key.starts_with('[') { "" } else { "." };
        self.key = format!("{key}{dot}{}", self.key);
        self
    }

    /// Says in which element of a list the error is.
    pub(super) fn within_element(self, at: usize) -> Self {
        self.within(&format!("[{at}]"))
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(origin) = &self.origin {
            write!(f, "{origin}: ")?;
        }
        let key = &self.key;
        match &self.fault {
            Fault::Unknown { what, hint } => write!(f, "unknown {what} `{key}`{hint}"),
            Fault::Missing(field) if self.origin.is_some() => write!(f, "`{key}` lacks the key `{field}`"),
            Fault::Missing(field) => {
                write!(f, "`{key}.{field}` is not set; {}", advice(&format!("{key}.{field}")))
            }
            Fault::Value(text) => write!(f, "`{key}`: {text}"),
            Fault::Absent => write!(f, "`{key}` is not set; {}", advice(key)),
            Fault::Source(text) => f.write_str(text),
        }
    }
}

/// How to set what is nowhere set.
fn advice(key: &str) -> String {
    let variable = key.replace('.', "__").to_ascii_uppercase();
    format!("write it into the configuration, or set CEPA__{variable}")
}

impl de::Error for ConfigError {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Fault::Value(text.to_string()).into()
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Fault::Value(format!("expected {}, found {}", plain(expected), shown(found))).into()
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Str(_) => "other text".to_owned(),
            found => shown(found),
        };
        Fault::Value(format!("expected {}, found {found}", plain(expected))).into()
    }

    fn invalid_length(length: usize, expected: &dyn Expected) -> Self {
        Fault::Value(format!("expected {}, found {length}", plain(expected))).into()
    }

    fn unknown_variant(variant: &str, expected: &'static [&'static str]) -> Self {
        let hint = nearest::hint(variant, "names", expected.iter().copied());
        Fault::Value(format!("unknown name{hint}")).into()
    }

    fn unknown_field(field: &str, expected: &'static [&'static str]) -> Self {
        Self { key: field.to_owned(), ..Self::unknown_key(field, expected) }
    }

    fn missing_field(field: &'static str) -> Self {
        Fault::Missing(field).into()
    }
}

/// What a Rust type expects, in words for those who write no Rust.
fn plain(expected: &dyn Expected) -> String {
    let text = expected.to_string();
    let number = match text.as_str() {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "u128" | "usize" => "a whole number from 0 on",
        "i8" => "a whole number from -128 to 127",
        "i16" => "a whole number from -32768 to 32767",
        "i32" => "a whole number from -2147483648 to 2147483647",
        "i64" | "i128" | "isize" => "a whole number",
        "f32" | "f64" => "a number",
        "a boolean" => "true or false",
        "a string" | "str" | "string" | "path string" => "text",
        "a sequence" => "a list",
        "a map" => "a table",
        struct_name if struct_name.starts_with("struct ") => "a table",
        enum_name if enum_name.starts_with("enum ") => "a name",
        _ => return text,
    };
    number.to_owned()
}

/// What was found, without repeating text.
fn shown(found: Unexpected<'_>) -> String {
    match found {
        Unexpected::Bool(value) => value.to_string(),
        Unexpected::Unsigned(value) => value.to_string(),
        Unexpected::Signed(value) => value.to_string(),
        Unexpected::Float(value) => value.to_string(),
        Unexpected::Seq => "a list".to_owned(),
        Unexpected::Map => "a table".to_owned(),
        Unexpected::Other(text) => text.to_owned(),
        Unexpected::Unit | Unexpected::Option => "nothing".to_owned(),
        _ => "text".to_owned(),
    }
}
