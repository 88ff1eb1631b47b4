//! Freshness: whether the copy a client holds is still the current one, so that 304 can answer it.

use std::time::SystemTime;

use crate::date;

/// The conditions of a request, each the text of its header; an empty text counts as absent.
#[derive(Debug, Clone, Copy, Default)]
pub struct Conditions<'a> {
    /// `If-None-Match`: the entity tags the client holds, or `*`.
    pub if_none_match: Option<&'a str>,
    /// `If-Modified-Since`: the date of the client's copy.
    pub if_modified_since: Option<&'a str>,
    /// `Cache-Control`: with `no-cache` the client asks for a new copy.
    pub cache_control: Option<&'a str>,
}

/// The validators of the response, each the text of its header.
#[derive(Debug, Clone, Copy, Default)]
pub struct Validators<'a> {
    /// `ETag`.
    pub etag: Option<&'a str>,
    /// `Last-Modified`.
    pub last_modified: Option<&'a str>,
}

/// What decides when a request has both conditions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Rule {
    /// Both must hold, as in Koa: a matching tag with an older date is stale. Dates may also be ISO 8601 in UTC,
    /// and `no-cache` is read in lower case only.
    #[default]
    Koa,
    /// `If-None-Match` alone decides (RFC 9110, section 13.1.3).
    Rfc9110,
}

/// Whether the client's copy is current.
///
/// The caller asks only for GET and HEAD with a status of 2xx or 304. Stale without conditions, with
/// `Cache-Control: no-cache`, and when a condition cannot be read. Entity tags compare weakly; `*` always matches.
///
/// ```
/// use cepa_core::fresh::{Conditions, Rule, Validators, is_fresh};
///
/// let asked = Conditions { if_none_match: Some(r#"W/"a", "b""#), ..Default::default() };
/// let held = Validators { etag: Some(r#""a""#), ..Default::default() };
/// assert!(is_fresh(&asked, &held, Rule::Koa));
/// ```
pub fn is_fresh(conditions: &Conditions<'_>, validators: &Validators<'_>, rule: Rule) -> bool {
    let present = |header: Option<&'_ str>| header.is_some_and(|text| !text.is_empty());
    let (by_tag, by_date) = (present(conditions.if_none_match), present(conditions.if_modified_since));
    if !by_tag && !by_date || conditions.cache_control.is_some_and(|header| asks_no_cache(header, rule)) {
        return false;
    }
    let tag_holds = || matches_tag(conditions.if_none_match.unwrap_or(""), validators.etag);
    let date_holds = || {
        let since = conditions.if_modified_since.and_then(|text| parse_date(text, rule));
        let modified = validators.last_modified.and_then(|text| parse_date(text, rule));
        since.zip(modified).is_some_and(|(since, modified)| modified <= since)
    };
    match rule {
        Rule::Koa => (!by_tag || tag_holds()) && (!by_date || date_holds()),
        Rule::Rfc9110 if by_tag => tag_holds(),
        Rule::Rfc9110 => date_holds(),
    }
}

/// Whether the preconditions of a request hold: the resource is still what the client believes; 412 answers where not.
///
/// `if_match` decides alone where it is given: `*` holds when there is an entity tag, a list when it has the tag by
/// strong comparison. Otherwise `if_unmodified_since` holds unless both dates can be read and the resource is newer
/// (RFC 9110, sections 13.1.1, 13.1.4 and 13.2.2). An empty text counts as absent.
///
/// ```
/// use cepa_core::fresh::{Validators, preconditions_hold};
///
/// let held = Validators { etag: Some(r#""b""#), ..Default::default() };
/// assert!(preconditions_hold(Some(r#""a", "b""#), None, &held));
/// assert!(!preconditions_hold(Some(r#"W/"b""#), None, &held));
/// ```
pub fn preconditions_hold(
    if_match: Option<&str>,
    if_unmodified_since: Option<&str>,
    validators: &Validators<'_>,
) -> bool {
    if let Some(header) = if_match.filter(|text| !text.is_empty()) {
        let Some(etag) = validators.etag else { return false };
        return header.trim() == "*" || !etag.starts_with("W/") && tags(header).any(|tag| tag == etag);
    }
    let since = if_unmodified_since.and_then(date::parse);
    let modified = validators.last_modified.and_then(date::parse);
    since.zip(modified).is_none_or(|(since, modified)| modified <= since)
}

fn asks_no_cache(header: &str, rule: Rule) -> bool {
    header.split(',').map(str::trim).any(|directive| match rule {
        Rule::Koa => directive == "no-cache",
        Rule::Rfc9110 => directive.eq_ignore_ascii_case("no-cache"),
    })
}

fn parse_date(text: &str, rule: Rule) -> Option<SystemTime> {
    date::parse(text).or_else(|| date::parse_iso(text).filter(|_| rule == Rule::Koa))
}

fn matches_tag(header: &str, etag: Option<&str>) -> bool {
    if header.trim() == "*" {
        return true;
    }
    let opaque = |tag| str::strip_prefix(tag, "W/").unwrap_or(tag);
    etag.is_some_and(|etag| tags(header).any(|tag| opaque(tag) == opaque(etag)))
}

/// The entity tags of a list. A tag may hold commas and backslashes, neither of which is special inside its quotes
/// (RFC 9110, section 8.8.3), so this is not the list of quoted strings other fields are.
fn tags(header: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let parts = header.split(move |char| {
        quoted ^= char == '"';
        char == ',' && !quoted
    });
    parts.map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;
    use proptest::prelude::*;
    use std::collections::HashMap;

    #[test]
    fn decides_as_recorded() {
        #[derive(serde::Deserialize)]
        struct Vector {
            req: HashMap<String, String>,
            res: HashMap<String, String>,
            fresh: bool,
        }
        for Vector { req, res, fresh } in vectors::load("fresh") {
            let asked = |name: &str| req.get(name).map(String::as_str);
            let held = |name: &str| res.get(name).map(String::as_str);
            let conditions = Conditions {
                if_none_match: asked("if-none-match"),
                if_modified_since: asked("if-modified-since"),
                cache_control: asked("cache-control"),
            };
            let validators = Validators { etag: held("etag"), last_modified: held("last-modified") };
            assert_eq!(is_fresh(&conditions, &validators, Rule::Koa), fresh, "{req:?} {res:?}");
        }
    }

    #[test]
    fn the_rules_differ_where_both_conditions_stand() {
        let conditions = Conditions {
            if_none_match: Some("\"a\""),
            if_modified_since: Some("Wed, 01 Jan 2020 00:00:00 GMT"),
            cache_control: None,
        };
        let last_modified = Some("Thu, 02 Jan 2020 03:04:05 GMT");
        let same = Validators { etag: Some("W/\"a\""), last_modified };
        assert!(!is_fresh(&conditions, &same, Rule::Koa));
        assert!(is_fresh(&conditions, &same, Rule::Rfc9110));
        let other = Validators { etag: Some("\"b\""), last_modified: conditions.if_modified_since };
        assert!(!is_fresh(&conditions, &other, Rule::Rfc9110));
        let reload = Conditions { cache_control: Some("max-age=0, No-Cache"), ..conditions };
        assert!(!is_fresh(&reload, &same, Rule::Rfc9110));
    }

    #[test]
    fn preconditions_compare_strongly_and_the_tag_decides() {
        let (old, new) = ("Wed, 01 Jan 2020 00:00:00 GMT", "Thu, 02 Jan 2020 03:04:05 GMT");
        let held = Validators { etag: Some("\"b\""), last_modified: Some(new) };
        let weak = Validators { etag: Some("W/\"b\""), last_modified: None };
        let none = Validators::default();
        for (if_match, since, validators, holds) in [
            (None, None, &held, true),
            (Some(""), Some(""), &held, true),
            (Some("\"a\",\"b\""), Some(old), &held, true),
            (Some("\"a\""), Some(new), &held, false),
            (Some("*"), None, &held, true),
            (Some("*"), None, &none, false),
            (Some("W/\"b\""), None, &held, false),
            (Some("W/\"b\""), None, &weak, false),
            (None, Some(new), &held, true),
            (None, Some(old), &held, false),
            (None, Some("soon"), &held, true),
            (None, Some(old), &none, true),
        ] {
            assert_eq!(preconditions_hold(if_match, since, validators), holds, "{if_match:?} {since:?}");
        }
    }

    #[test]
    fn a_tag_may_hold_commas_and_backslashes() {
        for etag in [r#""a,b""#, r#""a\""#] {
            let header = format!(r#""x", {etag} ,"y""#);
            let conditions = Conditions { if_none_match: Some(&header), ..Default::default() };
            assert!(
                is_fresh(&conditions, &Validators { etag: Some(etag), last_modified: None }, Rule::Koa),
                "{etag}"
            );
        }
    }

    proptest! {
        #[test]
        fn never_panics(tags in r#"[W/"a,\\* é]{0,30}"#, since in any::<String>(), etag in r#"[W/"a,]{0,6}"#) {
            let conditions = Conditions {
                if_none_match: Some(&tags), if_modified_since: Some(&since), cache_control: Some(&tags),
            };
            let validators = Validators { etag: Some(&etag), last_modified: Some(&since) };
            let _ = is_fresh(&conditions, &validators, Rule::Koa);
            let _ = is_fresh(&conditions, &validators, Rule::Rfc9110);
            let _ = preconditions_hold(Some(&tags), Some(&since), &validators);
        }
    }
}
