//! The layout `pattern`: `%d{hh:mm:ss} %-5p %c{1} - %m`.

use std::{collections::BTreeMap, ops::Range, sync::OnceLock};

use super::{PLAIN, category, escaped, field, iso8601, iso8601_with_offset, message, plain};
use crate::{date::DatePattern, record::Record};

/// What stands for an empty pattern.
const DEFAULT: &str = "%r %p %c - %m%n";
/// What stands for a token or a field that is not there, as in log4js.
const ABSENT: &str = "null";
/// The widest padding.
const WIDEST: usize = 1024;

/// A pattern, read.
pub(crate) struct Pattern(Vec<Part>);

/// A conversion, and what is done with its text.
struct Part {
    what: What,
    /// Characters that are kept, from the front or from the end.
    cut: Option<Cut>,
    /// Characters to which it is filled with spaces, on the left or on the right.
    pad: Option<(Side, usize)>,
}

#[derive(Clone, Copy)]
enum Cut {
    First(usize),
    Last(usize),
}

#[derive(Clone, Copy)]
enum Side {
    Left,
    Right,
}

enum What {
    Text(String),
    /// `%d`
    Date(DateFormat),
    /// `%p`
    Level,
    /// `%c{parts}`: all, or so many of the last.
    Category(Option<usize>),
    /// `%h`
    Host,
    /// `%m{from,to}`: the message is the first datum, each field one more.
    Message(Range<usize>),
    /// `%z`
    Process,
    /// `%f{parts}`
    File(Option<usize>),
    /// `%l`
    Line,
    /// `%C`
    Module,
    /// `%M`
    Span,
    /// `%F`
    Caller,
    /// `%s`
    Stack,
    /// `%X{name}`
    Field(String),
    /// `%[`
    Colour,
    /// `%]`
    EndOfColour,
}

enum DateFormat {
    Iso8601,
    Iso8601WithOffset,
    Pattern(DatePattern),
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// No conversion.
    #[error(
        "%{0} is no conversion; there are %r %p %c %h %m %d %% %n %z %f %l %o %s %C %M %A %F %x{{name}} %X{{name}} %[ %]"
    )]
    Conversion(String),
    /// What is between braces does not suit.
    #[error("%{0}{{{1}}}: {2}")]
    Argument(char, String, &'static str),
    /// A number that is too large.
    #[error("a width in a pattern is at most {WIDEST}")]
    Width,
}

impl Pattern {
    pub(super) fn new(pattern: &str, tokens: &BTreeMap<String, String>) -> Result<Self, PatternError> {
        let mut rest = if pattern.is_empty() { DEFAULT } else { pattern };
        let mut parts = Vec::new();
        while let Some(at) = rest.find('%') {
            if at > 0 {
                parts.push(Part { what: What::Text(rest[..at].to_owned()), cut: None, pad: None });
            }
            rest = Part::read(&rest[at + 1..], tokens, &mut parts)?;
        }
        if !rest.is_empty() {
            parts.push(Part { what: What::Text(rest.to_owned()), cut: None, pad: None });
        }
        Ok(Self(parts))
    }

    pub(super) fn write(&self, record: &Record<'_>, out: &mut String) {
        for part in &self.0 {
            let start = out.len();
            part.what.write(record, out);
            if let Some(cut) = part.cut {
                cut.apply(out, start);
            }
            if let Some((side, width)) = part.pad {
                fill(out, start, side, width);
            }
        }
    }
}

impl Part {
    /// Reads a conversion from what follows its `%`, and gives the rest.
    fn read<'a>(
        text: &'a str,
        tokens: &BTreeMap<String, String>,
        parts: &mut Vec<Self>,
    ) -> Result<&'a str, PatternError> {
        let (pad, rest) = number(text)?;
        let pad = pad.map(|Count { minus, chars }| (if minus { Side::Right } else { Side::Left }, chars));
        let (cut, rest) = match rest.strip_prefix('.') {
            Some(behind) => match number(behind)? {
                (Some(Count { minus: true, chars }), behind) => (Some(Cut::Last(chars)), behind),
                (Some(Count { chars, .. }), behind) => (Some(Cut::First(chars)), behind),
                (None, _) => return Err(PatternError::Conversion(shown(text))),
            },
            None => (None, rest),
        };
        let mut chars = rest.chars();
        let conversion = chars.next().ok_or_else(|| PatternError::Conversion(shown(text)))?;
        let mut rest = chars.as_str();
        let mut argument = "";
        if takes_argument(conversion)
            && let Some((inside, behind)) = rest.strip_prefix('{').and_then(|behind| behind.split_once('}'))
        {
            (argument, rest) = (inside, behind);
        }
        let what = What::new(conversion, argument, tokens)?;
        parts.push(Self { what, cut, pad });
        Ok(rest)
    }
}

/// Whether braces behind a conversion belong to it.
fn takes_argument(conversion: char) -> bool {
    matches!(conversion, 'c' | 'd' | 'f' | 'm' | 'x' | 'X')
}

impl What {
    fn new(
        conversion: char,
        argument: &str,
        tokens: &BTreeMap<String, String>,
    ) -> Result<Self, PatternError> {
        let wrong = |why| PatternError::Argument(conversion, argument.to_owned(), why);
        let count = || match argument {
            "" => Ok(None),
            text => text.parse().map(Some).map_err(|_| wrong("a number of parts belongs between the braces")),
        };
        Ok(match conversion {
            '%' => Self::Text("%".to_owned()),
            'n' => Self::Text("\n".to_owned()),
            'r' => Self::Date(DateFormat::Pattern(DatePattern::new("hh:mm:ss"))),
            'p' => Self::Level,
            'c' => Self::Category(count()?),
            'h' => Self::Host,
            'm' => Self::Message(range(argument).ok_or_else(|| wrong("write {from}, or {from,to}"))?),
            'd' => Self::Date(DateFormat::new(argument)),
            'z' => Self::Process,
            'f' => Self::File(count()?),
            'l' => Self::Line,
            // What Rust does not tell of an event, and log4js leaves out if it does not know it.
            'o' | 'A' => Self::Text(String::new()),
            's' => Self::Stack,
            'C' => Self::Module,
            'M' => Self::Span,
            'F' => Self::Caller,
            'x' => Self::Text(tokens.get(argument).map_or(ABSENT, String::as_str).to_owned()),
            'X' if argument.is_empty() => {
                return Err(wrong("the name of a field belongs between the braces"));
            }
            'X' => Self::Field(argument.to_owned()),
            '[' => Self::Colour,
            ']' => Self::EndOfColour,
            other => return Err(PatternError::Conversion(other.to_string())),
        })
    }

    fn write(&self, record: &Record<'_>, out: &mut String) {
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Date(format) => format.write(record, out),
            Self::Level => out.push_str(record.level.name()),
            Self::Category(None) => category(record, out),
            Self::Category(Some(count)) => last_of_category(record, *count, out),
            Self::Host => escaped(out, host()),
            Self::Message(range) => data(record, range, out),
            Self::Process => out.push_str(itoa::Buffer::new().format(std::process::id())),
            Self::File(count) => out.push_str(last(record.file, '/', count.unwrap_or(usize::MAX))),
            Self::Line => line(record.line, out),
            Self::Module => out.push_str(record.module),
            Self::Span => out.push_str(record.spans.first().map_or("", |span| span.name)),
            Self::Caller => caller(record, out),
            Self::Stack => stack(record, out),
            Self::Field(name) => match record.find(name) {
                Some(value) => plain(record, value, out),
                None => out.push_str(ABSENT),
            },
            Self::Colour => out.push_str(record.level.colour()),
            Self::EndOfColour => out.push_str(PLAIN),
        }
    }
}

impl DateFormat {
    fn new(name: &str) -> Self {
        match name {
            "" | "ISO8601" => Self::Iso8601,
            "ISO8601_WITH_TZ_OFFSET" => Self::Iso8601WithOffset,
            "ABSOLUTE" | "ABSOLUTETIME" => Self::Pattern(DatePattern::new("hh:mm:ss.SSS")),
            "DATE" | "DATETIME" => Self::Pattern(DatePattern::new("dd MM yyyy hh:mm:ss.SSS")),
            pattern => Self::Pattern(DatePattern::new(pattern)),
        }
    }

    fn write(&self, record: &Record<'_>, out: &mut String) {
        match self {
            Self::Iso8601 => iso8601(record, out),
            Self::Iso8601WithOffset => iso8601_with_offset(record, out),
            Self::Pattern(pattern) => pattern.write(out, &record.moment),
        }
    }
}

impl Cut {
    /// Cuts what has been written since `start`.
    fn apply(self, out: &mut String, start: usize) {
        let written = &out[start..];
        match self {
            Self::First(count) => {
                if let Some((at, _)) = written.char_indices().nth(count) {
                    out.truncate(start + at);
                }
            }
            Self::Last(count) => {
                let from = written.char_indices().rev().nth(count.saturating_sub(1)).map_or(0, |(at, _)| at);
                drop(out.drain(start..start + from));
            }
        }
    }
}

/// Fills what has been written since `start` with spaces.
fn fill(out: &mut String, start: usize, side: Side, width: usize) {
    let missing = width.saturating_sub(out[start..].chars().count());
    let spaces = std::iter::repeat_n(' ', missing);
    match side {
        Side::Left => out.insert_str(start, &spaces.collect::<String>()),
        Side::Right => out.extend(spaces),
    }
}

/// How many characters, with a minus in front or without.
struct Count {
    minus: bool,
    chars: usize,
}

/// Reads the count that a text may begin with.
fn number(text: &str) -> Result<(Option<Count>, &str), PatternError> {
    let (minus, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let length = digits.bytes().take_while(u8::is_ascii_digit).count();
    if length == 0 {
        return Ok((None, text));
    }
    let chars = digits[..length].parse().ok().filter(|&chars| chars <= WIDEST).ok_or(PatternError::Width)?;
    Ok((Some(Count { minus, chars }), &digits[length..]))
}

/// Reads `from` or `from,to`; nothing is all.
fn range(text: &str) -> Option<Range<usize>> {
    if text.is_empty() {
        return Some(0..usize::MAX);
    }
    match text.split_once(',') {
        Some((from, to)) => Some(from.trim().parse().ok()?..to.trim().parse().ok()?),
        None => Some(text.trim().parse().ok()?..usize::MAX),
    }
}

/// A piece of a wrong pattern, short enough for a message.
fn shown(text: &str) -> String {
    text.chars().take(10).collect()
}

/// Writes some of the data: the message is the first, then come the fields.
fn data(record: &Record<'_>, range: &Range<usize>, out: &mut String) {
    if *range == (0..usize::MAX) {
        return message(record, out);
    }
    let count = record.fields.len() + 1;
    for at in range.start..range.end.min(count) {
        if at > range.start {
            out.push(' ');
        }
        match at.checked_sub(1) {
            Some(at) => field(record, at, out),
            None => escaped(out, record.message),
        }
    }
}

/// What is behind the last separators, so many that `count` parts are left.
fn last(text: &str, separator: char, count: usize) -> &str {
    match count.checked_sub(1) {
        Some(before) => {
            text.rmatch_indices(separator).nth(before).map_or(text, |(at, sign)| &text[at + sign.len()..])
        }
        None => text,
    }
}

/// Writes the last parts of the category.
fn last_of_category(record: &Record<'_>, count: usize, out: &mut String) {
    let start = out.len();
    category(record, out);
    let from = out.len() - last(&out[start..], '.', count).len();
    drop(out.drain(start..from));
}

fn line(line: Option<u32>, out: &mut String) {
    if let Some(line) = line {
        out.push_str(itoa::Buffer::new().format(line));
    }
}

/// Writes the module, and the span if there is one.
fn caller(record: &Record<'_>, out: &mut String) {
    out.push_str(record.module);
    if let Some(span) = record.spans.first() {
        out.push_str("::");
        out.push_str(span.name);
    }
}

/// Writes the spans from the innermost on, one below the other.
fn stack(record: &Record<'_>, out: &mut String) {
    for (at, span) in record.spans.iter().enumerate() {
        if at > 0 {
            out.push('\n');
        }
        out.push_str("    at ");
        out.push_str(span.name);
        if !span.file.is_empty() {
            out.push_str(" (");
            out.push_str(span.file);
            out.push(':');
            line(span.line, out);
            out.push(')');
        }
    }
}

/// The name of the machine.
fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| rustix::system::uname().nodename().to_string_lossy().into_owned())
}
