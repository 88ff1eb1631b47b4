//! Where a link, or a picture, may lead.

use std::borrow::Cow;

use cepa_core::location::{is_local, normalise_location};

use crate::hosts::Hosts;

#[derive(Debug, PartialEq)]
pub(super) enum Link<'v> {
    /// Allowed; the URL as it is to stand there.
    Good(Cow<'v, str>),
    /// No URL, or none that may be in a page.
    Bad,
    /// To a host that is not allowed.
    Foreign,
}

/// What a value leads to, once a browser has read its references and trimmed it.
pub(super) fn check<'v>(tag: &str, value: &'v str, hosts: Option<&Hosts>) -> Link<'v> {
    let value = trim(decode(value));
    // Browsers drop tabs and line breaks anywhere in a URL.
    if value.chars().any(char::is_control) {
        return Link::Bad;
    }
    let starts =
        |start: &str| value.get(..start.len()).is_some_and(|begin| begin.eq_ignore_ascii_case(start));
    if starts("http://") || starts("https://") {
        return foreign(&value, 0, hosts);
    }
    if value.starts_with("//") {
        return foreign(&format!("https:{value}"), "https:".len(), hosts);
    }
    let is_own =
        value.starts_with('#') || is_local(&value) || value.starts_with("./") || value.starts_with("../");
    let is_person = tag == "a" && (starts("mailto:") || starts("tel:"));
    let is_picture = tag == "img" && PICTURES.iter().any(|start| starts(start));
    if is_own || is_person || is_picture { Link::Good(value) } else { Link::Bad }
}

/// Pictures that are no documents, as SVG is one.
const PICTURES: [&str; 5] =
    ["data:image/png;", "data:image/jpeg;", "data:image/gif;", "data:image/webp;", "data:image/avif;"];

/// An absolute URL, normalised so that the host that is looked at here is the one that a browser goes to; without what
/// was put before it.
fn foreign(url: &str, put_before: usize, hosts: Option<&Hosts>) -> Link<'static> {
    let Ok(url) = normalise_location(url) else { return Link::Foreign };
    let host = url.split_once("://").map_or("", |(_, rest)| rest);
    let host = host.split(['/', '?', '#', ':']).next().unwrap_or_default();
    match hosts.is_none_or(|hosts| hosts.contains(host)) {
        true => Link::Good(Cow::Owned(url[put_before..].to_owned())),
        false => Link::Foreign,
    }
}

fn trim(value: Cow<'_, str>) -> Cow<'_, str> {
    let trimmed = |value: &str| value.trim_matches(|char: char| char <= ' ').len();
    match value {
        Cow::Borrowed(value) => Cow::Borrowed(value.trim_matches(|char: char| char <= ' ')),
        Cow::Owned(value) if trimmed(&value) == value.len() => Cow::Owned(value),
        Cow::Owned(value) => Cow::Owned(value.trim_matches(|char: char| char <= ' ').to_owned()),
    }
}

/// Decodes numeric references and those of markup. Others stay as they stand, and then stand for themselves, since the
/// ampersands of what comes out are escaped.
fn decode(value: &str) -> Cow<'_, str> {
    if !value.contains('&') {
        return Cow::Borrowed(value);
    }
    let mut out = String::with_capacity(value.len());
    let mut rest = value;
    while let Some((before, after)) = rest.split_once('&') {
        out.push_str(before);
        rest = match numeric(after).or_else(|| named(after)) {
            Some((char, rest)) => {
                out.push(char);
                rest
            }
            None => {
                out.push('&');
                after
            }
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// `#106;`, `#x6A;`, without `;` too.
fn numeric(text: &str) -> Option<(char, &str)> {
    let text = text.strip_prefix('#')?;
    let (digits, radix) = match text.strip_prefix(['x', 'X']) {
        Some(digits) => (digits, 16),
        None => (text, 10),
    };
    let len = digits.find(|char: char| !char.is_digit(radix)).unwrap_or(digits.len());
    let (digits, rest) = digits.split_at(len);
    let add =
        |sum: u32, digit: char| sum.saturating_mul(radix).saturating_add(digit.to_digit(radix).unwrap_or(0));
    let code = digits.chars().fold(0, add);
    let char = char::from_u32(code).filter(|char| *char != '\0').unwrap_or(char::REPLACEMENT_CHARACTER);
    (len > 0).then_some((char, rest.strip_prefix(';').unwrap_or(rest)))
}

fn named(text: &str) -> Option<(char, &str)> {
    const NAMES: [(&str, char); 5] =
        [("amp;", '&'), ("lt;", '<'), ("gt;", '>'), ("quot;", '"'), ("apos;", '\'')];
    NAMES.iter().find_map(|(name, char)| Some((*char, text.strip_prefix(name)?)))
}
