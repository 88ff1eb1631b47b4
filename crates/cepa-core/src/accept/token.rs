//! Content codings and charsets: the `Accept-Encoding` and `Accept-Charset` headers.

use super::{FULL_WEIGHT, Weight, choose, choose_by, plain_entries, ranked};

/// The entry of `offers` that an `Accept-Encoding` header likes best.
///
/// `identity` is acceptable unless `identity;q=0` or `*;q=0` excludes it; when the header does not speak of it,
/// it has the lowest weight in the header. An absent or empty header accepts only `identity`.
///
/// ```
/// use cepa_core::accept;
///
/// assert_eq!(accept::encodings(Some("gzip, br"), &["br", "gzip"]), Some("gzip"));
/// assert_eq!(accept::encodings(Some("gzip"), &["br", "identity"]), Some("identity"));
/// assert_eq!(accept::encodings(None, &["gzip"]), None);
/// ```
pub fn encodings<'o>(header: Option<&str>, offers: &[&'o str]) -> Option<&'o str> {
    choose(&with_identity(header.unwrap_or("")), offers, Some, specificity)
}

/// The entry of `offers` that has the highest weight in an `Accept-Encoding` header, the first of those that have it.
///
/// So the server decides among what the client likes alike, and most clients like all that they know alike. For the
/// rest as [`encodings`].
///
/// ```
/// use cepa_core::accept;
///
/// let offers = ["br", "gzip", "identity"];
/// assert_eq!(accept::preferred_encoding(Some("gzip, br"), &offers), Some("br"));
/// assert_eq!(accept::preferred_encoding(Some("gzip, br;q=0.5"), &offers), Some("gzip"));
/// assert_eq!(accept::preferred_encoding(None, &offers), Some("identity"));
/// ```
pub fn preferred_encoding<'o>(header: Option<&str>, offers: &[&'o str]) -> Option<&'o str> {
    choose_by(&with_identity(header.unwrap_or("")), offers, Some, specificity, |fit| fit.weight)
}

/// The content codings an `Accept-Encoding` header accepts, the best first, with the implied `identity`.
pub fn all_encodings(header: Option<&str>) -> Vec<&str> {
    ranked(with_identity(header.unwrap_or("")))
}

/// The entry of `offers` that an `Accept-Charset` header likes best.
///
/// An absent header takes the first offer, an empty one none.
pub fn charsets<'o>(header: Option<&str>, offers: &[&'o str]) -> Option<&'o str> {
    choose(&plain_entries(header.unwrap_or("*")), offers, Some, specificity)
}

/// The charsets an `Accept-Charset` header accepts, the best first; an absent header accepts `*`.
pub fn all_charsets(header: Option<&str>) -> Vec<&str> {
    ranked(plain_entries(header.unwrap_or("*")))
}

fn specificity(entry: &&str, offer: &&str) -> Option<u8> {
    if entry.eq_ignore_ascii_case(offer) { Some(1) } else { (*entry == "*").then_some(0) }
}

/// The entries of `header`, followed by `identity` unless one of them covers it.
fn with_identity(header: &str) -> impl Iterator<Item = (&str, Weight)> + Clone {
    let mut entries = plain_entries(header);
    let mut implied = Some(FULL_WEIGHT);
    std::iter::from_fn(move || match entries.next() {
        Some((name, weight)) => {
            let covered = specificity(&name, &"identity").is_some();
            // A weight of 0 excludes one coding and says nothing about the others.
            implied = implied
                .filter(|_| !covered)
                .map(|lowest| if weight > 0 { lowest.min(weight) } else { lowest });
            Some((name, weight))
        }
        None => implied.take().map(|weight| ("identity", weight)),
    })
}
