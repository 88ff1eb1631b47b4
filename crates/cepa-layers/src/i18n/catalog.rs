//! The messages of all languages, from their files.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use serde_json::Value;

use super::{Category, Message};

const MAX_LOCALES: usize = 500;
const MAX_BYTES: u64 = 8 << 20;
const MAX_DEPTH: usize = 16;
/// Longest name of a locale; BCP 47 (RFC 5646, section 4.4.1) asks for 35.
pub(super) const MAX_NAME: usize = 35;

/// Why messages cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum I18nError {
    /// A file or folder cannot be read.
    #[error("messages: {} cannot be read", .path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file is not what its name says, or too large.
    #[error("messages: {}: {message}", .path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong in it.
        message: String,
    },
    /// A locale that the options name has no file.
    #[error("messages: there is no file for {0:?}")]
    NoLocale(String),
    /// A name in the options cannot be that of a cookie, or a fallback leads back to itself.
    #[error("messages: {0}")]
    Option(String),
}

/// One message of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Entry {
    Text(Box<str>),
    Plural(Box<Forms>),
}

/// The forms of a message by number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Forms([Option<Box<str>>; 6], Box<str>);

impl Forms {
    pub(super) fn get(&self, category: Category) -> &str {
        self.0[category as usize].as_deref().unwrap_or(&self.1)
    }
}

/// A message, and the locale whose file has it.
#[derive(Clone, Debug)]
pub(super) struct Found<'a> {
    pub(super) entry: &'a Entry,
    pub(super) locale: &'a str,
}

#[derive(Debug, Default)]
struct Locale {
    name: Box<str>,
    texts: HashMap<Box<str>, Entry>,
    /// Where a message is looked for that this one does not have, in order.
    fallbacks: Vec<usize>,
}

/// All messages. The default locale is the first.
#[derive(Debug)]
pub(super) struct Catalog(Vec<Locale>);

impl Catalog {
    /// Reads `en.toml`, `zh-tw.json` … of all folders; what a later folder has wins.
    pub(super) fn load(
        dirs: &[PathBuf],
        default: &str,
        fallbacks: &BTreeMap<String, String>,
    ) -> Result<Self, I18nError> {
        let mut locales = BTreeMap::new();
        for dir in dirs {
            load_dir(dir, &mut locales)?;
        }
        let default = normalise(default).ok_or_else(|| I18nError::NoLocale(default.to_owned()))?;
        let first = locales.remove(&*default).ok_or_else(|| I18nError::NoLocale(default.clone()))?;
        let mut catalog = Self(
            [(default, first)].into_iter().chain(locales).map(|(name, texts)| locale(&name, texts)).collect(),
        );
        let mut explicit = HashMap::new();
        for (from, to) in fallbacks {
            let known = |name: &str| {
                let place = normalise(name).and_then(|name| catalog.position(&name));
                place.ok_or_else(|| I18nError::NoLocale(name.to_owned()))
            };
            explicit.insert(known(from)?, known(to)?);
        }
        for place in 0..catalog.0.len() {
            catalog.0[place].fallbacks = catalog.chain(place, &explicit)?;
        }
        Ok(catalog)
    }

    /// The fallback that the options name, otherwise the name without its last part; the default at the end.
    fn chain(&self, place: usize, explicit: &HashMap<usize, usize>) -> Result<Vec<usize>, I18nError> {
        let mut chain = vec![];
        let mut at = place;
        loop {
            let parent = || self.0[at].name.rsplit_once('-').and_then(|(parent, _)| self.nearest(parent));
            let Some(next) = explicit.get(&at).copied().or_else(parent) else { break };
            if next == place || chain.contains(&next) {
                let name = &self.0[place].name;
                return Err(I18nError::Option(format!(
                    "the fallbacks of {name:?} lead back to where they were"
                )));
            }
            chain.push(next);
            at = next;
        }
        if place != 0 && !chain.contains(&0) {
            chain.push(0);
        }
        Ok(chain)
    }

    fn position(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|locale| *locale.name == *name)
    }

    /// The locale of a normalised name, or of that name without its last parts: `zh` for `zh-tw`.
    pub(super) fn nearest(&self, mut name: &str) -> Option<usize> {
        loop {
            if let Some(place) = self.position(name) {
                return Some(place);
            }
            name = name.rsplit_once('-')?.0;
        }
    }

    pub(super) fn name(&self, place: usize) -> &str {
        &self.0[place].name
    }

    /// The names of all, the default first.
    pub(super) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|locale| &*locale.name)
    }

    pub(super) fn message<'a>(&'a self, place: usize, key: &'a str) -> Message<'a> {
        let places = std::iter::once(&place).chain(&self.0[place].fallbacks);
        let found = places.map(|place| &self.0[*place]).find_map(|locale| {
            let entry = locale.texts.get(key)?;
            Some(Found { entry, locale: &locale.name })
        });
        Message::new(key, found)
    }
}

fn locale(name: &str, texts: HashMap<Box<str>, Entry>) -> Locale {
    Locale { name: name.into(), texts, fallbacks: Vec::new() }
}

/// `zh_TW` as `zh-tw`; `None` for what no locale is called.
pub(super) fn normalise(name: &str) -> Option<String> {
    let is_name = (1..=MAX_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    is_name.then(|| name.replace('_', "-").to_ascii_lowercase())
}

type Locales = BTreeMap<String, HashMap<Box<str>, Entry>>;

fn load_dir(dir: &Path, locales: &mut Locales) -> Result<(), I18nError> {
    let unreadable = |source| I18nError::Read { path: dir.to_owned(), source };
    // Two files of one locale are read in the order of their names, whatever the file system says.
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
    }
    paths.sort();
    for path in paths {
        let fault = |message: String| I18nError::File { path: path.clone(), message };
        let stem = path.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
        let extension = path.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        if stem.starts_with('.') || !matches!(extension, "toml" | "json") {
            continue;
        }
        let name = normalise(stem).ok_or_else(|| fault(format!("{stem:?} is no name of a locale")))?;
        let unreadable = |source| I18nError::Read { path: path.clone(), source };
        if fs::metadata(&path).map_err(unreadable)?.len() > MAX_BYTES {
            return Err(fault("more than 8 MiB".to_owned()));
        }
        let text = fs::read_to_string(&path).map_err(unreadable)?;
        let tree: Value = match extension {
            "toml" => toml::from_str(&text).map_err(|error| fault(error.to_string()))?,
            _ => serde_json::from_str(&text).map_err(|error| fault(error.to_string()))?,
        };
        flatten(&tree, "", 0, locales.entry(name).or_default()).map_err(fault)?;
        if locales.len() > MAX_LOCALES {
            return Err(fault(format!("more than {MAX_LOCALES} locales")));
        }
    }
    Ok(())
}

/// `{"cart": {"empty": "…"}}` as `cart.empty`.
fn flatten(
    tree: &Value,
    key: &str,
    depth: usize,
    texts: &mut HashMap<Box<str>, Entry>,
) -> Result<(), String> {
    let entry = match tree {
        Value::String(text) => Entry::Text(text.as_str().into()),
        Value::Number(number) => Entry::Text(number.to_string().into()),
        Value::Bool(flag) => Entry::Text(flag.to_string().into()),
        Value::Null | Value::Array(_) => return Err(format!("{key:?} is neither text nor a table")),
        Value::Object(_) if depth > MAX_DEPTH => return Err(format!("{key:?} lies too deep")),
        Value::Object(table) => match forms(table) {
            Some(forms) if !key.is_empty() => Entry::Plural(Box::new(forms)),
            _ => {
                for (name, value) in table {
                    let key = if key.is_empty() { name.clone() } else { format!("{key}.{name}") };
                    flatten(value, &key, depth + 1, texts)?;
                }
                return Ok(());
            }
        },
    };
    texts.insert(key.into(), entry);
    Ok(())
}

/// The plural forms, where a table has no other keys than their names and has `other`.
fn forms(table: &serde_json::Map<String, Value>) -> Option<Forms> {
    let mut forms: [Option<Box<str>>; 6] = Default::default();
    for (name, text) in table {
        let category = Category::ALL.into_iter().find(|category| category.name() == name)?;
        forms[category as usize] = Some(text.as_str()?.into());
    }
    let other = forms[Category::Other as usize].take()?;
    Some(Forms(forms, other))
}
