//! Content negotiation: what is chosen was offered, and would be chosen alone.

use cepa_core::accept::{
    all_charsets, all_encodings, all_languages, all_types, charsets, encodings, languages, types,
};

/// At most so many entries of a header count, and one more that is implied.
const MOST: usize = 65;

/// Chooses among offers by a header.
type Choose = for<'o> fn(Option<&str>, &[&'o str]) -> Option<&'o str>;
/// Lists all that a header accepts.
type All = fn(Option<&str>) -> Vec<&str>;

/// Any text is an `Accept`, `Accept-Encoding`, `Accept-Charset` and `Accept-Language` header; what follows the
/// first line break is offered along with the usual.
pub fn accept(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (header, offer) = text.split_once('\n').unwrap_or((&*text, "html"));
    let kinds: [(Choose, All, [&str; 4]); 4] = [
        (types, all_types, ["html", "application/json", "text/plain;level=1", offer]),
        (encodings, all_encodings, ["br", "gzip", "identity", offer]),
        (charsets, all_charsets, ["utf-8", "iso-8859-1", "utf-16", offer]),
        (languages, all_languages, ["en", "en-US", "de", offer]),
    ];
    for (choose, all, offers) in kinds {
        check(header, choose, all, &offers);
    }
}

fn check(header: &str, choose: Choose, all: All, offers: &[&str]) {
    let accepted = all(Some(header));
    assert!(accepted.len() <= MOST);
    assert!(accepted.iter().all(|entry| *entry == "identity" || header.contains(entry)));
    assert!(all(None).len() == 1);

    let chosen = choose(Some(header), offers);
    match chosen {
        Some(chosen) => {
            assert!(offers.contains(&chosen));
            assert_eq!(choose(Some(header), &[chosen]), Some(chosen), "what wins among many wins alone");
        }
        None => assert!(offers.iter().all(|offer| choose(Some(header), &[offer]).is_none())),
    }
    assert_eq!(choose(Some(header), &[]), None);
    // Further offers that are no better change nothing, also past the number that is weighed at once.
    let often: Vec<&str> = offers.iter().copied().cycle().take(40).collect();
    assert_eq!(choose(Some(header), &often), chosen);
    // Spaces around the entries of a list mean nothing; inside quotes a comma separates no entries.
    if !header.contains('"') {
        assert_eq!(choose(Some(&header.replace(',', " , ")), offers), chosen);
    }
}
