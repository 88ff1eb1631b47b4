//! Layouts: what a line looks like.

mod egg;
mod escape;
mod json;
mod pattern;
#[cfg(test)]
mod tests;
mod text;

use std::collections::BTreeMap;

use serde::Deserialize;

pub use self::pattern::PatternError;
use self::{escape::escaped, pattern::Pattern};
use crate::{
    date,
    record::{Record, Value},
    time,
};

/// The end of a colour.
const PLAIN: &str = "\x1b[39m";

/// What a line looks like; in each but `json`, control characters in messages and values are escaped, so that
/// nothing a client sends can look like a line of its own.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case", deny_unknown_fields)]
pub enum Layout {
    /// Time in UTC, level, spans, target, message and fields, for people; in colour where the appender writes to a
    /// terminal, unless `NO_COLOR` is set. The default.
    Text {},
    /// An object: `timestamp`, `level`, `message`, the fields, `target`, `spans`.
    Json {},
    /// `[2026-11-20T07:08:09.042] [INFO] app.users - message`
    Basic {},
    /// As `basic`, with what stands before the message in the colour of the level.
    Coloured {},
    /// Message and fields.
    MessagePassThrough {},
    /// The message.
    Dummy {},
    /// What the pattern says.
    Pattern {
        /// The pattern, as in log4js; default `%r %p %c - %m%n`.
        #[serde(default)]
        pattern: String,
        /// What `%x{name}` writes, by name.
        #[serde(default)]
        tokens: BTreeMap<String, String>,
    },
    /// `2026-11-20 07:08:09,042 INFO 4242 [user/ip/trace/5ms GET /path] message`, as Egg has it. What is between the
    /// brackets comes from the innermost span that has a field `method`: `user_id`, `ip`, `trace_id`, `method`,
    /// `url`.
    Egg {},
}

impl Default for Layout {
    fn default() -> Self {
        Self::Text {}
    }
}

/// A layout, ready to write.
pub(crate) enum Format {
    Text { coloured: bool },
    Json,
    Basic { coloured: bool },
    MessagePassThrough,
    Dummy,
    Pattern(Pattern),
    Egg,
}

impl Format {
    /// Reads the pattern if there is one. `terminal` says whether a terminal shows it, in colours.
    pub(crate) fn new(layout: &Layout, terminal: bool) -> Result<Self, PatternError> {
        Ok(match layout {
            Layout::Text {} => Self::Text { coloured: terminal },
            Layout::Json {} => Self::Json,
            Layout::Basic {} => Self::Basic { coloured: false },
            Layout::Coloured {} => Self::Basic { coloured: true },
            Layout::MessagePassThrough {} => Self::MessagePassThrough,
            Layout::Dummy {} => Self::Dummy,
            Layout::Pattern { pattern, tokens } => Self::Pattern(Pattern::new(pattern, tokens)?),
            Layout::Egg {} => Self::Egg,
        })
    }

    /// Writes a line without its end.
    pub(crate) fn write(&self, record: &Record<'_>, out: &mut String) {
        match self {
            Self::Text { coloured } => text::write(record, *coloured, out),
            Self::Json => json::write(record, out),
            Self::Basic { coloured } => basic(record, *coloured, out),
            Self::MessagePassThrough => message(record, out),
            Self::Dummy => escaped(out, record.message),
            Self::Pattern(pattern) => pattern.write(record, out),
            Self::Egg => egg::write(record, out),
        }
    }
}

fn basic(record: &Record<'_>, coloured: bool, out: &mut String) {
    if coloured {
        out.push_str(record.level.colour());
    }
    out.push('[');
    iso8601(record, out);
    out.push_str("] [");
    out.push_str(record.level.name());
    out.push_str("] ");
    category(record, out);
    out.push_str(" - ");
    if coloured {
        out.push_str(PLAIN);
    }
    message(record, out);
}

/// The time on the wall: `2026-11-20T07:08:09.042`.
fn iso8601(record: &Record<'_>, out: &mut String) {
    time::date_time(out, record.moment.civil, 'T');
    out.push('.');
    time::digits(out, record.moment.civil.millisecond(), 3);
}

/// The category, with dots between its parts.
fn category(record: &Record<'_>, out: &mut String) {
    for (at, part) in record.category.split("::").enumerate() {
        if at > 0 {
            out.push('.');
        }
        escaped(out, part);
    }
}

/// The message and the fields.
fn message(record: &Record<'_>, out: &mut String) {
    escaped(out, record.message);
    for at in 0..record.fields.len() {
        if at > 0 || !record.message.is_empty() {
            out.push(' ');
        }
        field(record, at, out);
    }
}

/// A field of the event: `name=value`.
fn field(record: &Record<'_>, at: usize, out: &mut String) {
    let field = &record.fields[at];
    out.push_str(field.name);
    out.push('=');
    value(record, &field.value, out);
}

/// A value, text in quotation marks.
fn value(record: &Record<'_>, value: &Value, out: &mut String) {
    match value {
        Value::Quoted(range) => quoted(out, record.text_of(range)),
        Value::Written(range) => escaped(out, record.text_of(range)),
        value => record.write_plain(out, value),
    }
}

/// Text in quotation marks, those in it escaped.
fn quoted(out: &mut String, text: &str) {
    out.push('"');
    for (at, part) in text.split('"').enumerate() {
        if at > 0 {
            out.push_str("\\\"");
        }
        escaped(out, part);
    }
    out.push('"');
}

/// A value as it is, with control characters escaped.
fn plain(record: &Record<'_>, value: &Value, out: &mut String) {
    match value {
        Value::Quoted(range) | Value::Written(range) => escaped(out, record.text_of(range)),
        value => record.write_plain(out, value),
    }
}

/// The time on the wall with its distance from UTC.
fn iso8601_with_offset(record: &Record<'_>, out: &mut String) {
    iso8601(record, out);
    date::offset(out, record.moment.offset);
}
