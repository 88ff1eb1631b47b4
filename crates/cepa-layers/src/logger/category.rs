//! The category that lines are in.

use std::{str::FromStr, sync::Arc};

use serde::{Deserialize, Deserializer, de};

use super::write::TARGET;

/// The category of the log that lines are in: `access`, the default, or one below it, such as `access.shop`.
///
/// ```
/// use cepa_layers::logger::Category;
///
/// assert!("access.shop".parse::<Category>().is_ok());
/// assert!("shop".parse::<Category>().is_err());
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Category(Option<Arc<str>>);

/// A text that is no category of lines for requests.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is no category of this log: write `access`, or `access.` and a name, with dots between its parts"
)]
pub struct InvalidCategory(String);

impl Category {
    /// What stands in the events as the field `category`; nothing for `access` itself.
    pub(super) fn field(&self) -> Option<&str> {
        self.0.as_deref()
    }
}

impl FromStr for Category {
    type Err = InvalidCategory;

    fn from_str(text: &str) -> Result<Self, InvalidCategory> {
        if text == TARGET {
            return Ok(Self(None));
        }
        let is_part = |part: &str| {
            !part.is_empty()
                && part.chars().all(|char| !char.is_control() && !char.is_whitespace() && char != ':')
        };
        let below = text.strip_prefix(TARGET).and_then(|rest| rest.strip_prefix('.'));
        match below.is_some_and(|below| below.split('.').all(is_part)) {
            true => Ok(Self(Some(text.into()))),
            false => Err(InvalidCategory(text.to_owned())),
        }
    }
}

impl<'de> Deserialize<'de> for Category {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_category_is_access_or_below_it() {
        for (text, field) in
            [("access", None), ("access.a", Some("access.a")), ("access.a.b_c-d", Some("access.a.b_c-d"))]
        {
            assert_eq!(text.parse::<Category>().unwrap().field(), field);
        }
        for text in
            ["", "a", "accessx", "access.", "access..a", "access.a.", "access::a", "access.a b", "access.\n"]
        {
            assert!(text.parse::<Category>().is_err(), "{text:?}");
        }
    }
}
