//! One message in one language, with its places filled in.

use std::{borrow::Cow, fmt};

use super::{
    Category,
    catalog::{Entry, Found},
};

/// What fills a place of a message: text, or a number as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arg<'a>(pub Cow<'a, str>);

impl<'a> From<&'a str> for Arg<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'a> From<&'a String> for Arg<'a> {
    fn from(text: &'a String) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl From<String> for Arg<'_> {
    fn from(text: String) -> Self {
        Self(Cow::Owned(text))
    }
}

macro_rules! numbers {
    ($($number:ty)*) => {$(
        impl From<$number> for Arg<'_> {
            fn from(number: $number) -> Self {
                Self(Cow::Owned(number.to_string()))
            }
        }
    )*};
}

numbers! { i8 i16 i32 i64 isize u8 u16 u32 u64 usize f32 f64 }

/// A message in the making; it is written by its [`Display`](fmt::Display).
///
/// | place | is filled by |
/// | --- | --- |
/// | `{name}` | the argument [of that name](Self::with) |
/// | `{0}` | the [argument](Self::arg) at that place, from 0 |
/// | `%s` `%d` `%i` `%f` `%j` | the next argument, whatever the letter |
/// | `%%` | `%`, if there are arguments without names |
///
/// A place without an argument stays as it is written, and a message that no language has is its own key: so a text
/// may be its key, as in `ctx.t("Hello, {name}")`. Of a message with plural forms the number named `count` chooses,
/// or else the first argument. Nothing is escaped here; templates do that.
#[derive(Clone, Debug)]
#[must_use = "a message is text where it is written or `to_string()` is called"]
pub struct Message<'a> {
    key: &'a str,
    found: Option<Found<'a>>,
    named: Vec<(&'a str, Arg<'a>)>,
    unnamed: Vec<Arg<'a>>,
}

impl<'a> Message<'a> {
    pub(super) fn new(key: &'a str, found: Option<Found<'a>>) -> Self {
        Self { key, found, named: Vec::new(), unnamed: Vec::new() }
    }

    /// Fills the places of a name.
    pub fn with(mut self, name: &'a str, value: impl Into<Arg<'a>>) -> Self {
        self.named.push((name, value.into()));
        self
    }

    /// Fills the next place without a name.
    pub fn arg(mut self, value: impl Into<Arg<'a>>) -> Self {
        self.unnamed.push(value.into());
        self
    }

    /// Whether a language has it.
    pub fn is_known(&self) -> bool {
        self.found.is_some()
    }

    fn text(&self) -> &str {
        match &self.found {
            None => self.key,
            Some(Found { entry: Entry::Text(text), .. }) => text,
            Some(Found { entry: Entry::Plural(forms), locale }) => {
                let number = self.value("count").or_else(|| self.value("0")).unwrap_or_default();
                forms.get(Category::of(locale, number))
            }
        }
    }

    fn value(&self, name: &str) -> Option<&str> {
        if let Some((_, value)) = self.named.iter().find(|(known, _)| *known == name) {
            return Some(&value.0);
        }
        let at: usize = name.parse().ok().filter(|_| name.bytes().all(|byte| byte.is_ascii_digit()))?;
        self.unnamed.get(at).map(|value| &*value.0)
    }

    /// The value for the place that `rest` begins with, and what follows it.
    fn place<'t>(&'t self, rest: &'t str, next: &mut usize) -> Option<(&'t str, &'t str)> {
        if let Some(inner) = rest.strip_prefix('{') {
            let end = inner.find(['{', '}']).filter(|end| inner[*end..].starts_with('}'))?;
            return Some((self.value(&inner[..end])?, &inner[end + 1..]));
        }
        let after = rest.get(2..)?;
        match rest.as_bytes()[1] {
            b'%' if !self.unnamed.is_empty() => Some(("%", after)),
            b's' | b'd' | b'i' | b'f' | b'j' => {
                let value = self.unnamed.get(*next)?;
                *next += 1;
                Some((&value.0, after))
            }
            _ => None,
        }
    }
}

impl fmt::Display for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.text();
        let mut next = 0;
        while let Some(at) = rest.find(['{', '%']) {
            f.write_str(&rest[..at])?;
            rest = match self.place(&rest[at..], &mut next) {
                Some((value, after)) => {
                    f.write_str(value)?;
                    after
                }
                None => {
                    f.write_str(&rest[at..=at])?;
                    &rest[at + 1..]
                }
            };
        }
        f.write_str(rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn fill(text: &str, unnamed: &[&str], named: &[(&str, &str)]) -> String {
        let message = Message {
            key: text,
            found: None,
            named: named.iter().map(|(name, value)| (*name, Arg::from(*value))).collect(),
            unnamed: unnamed.iter().map(|value| Arg::from(*value)).collect(),
        };
        message.to_string()
    }

    #[test]
    fn places_are_filled_and_the_rest_stays() {
        for (text, unnamed, expected) in [
            ("plain", &[][..], "plain"),
            ("%s and %s", &["a", "b"], "a and b"),
            ("%s and %s", &["a"], "a and %s"),
            ("{1} {0} {1} {2}", &["a", "b"], "b a b {2}"),
            ("100% of {0}, %d%%", &["7"], "100% of 7, 7%"),
            ("100%%", &[], "100%%"),
            ("%", &["a"], "%"),
            ("%é %x %s", &["a"], "%é %x a"),
            ("{", &["a"], "{"),
            ("{{0}", &["a"], "{a"),
            ("{}{0", &["a"], "{}{0"),
            ("{+0}{00}{-1}{99999999999999999999}", &["a"], "{+0}a{-1}{99999999999999999999}"),
            ("%s", &["{0} %s"], "{0} %s"),
        ] {
            assert_eq!(fill(text, unnamed, &[]), expected, "{text}");
        }
        assert_eq!(fill("{a} {b} {b} {a} {c}", &[], &[("a", "foo"), ("b", "{a}")]), "foo {a} {a} foo {c}");
    }

    proptest! {
        #[test]
        fn never_panics(text in "([{}%sdé0-9a]){0,30}", unnamed in prop::collection::vec("[a{}%]{0,3}", 0..3)) {
            let unnamed: Vec<&str> = unnamed.iter().map(String::as_str).collect();
            fill(&text, &unnamed, &[("a", "b")]);
            prop_assert_eq!(fill(&text, &[], &[]), text);
        }
    }
}
