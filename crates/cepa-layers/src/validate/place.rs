//! Where in a JSON text an error was found: serde tells line and column, people and programs want the field.

use serde_json::error::Category;

use super::{Finding, Step};

/// What keeps a JSON text from becoming a value; `None` when it is no JSON at all.
///
/// The path is exact for values that are read as they come; of what serde reads as a whole first (untagged enums,
/// flattened structs) it is that of the whole.
pub(super) fn finding(text: &[u8], error: &serde_json::Error) -> Option<Finding> {
    if error.classify() != Category::Data {
        return None;
    }
    let mut path = path(&text[..offset(text, error.line(), error.column())]);
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
    let missing = message.strip_prefix("missing field `").and_then(|rest| rest.strip_suffix('`'));
    Some(match missing {
        // The end of the object has been read: the path is that of the object.
        Some(field) => {
            path.push(Step::Key(field.to_owned()));
            Finding::missing(path)
        }
        None => Finding::new(path, "invalid", message),
    })
}

/// The place in the text, from line and column, both counted from 1, in bytes.
fn offset(text: &[u8], line: usize, column: usize) -> usize {
    let mut start = 0;
    for _ in 1..line {
        let end =
            text[start..].iter().position(|byte| *byte == b'\n').map_or(text.len(), |end| start + end + 1);
        start = end;
    }
    start.saturating_add(column).min(text.len())
}

enum Container {
    Object { key: Option<String>, is_key_next: bool },
    Array { index: usize },
}

/// The path of the last value in the beginning of a JSON text.
fn path(text: &[u8]) -> Vec<Step> {
    let mut stack: Vec<Container> = Vec::new();
    // A comma counts when something follows it: what is wrong lies before it.
    let mut is_comma_open = false;
    let mut at = 0;
    while let Some(byte) = text.get(at) {
        let start = at;
        at += 1;
        match byte {
            b' ' | b'\t' | b'\r' | b'\n' => continue,
            b',' => {
                is_comma_open = true;
                continue;
            }
            _ => {}
        }
        if std::mem::take(&mut is_comma_open) {
            match stack.last_mut() {
                Some(Container::Object { is_key_next, .. }) => *is_key_next = true,
                Some(Container::Array { index }) => *index += 1,
                None => {}
            }
        }
        match byte {
            b'{' => stack.push(Container::Object { key: None, is_key_next: true }),
            b'[' => stack.push(Container::Array { index: 0 }),
            b'}' | b']' => drop(stack.pop()),
            b'"' => {
                at = string_end(text, at);
                if let Some(Container::Object { key, is_key_next: is_key_next @ true }) = stack.last_mut() {
                    *is_key_next = false;
                    *key = serde_json::from_slice(&text[start..at]).ok();
                }
            }
            _ => {}
        }
    }
    let steps = stack.into_iter().filter_map(|container| match container {
        Container::Object { key, .. } => key.map(Step::Key),
        Container::Array { index } => Some(Step::Index(index)),
    });
    steps.collect()
}

/// The place behind the quote that ends a string.
fn string_end(text: &[u8], mut at: usize) -> usize {
    while let Some(byte) = text.get(at) {
        at += 1;
        match byte {
            b'"' => return at,
            b'\\' => at += 1,
            _ => {}
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Order {
        #[serde(rename = "id")]
        _id: u32,
        #[serde(default, rename = "items")]
        _items: Vec<Item>,
        #[serde(default, rename = "note")]
        _note: Option<String>,
    }

    #[derive(Debug, Deserialize)]
    struct Item {
        #[serde(rename = "name")]
        _name: String,
        #[serde(rename = "count")]
        _count: u8,
    }

    #[test]
    fn the_field_at_fault_is_named() {
        for (text, field, message) in [
            (r#"{"id": "x"}"#, "id", "invalid type: string \"x\", expected u32"),
            (r#"{"id": -1}"#, "id", "invalid value: integer `-1`, expected u32"),
            (r#"{"id": -1, "note": null}"#, "id", "invalid value: integer `-1`, expected u32"),
            (r#"{"id":1.5}"#, "id", "invalid type: floating point `1.5`, expected u32"),
            (r#"{"id":true,"note":"a"}"#, "id", "invalid type: boolean `true`, expected u32"),
            (r#"{"id":null}"#, "id", "invalid type: null, expected u32"),
            (r#"{"id":{}}"#, "id", "invalid type: map, expected u32"),
            ("{}", "id", "required"),
            ("{\n  \"note\": \"a \\\" } b\"\n}", "id", "required"),
            ("[]", "", "invalid length 0, expected struct Order with 3 elements"),
            (
                r#"{"id":1,"items":[{"name":"a","count":1},{"name":"b","count":300}]}"#,
                "items[1].count",
                "invalid value: integer `300`, expected u8",
            ),
            (
                r#"{"id":1,"items":[{"name":"a","count":1},{"name":"b"}],"note":"x"}"#,
                "items[1].count",
                "required",
            ),
            (r#"{"id":1,"items":[{"name":"a","count":1}, {}]}"#, "items[1].name", "required"),
            (r#"{"id":1,"items":[7]}"#, "items[0]", "invalid type: integer `7`, expected struct Item"),
            (
                r#"{"id":1,"admin":true}"#,
                "admin",
                "unknown field `admin`, expected one of `id`, `items`, `note`",
            ),
            (r#"{"id":1,"i\u0064":2}"#, "id", "duplicate field `id`"),
        ] {
            let error = serde_json::from_str::<Order>(text).unwrap_err();
            let finding = finding(text.as_bytes(), &error).unwrap();
            assert_eq!((&*finding.field(), &*finding.message), (field, message), "{text} {error}");
        }
        for text in ["", "{", r#"{"id":1,}"#, "nul"] {
            let error = serde_json::from_str::<Order>(text).unwrap_err();
            assert_eq!(finding(text.as_bytes(), &error), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics(text in r#"([{}\[\]:,"\\ an1]|é){0,40}"#) {
            path(text.as_bytes());
            if let Err(error) = serde_json::from_str::<Order>(&text) {
                finding(text.as_bytes(), &error);
            }
        }
    }
}
