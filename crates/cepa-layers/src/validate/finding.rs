//! What is wrong with what a client has sent: where, and why.

use std::{borrow::Cow, fmt, fmt::Write};

use cepa_core::{Error, Result, de};
use serde::{Serialize, Serializer, ser::SerializeMap};

use crate::Problem;

/// What is wrong with the request as a whole, for programs; as in Egg.
const CODE: &str = "invalid_param";
/// Most characters of a message: some name what the client has sent.
const MAX_MESSAGE: usize = 300;
/// Most findings that are kept.
pub(super) const MAX_FINDINGS: usize = 100;

/// One step from a value to one inside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Into an object, to the value of a key.
    Key(String),
    /// Into an array, from 0.
    Index(usize),
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Where; empty is the whole.
    pub path: Vec<Step>,
    /// What, for people.
    pub message: String,
    /// What, for programs: `missing_field` or `invalid`.
    pub code: Cow<'static, str>,
}

impl Finding {
    pub(super) fn new(path: Vec<Step>, code: &'static str, message: impl Into<String>) -> Self {
        let mut message = message.into();
        if let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE) {
            message.truncate(end);
            message.push('…');
        }
        Self { path, message, code: Cow::Borrowed(code) }
    }

    pub(super) fn missing(path: Vec<Step>) -> Self {
        Self::new(path, "missing_field", "required")
    }

    /// What keeps pairs from becoming a value.
    pub(super) fn of_pairs(error: &de::Error) -> Self {
        let path = error.key().map(|key| Step::Key(key.to_owned())).into_iter().collect();
        match error {
            de::Error::Missing { .. } => Self::missing(path),
            de::Error::Invalid { expected, .. } => Self::new(path, "invalid", format!("expected {expected}")),
            de::Error::Repeated { .. } => Self::new(path, "invalid", "given more than once"),
            de::Error::Refused { message, .. } => Self::new(path, "invalid", message),
            other => Self::new(path, "invalid", other.to_string()),
        }
    }

    /// What rules at a type have found, the path given as `a.b[0]`.
    pub(super) fn of_report(path: &str, message: &str) -> Self {
        let mut steps = Vec::new();
        for part in path.split('.').filter(|part| !part.is_empty()) {
            let (key, indexes) = part.split_once('[').unwrap_or((part, ""));
            if !key.is_empty() {
                steps.push(Step::Key(key.to_owned()));
            }
            for index in indexes.split('[').filter(|index| !index.is_empty()) {
                let index = index.trim_end_matches(']');
                steps.push(index.parse().map_or_else(|_| Step::Key(index.to_owned()), Step::Index));
            }
        }
        Self::new(steps, "invalid", message)
    }

    /// The path as Egg has it: `order.items[1].id`; empty for the whole.
    pub fn field(&self) -> String {
        let mut field = String::new();
        for step in &self.path {
            match step {
                Step::Key(key) if field.is_empty() => field.push_str(key),
                Step::Key(key) => drop(write!(field, ".{key}")),
                Step::Index(index) => drop(write!(field, "[{index}]")),
            }
        }
        field
    }

    /// The path as a JSON pointer (RFC 6901): `/order/items/1/id`; empty for the whole.
    pub fn pointer(&self) -> String {
        let mut pointer = String::new();
        for step in &self.path {
            pointer.push('/');
            match step {
                Step::Key(key) => pointer.push_str(&key.replace('~', "~0").replace('/', "~1")),
                Step::Index(index) => drop(write!(pointer, "{index}")),
            }
        }
        pointer
    }
}

/// In which part of a request something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The body.
    Body,
    /// The query.
    Query,
    /// The path.
    Path,
}

/// What is wrong with a part of a request.
///
/// Becomes an [`Error`] with status 422, message `Validation Failed` and this as its cause. Serialises to the members
/// `detail`, `code` and `errors` of problem details (RFC 9457, section 3): each error has its `detail`, a `code`, the
/// `field`, and the `pointer` into the body or the `parameter` of query or path.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Validation Failed")]
pub struct Invalid {
    /// Where the findings are.
    pub part: Part,
    /// What was found, at most 100.
    pub findings: Vec<Finding>,
}

impl Invalid {
    pub(super) fn new(part: Part, mut findings: Vec<Finding>) -> Self {
        findings.truncate(MAX_FINDINGS);
        Self { part, findings }
    }

    /// The problem details (RFC 9457) that tell it, without the member `detail`, which is the message of the error.
    ///
    /// # Errors
    /// None that is known: findings are text.
    pub fn problem(&self) -> Result<Problem> {
        Problem::new().title("Unprocessable Content").with("code", CODE)?.with("errors", self.told())
    }

    fn told(&self) -> Vec<Told<'_>> {
        self.findings.iter().map(|finding| Told { part: self.part, finding }).collect()
    }

    /// The error of a request that has this wrong.
    #[track_caller]
    pub fn into_error(self) -> Error {
        Error::new(422, "Validation Failed").with_cause(self)
    }
}

impl Serialize for Invalid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("detail", &self.to_string())?;
        map.serialize_entry("code", CODE)?;
        map.serialize_entry("errors", &self.told())?;
        map.end()
    }
}

struct Told<'a> {
    part: Part,
    finding: &'a Finding,
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self { part, finding } = self;
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("detail", &finding.message)?;
        match part {
            Part::Body => map.serialize_entry("pointer", &Fragment(&finding.pointer()).to_string())?,
            Part::Query | Part::Path => map.serialize_entry("parameter", &finding.field())?,
        }
        map.serialize_entry("field", &finding.field())?;
        map.serialize_entry("code", &finding.code)?;
        map.end()
    }
}

/// A JSON pointer as the fragment of a URI (RFC 6901, section 6).
struct Fragment<'a>(&'a str);

impl fmt::Display for Fragment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('#')?;
        for byte in self.0.bytes() {
            // RFC 3986, section 3.5.
            if byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?".contains(&byte) {
                f.write_char(char::from(byte))?;
            } else {
                write!(f, "%{byte:02X}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_told_as_fields_and_as_pointers() {
        for (path, field, pointer, fragment) in [
            ("", "", "", "#"),
            ("a", "a", "/a", "#/a"),
            ("a.b[0].c", "a.b[0].c", "/a/b/0/c", "#/a/b/0/c"),
            ("[2]", "[2]", "/2", "#/2"),
            ("m[1][2]", "m[1][2]", "/m/1/2", "#/m/1/2"),
            ("a/b.c~d.é %", "a/b.c~d.é %", "/a~1b/c~0d/é %", "#/a~1b/c~0d/%C3%A9%20%25"),
        ] {
            let finding = Finding::of_report(path, "");
            let told = (finding.field(), finding.pointer(), Fragment(&finding.pointer()).to_string());
            assert_eq!(told, (field.to_owned(), pointer.to_owned(), fragment.to_owned()));
        }
    }

    #[test]
    fn messages_are_short() {
        let finding = Finding::new(Vec::new(), "invalid", "é".repeat(10_000));
        assert_eq!(finding.message.chars().count(), MAX_MESSAGE + 1);
    }
}
