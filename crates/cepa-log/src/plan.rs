//! From the configuration to what is to be opened: all that can be wrong with it is found here, and nothing is touched.

use std::{
    collections::BTreeMap,
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{
    category::{DEFAULT, Rules, covers},
    date::DatePattern,
    layout::{Format, Layout},
    level::Level,
    options::{
        LogConfig, LogConfigError as Error, Simple,
        appenders::{Appender, Console as ConsoleOptions, DateFile, File, MultiFile},
    },
    record::{Record, Value},
    roll::{Rotation, names::Names},
    writer::{console::Console, file::Place},
};

/// What is to be opened, and what goes where.
pub(crate) struct Plan {
    pub(crate) rules: Rules<Output>,
    /// The appenders that write, as far as they are used.
    pub(crate) targets: Vec<Target>,
}

/// A way from a category to a writer.
#[derive(Clone, Debug)]
pub(crate) struct Output {
    pub(crate) filters: Vec<Filter>,
    /// Which of the targets.
    pub(crate) target: usize,
}

/// What an event must pass.
#[derive(Clone, Debug)]
pub(crate) enum Filter {
    Levels(Level, Level),
    NotCategories(Vec<String>),
    NotContaining(Vec<String>),
}

impl Filter {
    pub(crate) fn passes(&self, record: &Record<'_>) -> bool {
        match self {
            Self::Levels(least, most) => (*least..=*most).contains(&record.level),
            Self::NotCategories(names) => !names.iter().any(|name| covers(name, record.category)),
            Self::NotContaining(texts) => !texts.iter().any(|text| record.message.contains(text)),
        }
    }
}

/// An appender that writes.
pub(crate) struct Target {
    pub(crate) name: String,
    pub(crate) format: Arc<Format>,
    /// What chooses one of many files.
    pub(crate) property: Option<Property>,
    pub(crate) kind: Kind,
}

/// What an appender writes to.
pub(crate) enum Kind {
    Console(Console),
    File(Place),
    Files { place: Place, extension: String, most: usize, timeout: Duration },
}

/// What chooses one of many files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Property {
    Category,
    Level,
    Field(String),
}

/// The longest key that chooses a file; no name is made of a longer one.
const LONGEST_KEY: usize = 256;

impl Property {
    /// The value of an event; `None` if it has none.
    pub(crate) fn key(&self, record: &Record<'_>) -> Option<Box<str>> {
        match self {
            Self::Category => Some(record.category.replace("::", ".").into()),
            Self::Level => Some(record.level.name().to_ascii_lowercase().into()),
            Self::Field(name) => match record.find(name)? {
                Value::Quoted(range) | Value::Written(range) => {
                    let text = record.text_of(range);
                    Some(text[..text.floor_char_boundary(LONGEST_KEY)].into())
                }
                value => {
                    let mut text = String::new();
                    record.write_plain(&mut text, value);
                    Some(text.into())
                }
            },
        }
    }
}

impl Plan {
    pub(crate) fn new(config: &LogConfig) -> Result<Self, Error> {
        range("queue", config.queue as u64, 64 << 10, 1 << 30)?;
        let mut rules = Rules::new(&config.level, &config.categories)?;
        let simple;
        let appenders = if config.appenders.is_empty() {
            simple = BTreeMap::from([simple_appender(config.format.unwrap_or_default())]);
            let name = || simple.keys().cloned().collect();
            let or_simple = |_: &str, names: Vec<String>| Ok(if names.is_empty() { name() } else { names });
            rules = rules.try_map::<_, Error>(or_simple)?;
            &simple
        } else {
            if config.format.is_some() {
                return Err(Error::Format);
            }
            if config.categories.get(DEFAULT).is_none_or(|category| category.appenders.is_empty()) {
                return Err(Error::NoDefault);
            }
            &config.appenders
        };
        let mut planner = Planner { appenders, config, targets: Vec::new() };
        for name in appenders.keys() {
            // Also those that nobody uses.
            planner.output(name, &format!("appenders.{name}"))?;
        }
        let mut used = Planner { appenders, config, targets: Vec::new() };
        let rules = rules.try_map(|category, names| {
            if names.is_empty() {
                return Err(Error::NoAppenders(category.to_owned(), used.known()));
            }
            let key = format!("categories.{category}");
            names.iter().map(|name| used.output(name, &key)).collect()
        })?;
        Ok(Self { rules, targets: used.targets })
    }
}

/// The appender of the simple form.
fn simple_appender(format: Simple) -> (String, Appender) {
    let layout = match format {
        Simple::Text => Layout::Text {},
        Simple::Json => Layout::Json {},
    };
    ("console".to_owned(), Appender::Stderr(ConsoleOptions { layout }))
}

/// The folder, the beginning and the end of the names of what an appender writes; any beginning where it is `None`.
fn files_of(kind: &Kind) -> Option<(PathBuf, Option<&str>, &str)> {
    let (place, stem, extension) = match kind {
        Kind::File(place) => {
            let names = &place.rotation.names;
            (place, Some(names.stem.as_str()), names.extension.as_str())
        }
        Kind::Files { place, extension, .. } => (place, None, extension.as_str()),
        Kind::Console(_) => return None,
    };
    // `logs` and `./logs` are one folder.
    let folder = std::path::absolute(&place.folder).unwrap_or_else(|_| place.folder.clone());
    Some((folder.components().collect(), stem, extension))
}

struct Planner<'a> {
    appenders: &'a BTreeMap<String, Appender>,
    config: &'a LogConfig,
    targets: Vec<Target>,
}

impl Planner<'_> {
    /// The names of the appenders.
    fn known(&self) -> String {
        self.appenders.keys().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
    }

    /// The way to the appender of that name, which `key` names.
    fn output(&mut self, name: &str, key: &str) -> Result<Output, Error> {
        let mut filters = Vec::new();
        let (mut name, mut key) = (name.to_owned(), key.to_owned());
        loop {
            let Some(appender) = self.appenders.get(&name) else {
                return Err(Error::UnknownAppender { key, name, known: self.known() });
            };
            let (next, filter) = match appender {
                Appender::LogLevelFilter(filter) if filter.level > filter.max_level => {
                    return Err(Error::Levels(name));
                }
                Appender::LogLevelFilter(filter) => {
                    (&filter.appender, Filter::Levels(filter.level, filter.max_level))
                }
                Appender::CategoryFilter(filter) => {
                    let names = filter.exclude.iter().map(|name| name.replace("::", ".")).collect();
                    (&filter.appender, Filter::NotCategories(names))
                }
                Appender::NoLogFilter(filter) => {
                    (&filter.appender, Filter::NotContaining(filter.exclude.clone()))
                }
                writing => return Ok(Output { filters, target: self.target(&name, writing)? }),
            };
            filters.push(filter);
            if filters.len() > self.appenders.len() {
                return Err(Error::Circle(name));
            }
            key = format!("appenders.{name}.appender");
            name.clone_from(next);
        }
    }

    /// The place of the appender among the targets.
    fn target(&mut self, name: &str, appender: &Appender) -> Result<usize, Error> {
        if let Some(at) = self.targets.iter().position(|target| target.name == name) {
            return Ok(at);
        }
        let mut property = None;
        let (kind, layout) = match appender {
            Appender::Stdout(options) => (Kind::Console(Console::Stdout), &options.layout),
            Appender::Stderr(options) => (Kind::Console(Console::Stderr), &options.layout),
            Appender::File(options) => (Kind::File(self.file(name, options)?), &options.layout),
            Appender::DateFile(options) => (Kind::File(self.date_file(name, options)?), &options.layout),
            Appender::MultiFile(options) => {
                property = Some(match options.property.as_str() {
                    "category" => Property::Category,
                    "level" => Property::Level,
                    field => Property::Field(field.to_owned()),
                });
                (self.files(name, options)?, &options.layout)
            }
            Appender::LogLevelFilter(_) | Appender::CategoryFilter(_) | Appender::NoLogFilter(_) => {
                unreachable!("a filter writes nothing")
            }
        };
        let format = Format::new(layout, kind.is_coloured());
        let format = Arc::new(format.map_err(|error| Error::Pattern(name.to_owned(), error))?);
        self.check_other_files(name, &kind)?;
        self.targets.push(Target { name: name.to_owned(), format, property, kind });
        Ok(self.targets.len() - 1)
    }

    /// Two writers that roll one file would lose lines.
    ///
    /// Which files a `multi_file` will have is not known: whatever ends like them in its folder may be one.
    fn check_other_files(&self, name: &str, kind: &Kind) -> Result<(), Error> {
        let Some((folder, stem, extension)) = files_of(kind) else { return Ok(()) };
        let same = |target: &&Target| {
            files_of(&target.kind).is_some_and(|(other, other_stem, other_extension)| {
                let stems = stem.zip(other_stem);
                other == folder
                    && other_extension == extension
                    && stems.is_none_or(|(one, other)| one == other)
            })
        };
        match self.targets.iter().find(same) {
            Some(target) => Err(Error::SameFile(name.to_owned(), target.name.clone())),
            None => Ok(()),
        }
    }

    fn file(&self, name: &str, options: &File) -> Result<Place, Error> {
        let (folder, file) = split(name, &options.filename)?;
        let names = Names {
            separator: separator(name, &options.file_name_sep)?,
            keep_extension: options.keep_file_ext,
            compress: options.compress,
            ..plain_names(&file)
        };
        let max_size = max_size(name, options.max_log_size)?;
        let rotation = Rotation { names, max_size, backups: options.backups as usize, max_days: None };
        Ok(self.place(folder, rotation, options.mode.0))
    }

    fn date_file(&self, name: &str, options: &DateFile) -> Result<Place, Error> {
        let (folder, file) = split(name, &options.filename)?;
        let date = DatePattern::new(&options.pattern);
        date.for_files().map_err(|error| Error::Date(name.to_owned(), error))?;
        let names = Names {
            separator: separator(name, &options.file_name_sep)?,
            keep_extension: options.keep_file_ext,
            date: Some(date),
            always_date: options.always_include_pattern,
            has_index: options.max_log_size.is_some(),
            compress: options.compress,
            ..plain_names(&file)
        };
        let max_size = max_size(name, options.max_log_size)?;
        let (backups, max_days) = (options.num_backups as usize, options.max_days);
        Ok(self.place(folder, Rotation { names, max_size, backups, max_days }, options.mode.0))
    }

    fn files(&self, name: &str, options: &MultiFile) -> Result<Kind, Error> {
        let wrong = |what| Err(Error::File(name.to_owned(), what));
        let extension = options.extension.clone();
        let letters = extension.strip_prefix('.').unwrap_or_default();
        let sound = letters.starts_with(|char: char| char.is_ascii_alphabetic())
            && letters.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
        if !sound || matches!(letters, "gz" | "part") {
            // With another, the old file of one key could have the name of the file of another key.
            return wrong(
                "extension must be a dot, a letter, then letters, digits, - and _, and not .gz or .part",
            );
        }
        if options.base.is_empty() || options.base.contains('\0') {
            return wrong("base must be the path of a folder");
        }
        range(&format!("appenders.{name}.max_files"), options.max_files.into(), 1, 100_000)?;
        let names = Names { compress: options.compress, ..plain_names("") };
        let max_size = max_size(name, options.max_log_size)?;
        let rotation = Rotation { names, max_size, backups: options.backups as usize, max_days: None };
        let place = self.place(PathBuf::from(&options.base), rotation, options.mode.0);
        // A file that is used at this moment is not closed.
        let timeout = options.timeout.max(Duration::from_secs(1));
        Ok(Kind::Files { place, extension, most: options.max_files as usize, timeout })
    }

    fn place(&self, folder: PathBuf, rotation: Rotation, mode: u32) -> Place {
        Place { folder, rotation: Arc::new(rotation), zone: self.config.zone.clone(), mode }
    }
}

impl Kind {
    /// Whether a terminal shows what is written, and its reader wants colours (<https://no-color.org>).
    fn is_coloured(&self) -> bool {
        let terminal = match self {
            Self::Console(Console::Stdout) => io::stdout().is_terminal(),
            Self::Console(Console::Stderr) => io::stderr().is_terminal(),
            Self::File(_) | Self::Files { .. } => false,
        };
        terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }
}

/// Names without date, number and compression.
fn plain_names(file: &str) -> Names {
    let (stem, extension) = Names::split(file);
    Names {
        stem: stem.to_owned(),
        extension: extension.to_owned(),
        separator: ".".to_owned(),
        keep_extension: false,
        date: None,
        always_date: false,
        has_index: false,
        compress: false,
    }
}

/// Splits the path of a file into its folder and its name.
fn split(appender: &str, path: &str) -> Result<(PathBuf, String), Error> {
    let name = Path::new(path).file_name().and_then(|name| name.to_str());
    match name {
        Some(name) if path.ends_with(name) && !path.chars().any(char::is_control) => {
            let folder = Path::new(path).parent().filter(|folder| !folder.as_os_str().is_empty());
            Ok((folder.unwrap_or(Path::new(".")).to_owned(), name.to_owned()))
        }
        _ => Err(Error::File(appender.to_owned(), "filename must be the path of a file")),
    }
}

fn separator(appender: &str, separator: &str) -> Result<String, Error> {
    let sound = !separator.is_empty()
        && !separator.chars().any(|char| char.is_control() || char.is_ascii_digit() || char == '/');
    if sound {
        return Ok(separator.to_owned());
    }
    let what = "file_name_sep must not be empty, and have no digit, slash or control character";
    Err(Error::File(appender.to_owned(), what))
}

fn max_size(appender: &str, size: Option<u64>) -> Result<Option<u64>, Error> {
    if let Some(size) = size {
        range(&format!("appenders.{appender}.max_log_size"), size, 1, u64::MAX >> 1)?;
    }
    Ok(size)
}

fn range(key: &str, value: u64, least: u64, most: u64) -> Result<(), Error> {
    if (least..=most).contains(&value) {
        return Ok(());
    }
    Err(Error::Range { key: key.to_owned(), value, least, most })
}
