//! The cases that Cepa answers differently on purpose, read from the page that gives the reasons.

use std::collections::BTreeSet;

/// The most sections that the page may have: past that, Cepa would not be like Koa.
const MOST: usize = 12;

/// The ids of the cases that `docs/decisions/koa-differences.md` names.
///
/// Each of its sections has a line `Cases: ` with the ids in backticks.
#[derive(Debug)]
pub struct Differences(BTreeSet<String>);

impl Differences {
    /// Reads the page.
    ///
    /// # Panics
    /// When it is not there, a section names no case, a case is named twice, or there are too many sections.
    pub fn load() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/decisions/koa-differences.md");
        let page = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let mut ids = BTreeSet::new();
        let mut sections = 0;
        for section in page.split("\n## ").skip(1) {
            sections += 1;
            let title = section.lines().next().unwrap_or_default();
            let cases = section.lines().find_map(|line| line.strip_prefix("Cases: "));
            let cases = cases.unwrap_or_else(|| panic!("{path}: {title:?} names no cases"));
            for id in cases.split('`').skip(1).step_by(2) {
                assert!(ids.insert(id.to_owned()), "{path}: {id} is named twice");
            }
        }
        assert!(sections <= MOST, "{path}: {sections} differences; {MOST} are the most");
        Self(ids)
    }

    /// Whether a case is named.
    pub fn names(&self, id: &str) -> bool {
        self.0.contains(id)
    }

    /// All ids.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}
