//! Languages: the `Accept-Language` header.

use super::{Weight, choose, plain_entries, ranked};

/// The entry of `offers` that an `Accept-Language` header likes best.
///
/// `en` in the header also accepts the offer `en-US`, and `en-US` the offer `en`, each less specifically than an
/// equal tag. An absent header takes the first offer, an empty one none.
///
/// ```
/// use cepa_core::accept;
///
/// assert_eq!(accept::languages(Some("fr-CH, fr;q=0.9, en;q=0.8"), &["en", "fr"]), Some("fr"));
/// ```
pub fn languages<'o>(header: Option<&str>, offers: &[&'o str]) -> Option<&'o str> {
    choose(&entries(header.unwrap_or("*")), offers, Tag::parse, specificity)
}

/// The language tags an `Accept-Language` header accepts, the best first; an absent header accepts `*`.
pub fn all_languages(header: Option<&str>) -> Vec<&str> {
    ranked(entries(header.unwrap_or("*")).map(|(tag, weight)| (tag.full, weight)))
}

/// `en-US`, whose primary language is `en`.
#[derive(Clone, Copy)]
struct Tag<'h> {
    full: &'h str,
    primary: &'h str,
}

impl<'h> Tag<'h> {
    fn parse(full: &'h str) -> Option<Self> {
        let (primary, region) = full.split_once('-').unwrap_or((full, "*"));
        (!primary.is_empty() && !region.is_empty()).then_some(Tag { full, primary })
    }
}

fn entries(header: &str) -> impl Iterator<Item = (Tag<'_>, Weight)> + Clone {
    plain_entries(header).filter_map(|(tag, weight)| Some((Tag::parse(tag)?, weight)))
}

fn specificity(entry: &Tag<'_>, offer: &Tag<'_>) -> Option<u8> {
    if entry.full.eq_ignore_ascii_case(offer.full) {
        Some(4)
    } else if entry.primary.eq_ignore_ascii_case(offer.full) {
        Some(2)
    } else if entry.full.eq_ignore_ascii_case(offer.primary) {
        Some(1)
    } else {
        (entry.full == "*").then_some(0)
    }
}
