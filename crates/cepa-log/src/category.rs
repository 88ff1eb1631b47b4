//! Categories: which rule an event is under.

use std::collections::BTreeMap;

use crate::{
    level::Level,
    options::{Category, Levels, LogConfigError},
};

/// The name of the category of all others.
pub(crate) const DEFAULT: &str = "default";

/// What becomes of the events of a category, and of those below it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Rule<A> {
    /// With dots.
    pub(crate) name: String,
    pub(crate) level: Level,
    pub(crate) appenders: Vec<A>,
}

/// The rules, each of them complete with what it inherits.
#[derive(Clone, Debug)]
pub(crate) struct Rules<A> {
    /// Those that come later are never below those before.
    named: Vec<Rule<A>>,
    default: Rule<A>,
}

impl Rules<String> {
    /// Settles what each category inherits.
    pub(crate) fn new(
        levels: &Levels,
        categories: &BTreeMap<String, Category>,
    ) -> Result<Self, LogConfigError> {
        let mut all: BTreeMap<String, Category> = BTreeMap::new();
        for (name, category) in categories {
            let dotted = name.replace("::", ".");
            if dotted
                .split('.')
                .any(|part| part.is_empty() || part.chars().any(|char| char.is_control() || char == ':'))
            {
                return Err(LogConfigError::CategoryName(name.clone()));
            }
            all.insert(dotted, category.clone());
        }
        let of_all = levels.all.map(|level| (DEFAULT.to_owned(), level));
        for (name, level) in levels.by_category.iter().cloned().chain(of_all) {
            let category = all.entry(name.clone()).or_default();
            if category.level.replace(level).is_some() && categories.contains_key(&name) {
                return Err(LogConfigError::TwoLevels(name));
            }
        }
        let Category { appenders, level, .. } = all.remove(DEFAULT).unwrap_or_default();
        let default = Rule {
            name: DEFAULT.to_owned(),
            level: level.unwrap_or(Level::Info),
            appenders: unique(appenders),
        };
        let mut rules = Self { named: Vec::new(), default };
        let mut all: Vec<_> = all.into_iter().collect();
        // Each after those that it inherits from.
        all.sort_by_key(|(name, _)| name.matches('.').count());
        for (name, category) in all {
            let rule = rules.inherit(name, category);
            rules.named.insert(0, rule);
        }
        Ok(rules)
    }

    fn inherit(&self, name: String, category: Category) -> Rule<String> {
        let Category { mut appenders, mut level, inherit } = category;
        if inherit {
            if let Some(parent) = self.named.iter().find(|rule| covers(&rule.name, &name)) {
                appenders.extend(parent.appenders.iter().cloned());
                level = level.or(Some(parent.level));
            }
            if appenders.is_empty() {
                appenders.clone_from(&self.default.appenders);
            }
        }
        Rule { name, level: level.unwrap_or(self.default.level), appenders: unique(appenders) }
    }
}

impl<A> Rules<A> {
    /// The rule for a target.
    pub(crate) fn of(&self, target: &str) -> &Rule<A> {
        self.named.iter().find(|rule| covers(&rule.name, target)).unwrap_or(&self.default)
    }

    /// The least level of a target and of all categories below it.
    pub(crate) fn least(&self, target: &str) -> Level {
        let dotted = target.replace("::", ".");
        let below = self.named.iter().filter(|rule| covers(&dotted, &rule.name)).map(|rule| rule.level);
        below.chain([self.of(target).level]).min().expect("that of the target is one")
    }

    /// All rules.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Rule<A>> {
        self.named.iter().chain([&self.default])
    }

    /// The rules with other appenders.
    pub(crate) fn try_map<B, E>(
        self,
        mut map: impl FnMut(&str, Vec<A>) -> Result<Vec<B>, E>,
    ) -> Result<Rules<B>, E> {
        let mut with = |Rule { name, level, appenders }: Rule<A>| {
            map(&name, appenders).map(|appenders| Rule { name, level, appenders })
        };
        let default = with(self.default)?;
        Ok(Rules { named: self.named.into_iter().map(with).collect::<Result<_, E>>()?, default })
    }
}

/// Names without those that were there before.
fn unique(names: Vec<String>) -> Vec<String> {
    let mut unique: Vec<String> = Vec::with_capacity(names.len());
    for name in names {
        if !unique.contains(&name) {
            unique.push(name);
        }
    }
    unique
}

/// Whether a target is of a category or below it; the parts of the category have dots between them, those of the
/// target `::` or dots.
pub(crate) fn covers(category: &str, target: &str) -> bool {
    let mut rest = target;
    for (at, part) in category.split('.').enumerate() {
        let behind = if at == 0 { Some(rest) } else { below(rest) };
        match behind.and_then(|behind| behind.strip_prefix(part)) {
            Some(behind) => rest = behind,
            None => return false,
        }
    }
    rest.is_empty() || below(rest).is_some()
}

/// What is behind a separator that a text begins with.
fn below(text: &str) -> Option<&str> {
    text.strip_prefix("::").or_else(|| text.strip_prefix('.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::test::vectors;

    #[test]
    fn categories_are_those_of_log4js() {
        for vector in vectors("log4js_categories") {
            let categories = serde_json::from_value(vector["categories"].clone()).unwrap();
            let rules = Rules::new(&Levels::default(), &categories).unwrap();
            let rule = rules.of(vector["logger"].as_str().unwrap());
            let result = serde_json::json!({ "level": rule.level.name(), "appenders": rule.appenders });
            assert_eq!(result, vector["result"], "{vector}");
        }
    }

    fn rules(levels: &str, categories: &str) -> Result<Rules<String>, LogConfigError> {
        Rules::new(&levels.parse().unwrap_or_default(), &toml::from_str(categories).unwrap())
    }

    #[test]
    fn a_category_covers_what_is_below_it() {
        for (category, target, covered) in [
            ("app", "app", true),
            ("app", "app::users", true),
            ("app", "app.users", true),
            ("app", "app2", false),
            ("app.users", "app::users::show", true),
            ("app.users", "app", false),
            ("app.users", "app::usersx", false),
            ("app.users", "app:users", false),
            ("app", "", false),
        ] {
            assert_eq!(covers(category, target), covered, "{category} {target}");
        }
    }

    #[test]
    fn what_is_not_said_is_inherited() {
        let categories = "
            default = { appenders = ['a'], level = 'warn' }
            app = { level = 'debug' }
            'app::db' = { appenders = ['b', 'a', 'b'] }
            'app.db.slow' = { appenders = ['c'], inherit = false }
            'app.db.none' = { inherit = false }
        ";
        let rules = rules("other=trace", categories).unwrap();
        for (target, level, appenders) in [
            ("x", Level::Warn, &["a"][..]),
            ("other::x", Level::Trace, &["a"]),
            ("app::x", Level::Debug, &["a"]),
            ("app.db", Level::Debug, &["b", "a"]),
            ("app::db::slow::x", Level::Warn, &["c"]),
            ("app::db::none", Level::Warn, &[]),
        ] {
            let rule = rules.of(target);
            assert_eq!(rule.level, level, "{target}");
            assert_eq!(rule.appenders, appenders, "{target}");
        }
    }

    #[test]
    fn a_level_is_said_once_and_a_name_has_parts() {
        let told = |levels, categories| rules(levels, categories).map(drop).unwrap_err().to_string();
        let twice = "categories.default.level is said in `level` too; leave one of them out";
        assert_eq!(told("debug", "default = { level = 'info' }"), twice);
        assert!(rules("debug", "default = { appenders = ['a'] }").is_ok());
        for name in ["''", "'a.'", "'a..b'", "'a:b'", "'a:::b'", "\"a\\n\""] {
            assert!(rules("", &format!("{name} = {{}}")).is_err(), "{name}");
        }
    }
}
