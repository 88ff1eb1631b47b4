//! Text pairs into typed values: what `ctx.query::<T>()` and `ctx.params::<T>()` read.
//!
//! A struct or map takes the pairs by name. A field is a scalar parsed from its text (integers, finite floats,
//! `true`/`false`, one `char`, text, an enum by the name of its unit variant), a newtype of one, an `Option`, or a
//! sequence for a name given more often. In detail:
//!
//! - A name given once also makes a sequence, of one. A scalar for a name given twice is an error, never a choice.
//! - `Option` is `None` when the name is absent or its text is empty, as forms send a field left blank.
//! - A sequence whose name is absent is an error, unless `#[serde(default)]` says otherwise.
//! - Text borrows from the input where it was not decoded. Unknown names follow serde: ignored, or refused by
//!   `deny_unknown_fields`. Nesting is for [`from_tree`], and `#[serde(flatten)]` gives flattened fields text only.

mod error;
mod tree;
mod value;

use std::borrow::Cow;
use std::collections::HashMap;

use serde::de::value::SeqDeserializer;
use serde::de::{Deserialize, DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};

pub use error::Error;
pub use tree::from_tree;
use value::{Texts, ValueDeserializer};

type Pair<'de> = (Cow<'de, str>, Cow<'de, str>);

/// Reads a query or form: a struct or map by name, or a sequence of all pairs in order.
///
/// The number of pairs is the caller's to limit, as [`form::parse`](crate::form::parse) does; time is linear in it.
///
/// ```
/// use cepa_core::{de, form};
///
/// #[derive(serde::Deserialize)]
/// struct Search<'q> {
///     q: &'q str,
///     page: Option<u32>,
///     #[serde(default)]
///     tag: Vec<String>,
/// }
///
/// let search: Search = de::from_pairs(form::parse("q=onion&tag=a&tag=b&page=", 100)).unwrap();
/// assert_eq!((search.q, search.page, search.tag.len()), ("onion", None, 2));
///
/// let error = de::from_pairs::<Search>(form::parse("q=onion&page=x", 100)).err().unwrap();
/// assert_eq!(error.to_string(), r#"invalid value "x" for "page": expected u32"#);
/// ```
///
/// # Errors
/// When a text does not make the value its field wants; the error names the field.
pub fn from_pairs<'de, T: Deserialize<'de>>(pairs: impl IntoIterator<Item = Pair<'de>>) -> Result<T, Error> {
    T::deserialize(PairsDeserializer { pairs: pairs.into_iter().collect(), positional: false })
}

/// Reads the parameters of a route: a struct or map by name, a tuple or sequence by position, or the value of the
/// only parameter.
///
/// ```
/// use cepa_core::de;
///
/// let pairs = || [("id".into(), "7".into()), ("name".into(), "x".into())];
/// assert_eq!(de::from_params::<(u64, String)>(pairs()).unwrap(), (7, "x".to_string()));
/// assert_eq!(de::from_params::<u64>(pairs().into_iter().take(1)).unwrap(), 7);
/// ```
///
/// # Errors
/// As [`from_pairs`], and when the number of parameters is not that of the tuple.
pub fn from_params<'de, T: Deserialize<'de>>(
    params: impl IntoIterator<Item = Pair<'de>>,
) -> Result<T, Error> {
    T::deserialize(PairsDeserializer { pairs: params.into_iter().collect(), positional: true })
}

/// Reads these kinds of values from the only parameter.
macro_rules! by_single_value {
    ($($method:ident)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.single()?.$method(visitor)
        }
    )*};
}

struct PairsDeserializer<'de> {
    pairs: Vec<Pair<'de>>,
    positional: bool,
}

impl<'de> PairsDeserializer<'de> {
    /// The value of the only parameter.
    fn single(self) -> Result<ValueDeserializer<'de>, Error> {
        let found = self.pairs.len();
        match self.pairs.into_iter().next() {
            Some((key, text)) if self.positional && found == 1 => Ok(ValueDeserializer::one(key, text)),
            _ if self.positional => Err(Error::Count { expected: 1, found }),
            _ => Err(Error::custom("a query is read into a type with named fields")),
        }
    }

    fn visit_sequence<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let positional = self.positional;
        visitor.visit_seq(SeqDeserializer::new(self.pairs.into_iter().map(|(key, text)| match positional {
            true => ValueDeserializer::one(key, text),
            false => ValueDeserializer::new(key.clone(), Texts::Many(vec![key, text])),
        })))
    }

    /// Gathers the texts of each name, the names in the order of their first appearance.
    fn grouped(self) -> Vec<(Cow<'de, str>, Texts<'de>)> {
        let mut group_of: HashMap<&str, usize> = HashMap::with_capacity(self.pairs.len());
        let indexes: Vec<usize> = self
            .pairs
            .iter()
            .map(|(key, _)| {
                let next = group_of.len();
                *group_of.entry(key).or_insert(next)
            })
            .collect();
        let mut groups: Vec<(Cow<'de, str>, Texts<'de>)> = Vec::with_capacity(group_of.len());
        for ((key, text), index) in self.pairs.into_iter().zip(indexes) {
            match groups.get_mut(index) {
                Some((_, texts)) => texts.push(text),
                None => groups.push((key, Texts::One(text))),
            }
        }
        groups
    }
}

impl<'de> Deserializer<'de> for PairsDeserializer<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_map(Groups { rest: self.grouped().into_iter(), value: None })
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_map(visitor)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.visit_sequence(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, expected: usize, visitor: V) -> Result<V::Value, Error> {
        let found = self.pairs.len();
        if self.positional && found != expected {
            return Err(Error::Count { expected, found });
        }
        self.visit_sequence(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.pairs[..] {
            [] => visitor.visit_none(),
            [(_, text)] if self.positional && text.is_empty() => visitor.visit_none(),
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

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.single()?.deserialize_enum(name, variants, visitor)
    }

    by_single_value! {
        deserialize_bool deserialize_char deserialize_str deserialize_string deserialize_identifier
        deserialize_bytes deserialize_byte_buf deserialize_f32 deserialize_f64
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }
}

/// The names and their texts, as the entries of a map.
struct Groups<'de> {
    rest: std::vec::IntoIter<(Cow<'de, str>, Texts<'de>)>,
    value: Option<ValueDeserializer<'de>>,
}

impl<'de> MapAccess<'de> for Groups<'de> {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Error> {
        let Some((key, texts)) = self.rest.next() else { return Ok(None) };
        self.value = Some(ValueDeserializer::new(key.clone(), texts));
        seed.deserialize(ValueDeserializer::one(key.clone(), key)).map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Error> {
        let value = self.value.take().ok_or_else(|| Error::custom("a value was asked for before its key"))?;
        let key = value.key();
        seed.deserialize(value).map_err(|error| error.at(&key))
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.rest.len())
    }
}

#[cfg(test)]
mod tests;
