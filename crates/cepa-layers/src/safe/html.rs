//! HTML that a visitor has written, with nothing in it but what is allowed.
//!
//! What comes out is not what went in with something taken out, which is how filters are tricked: it is put together
//! anew from allowed tags, allowed attributes in double quotes, and text without angle brackets. No tag that is allowed
//! changes how what follows is read (no `svg`, `style`, `template`, `textarea` …), so that a browser finds in it what was
//! put there, also when it writes the page out and reads it again.

mod link;
mod rules;
mod scan;
#[cfg(test)]
mod tests;

use std::sync::LazyLock;

pub use self::rules::{Rules, RulesError};
use self::{
    link::{Link, check},
    rules::{MAX_NAME, Tag},
    scan::{Attribute, Scan, Scanned},
};
use crate::hosts::Hosts;

/// No deeper do tags lie in each other; what lies deeper is shown as text.
const MAX_DEPTH: usize = 100;

/// What a visitor has written, as HTML for a page of one's own, by the default [`Rules`]: Egg's `shtml`.
pub fn html(html: &str) -> String {
    static DEFAULT: LazyLock<Sanitizer> = LazyLock::new(Sanitizer::default);
    DEFAULT.clean(html)
}

/// Cleans HTML by [`Rules`].
///
/// ```
/// use cepa_layers::safe::{Rules, Sanitizer};
///
/// let rules = Rules { hosts: vec!["example.com".into()], ..Rules::default() };
/// let sanitizer = Sanitizer::new(rules)?;
/// assert_eq!(
///     sanitizer.clean("<a href='https://example.com/'>a</a><a href='https://evil.test'>b</a><blink>c"),
///     r#"<a href="https://example.com/">a</a><a>b</a>&lt;blink&gt;c"#
/// );
/// # Ok::<(), cepa_layers::safe::RulesError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Sanitizer {
    /// By name.
    tags: Vec<Tag>,
    /// `None` is all.
    hosts: Option<Hosts>,
}

impl Sanitizer {
    /// One that keeps these rules.
    ///
    /// # Errors
    /// A tag or an attribute that is not known to be harmless, or a host that is none.
    pub fn new(rules: Rules) -> Result<Self, RulesError> {
        let Rules { tags, hosts } = rules;
        let any = hosts.iter().any(|host| host == "*");
        let hosts = if any { None } else { Some(Hosts::new(hosts.iter().map(String::as_str))?) };
        Ok(Self { tags: rules::compile(tags)?, hosts })
    }

    /// The HTML with all that is not allowed shown as text, in linear time.
    ///
    /// * A tag that is not allowed becomes text; an attribute that is not allowed is left out, and so is one that leads
    ///   to a host that is not; a link of another scheme loses its value. Comments are left out.
    /// * Every element that is opened is closed, and nothing else is: what comes after on the page is not touched. Tags
    ///   that lie in more than 100 others become text.
    /// * What is clean stays as it is when it is cleaned again.
    pub fn clean(&self, html: &str) -> String {
        let mut clean = Clean {
            rules: self,
            out: String::with_capacity(html.len() + 64),
            open: Vec::new(),
            counts: vec![0; self.tags.len()],
        };
        let mut scan = Scan::new(html);
        while let Some(scanned) = scan.next(|name| self.find(name)) {
            match scanned {
                Scanned::Text(text) => push_escaped(&mut clean.out, text, b"<>"),
                Scanned::Start { tag, attributes, is_closed } => clean.start(tag, &attributes, is_closed),
                Scanned::End { tag } => clean.end(tag),
            }
        }
        clean.close_to(0);
        clean.out
    }

    /// The place of a tag in `tags`.
    fn find(&self, name: &str) -> Option<usize> {
        if name.len() > MAX_NAME {
            return None;
        }
        let name = || name.bytes().map(|byte| byte.to_ascii_lowercase());
        self.tags.binary_search_by(|tag| tag.name.bytes().cmp(name())).ok()
    }
}

impl Default for Sanitizer {
    fn default() -> Self {
        Self::new(Rules::default()).expect("the default rules allow nothing but what is harmless")
    }
}

/// HTML on its way out.
struct Clean<'a> {
    rules: &'a Sanitizer,
    out: String,
    /// The places in the rules of the elements that are open, outermost first.
    open: Vec<usize>,
    /// How many of each tag are open.
    counts: Vec<usize>,
}

impl Clean<'_> {
    fn start(&mut self, at: usize, attributes: &[Attribute<'_>], is_closed: bool) {
        let tag = &self.rules.tags[at];
        if tag.ends_at_next && self.open.last() == Some(&at) {
            self.close_to(self.open.len() - 1);
        }
        let is_text = !tag.is_void && self.open.len() >= MAX_DEPTH;
        self.out.push_str(if is_text { "&lt;" } else { "<" });
        self.out.push_str(&tag.name);
        self.attributes(tag, attributes);
        self.out.push_str(match (is_text, tag.is_void && is_closed) {
            (true, _) => "&gt;",
            (false, true) => " />",
            (false, false) => ">",
        });
        if !tag.is_void && !is_text {
            self.open.push(at);
            self.counts[at] += 1;
        }
    }

    fn end(&mut self, at: usize) {
        if self.counts[at] > 0 {
            let place = self.open.iter().rposition(|open| *open == at).expect("it is counted as open");
            self.close_to(place);
        }
    }

    /// Closes all elements but the `depth` outermost.
    fn close_to(&mut self, depth: usize) {
        for at in self.open.drain(depth..).rev() {
            self.counts[at] -= 1;
            self.out.push_str("</");
            self.out.push_str(&self.rules.tags[at].name);
            self.out.push('>');
        }
    }

    fn attributes(&mut self, tag: &Tag, attributes: &[Attribute<'_>]) {
        let mut seen = 0u64;
        for &(name, value) in attributes {
            let known = tag.attributes.iter().position(|known| known.name.eq_ignore_ascii_case(name));
            let Some(at) = known else { continue };
            // Of two attributes of one name, browsers take the first.
            if seen & 1 << at == 0 {
                seen |= 1 << at;
                self.attribute(tag, &tag.attributes[at], value.filter(|value| !value.is_empty()));
            }
        }
    }

    fn attribute(&mut self, tag: &Tag, known: &rules::Attribute, value: Option<&str>) {
        let link =
            value.filter(|_| known.is_link).map(|value| check(&tag.name, value, self.rules.hosts.as_ref()));
        if matches!(link, Some(Link::Foreign)) {
            return;
        }
        self.out.push(' ');
        self.out.push_str(&known.name);
        match (link, value) {
            (Some(Link::Good(url)), _) => self.value(&url, b"<>\"&"),
            // Whatever its references stand for: a browser reads them as a part of the value.
            (None, Some(value)) => self.value(value, b"<>\""),
            _ => {}
        }
    }

    fn value(&mut self, value: &str, escapes: &[u8]) {
        self.out.push_str("=\"");
        push_escaped(&mut self.out, value, escapes);
        self.out.push('"');
    }
}

/// Appends text, some of `<>"&` as entities.
fn push_escaped(out: &mut String, text: &str, escapes: &[u8]) {
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate().filter(|(_, byte)| escapes.contains(byte)) {
        out.push_str(&text[copied..at]);
        out.push_str(match byte {
            b'<' => "&lt;",
            b'>' => "&gt;",
            b'"' => "&quot;",
            _ => "&amp;",
        });
        copied = at + 1;
    }
    out.push_str(&text[copied..]);
}
