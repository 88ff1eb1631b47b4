//! Levels by category in one text: `info,my_app=debug`.

use serde::{Deserialize, Deserializer, de};

use crate::level::Level;

/// The least levels that are logged, of all categories and of some.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Levels {
    /// For all; `None` if nothing is said of all.
    pub(crate) all: Option<Level>,
    /// For some, by their names with dots.
    pub(crate) by_category: Vec<(String, Level)>,
}

impl std::str::FromStr for Levels {
    type Err = LevelsError;

    fn from_str(text: &str) -> Result<Self, LevelsError> {
        let mut levels = Self::default();
        for part in text.split(',').map(str::trim) {
            let (category, level) = part.split_once('=').unwrap_or(("", part));
            let level = level.parse().map_err(|_| LevelsError)?;
            match category {
                "" if !part.starts_with('=') => levels.all = Some(level),
                "" => return Err(LevelsError),
                category => levels.by_category.push((category.replace("::", "."), level)),
            }
        }
        Ok(levels)
    }
}

impl<'de> Deserialize<'de> for Levels {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A text that says no levels.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the levels are all, trace, debug, info, warn, error, fatal, mark and off; also by category: \
     \"info,my_app=debug\""
)]
pub struct LevelsError;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_are_by_category() {
        let levels: Levels = "info, my_app=DEBUG,my_app::noise=off".parse().unwrap();
        assert_eq!(levels.all, Some(Level::Info));
        let named = [("my_app", Level::Debug), ("my_app.noise", Level::Off)];
        assert_eq!(levels.by_category, named.map(|(name, level)| (name.to_owned(), level)));
        assert_eq!("my_app=trace".parse::<Levels>().unwrap().all, None);
        for text in ["loud", "", "info,", "my_app", "my_app=loud", "my_app=debug=info", "=info"] {
            assert_eq!(text.parse::<Levels>(), Err(LevelsError), "{text:?}");
        }
    }
}
