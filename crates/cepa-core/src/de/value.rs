//! The texts of one name into the value of one field.

use std::borrow::Cow;

use serde::de::value::{CowStrDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};

use super::Error;

/// What was given under one name.
pub(super) enum Texts<'de> {
    One(Cow<'de, str>),
    Many(Vec<Cow<'de, str>>),
}

impl<'de> Texts<'de> {
    pub(super) fn push(&mut self, text: Cow<'de, str>) {
        match self {
            Texts::One(first) => *self = Texts::Many(vec![std::mem::take(first), text]),
            Texts::Many(texts) => texts.push(text),
        }
    }
}

pub(super) struct ValueDeserializer<'de> {
    key: Cow<'de, str>,
    texts: Texts<'de>,
}

impl<'de> ValueDeserializer<'de> {
    pub(super) fn new(key: Cow<'de, str>, texts: Texts<'de>) -> Self {
        ValueDeserializer { key, texts }
    }

    pub(super) fn one(key: Cow<'de, str>, text: Cow<'de, str>) -> Self {
        ValueDeserializer { key, texts: Texts::One(text) }
    }

    pub(super) fn key(&self) -> Cow<'de, str> {
        self.key.clone()
    }

    /// The name and its only text.
    fn single(self) -> Result<(Cow<'de, str>, Cow<'de, str>), Error> {
        match self.texts {
            Texts::One(text) => Ok((self.key, text)),
            Texts::Many(_) => Err(Error::repeated(&self.key)),
        }
    }

    fn refuse_nesting<T>(self) -> Result<T, Error> {
        Err(Error::custom("nested values are not supported").at(&self.key))
    }
}

/// Methods that parse the text of a scalar.
macro_rules! parsed {
    ($($method:ident, $visit:ident, $type:ty, $expected:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            let (key, text) = self.single()?;
            let Ok(value) = text.parse::<$type>() else { return Err(Error::invalid(&key, &text, $expected)) };
            visitor.$visit(value).map_err(|error: Error| error.at(&key))
        }
    )*};
}

impl<'de> Deserializer<'de> for ValueDeserializer<'de> {
    type Error = Error;

    parsed! {
        deserialize_bool, visit_bool, bool, "true or false";
        deserialize_char, visit_char, char, "one character";
        deserialize_i8, visit_i8, i8, "i8";
        deserialize_i16, visit_i16, i16, "i16";
        deserialize_i32, visit_i32, i32, "i32";
        deserialize_i64, visit_i64, i64, "i64";
        deserialize_i128, visit_i128, i128, "i128";
        deserialize_u8, visit_u8, u8, "u8";
        deserialize_u16, visit_u16, u16, "u16";
        deserialize_u32, visit_u32, u32, "u32";
        deserialize_u64, visit_u64, u64, "u64";
        deserialize_u128, visit_u128, u128, "u128";
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (key, text) = self.single()?;
        let number = text.parse().ok().filter(|number: &f32| number.is_finite());
        let number = number.ok_or_else(|| Error::invalid(&key, &text, "a finite number"))?;
        visitor.visit_f32(number).map_err(|error: Error| error.at(&key))
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (key, text) = self.single()?;
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        let number = number.ok_or_else(|| Error::invalid(&key, &text, "a finite number"))?;
        visitor.visit_f64(number).map_err(|error: Error| error.at(&key))
    }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.texts {
            Texts::One(_) => self.deserialize_str(visitor),
            Texts::Many(_) => self.deserialize_seq(visitor),
        }
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (key, text) = self.single()?;
        let visited = match text {
            Cow::Borrowed(text) => visitor.visit_borrowed_str(text),
            Cow::Owned(text) => visitor.visit_string(text),
        };
        visited.map_err(|error: Error| error.at(&key))
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (key, text) = self.single()?;
        let visited = match text {
            Cow::Borrowed(text) => visitor.visit_borrowed_bytes(text.as_bytes()),
            Cow::Owned(text) => visitor.visit_byte_buf(text.into_bytes()),
        };
        visited.map_err(|error: Error| error.at(&key))
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.texts {
            Texts::One(text) if text.is_empty() => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let (key, text) = self.single()?;
        match text.is_empty() {
            true => visitor.visit_unit(),
            false => Err(Error::invalid(&key, &text, "an empty text")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let texts = match self.texts {
            Texts::One(text) => vec![text],
            Texts::Many(texts) => texts,
        };
        let key = self.key;
        let values = texts.into_iter().map(|text| ValueDeserializer::one(key.clone(), text));
        visitor.visit_seq(SeqDeserializer::new(values)).map_err(|error: Error| error.at(&key))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, expected: usize, visitor: V) -> Result<V::Value, Error> {
        let found = match &self.texts {
            Texts::One(_) => 1,
            Texts::Many(texts) => texts.len(),
        };
        if found != expected {
            let message = format_args!("expected {expected} values, found {found}");
            return Err(Error::custom(message).at(&self.key));
        }
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        len: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(len, visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let (key, text) = self.single()?;
        if !variants.contains(&&*text) {
            return Err(Error::invalid(&key, &text, format!("one of {variants:?}")));
        }
        let variant: CowStrDeserializer<'de, Error> = text.into_deserializer();
        visitor.visit_enum(variant).map_err(|error: Error| error.at(&key))
    }

    fn deserialize_map<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Error> {
        self.refuse_nesting()
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Error> {
        self.refuse_nesting()
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }
}

impl<'de> IntoDeserializer<'de, Error> for ValueDeserializer<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
