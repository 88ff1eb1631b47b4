//! Which tags and attributes stay, and which may at all.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::hosts::InvalidHostName;

/// No tag that is known has a longer name.
pub(super) const MAX_NAME: usize = 10;

/// What HTML of strangers may hold.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Rules {
    /// The tags that stay, each with its attributes that stay. Default: those that Egg has, text and its parts, lists,
    /// tables, pictures, sound and films, without `style`, `class` and `id`. Tags that run something, load something
    /// else, or change how what follows is read cannot be allowed; neither can such attributes.
    pub tags: BTreeMap<String, Vec<String>>,
    /// The hosts to which links may lead and from which pictures may come: `example.com` is that host, `*.example.com`
    /// all below it, `.example.com` both, `*` all hosts. Default none, which leaves paths of this host, mail addresses and
    /// telephone numbers.
    pub hosts: Vec<String>,
}

impl Default for Rules {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().copied().map(str::to_owned).collect();
        let tags =
            DEFAULT.iter().flat_map(|(tags, attributes)| tags.iter().map(move |tag| (*tag, *attributes)));
        Self {
            tags: tags.map(|(tag, attributes)| (tag.to_owned(), texts(attributes))).collect(),
            hosts: Vec::new(),
        }
    }
}

/// Rules that would be a hole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// A tag that is not known to be harmless. Names are in lower case.
    #[error("HTML of strangers cannot have the tag {0:?}")]
    Tag(String),
    /// An attribute that is not known to be harmless. Names are in lower case.
    #[error("HTML of strangers cannot have the attribute {name:?} of {tag:?}")]
    Attribute {
        /// The tag.
        tag: String,
        /// The attribute.
        name: String,
    },
    /// An entry of `hosts` is none.
    #[error(transparent)]
    Host(#[from] InvalidHostName),
}

/// A tag that stays.
#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub(super) name: String,
    pub(super) attributes: Vec<Attribute>,
    /// It has no content and no end.
    pub(super) is_void: bool,
    /// A browser ends it where the next of its kind begins.
    pub(super) ends_at_next: bool,
}

/// An attribute that stays.
#[derive(Clone, Debug)]
pub(super) struct Attribute {
    pub(super) name: String,
    /// Its value is a URL.
    pub(super) is_link: bool,
}

/// The tags by name, if all of them and all of their attributes are known.
pub(super) fn compile(tags: BTreeMap<String, Vec<String>>) -> Result<Vec<Tag>, RulesError> {
    let known = || DEFAULT.iter().chain(&MORE);
    let compile = |(name, mut attributes): (String, Vec<String>)| {
        if !known().any(|(tags, _)| tags.contains(&name.as_str())) {
            return Err(RulesError::Tag(name));
        }
        attributes.sort();
        attributes.dedup();
        let is_unknown =
            |attribute: &&String| !known().any(|(_, attributes)| attributes.contains(&attribute.as_str()));
        if let Some(unknown) = attributes.iter().find(is_unknown) {
            return Err(RulesError::Attribute { tag: name, name: unknown.clone() });
        }
        let attribute = |name: String| Attribute { is_link: LINKS.contains(&name.as_str()), name };
        Ok(Tag {
            attributes: attributes.into_iter().map(attribute).collect(),
            is_void: VOID.contains(&name.as_str()),
            ends_at_next: END_AT_NEXT.contains(&name.as_str()),
            name,
        })
    };
    tags.into_iter().map(compile).collect()
}

/// Tags that have the same attributes.
type Group = (&'static [&'static str], &'static [&'static str]);

const DEFAULT: [Group; 18] = [
    (&["abbr"], &["title"]),
    (&["area"], &["shape", "coords", "href", "alt"]),
    (&["a"], &["target", "href", "title"]),
    (&["audio"], &["autoplay", "controls", "crossorigin", "loop", "muted", "preload", "src"]),
    (
        &["video"],
        &[
            "autoplay",
            "controls",
            "crossorigin",
            "loop",
            "muted",
            "playsinline",
            "poster",
            "preload",
            "src",
            "height",
            "width",
        ],
    ),
    (&["img"], &["src", "alt", "title", "width", "height", "loading"]),
    (&["bdi", "bdo"], &["dir"]),
    (&["blockquote"], &["cite"]),
    (&["col", "colgroup"], &["align", "valign", "span", "width"]),
    (&["del", "ins"], &["datetime"]),
    (&["details"], &["open"]),
    (&["font"], &["color", "size", "face"]),
    (&["table"], &["width", "border", "align", "valign"]),
    (&["tbody", "tfoot", "thead"], &["align", "valign"]),
    (&["tr"], &["rowspan", "align", "valign"]),
    (&["td", "th"], &["width", "rowspan", "colspan", "align", "valign"]),
    (&["address", "article", "aside", "footer", "header", "nav", "section"], &[]),
    (
        &[
            "b",
            "big",
            "br",
            "caption",
            "center",
            "cite",
            "code",
            "dd",
            "div",
            "dl",
            "dt",
            "em",
            "figcaption",
            "figure",
            "h1",
            "h2",
            "h3",
            "h4",
            "h5",
            "h6",
            "hr",
            "i",
            "kbd",
            "li",
            "mark",
            "ol",
            "p",
            "pre",
            "s",
            "small",
            "span",
            "strike",
            "strong",
            "sub",
            "summary",
            "sup",
            "tt",
            "u",
            "ul",
        ],
        &[],
    ),
];

/// What is harmless too, though Egg leaves it out.
const MORE: [Group; 1] = [(
    &["acronym", "data", "dfn", "hgroup", "main", "q", "rp", "rt", "ruby", "samp", "time", "var", "wbr"],
    &["class", "headers", "lang", "rel", "reversed", "scope", "start", "type", "value"],
)];

const LINKS: [&str; 4] = ["cite", "href", "poster", "src"];
const VOID: [&str; 6] = ["area", "br", "col", "hr", "img", "wbr"];
const END_AT_NEXT: [&str; 12] =
    ["caption", "colgroup", "dd", "dt", "li", "p", "tbody", "td", "tfoot", "th", "thead", "tr"];
