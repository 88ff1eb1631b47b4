//! The request target: its text, and where path and query lie in it.

mod text;

use std::{borrow::Cow, fmt};

use text::Text;

/// A request target in one of the four forms of RFC 9112 section 3.2.
///
/// The text is kept as it came: nothing is percent-decoded, `//x` stays `//x`. Doors check it;
/// a target holds visible ASCII only.
#[derive(Clone, PartialEq, Eq)]
pub struct Target {
    text: Text,
    /// Where the path starts: 0, or after the authority of an absolute form.
    path: u32,
    /// Where the path ends: at the `?`, or at the end of the text.
    query: u32,
}

impl Target {
    /// Takes the text of a target: origin form (`/a?b`), absolute form (`http://host/a?b`),
    /// authority form (`host:port`) or `*`.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let path = path_start(&text);
        let query = text[path..].find('?').map_or(text.len(), |at| path + at);
        Self { path: path as u32, query: query as u32, text: text.into() }
    }

    /// A target whose parts are known: where the path starts (0, or after the authority of an absolute form)
    /// and where it ends (at the `?`, or at the end of the text).
    ///
    /// # Panics
    /// In debug builds, when the offsets are not those that [`new`](Self::new) finds.
    #[inline]
    pub fn from_parts(text: &[u8], path: usize, query: usize) -> Self {
        let target = Self { text: Text::new(text), path: path as u32, query: query as u32 };
        debug_assert_eq!(target, Self::new(target.text.as_str()), "the parts of a target");
        target
    }

    /// The whole text.
    pub fn as_str(&self) -> &str {
        self.text.as_str()
    }

    /// The path, not decoded; `/` when an absolute form has none.
    pub fn path(&self) -> &str {
        match &self.as_str()[self.path as usize..self.query as usize] {
            "" => "/",
            path => path,
        }
    }

    /// [`path`](Self::path) for who does not need a `str`.
    #[inline]
    pub(crate) fn path_bytes(&self) -> &[u8] {
        match &self.text.as_bytes()[self.path as usize..self.query as usize] {
            [] => b"/",
            path => path,
        }
    }

    /// The query without its `?`; empty when there is none.
    pub fn query(&self) -> &str {
        self.as_str().get(self.query as usize + 1..).unwrap_or_default()
    }

    /// The query with its `?`; empty when there is none or it is empty.
    pub fn search(&self) -> &str {
        match &self.as_str()[self.query as usize..] {
            "?" => "",
            search => search,
        }
    }

    /// Whether the text begins with a scheme and an authority.
    pub fn is_absolute(&self) -> bool {
        self.path > 0
    }

    /// The authority of an absolute form.
    pub fn authority(&self) -> Option<&str> {
        let before_path = &self.as_str()[..self.path as usize];
        before_path.find("://").map(|at| &before_path[at + 3..])
    }

    /// Replaces the path and keeps the rest. A `?` or `#` in it is escaped: it would end the path. After an
    /// authority it begins with a slash, or it would become a part of that.
    pub(crate) fn set_path(&mut self, path: &str) {
        let mut path = escape(path, &[('?', "%3F"), ('#', "%23")]);
        if self.path > 0 && !path.starts_with('/') {
            path.to_mut().insert(0, '/');
        }
        let start = self.path as usize;
        self.text.to_mut().replace_range(start..self.query as usize, &path);
        self.query = (start + path.len()) as u32;
    }

    /// Replaces the query, given with or without its `?`; empty removes it. A `#` in it is escaped.
    pub(crate) fn set_query(&mut self, query: &str) {
        let query = escape(query.strip_prefix('?').unwrap_or(query), &[('#', "%23")]);
        let text = self.text.to_mut();
        text.truncate(self.query as usize);
        if !query.is_empty() {
            text.push('?');
            text.push_str(&query);
        }
    }
}

fn escape<'t>(text: &'t str, escapes: &[(char, &str)]) -> Cow<'t, str> {
    escapes.iter().fold(Cow::Borrowed(text), |text, (char, escape)| match text.contains(*char) {
        true => Cow::Owned(text.replace(*char, escape)),
        false => text,
    })
}

fn path_start(text: &str) -> usize {
    if text.starts_with('/') {
        return 0;
    }
    let Some(scheme) = text.find("://") else { return 0 };
    // A "://" inside a query or after a path does not make a target absolute.
    if !text[..scheme].bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte)) {
        return 0;
    }
    let authority = scheme + 3;
    text[authority..].find(['/', '?']).map_or(text.len(), |at| authority + at)
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_query_and_authority_of_every_form() {
        for (text, path, query, search, authority) in [
            ("/", "/", "", "", None),
            ("/a/b?x=1&y=2", "/a/b", "x=1&y=2", "?x=1&y=2", None),
            ("/a?", "/a", "", "", None),
            ("//x/y", "//x/y", "", "", None),
            ("/a?b=http://c/d", "/a", "b=http://c/d", "?b=http://c/d", None),
            ("http://host:80/a?b", "/a", "b", "?b", Some("host:80")),
            ("http://host", "/", "", "", Some("host")),
            ("http://host?q", "/", "q", "?q", Some("host")),
            ("*", "*", "", "", None),
            ("host:443", "host:443", "", "", None),
            ("?q", "/", "q", "?q", None),
        ] {
            let target = Target::new(text);
            assert_eq!((target.path(), target.query(), target.search()), (path, query, search), "{text}");
            assert_eq!(target.authority(), authority, "{text}");
        }
    }

    #[test]
    fn path_and_query_can_be_replaced() {
        let mut target = Target::new("/a?b=1");
        target.set_path("/c");
        assert_eq!(target.as_str(), "/c?b=1");
        target.set_query("d=2");
        assert_eq!(target.as_str(), "/c?d=2");
        target.set_query("");
        assert_eq!(target.as_str(), "/c");
        target.set_query("?e#f");
        assert_eq!((target.path(), target.query()), ("/c", "e%23f"));
        target.set_path("/a?b#c");
        assert_eq!((target.path(), target.query()), ("/a%3Fb%23c", "e%23f"));
        target.set_path("//x://y");
        assert_eq!((target.path(), target.is_absolute()), ("//x://y", false));
    }

    #[test]
    fn an_absolute_form_keeps_its_authority() {
        let mut target = Target::new("http://host:80?q");
        target.set_path("/a");
        target.set_query("b");
        assert_eq!((target.as_str(), target.authority()), ("http://host:80/a?b", Some("host:80")));
        target.set_path(".evil.test");
        assert_eq!((target.path(), target.authority()), ("/.evil.test", Some("host:80")));
    }
}
