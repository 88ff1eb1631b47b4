use super::*;
use crate::vectors;
use proptest::prelude::*;
use serde::Deserialize;

type Choose = for<'o> fn(Option<&str>, &[&'o str]) -> Option<&'o str>;
type List = fn(Option<&str>) -> Vec<&str>;

const KINDS: [(&str, Choose, List); 4] = [
    ("types", types, all_types),
    ("encodings", encodings, all_encodings),
    ("charsets", charsets, all_charsets),
    ("languages", languages, all_languages),
];

#[derive(Deserialize)]
struct Vector {
    kind: String,
    header: Option<String>,
    offered: Vec<String>,
    result: Recorded,
}

#[derive(Deserialize, Debug, PartialEq)]
#[serde(untagged)]
enum Recorded {
    All(Vec<String>),
    Chosen(String),
    Nothing(bool),
}

#[test]
fn chooses_as_recorded() {
    for Vector { kind, header, offered, result } in vectors::load("negotiation") {
        let (_, choose, list) = KINDS.into_iter().find(|(name, ..)| *name == kind).unwrap();
        let offers: Vec<&str> = offered.iter().map(String::as_str).collect();
        let found = match choose(header.as_deref(), &offers) {
            _ if offers.is_empty() => {
                Recorded::All(list(header.as_deref()).into_iter().map(String::from).collect())
            }
            Some(offer) => Recorded::Chosen(offer.to_string()),
            None => Recorded::Nothing(false),
        };
        assert_eq!(found, result, "{kind} of {header:?} among {offered:?}");
    }
}

#[test]
fn prefers_encodings_as_recorded() {
    #[derive(Deserialize)]
    struct Vector {
        header: String,
        offered: Vec<String>,
        preferred: Vec<String>,
        result: Option<String>,
    }
    for Vector { header, offered, preferred, result } in vectors::load("compress_encoding") {
        let offers: Vec<&str> =
            preferred.iter().filter(|name| offered.contains(name)).map(String::as_str).collect();
        assert_eq!(
            preferred_encoding(Some(&header), &offers),
            result.as_deref(),
            "{header} among {offers:?}"
        );
    }
}

#[test]
fn reads_weights() {
    let table =
        [("1", 1000), ("0", 0), ("0.5", 500), (".25", 250), ("0.1239", 123), ("1.5", 1000), ("007", 1000)];
    let odd =
        [("", 0), ("abc", 0), ("-1", 0), ("0.", 0), ("0.5x", 500), (" 0.5", 500), ("99999999999999", 1000)];
    for (text, thousandths) in table.into_iter().chain(odd) {
        assert_eq!(quality(text), thousandths, "{text:?}");
    }
}

#[test]
fn an_absent_header_accepts_everything() {
    assert_eq!(all_types(None), ["*/*"]);
    assert_eq!(all_charsets(None), ["*"]);
    assert_eq!(all_languages(None), ["*"]);
    assert_eq!(types(None, &[]), None);
}

#[test]
fn more_offers_than_one_walk_weighs() {
    let mut offers = vec!["image/png"; 40];
    offers.push("text/html");
    assert_eq!(types(Some("image/*;q=0.1, text/html"), &offers), Some("text/html"));
    offers[20] = "image/gif";
    assert_eq!(types(Some("image/gif"), &offers), Some("image/gif"));
}

#[test]
fn entries_past_the_limit_are_not_read() {
    let header = "a/b,".repeat(MAX_ENTRIES - 1) + "text/html,image/png";
    assert_eq!(types(Some(&header), &["html"]), Some("html"));
    assert_eq!(types(Some(&header), &["png"]), None);
    assert_eq!(all_types(Some(&header)).len(), MAX_ENTRIES);
}

proptest! {
    #[test]
    fn never_panics_and_never_invents(header in r#"([a-z*/;=,." \\-]|q=|é){0,60}"#) {
        for (_, choose, list) in KINDS {
            let offers = ["html", "text/plain;a=b", "*", "en-US", "gzip", "", "/", "-", "é"];
            if let Some(offer) = choose(Some(&header), &offers) {
                prop_assert!(offers.contains(&offer));
            }
            prop_assert!(list(Some(&header)).len() <= MAX_ENTRIES + 1);
        }
    }
}
