//! Problem details (RFC 9457): what an error tells a program beyond its status and message.

use std::borrow::Cow;

use cepa_core::{Error, Result};
use serde::Serialize;
use serde_json::{Map, Value};

#[cfg(feature = "validate")]
use crate::validate::Invalid;

/// Details of an error that are meant for the client.
///
/// They travel as the cause of an [`Error`], and [`on_error`](crate::on_error()) adds them to what it answers.
/// Whatever is put in here is public.
///
/// ```
/// use cepa_core::{Ctx, Result};
/// use cepa_layers::Problem;
///
/// async fn buy(_: &mut Ctx) -> Result {
///     let problem = Problem::new().kind("https://example.com/probs/out-of-credit").with("balance", 30)?;
///     Err(problem.error(403, "Your current balance is 30, but that costs 50."))
/// }
/// ```
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Problem {
    kind: Option<String>,
    title: Option<String>,
    instance: Option<String>,
    members: Map<String, Value>,
}

impl Problem {
    /// Members that have a meaning of their own.
    const RESERVED: [&str; 5] = ["type", "title", "status", "detail", "instance"];

    /// No details: type `about:blank`, whose title is the text of the status.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the member `type`, a URI that names this kind of problem.
    #[must_use]
    pub fn kind(mut self, uri: impl Into<String>) -> Self {
        self.kind = Some(uri.into());
        self
    }

    /// Sets the member `title`: what all problems of the kind have in common, in a few words.
    #[must_use]
    pub fn title(mut self, title: impl Into<String>) -> Self {
        self.title = Some(title.into());
        self
    }

    /// Sets the member `instance`, a URI that names this occurrence.
    #[must_use]
    pub fn instance(mut self, uri: impl Into<String>) -> Self {
        self.instance = Some(uri.into());
        self
    }

    /// Adds a member of one's own.
    ///
    /// # Errors
    /// 500 when the value does not serialise, and for a name that RFC 9457 gives a meaning of its own.
    #[track_caller]
    pub fn with(mut self, name: impl Into<String>, value: impl Serialize) -> Result<Self> {
        let name = name.into();
        if Self::RESERVED.contains(&name.as_str()) {
            return Err(Error::new(500, format!("{name:?} is a member of every problem")));
        }
        self.members.insert(name, serde_json::to_value(value)?);
        Ok(self)
    }

    /// The error that carries these details. The message becomes the member `detail`.
    #[track_caller]
    pub fn error(self, status: u16, message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(status, message).with_cause(self)
    }

    /// The details that an error carries, also those of failed validation.
    pub(crate) fn of(error: &Error) -> Result<Option<Cow<'_, Self>>> {
        if let Some(problem) = error.downcast_ref::<Self>() {
            return Ok(Some(Cow::Borrowed(problem)));
        }
        #[cfg(feature = "validate")]
        if let Some(invalid) = error.downcast_ref::<Invalid>() {
            return invalid.problem().map(|problem| Some(Cow::Owned(problem)));
        }
        Ok(None)
    }

    /// The object that is sent.
    pub(crate) fn object(&self, status: u16, title: &str, detail: Option<&str>) -> Map<String, Value> {
        let mut object = Map::new();
        if let Some(kind) = &self.kind {
            object.insert("type".to_owned(), kind.as_str().into());
        }
        object.insert("title".to_owned(), self.title.as_deref().unwrap_or(title).into());
        object.insert("status".to_owned(), status.into());
        if let Some(detail) = detail {
            object.insert("detail".to_owned(), detail.into());
        }
        if let Some(instance) = &self.instance {
            object.insert("instance".to_owned(), instance.as_str().into());
        }
        object.extend(self.members.clone());
        object
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.kind.as_deref().or(self.title.as_deref()).unwrap_or("a problem with details"))
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_have_their_names_once() {
        let problem = Problem::new().kind("/a").instance("/b").with("list", [1, 2]).unwrap();
        let object = Value::from(problem.object(403, "Forbidden", Some("why"))).to_string();
        let expected =
            r#"{"type":"/a","title":"Forbidden","status":403,"detail":"why","instance":"/b","list":[1,2]}"#;
        assert_eq!(object, expected);
        for name in Problem::RESERVED {
            assert!(Problem::new().with(name, 1).is_err(), "{name}");
        }
    }
}
