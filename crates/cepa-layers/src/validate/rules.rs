//! Rules that are data: the language of Egg's validation, from a configuration or a file.
//!
//! ```
//! use cepa_layers::validate::Rules;
//! use serde_json::json;
//!
//! let rules: Rules = toml::from_str(r#"
//!     name = "string"
//!     age = { type = "int", min = 0, required = false }
//!     role = ["admin", "guest"]
//!     code = "/^[A-Z]{3}$/"
//!     tags = { type = "array", itemType = "string", max = 5 }
//! "#).unwrap();
//!
//! let mut data = json!({ "name": "Ada", "age": -1, "role": "root", "code": "ABC", "tags": [] });
//! let findings = rules.check(&mut data);
//! let told: Vec<_> = findings.iter().map(|found| format!("{} {}", found.field(), found.message)).collect();
//! assert_eq!(told, ["age should bigger than 0", "role should be one of admin, guest"]);
//! ```
//!
//! A rule is the name of a type, a list of the values that may be, a pattern between slashes, or a table:
//!
//! | type | options of its own |
//! | --- | --- |
//! | `int` `integer` `number` | `min`, `max` |
//! | `string` | `min`, `max` (UTF-16 units, as browsers count), `format`, `allowEmpty` (or `empty`) |
//! | `password` | as `string` without `format`; `min` is 6 by default; `compare`: the field that must be equal |
//! | `id` `date` `dateTime` `datetime` `email` `url` | `allowEmpty` |
//! | `bool` `boolean` | |
//! | `enum` | `values` |
//! | `object` | `rule`: the rules of its fields |
//! | `array` | `min`, `max`, `itemType`; `rule`: for objects the rules of their fields, otherwise the item's options |
//!
//! All have `required` (default true; `"int?"` is `required: false`), `default`, `trim`, `convertType` (`int`,
//! `number`, `string`, `bool`), `widelyUndefined` (an empty text is no value), and `message`: a text for whatever is
//! wrong, or a table of texts by `required`, `min`, `max`, `format`, `allowEmpty`, `compare` and the type's name.
//!
//! Patterns are those of [regex-lite](regex_lite), whose time is linear: no look-around and no back-references. Numbers
//! that JavaScript would call NaN stay the text that they were.

mod check;
mod format;
mod parse;
#[cfg(test)]
mod tests;

use regex_lite::Regex;
use serde::{Deserialize, Deserializer, de::Error as _};
use serde_json::{Map, Value};

use super::Finding;

/// Why rules cannot be used: the field, and what is wrong with its rule.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the rule of {field:?}: {message}")]
pub struct RulesError {
    /// The field, as `a.b`.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// What the fields of an object must be. See [the module](self) for the language.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    fields: Vec<(String, Rule)>,
    converts: bool,
    widely_undefined: bool,
}

#[derive(Clone, Debug)]
struct Rule {
    kind: Kind,
    required: bool,
    default: Option<Value>,
    trim: bool,
    convert: Option<Convert>,
    widely_undefined: Option<bool>,
}

#[derive(Clone, Debug)]
struct Kind {
    what: What,
    messages: Messages,
}

#[derive(Clone, Debug)]
enum What {
    Number { is_int: bool, range: Range },
    Text(Text),
    Bool,
    Enum(Vec<Value>),
    Object(Option<Rules>),
    Array { range: Range, item: Option<Box<Kind>> },
}

#[derive(Clone, Debug)]
struct Text {
    range: Range,
    allow_empty: bool,
    format: Format,
    compare: Option<String>,
}

#[derive(Clone, Debug)]
enum Format {
    Any,
    Id,
    Date,
    DateTime,
    Email,
    Url,
    Password,
    /// A pattern, and how it was written.
    Pattern(Regex, String),
}

#[derive(Clone, Copy, Debug, Default)]
struct Range {
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Convert {
    Int,
    Number,
    Text,
    Bool,
}

/// Messages in place of the usual ones.
#[derive(Clone, Debug, Default)]
struct Messages {
    all: Option<String>,
    by_cause: Vec<(String, String)>,
    /// The names by which the type's own message may go.
    type_names: &'static [&'static str],
}

impl Rules {
    /// Rules from an object whose keys are fields.
    ///
    /// # Errors
    /// The field whose rule is wrong: an unknown type or option, a pattern that does not parse, more than 16 levels.
    pub fn from_value(rules: &Value) -> Result<Self, RulesError> {
        parse::rules(rules, "", 0)
    }

    /// Converts each value to what its rule wants, where it is given as something else: for queries and forms.
    #[must_use]
    pub fn convert(mut self) -> Self {
        self.converts = true;
        self
    }

    /// Takes an empty text for no value.
    #[must_use]
    pub fn widely_undefined(mut self) -> Self {
        self.widely_undefined = true;
        self
    }

    /// Checks an object, and changes it where rules say so: trimmed, converted, defaults put in.
    ///
    /// Nothing is found where it is as it should be. After 100 findings it ends.
    pub fn check(&self, data: &mut Value) -> Vec<Finding> {
        check::check(self, data, self.converts)
    }

    /// The same for values that are all texts.
    pub(super) fn check_texts(&self, data: &mut Value) -> Vec<Finding> {
        check::check(self, data, true)
    }

    /// Removes what no rule names, at any depth.
    pub(super) fn retain_named(&self, data: &mut Value) {
        let Value::Object(data) = data else { return };
        data.retain(|name, _| self.fields.iter().any(|(known, _)| known == name));
        for (name, rule) in &self.fields {
            if let Some(value) = data.get_mut(name) {
                rule.kind.retain_named(value);
            }
        }
    }
}

impl Kind {
    fn retain_named(&self, value: &mut Value) {
        match (&self.what, value) {
            (What::Object(Some(rules)), value) => rules.retain_named(value),
            (What::Array { item: Some(item), .. }, Value::Array(values)) => {
                values.iter_mut().for_each(|value| item.retain_named(value));
            }
            _ => {}
        }
    }
}

impl<'de> Deserialize<'de> for Rules {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let rules = Map::deserialize(deserializer)?;
        Self::from_value(&Value::Object(rules)).map_err(D::Error::custom)
    }
}
