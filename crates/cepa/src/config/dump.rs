//! What `check --dump` prints: the configuration as it takes effect, where each value comes from, and no secret.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write,
};

use super::{
    Config, OWN,
    node::{Node, Value},
    text,
};

/// What stands in place of a secret.
const MASK: &str = "\"******\"";

/// A value about to be shown.
enum Shown {
    Table(BTreeMap<String, Shown>),
    /// TOML, and where it comes from.
    Leaf(String, String),
}

impl Config {
    /// The configuration as TOML, each value with its origin, and the defaults of these sections where nothing is
    /// written.
    pub(crate) fn dump(&self, defaults: &toml::Table) -> String {
        let names: BTreeSet<&String> = defaults.keys().chain(self.root.keys()).collect();
        // Cepa's own sections hold no secrets, but paths and limits.
        let shown =
            |name: &String| shown(name, self.root.get(name), defaults.get(name), OWN.contains(&&**name));
        let root = names.into_iter().filter_map(|name| Some((name.clone(), shown(name)?))).collect();
        let mut out = String::new();
        table(&mut out, "", &root);
        out
    }
}

/// A value as it is written, or else its default.
fn shown(key: &str, node: Option<&Node>, default: Option<&toml::Value>, is_open: bool) -> Option<Shown> {
    let Some(node) = node else {
        return Some(match default? {
            toml::Value::Table(table) => Shown::Table(
                table
                    .iter()
                    .filter_map(|(key, value)| Some((key.clone(), shown(key, None, Some(value), is_open)?)))
                    .collect(),
            ),
            value => Shown::Leaf(value.to_string(), "default".to_owned()),
        });
    };
    match &node.value {
        Value::Table(below) if text::of_file(node).is_none() && (is_open || !is_secret(key, node)) => {
            let defaults = default.and_then(toml::Value::as_table);
            let keys: BTreeSet<&String> =
                below.keys().chain(defaults.into_iter().flat_map(|table| table.keys())).collect();
            let shown =
                |key: &String| shown(key, below.get(key), defaults.and_then(|table| table.get(key)), is_open);
            Some(Shown::Table(keys.into_iter().filter_map(|key| Some((key.clone(), shown(key)?))).collect()))
        }
        _ => Some(Shown::Leaf(inline(key, node, is_open), node.origin.to_string())),
    }
}

/// A value on one line.
fn inline(key: &str, node: &Node, is_open: bool) -> String {
    if text::of_file(node).is_none() && !is_open && is_secret(key, node) {
        return MASK.to_owned();
    }
    match &node.value {
        Value::Bool(value) => value.to_string(),
        Value::Integer(value) => value.to_string(),
        Value::Float(value) => toml::Value::Float(*value).to_string(),
        Value::Text(text) => quoted(&without_password(text)),
        Value::List(list) => {
            let list: Vec<_> = list.iter().map(|node| inline("", node, is_open)).collect();
            format!("[{}]", list.join(", "))
        }
        Value::Table(table) => {
            let entry =
                |(key, node): (&String, &Node)| format!("{} = {}", name(key), inline(key, node, is_open));
            let entries: Vec<_> = table.iter().map(entry).collect();
            format!("{{ {} }}", entries.join(", "))
        }
    }
}

/// Writes a table: first what fits on lines, then the tables in it.
fn table(out: &mut String, path: &str, entries: &BTreeMap<String, Shown>) {
    for (key, shown) in entries {
        if let Shown::Leaf(value, origin) = shown {
            // Writing to a string does not fail.
            let _ = writeln!(out, "{} = {value}  # {}", name(key), origin.replace(char::is_control, "?"));
        }
    }
    for (key, shown) in entries {
        if let Shown::Table(below) = shown {
            let dot = if path.is_empty() { "" } else { "." };
            let path = format!("{path}{dot}{}", name(key));
            if below.is_empty() || below.values().any(|shown| matches!(shown, Shown::Leaf(..))) {
                let _ = write!(out, "\n[{path}]\n");
            }
            table(out, &path, below);
        }
    }
}

/// A key, in quotes if it must be.
fn name(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_bare { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

/// Words that the key of a secret has.
const SECRETS: [&str; 18] = [
    "accesskey",
    "apikey",
    "credential",
    "credentials",
    "key",
    "keys",
    "masterkey",
    "pass",
    "passphrase",
    "passwd",
    "password",
    "passwords",
    "privatekey",
    "pwd",
    "secret",
    "secrets",
    "token",
    "tokens",
];
/// Last words of keys that only say where a secret is, or which.
const HARMLESS: [&str; 6] = ["dir", "file", "id", "name", "path", "ttl"];

/// Whether a value must not be shown: the program has read it as a `Secret`, or its key says so.
fn is_secret(key: &str, node: &Node) -> bool {
    let key = key.to_ascii_lowercase();
    let mut words = key.split(['_', '-', '.']);
    let named = words.clone().any(|word| SECRETS.contains(&word));
    node.secret.get() || named && !words.next_back().is_some_and(|last| HARMLESS.contains(&last))
}

/// A URL without its password.
fn without_password(text: &str) -> String {
    let masked = || {
        let (scheme, rest) = text.split_once("://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (user, host) = rest[..end].rsplit_once('@')?;
        let (user, _) = user.split_once(':')?;
        Some(format!("{scheme}://{user}:******@{host}{}", &rest[end..]))
    };
    masked().unwrap_or_else(|| text.to_owned())
}
