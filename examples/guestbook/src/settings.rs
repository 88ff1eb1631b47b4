//! The section `[guestbook]` of the configuration.

use std::path::PathBuf;

use cepa::{cookie::Keys, prelude::*};
use serde::Deserialize;

/// Most entries that one answer holds.
pub(crate) const MOST_ENTRIES: usize = 100;

/// What can be set.
#[derive(Deserialize)]
#[serde(default)]
pub(crate) struct Settings {
    /// What stands at the head of every page.
    pub(crate) title: String,
    /// The file that keeps the entries; it is made if there is none.
    pub(crate) path: PathBuf,
    /// Entries on a page, from 1 to 100.
    pub(crate) page_size: usize,
    /// Whether a template that is edited is seen with the next page, for development.
    pub(crate) reload_templates: bool,
    /// Secrets that cookies are signed and encrypted with, the newest first.
    keys: Vec<String>,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            title: "Guestbook".to_owned(),
            path: "data/guestbook.redb".into(),
            page_size: 20,
            reload_templates: false,
            keys: Vec::new(),
        }
    }
}

impl Settings {
    pub(crate) fn load(boot: &Boot) -> Result<Self> {
        let settings: Self = boot.config("guestbook")?;
        if !(1..=MOST_ENTRIES).contains(&settings.page_size) {
            let text = format!("guestbook.page_size is {}: it must be from 1 to 100", settings.page_size);
            return Err(Error::new(500, text));
        }
        Ok(settings)
    }

    /// The keys that are set, otherwise random ones: then a restart forgets its visitors, and nothing else.
    pub(crate) fn keys(&self) -> Result<Keys> {
        Ok(if self.keys.is_empty() { Keys::random()? } else { Keys::new(&self.keys)? })
    }
}
