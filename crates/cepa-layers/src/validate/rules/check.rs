//! Rules applied to data. The words are Egg's, since its clients read them.

use std::borrow::Cow;

use serde_json::{Map, Number, Value};

use super::{
    super::{Finding, Step, finding::MAX_FINDINGS},
    Convert, Format, Kind, Messages, Range, Rule, Rules, Text, What, format,
};

pub(super) fn check(rules: &Rules, data: &mut Value, converts: bool) -> Vec<Finding> {
    let mode = Mode { converts, widely_undefined: rules.widely_undefined };
    let mut found = Found { findings: Vec::new(), path: Vec::new() };
    match data {
        Value::Object(data) => found.fields(rules, data, mode),
        _ => found.push("invalid", "the validated value should be a object"),
    }
    found.findings
}

/// How the outermost rules treat values; it holds for those inside too.
#[derive(Clone, Copy)]
struct Mode {
    converts: bool,
    widely_undefined: bool,
}

/// What has been found so far, and where it is looked at now.
struct Found {
    findings: Vec<Finding>,
    path: Vec<Step>,
}

impl Found {
    fn push(&mut self, code: &'static str, message: impl Into<String>) {
        self.findings.push(Finding::new(self.path.clone(), code, message));
    }

    fn is_full(&self) -> bool {
        self.findings.len() >= MAX_FINDINGS
    }

    fn fields(&mut self, rules: &Rules, data: &mut Map<String, Value>, mode: Mode) {
        for (name, rule) in &rules.fields {
            if self.is_full() {
                return;
            }
            self.path.push(Step::Key(name.clone()));
            self.field(name, rule, data, mode);
            self.path.pop();
        }
    }

    fn field(&mut self, name: &str, rule: &Rule, data: &mut Map<String, Value>, mode: Mode) {
        if let Some(Value::String(text)) = data.get_mut(name)
            && rule.trim
        {
            *text = text.trim().to_owned();
        }
        let is_wide = rule.widely_undefined.unwrap_or(mode.widely_undefined);
        if is_wide && data.get(name).is_some_and(|value| value.is_null() || value == "") {
            data.shift_remove(name);
        }
        let Some(value) = data.get_mut(name).filter(|value| !value.is_null()) else {
            if rule.required {
                self.push("missing_field", rule.kind.messages.of(&["required"], || "required".into()));
            }
            if let Some(default) = &rule.default {
                data.insert(name.to_owned(), default.clone());
            }
            return;
        };
        if let Some(convert) = rule.convert.or_else(|| rule.kind.convert().filter(|_| mode.converts)) {
            convert.apply(value);
        }
        self.value(&rule.kind, value, mode);
        if let What::Text(Text { compare: Some(other), .. }) = &rule.kind.what
            && !self.findings.last().is_some_and(|finding| finding.path == self.path)
            && data.get(other) != data.get(name)
        {
            let message = || format!("should equal to {other}").into();
            self.push("invalid", rule.kind.messages.of(&["compare"], message));
        }
    }

    fn value(&mut self, kind: &Kind, value: &mut Value, mode: Mode) {
        match (&kind.what, value) {
            (What::Object(rules), Value::Object(data)) => {
                if let Some(rules) = rules {
                    self.fields(rules, data, mode);
                }
            }
            (What::Array { range, item }, Value::Array(values)) => {
                if let Some(message) = range.fault_of(&kind.messages, values.len() as f64, "length ") {
                    return self.push("invalid", message);
                }
                let Some(item) = item else { return };
                for (index, value) in values.iter_mut().enumerate() {
                    if self.is_full() {
                        return;
                    }
                    self.path.push(Step::Index(index));
                    self.value(item, value, mode);
                    self.path.pop();
                }
            }
            (_, value) => {
                if let Some(message) = kind.fault(value) {
                    self.push("invalid", message);
                }
            }
        }
    }
}

impl Kind {
    /// What is wrong with a value that has no values inside, or is not of its type.
    fn fault(&self, value: &Value) -> Option<Cow<'_, str>> {
        let messages = &self.messages;
        let wrong = |message: &'static str| Some(messages.of(messages.type_names, || message.into()));
        match (&self.what, value) {
            (What::Number { is_int, range }, Value::Number(number)) => {
                let number = number.as_f64().unwrap_or(f64::NAN);
                if *is_int && number.fract() != 0.0 {
                    return wrong("should be an integer");
                }
                range.fault_of(messages, number, "")
            }
            (What::Text(text), Value::String(value)) => text.fault(messages, value),
            (What::Bool, Value::Bool(_)) => None,
            (What::Enum(values), value) => {
                if values.iter().any(|known| is_same(known, value)) {
                    return None;
                }
                let list = || values.iter().map(text_of).collect::<Vec<_>>().join(", ");
                Some(messages.of(messages.type_names, || format!("should be one of {}", list()).into()))
            }
            (What::Number { is_int: true, .. }, _) => wrong("should be an integer"),
            (What::Number { .. }, _) => wrong("should be a number"),
            (What::Text(_), _) => Some(messages.of(&["string"], || "should be a string".into())),
            (What::Bool, _) => wrong("should be a boolean"),
            (What::Object(_), _) => wrong("should be an object"),
            (What::Array { .. }, _) => wrong("should be an array"),
        }
    }

    /// What texts are converted to for this type.
    fn convert(&self) -> Option<Convert> {
        Some(match &self.what {
            What::Number { is_int: true, .. } => Convert::Int,
            What::Number { .. } => Convert::Number,
            What::Text(_) => Convert::Text,
            What::Bool => Convert::Bool,
            What::Enum(_) | What::Object(_) | What::Array { .. } => return None,
        })
    }
}

impl Text {
    fn fault<'m>(&'m self, messages: &'m Messages, text: &str) -> Option<Cow<'m, str>> {
        if text.is_empty() {
            let empty = || Some(messages.of(&["allowEmpty"], || "should not be empty".into()));
            return if self.allow_empty { None } else { empty() };
        }
        let units = text.encode_utf16().count() as f64;
        if let Some(message) = self.range.fault_of(messages, units, "length ") {
            return Some(message);
        }
        let (is_right, wanted) = match &self.format {
            Format::Any => return None,
            Format::Id => (format::is_id(text), r"should match /^\d+$/"),
            Format::Date => (format::is_date(text), r"should match /^\d{4}\-\d{2}\-\d{2}$/"),
            Format::DateTime => {
                let wanted = r"should match /^\d{4}\-\d{2}\-\d{2} \d{2}:\d{2}:\d{2}$/";
                (format::is_date_time(text), wanted)
            }
            Format::Email => (format::is_email(text), "should be an email"),
            Format::Url => (format::is_url(text), "should be a url"),
            Format::Password => (format::is_password(text), ""),
            Format::Pattern(regex, _) => (regex.is_match(text), ""),
        };
        if is_right {
            return None;
        }
        let wanted = || match &self.format {
            Format::Password => format!("should match {}", format::PASSWORD).into(),
            Format::Pattern(_, written) => format!("should match {written}").into(),
            _ => wanted.into(),
        };
        // The names of `string` itself are for what is no text.
        let names = messages.type_names.iter().copied().filter(|name| *name != "string");
        Some(messages.of(&["format"].into_iter().chain(names).collect::<Vec<_>>(), wanted))
    }
}

impl Range {
    fn fault_of<'m>(self, messages: &'m Messages, number: f64, what: &str) -> Option<Cow<'m, str>> {
        if let Some(max) = self.max.filter(|max| number > *max) {
            return Some(messages.of(&["max"], || format!("{what}should smaller than {max}").into()));
        }
        let min = self.min.filter(|min| number < *min)?;
        Some(messages.of(&["min"], || format!("{what}should bigger than {min}").into()))
    }
}

impl Messages {
    /// The message for one of these causes, or the usual one.
    fn of<'m>(&'m self, causes: &[&str], usual: impl FnOnce() -> Cow<'m, str>) -> Cow<'m, str> {
        let known = self.by_cause.iter().find(|(cause, _)| causes.contains(&&**cause)).map(|(_, text)| text);
        match known.or(self.all.as_ref()) {
            Some(text) => Cow::Borrowed(text),
            None => usual(),
        }
    }
}

impl Convert {
    /// Converts a scalar as JavaScript does; what would be NaN stays as it is, and fails its check.
    fn apply(self, value: &mut Value) {
        if value.is_object() || value.is_array() {
            return;
        }
        let converted = match self {
            Self::Text => Some(Value::String(text_of(value))),
            Self::Bool => Some(Value::Bool(is_truthy(value))),
            Self::Int => match value {
                Value::String(text) => integer(text),
                Value::Number(number) => number.as_f64().and_then(|number| number_of(number.trunc())),
                _ => None,
            },
            Self::Number => match value {
                Value::String(text) => decimal(text),
                Value::Bool(flag) => Some(Value::from(u8::from(*flag))),
                _ => None,
            },
        };
        if let Some(converted) = converted {
            *value = converted;
        }
    }
}

/// The integer that a text begins with.
fn integer(text: &str) -> Option<Value> {
    let text = text.trim_start();
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    let end = digits.bytes().take_while(u8::is_ascii_digit).count();
    if end == 0 {
        return None;
    }
    let number = &text[..text.len() - digits.len() + end];
    number.parse::<i64>().map_or_else(|_| number_of(number.parse().ok()?), |number| Some(number.into()))
}

/// The decimal number that a text is.
fn decimal(text: &str) -> Option<Value> {
    let text = text.trim();
    if text.is_empty() {
        return Some(0.into());
    }
    // Rust also reads `inf` and `nan`.
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let number = text.parse::<f64>().ok().filter(|_| is_plain)?;
    text.parse::<i64>().map_or_else(|_| number_of(number), |number| Some(number.into()))
}

/// A number as JSON has it; whole ones without a fraction.
fn number_of(number: f64) -> Option<Value> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    if number.fract() == 0.0 && number.abs() <= EXACT {
        return Some(Value::from(number as i64));
    }
    Number::from_f64(number).map(Value::Number)
}

fn is_truthy(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::Bool(flag) => *flag,
        Value::Number(number) => number.as_f64().is_some_and(|number| number != 0.0),
        Value::String(text) => !text.is_empty(),
        Value::Array(_) | Value::Object(_) => true,
    }
}

fn is_same(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) => one == other || one.as_f64() == other.as_f64(),
        _ => one == other,
    }
}

fn text_of(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
