//! The `Vary` field: names are added once, and `*` stands for all of them (RFC 9110, section 12.5.5).

use std::borrow::Cow;

use crate::grammar;

/// A name given to `Vary` is not a field name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a header field name")]
pub struct InvalidFieldName(pub String);

/// `existing` with the names of the comma list `fields` that it does not hold yet, compared without case.
///
/// A `*` on either side gives `*`. Borrows when nothing is added.
///
/// ```
/// use cepa_core::vary;
///
/// assert_eq!(vary::append("Origin", "Accept, origin").unwrap(), "Origin, Accept");
/// ```
///
/// # Errors
/// When one of `fields` is neither a token nor `*`.
pub fn append<'a>(existing: &'a str, fields: &str) -> Result<Cow<'a, str>, InvalidFieldName> {
    if let Some(bad) = names(fields).find(|name| !grammar::is_token(name)) {
        return Err(InvalidFieldName(bad.to_string()));
    }
    if names(existing).chain(names(fields)).any(|name| name == "*") {
        return Ok(Cow::Borrowed("*"));
    }
    let mut value = Cow::Borrowed(existing);
    for field in names(fields) {
        if names(&value).any(|name| name.eq_ignore_ascii_case(field)) {
            continue;
        }
        let value = value.to_mut();
        if !value.is_empty() {
            value.push_str(", ");
        }
        value.push_str(field);
    }
    Ok(value)
}

fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(grammar::trim).filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn appends_as_recorded() {
        #[derive(serde::Deserialize)]
        struct Vector {
            header: String,
            field: String,
            result: serde_json::Map<String, Value>,
        }
        for Vector { header, field, result } in vectors::load("vary") {
            let expected = result.get("ok").and_then(Value::as_str);
            assert_eq!(append(&header, &field).ok().as_deref(), expected, "{header} + {field}");
        }
    }

    #[test]
    fn appends_once() {
        let table = [
            ("", "a", "a"),
            ("A", "a, b, B", "A, b"),
            ("a, *", "b", "*"),
            ("a", "b, *", "*"),
            ("a", "", "a"),
            ("a,,", " ,b,", "a,,, b"),
        ];
        for (existing, fields, expected) in table {
            assert_eq!(append(existing, fields).as_deref(), Ok(expected), "{existing} + {fields}");
        }
        for bad in ["a b", "a:b", "a\r\nx: y", "é", "a, (b)"] {
            assert!(append("*", bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn adding_twice_adds_once(existing in "[a-c*, ]{0,12}", fields in "[a-cA-C*, é]{0,12}") {
            if let Ok(once) = append(&existing, &fields) {
                let twice = append(&once, &fields);
                prop_assert_eq!(twice.as_deref(), Ok(&*once));
            }
        }
    }
}
