//! Takes a value of the configuration out as a type of the program.
//!
//! What serde leaves to the type, this does for all: a key that the type does not know is an error, whether or not
//! it says `deny_unknown_fields`. Only `#[serde(flatten)]` hides from it which keys are known.

use std::{collections::btree_map, iter};

use serde::{
    de::{
        DeserializeSeed, Deserializer, Error as _, IntoDeserializer, MapAccess, SeqAccess, Unexpected,
        Visitor,
        value::{BorrowedStrDeserializer, MapAccessDeserializer, MapDeserializer, SeqDeserializer},
    },
    forward_to_deserialize_any,
};

use super::{
    error::{ConfigError, Fault},
    node::{Node, Table, Value},
    text,
};
use crate::secret;

type Known = &'static [&'static str];

/// A value about to be read.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    node: &'a Node,
    /// In a table: the key of this value, and the keys that the type knows.
    entry: Option<(&'a str, Known)>,
}

impl<'a> Reader<'a> {
    pub(super) fn new(node: &'a Node) -> Self {
        Self { node, entry: None }
    }

    fn table<V: Visitor<'a>>(self, known: Known, visitor: V) -> Result<V::Value, ConfigError> {
        match &self.node.value {
            Value::Table(table) => visitor.visit_map(Entries::new(table, known)),
            // serde would take its elements for the fields in their order.
            Value::List(_) => Err(ConfigError::invalid_type(Unexpected::Seq, &visitor)),
            _ => self.deserialize_any(visitor),
        }
    }

    fn tuple<V: Visitor<'a>>(self, length: usize, visitor: V) -> Result<V::Value, ConfigError> {
        match &self.node.value {
            // serde would leave alone what is too many.
            Value::List(list) if list.len() != length => {
                let expected = format!("{length} values");
                Err(ConfigError::invalid_length(list.len(), &expected.as_str()))
            }
            _ => self.deserialize_any(visitor),
        }
    }

    /// Text, also where a variable or flag reads like something else, or that stands in a file.
    fn text<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        if let Some(path) = text::of_file(self.node) {
            return visitor.visit_string(text::in_file(path)?);
        }
        match (&self.node.value, &self.node.written) {
            (Value::Bool(_) | Value::Integer(_) | Value::Float(_), Some(written)) => {
                visitor.visit_borrowed_str(written)
            }
            _ => self.deserialize_any(visitor),
        }
    }
}

impl<'a> Deserializer<'a> for Reader<'a> {
    type Error = ConfigError;

    fn deserialize_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        match &self.node.value {
            Value::Bool(value) => visitor.visit_bool(*value),
            Value::Integer(number) => {
                if let Ok(number) = i64::try_from(*number) {
                    visitor.visit_i64(number)
                } else if let Ok(number) = u64::try_from(*number) {
                    visitor.visit_u64(number)
                } else {
                    visitor.visit_i128(*number)
                }
            }
            Value::Float(number) => visitor.visit_f64(*number),
            Value::Text(text) => visitor.visit_borrowed_str(text),
            Value::List(list) => visitor.visit_seq(Elements { list, at: 0 }),
            Value::Table(table) => visitor.visit_map(Entries::new(table, &[])),
        }
    }

    fn deserialize_option<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'a>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        if name == secret::NAME {
            self.node.secret.set(true);
        }
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        known: Known,
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        self.table(known, visitor)
    }

    fn deserialize_tuple<V: Visitor<'a>>(self, length: usize, visitor: V) -> Result<V::Value, ConfigError> {
        self.tuple(length, visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'a>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        self.tuple(length, visitor)
    }

    fn deserialize_enum<V: Visitor<'a>>(
        self,
        _: &'static str,
        _: Known,
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        match &self.node.value {
            Value::Text(name) => visitor.visit_enum(name.as_str().into_deserializer()),
            Value::Table(table) if table.len() == 1 => {
                visitor.visit_enum(MapAccessDeserializer::new(Entries::new(table, &[])))
            }
            Value::Table(_) => Err(ConfigError::invalid_type(Unexpected::Map, &"a table with one key")),
            _ => self.deserialize_any(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.text(visitor)
    }

    fn deserialize_char<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        self.text(visitor)
    }

    /// Asked for when a type has no use for a value: then its key is unknown.
    fn deserialize_ignored_any<V: Visitor<'a>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        match self.entry {
            Some((key, known)) if !known.contains(&key) => Err(ConfigError::unknown_key(key, known)),
            _ => visitor.visit_unit(),
        }
    }

    forward_to_deserialize_any! {
        <W: Visitor<'a>>
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 bytes byte_buf unit unit_struct seq map
        identifier
    }
}

struct Elements<'a> {
    list: &'a [Node],
    at: usize,
}

impl<'a> SeqAccess<'a> for Elements<'a> {
    type Error = ConfigError;

    fn next_element_seed<T: DeserializeSeed<'a>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, ConfigError> {
        let Some(node) = self.list.get(self.at) else { return Ok(None) };
        let value = seed.deserialize(Reader::new(node));
        self.at += 1;
        value.map(Some).map_err(|error| error.placed(node).within_element(self.at - 1))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.list.len() - self.at)
    }
}

struct Entries<'a> {
    rest: btree_map::Iter<'a, String, Node>,
    entry: Option<(&'a str, &'a Node)>,
    known: Known,
}

impl<'a> Entries<'a> {
    fn new(table: &'a Table, known: Known) -> Self {
        Self { rest: table.iter(), entry: None, known }
    }
}

impl<'a> MapAccess<'a> for Entries<'a> {
    type Error = ConfigError;

    fn next_key_seed<K: DeserializeSeed<'a>>(&mut self, seed: K) -> Result<Option<K::Value>, ConfigError> {
        let Some((key, node)) = self.rest.next() else { return Ok(None) };
        self.entry = Some((key, node));
        let key = seed.deserialize(BorrowedStrDeserializer::<ConfigError>::new(key));
        key.map(Some).map_err(|error| error.at(&node.origin))
    }

    fn next_value_seed<V: DeserializeSeed<'a>>(&mut self, seed: V) -> Result<V::Value, ConfigError> {
        let Some((key, node)) = self.entry.take() else {
            return Err(ConfigError::custom("a value was asked for before its key"));
        };
        let reader = Reader { node, entry: Some((key, self.known)) };
        seed.deserialize(reader).map_err(|error| error.placed(node).within(key))
    }
}

/// A section that is nowhere written: an empty table or list or nothing, whichever the type can be.
pub(super) struct Absent;

impl<'de> Deserializer<'de> for Absent {
    type Error = ConfigError;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, ConfigError> {
        Err(Fault::Absent.into())
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        visitor.visit_none()
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        visitor.visit_map(MapDeserializer::new(iter::empty::<((), ())>()))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: Known,
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        self.deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        visitor.visit_seq(SeqDeserializer::new(iter::empty::<()>()))
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, ConfigError> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, ConfigError> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit
        unit_struct tuple tuple_struct enum identifier
    }
}
