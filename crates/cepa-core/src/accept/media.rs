//! Media types: the `Accept` header.

use super::{FULL_WEIGHT, MAX_ENTRIES, Weight, choose, is_weight, parameter, ranked, weight};
use crate::{grammar, mime};

/// The entry of `offers` that an `Accept` header likes best.
///
/// Offers are media types (`text/html`, with parameters if need be) or extensions (`html`, `.html`); the answer
/// is the offer as it was written. An absent or empty header takes the first offer. Offers with an unknown
/// extension are passed over. A header entry with parameters matches only an offer that has the same ones.
///
/// ```
/// use cepa_core::accept;
///
/// let header = Some("text/html;q=0.5, application/json");
/// assert_eq!(accept::types(header, &["html", "json"]), Some("json"));
/// assert_eq!(accept::types(header, &["png"]), None);
/// assert_eq!(accept::types(None, &["html", "json"]), Some("html"));
/// ```
pub fn types<'o>(header: Option<&str>, offers: &[&'o str]) -> Option<&'o str> {
    match header {
        None | Some("") => offers.first().copied(),
        Some(header) => choose(&entries(header), offers, read_offer, specificity),
    }
}

/// The media types an `Accept` header names, without parameters, the best first.
///
/// An absent header accepts `*/*`.
pub fn all_types(header: Option<&str>) -> Vec<&str> {
    ranked(entries(header.unwrap_or("*/*")).map(|(range, weight)| (range.essence, weight)))
}

/// `text/*;level=1`: an entry of the header, or an offer.
#[derive(Clone, Copy)]
struct Range<'h> {
    essence: &'h str,
    kind: &'h str,
    subtype: &'h str,
    /// All that follows the first `;`.
    tail: &'h str,
}

impl<'h> Range<'h> {
    fn parse(text: &'h str) -> Option<Self> {
        let (essence, tail) = text.split_once(';').unwrap_or((text, ""));
        let essence = essence.trim();
        let (kind, subtype) = essence.split_once('/')?;
        let valid = !kind.is_empty() && !subtype.is_empty() && !essence.contains(char::is_whitespace);
        valid.then_some(Range { essence, kind, subtype, tail })
    }

    fn all_parameters(self) -> impl Iterator<Item = (&'h str, &'h str)> {
        grammar::split(self.tail, b';').map(parameter).filter(|&pair| pair != ("", ""))
    }

    /// The parameters of the media type: those before the weight.
    fn parameters(self) -> impl Iterator<Item = (&'h str, &'h str)> {
        self.all_parameters().take_while(|(name, _)| !is_weight(name))
    }

    fn weight(self) -> Weight {
        if self.tail.is_empty() { FULL_WEIGHT } else { weight(self.all_parameters()) }
    }
}

fn entries(header: &str) -> impl Iterator<Item = (Range<'_>, Weight)> + Clone {
    grammar::split(header, b',')
        .take(MAX_ENTRIES)
        .filter_map(Range::parse)
        .map(|range| (range, range.weight()))
}

fn read_offer(offer: &str) -> Option<Range<'_>> {
    Range::parse(if offer.contains('/') { offer } else { mime::from_extension(offer)? })
}

fn specificity(entry: &Range<'_>, offer: &Range<'_>) -> Option<u8> {
    let part = |entry: &str, offer: &str, worth| match entry.eq_ignore_ascii_case(offer) {
        true => Some(worth),
        false => (entry == "*").then_some(0),
    };
    let mut worth = part(entry.kind, offer.kind, 4)? + part(entry.subtype, offer.subtype, 2)?;
    for (name, value) in entry.parameters() {
        let offered = offer.parameters().find(|(offered, _)| offered.eq_ignore_ascii_case(name));
        let offered = offered.map_or("", |(_, value)| value);
        if value != "*" && !value.eq_ignore_ascii_case(offered) {
            return None;
        }
        worth |= 1;
    }
    Some(worth)
}
