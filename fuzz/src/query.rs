//! Query strings and forms: pairs, objects and typed values say the same.

use std::{borrow::Cow, collections::HashMap};

use cepa_core::{de, form};
use serde::Deserialize;

/// Pairs that are read of one text, so that a form of many is cut in this target too.
const MOST: usize = 64;

#[derive(Debug, Deserialize)]
#[allow(dead_code, reason = "only whether they can be read is asked")]
struct Search<'a> {
    #[serde(borrow)]
    q: Option<Cow<'a, str>>,
    page: Option<u32>,
    exact: Option<bool>,
    #[serde(default)]
    tag: Vec<String>,
    ratio: Option<f64>,
    sort: Option<Sort>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Sort {
    Up,
    Down,
}

/// Any text is a query: it is read in one way only, and what is written is read back as it was.
pub fn query(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    assert_eq!(form::decode_component(&form::encode_component(&text)), text);

    let mut pairs = form::parse(&text, MOST);
    let read: Vec<(Cow<'_, str>, Cow<'_, str>)> = pairs.by_ref().collect();
    assert!(read.len() <= MOST);
    let there_are = text.split('&').filter(|pair| !pair.is_empty()).count();
    assert_eq!((read.len(), pairs.is_cut()), (there_are.min(MOST), there_are > MOST));

    let borrowed = || read.iter().map(|(name, value)| (&**name, &**value));
    let written = form::to_string(borrowed());
    assert!(written.bytes().all(|byte| byte.is_ascii_graphic()));
    let again: Vec<_> = form::parse(&written, MOST).collect();
    assert_eq!(again, read);

    let map = form::to_json_map(read.iter().cloned());
    let sizes = map.values().map(|value| value.as_array().map_or(1, Vec::len));
    assert_eq!(sizes.sum::<usize>(), read.len());
    let regrouped = form::from_json_map(&map);
    assert_eq!(form::to_json_map(form::parse(&regrouped, MOST)), map);

    let groups: HashMap<String, Vec<String>> =
        de::from_pairs(read.iter().cloned()).expect("any pairs are lists by name");
    for (name, value) in &map {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        assert!(groups[name].iter().map(String::as_str).eq(values.iter().filter_map(|value| value.as_str())));
    }
    typed(&read);
}

/// Errors are short, whatever was sent.
fn typed(read: &[(Cow<'_, str>, Cow<'_, str>)]) {
    let short = |error: de::Error| assert!(error.to_string().len() < 4096, "{error}");
    de::from_pairs::<Search<'_>>(read.iter().cloned()).map(drop).unwrap_or_else(short);
    de::from_params::<(String, u64)>(read.iter().cloned()).map(drop).unwrap_or_else(short);
    de::from_params::<Search<'_>>(read.iter().cloned()).map(drop).unwrap_or_else(short);
    de::from_params::<i8>(read.iter().cloned()).map(drop).unwrap_or_else(short);
}
