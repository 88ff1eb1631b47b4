//! Rules from data, each option looked at: what is misspelt is an error, not a rule that never holds.

use regex_lite::RegexBuilder;
use serde_json::{Map, Value};

use super::{Convert, Format, Kind, Messages, Range, Rule, Rules, RulesError, Text, What};

const MAX_DEPTH: usize = 16;
/// Bytes that a compiled pattern may take.
const MAX_PATTERN: usize = 256 << 10;

/// Options that every type has.
const COMMON: &[&str] = &["type", "required", "default", "trim", "convertType", "widelyUndefined", "message"];

type Parsed<T> = Result<T, RulesError>;

fn fault<T>(field: &str, message: impl Into<String>) -> Parsed<T> {
    Err(RulesError { field: field.to_owned(), message: message.into() })
}

pub(super) fn rules(value: &Value, path: &str, depth: usize) -> Parsed<Rules> {
    let Value::Object(table) = value else { return fault(path, "expected a table of rules by field") };
    if depth > MAX_DEPTH {
        return fault(path, format!("more than {MAX_DEPTH} levels"));
    }
    let mut rules = Rules::default();
    for (name, value) in table {
        let field = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        rules.fields.push((name.clone(), rule(value, &field, depth)?));
    }
    Ok(rules)
}

fn rule(value: &Value, field: &str, depth: usize) -> Parsed<Rule> {
    let options = match value {
        Value::Object(options) => options.clone(),
        Value::Array(_) => table([("type", "enum".into()), ("values", value.clone())]),
        Value::String(text) if text.starts_with('/') => {
            table([("type", "string".into()), ("format", value.clone())])
        }
        Value::String(text) => table([("type", text.as_str().into())]),
        _ => return fault(field, "expected a type, a list of values, a pattern or a table"),
    };
    let options = Options { field, options: &options };
    let Some(written) = options.text("type")? else { return fault(field, "a type is missing") };
    let name = written.strip_suffix('?').unwrap_or(written);
    let required = options.flag("required")?.unwrap_or(true) && name == written;
    Ok(Rule {
        kind: kind(name, options, required, depth)?,
        required,
        default: options.options.get("default").cloned(),
        trim: options.flag("trim")?.unwrap_or_default(),
        convert: options.convert()?,
        widely_undefined: options.flag("widelyUndefined")?,
    })
}

fn table<const N: usize>(pairs: [(&str, Value); N]) -> Map<String, Value> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn kind(name: &str, options: Options<'_>, required: bool, depth: usize) -> Parsed<Kind> {
    let field = options.field;
    let plain = |format| options.text_of(format, options.flag("allowEmpty")?.unwrap_or_default());
    let (what, type_names, own): (What, &'static [&'static str], &[&str]) = match name {
        "int" | "integer" => {
            let what = What::Number { is_int: true, range: options.range()? };
            (what, &["int", "integer"], &["min", "max"])
        }
        "number" => (What::Number { is_int: false, range: options.range()? }, &["number"], &["min", "max"]),
        "string" => {
            let format = options.pattern()?;
            let what = options.text_of(format, options.allow_empty(required)?)?;
            (what, &["string"], &["min", "max", "format", "allowEmpty", "empty"])
        }
        "password" => {
            let what = options.text_of(Format::Password, options.allow_empty(required)?)?;
            (what, &["password", "string"], &["min", "max", "allowEmpty", "empty", "compare"])
        }
        "id" => (plain(Format::Id)?, &["id", "string"], &["allowEmpty"]),
        "date" => (plain(Format::Date)?, &["date", "string"], &["allowEmpty"]),
        "dateTime" | "datetime" => {
            (plain(Format::DateTime)?, &["dateTime", "datetime", "string"], &["allowEmpty"])
        }
        "email" => (plain(Format::Email)?, &["email", "string"], &["allowEmpty"]),
        "url" => (plain(Format::Url)?, &["url", "string"], &["allowEmpty"]),
        "bool" | "boolean" => (What::Bool, &["bool", "boolean"], &[]),
        "enum" => (What::Enum(options.values()?), &["enum"], &["values"]),
        "object" => {
            let inner = options.options.get("rule");
            let inner = inner.map(|inner| rules(inner, field, depth + 1)).transpose()?;
            (What::Object(inner), &["object"], &["rule"])
        }
        "array" => {
            let what = What::Array { range: options.range()?, item: options.item(depth)? };
            (what, &["array"], &["min", "max", "itemType", "rule"])
        }
        _ => return fault(field, format!("{name:?} is no type")),
    };
    for option in options.options.keys() {
        if !COMMON.contains(&&**option) && !own.contains(&&**option) {
            return fault(field, format!("{option:?} is no option of {name}"));
        }
    }
    Ok(Kind { what, messages: options.messages(type_names)? })
}

/// The options of one rule.
#[derive(Clone, Copy)]
struct Options<'a> {
    field: &'a str,
    options: &'a Map<String, Value>,
}

impl<'a> Options<'a> {
    fn text(self, name: &str) -> Parsed<Option<&'a str>> {
        match self.options.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => fault(self.field, format!("{name:?} is no text")),
        }
    }

    fn flag(self, name: &str) -> Parsed<Option<bool>> {
        match self.options.get(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(*flag)),
            Some(_) => fault(self.field, format!("{name:?} is neither true nor false")),
        }
    }

    fn number(self, name: &str) -> Parsed<Option<f64>> {
        match self.options.get(name) {
            None => Ok(None),
            Some(value) => match value.as_f64() {
                Some(number) => Ok(Some(number)),
                None => fault(self.field, format!("{name:?} is no number")),
            },
        }
    }

    fn range(self) -> Parsed<Range> {
        Ok(Range { min: self.number("min")?, max: self.number("max")? })
    }

    fn allow_empty(self, required: bool) -> Parsed<bool> {
        let allow = self.flag("allowEmpty")?;
        let empty = self.flag("empty")?;
        Ok(allow.unwrap_or_else(|| !required || empty.unwrap_or_default()))
    }

    fn text_of(self, format: Format, allow_empty: bool) -> Parsed<What> {
        let range = match format {
            Format::Password => Range { min: self.number("min")?.or(Some(6.0)), max: self.number("max")? },
            _ => self.range()?,
        };
        let compare = self.text("compare")?.map(str::to_owned);
        Ok(What::Text(Text { range, allow_empty, format, compare }))
    }

    fn pattern(self) -> Parsed<Format> {
        let Some(written) = self.text("format")? else { return Ok(Format::Any) };
        let Some((pattern, flags)) = written.strip_prefix('/').and_then(|rest| rest.rsplit_once('/')) else {
            return fault(self.field, format!("the format {written:?} is no pattern between slashes"));
        };
        let mut builder = RegexBuilder::new(pattern);
        builder.size_limit(MAX_PATTERN);
        for flag in flags.chars() {
            match flag {
                'i' => drop(builder.case_insensitive(true)),
                'm' => drop(builder.multi_line(true)),
                's' => drop(builder.dot_matches_new_line(true)),
                // To read on where the last match ended, and to read text as Unicode, changes nothing here.
                'g' | 'u' => {}
                _ => return fault(self.field, format!("{flag:?} is no flag of a pattern")),
            }
        }
        match builder.build() {
            Ok(regex) => Ok(Format::Pattern(regex, written.to_owned())),
            Err(error) => fault(self.field, format!("the format {written}: {error}")),
        }
    }

    fn values(self) -> Parsed<Vec<Value>> {
        match self.options.get("values") {
            Some(Value::Array(values)) if !values.is_empty() => Ok(values.clone()),
            _ => fault(self.field, "an enum needs a list of values"),
        }
    }

    fn item(self, depth: usize) -> Parsed<Option<Box<Kind>>> {
        let Some(name) = self.text("itemType")? else { return Ok(None) };
        let rule = self.options.get("rule");
        let options = match (name, rule) {
            ("object", Some(rule)) => table([("rule", rule.clone())]),
            (_, None) => Map::new(),
            (_, Some(Value::Object(options))) => options.clone(),
            _ => return fault(self.field, "\"rule\" is no table"),
        };
        if depth >= MAX_DEPTH {
            return fault(self.field, format!("more than {MAX_DEPTH} levels"));
        }
        let field = format!("{}[]", self.field);
        kind(name, Options { field: &field, options: &options }, true, depth + 1)
            .map(|kind| Some(Box::new(kind)))
    }

    fn convert(self) -> Parsed<Option<Convert>> {
        Ok(match self.text("convertType")? {
            None => None,
            Some("int") => Some(Convert::Int),
            Some("number") => Some(Convert::Number),
            Some("string") => Some(Convert::Text),
            Some("bool" | "boolean") => Some(Convert::Bool),
            Some(other) => {
                return fault(
                    self.field,
                    format!("convertType: {other:?} is none of int, number, string, bool"),
                );
            }
        })
    }

    fn messages(self, type_names: &'static [&'static str]) -> Parsed<Messages> {
        let mut messages = Messages { type_names, ..Messages::default() };
        match self.options.get("message") {
            None => {}
            Some(Value::String(text)) => messages.all = Some(text.clone()),
            Some(Value::Object(table)) => {
                for (cause, text) in table {
                    let causes = ["required", "min", "max", "format", "allowEmpty", "compare"];
                    let Value::String(text) = text else {
                        return fault(self.field, format!("message: {cause:?} is no text"));
                    };
                    if !causes.contains(&&**cause) && !type_names.contains(&&**cause) {
                        return fault(
                            self.field,
                            format!("message: {cause:?} is nothing that can be wrong with it"),
                        );
                    }
                    messages.by_cause.push((cause.clone(), text.clone()));
                }
            }
            Some(_) => return fault(self.field, "\"message\" is neither text nor a table"),
        }
        Ok(messages)
    }
}
