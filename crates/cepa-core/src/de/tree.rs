//! The tree of a nested form into typed values.

use std::borrow::Cow;

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, Error as _, IntoDeserializer, Visitor};
use serde_json::{Map, Value};

use super::{Error, value::ValueDeserializer};

/// Reads the tree that [`Nesting::tree`](crate::form::Nesting::tree) makes of a form: structs and maps by name,
/// sequences of anything, scalars from their text as [`from_pairs`](super::from_pairs) reads them.
///
/// ```
/// use cepa_core::{de, form};
///
/// #[derive(serde::Deserialize)]
/// struct Order {
///     lines: Vec<Line>,
/// }
///
/// #[derive(serde::Deserialize)]
/// struct Line {
///     count: u32,
/// }
///
/// let tree = |text| form::Nesting::default().tree(form::parse(text, 100));
/// let order: Order = de::from_tree(tree("lines[0][count]=1&lines[1][count]=2"))?;
/// assert_eq!(order.lines[1].count, 2);
///
/// let error = de::from_tree::<Order>(tree("lines[0][count]=x")).err().unwrap();
/// assert_eq!(error.to_string(), r#"invalid value "x" for "lines[0][count]": expected u32"#);
/// # Ok::<(), de::Error>(())
/// ```
///
/// # Errors
/// When a text does not make the value its field wants; the error names the field.
pub fn from_tree<'de, T: Deserialize<'de>>(tree: Map<String, Value>) -> Result<T, Error> {
    T::deserialize(Node { name: String::new(), value: Value::Object(tree) })
}

/// A value and its name in the form.
struct Node {
    name: String,
    value: Value,
}

impl Node {
    /// The text, where there is one text.
    fn text<'de>(self) -> Result<ValueDeserializer<'de>, Error> {
        let name = Cow::Owned(self.name);
        match self.value {
            Value::String(text) => Ok(ValueDeserializer::one(name, Cow::Owned(text))),
            Value::Array(_) => Err(Error::repeated(&name)),
            Value::Object(_) => Err(Error::custom("expected one value, found nested ones").at(&name)),
            other => Ok(ValueDeserializer::one(name, Cow::Owned(other.to_string()))),
        }
    }

    fn items(self) -> Result<Vec<Node>, Error> {
        match self.value {
            Value::Array(values) => {
                let item = |(index, value)| Node { name: format!("{}[{index}]", self.name), value };
                Ok(values.into_iter().enumerate().map(item).collect())
            }
            Value::Object(_) => Err(Error::custom("expected a list, found names").at(&self.name)),
            _ => Ok(vec![self]),
        }
    }
}

impl<'de> IntoDeserializer<'de, Error> for Node {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

/// Reads these kinds of values from a text.
macro_rules! from_text {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.text()?.$method(visitor)
        }
    )*};
}

impl<'de> Deserializer<'de> for Node {
    type Error = Error;

    from_text! {
        deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_identifier
        deserialize_bytes deserialize_byte_buf deserialize_f32 deserialize_f64 deserialize_unit
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Array(_) => self.deserialize_seq(visitor),
            Value::Object(_) => self.deserialize_map(visitor),
            Value::Bool(flag) => visitor.visit_bool(flag),
            _ => self.text()?.deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::String(text) if text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let name = self.name.clone();
        let items = self.items()?.into_iter();
        visitor.visit_seq(SeqDeserializer::new(items)).map_err(|error: Error| error.at(&name))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, expected: usize, visitor: V) -> Result<V::Value, Error> {
        let name = self.name.clone();
        let items = self.items()?;
        if items.len() != expected {
            let message = format_args!("expected {expected} values, found {}", items.len());
            return Err(Error::custom(message).at(&name));
        }
        let items = SeqDeserializer::new(items.into_iter());
        visitor.visit_seq(items).map_err(|error: Error| error.at(&name))
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let outer = self.name;
        let Value::Object(map) = self.value else {
            return Err(Error::custom("expected names").at(&outer));
        };
        let entries = map.into_iter().map(|(key, value)| {
            let name = if outer.is_empty() { key.clone() } else { format!("{outer}[{key}]") };
            (Node { name: name.clone(), value: Value::String(key) }, Node { name, value })
        });
        visitor.visit_map(MapDeserializer::new(entries)).map_err(|error: Error| error.at(&outer))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.text()?.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(rename_all = "lowercase")]
    enum Color {
        Red,
    }

    #[derive(Debug, PartialEq, Deserialize)]
    struct Inner {
        n: u8,
        #[serde(default)]
        color: Option<Color>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct All {
        text: String,
        number: Option<i64>,
        list: Vec<u8>,
        inner: Option<Inner>,
        inners: Vec<Inner>,
        map: HashMap<String, bool>,
        pair: Option<(u8, u8)>,
        any: Option<Value>,
    }

    fn read(tree: Value) -> Result<All, String> {
        let Value::Object(tree) = tree else { unreachable!("a test gives a tree") };
        from_tree(tree).map_err(|error| error.to_string())
    }

    #[test]
    fn values_are_read_at_any_depth() {
        let found = read(json!({
            "text": "x", "number": "", "list": "7", "inner": { "n": "1", "color": "red" },
            "inners": [{ "n": "2" }], "map": { "a": "true", "b": true }, "pair": ["1", "2"],
            "any": { "a": ["b", { "c": "" }], "d": true },
        }));
        let expected = All {
            text: "x".into(),
            list: vec![7],
            inner: Some(Inner { n: 1, color: Some(Color::Red) }),
            inners: vec![Inner { n: 2, color: None }],
            map: HashMap::from([("a".into(), true), ("b".into(), true)]),
            pair: Some((1, 2)),
            any: Some(json!({ "a": ["b", { "c": "" }], "d": true })),
            ..All::default()
        };
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn errors_name_the_field() {
        for (tree, error) in [
            (json!({ "inner": { "n": "x" } }), r#"invalid value "x" for "inner[n]": expected u8"#),
            (
                json!({ "inners": [{ "n": "1" }, { "n": "" }] }),
                r#"invalid value "" for "inners[1][n]": expected u8"#,
            ),
            (json!({ "text": ["a", "b"] }), r#""text" is given more than once: expected one value"#),
            (
                json!({ "text": { "a": "b" } }),
                r#"invalid value for "text": expected one value, found nested ones"#,
            ),
            (json!({ "inner": "x" }), r#"invalid value for "inner": expected names"#),
            (json!({ "list": { "a": "1" } }), r#"invalid value for "list": expected a list, found names"#),
            (json!({ "pair": ["1"] }), r#"invalid value for "pair": expected 2 values, found 1"#),
            (
                json!({ "inner": { "n": "1", "color": "blue" } }),
                r#"invalid value "blue" for "inner[color]": expected one of ["red"]"#,
            ),
        ] {
            assert_eq!(read(tree), Err(error.to_owned()));
        }
        assert!(read(json!({ "txt": "a" })).unwrap_err().contains("unknown name \"txt\""));
    }
}
