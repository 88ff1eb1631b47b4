use super::*;
use crate::form;
use proptest::prelude::*;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::IpAddr;

fn query<'q, T: Deserialize<'q>>(text: &'q str) -> Result<T, String> {
    from_pairs(form::parse(text, 100)).map_err(|error: Error| error.to_string())
}

fn params<T: for<'p> Deserialize<'p>>(values: &[&str]) -> Result<T, String> {
    let names = ["a", "b", "c"];
    let pairs = names.iter().zip(values).map(|(name, value)| (Cow::Borrowed(*name), Cow::Borrowed(*value)));
    from_params(pairs).map_err(|error: Error| error.to_string())
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Order {
    Asc,
    Desc,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Id(u64);

#[derive(Debug, PartialEq, Deserialize)]
struct Everything<'q> {
    small: i8,
    large: u128,
    ratio: f64,
    flag: bool,
    letter: char,
    #[serde(borrow)]
    text: Cow<'q, str>,
    raw: &'q str,
    order: Order,
    id: Id,
    page: Option<u32>,
    absent: Option<u32>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    more: Vec<String>,
    range: (u8, u8),
    address: IpAddr,
}

#[test]
fn reads_every_kind_of_field() {
    let text = "small=-7&large=340282366920938463463374607431768211455&ratio=1.5e3&flag=true&letter=%C3%A9&text=a+b\
                &raw=x&order=desc&id=9&page=&tags=one&range=1&range=2&unknown=1&address=%3A%3A1&tags=two";
    let expected = Everything {
        small: -7,
        large: u128::MAX,
        ratio: 1500.0,
        flag: true,
        letter: 'é',
        text: "a b".into(),
        raw: "x",
        order: Order::Desc,
        id: Id(9),
        page: None,
        absent: None,
        tags: vec!["one".into(), "two".into()],
        more: vec![],
        range: (1, 2),
        address: "::1".parse().unwrap(),
    };
    assert_eq!(query(text), Ok(expected));
}

#[test]
fn errors_name_the_key() {
    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[allow(dead_code)]
    struct Fields<'q> {
        #[serde(default)]
        page: u32,
        #[serde(default)]
        ratio: f32,
        order: Option<Order>,
        tags: Option<Vec<u8>>,
        range: Option<(u8, u8)>,
        address: Option<IpAddr>,
        nested: Option<BTreeMap<String, String>>,
        raw: Option<&'q str>,
        flag: Option<bool>,
        must: String,
    }
    let table = [
        ("page=x", r#"invalid value "x" for "page": expected u32"#),
        ("page=-1", r#"invalid value "-1" for "page": expected u32"#),
        ("page=4294967296", r#"invalid value "4294967296" for "page": expected u32"#),
        ("page=", r#"invalid value "" for "page": expected u32"#),
        ("page=1&page=2", r#""page" is given more than once: expected one value"#),
        ("ratio=inf", r#"invalid value "inf" for "ratio": expected a finite number"#),
        ("ratio=1e300", r#"invalid value "1e300" for "ratio": expected a finite number"#),
        ("flag=yes", r#"invalid value "yes" for "flag": expected true or false"#),
        ("order=up", r#"invalid value "up" for "order": expected one of ["asc", "desc"]"#),
        ("tags=1&tags=%0A", r#"invalid value "\n" for "tags": expected u8"#),
        ("range=1", r#"invalid value for "range": expected 2 values, found 1"#),
        ("address=1.2.3", r#"invalid value for "address": invalid IP address syntax"#),
        ("nested=1", r#"invalid value for "nested": nested values are not supported"#),
        ("raw=a+b", r#"invalid value for "raw": invalid type: string "a b", expected a borrowed string"#),
        ("", r#""must" is missing"#),
    ];
    for (text, message) in table {
        assert_eq!(query::<Fields>(text).unwrap_err(), message, "{text}");
    }
    assert!(
        query::<Fields>("must=1&x=1")
            .unwrap_err()
            .starts_with(r#"unknown name "x": expected one of ["page""#)
    );
    let long = format!("page={}", "9".repeat(10_000));
    assert!(query::<Fields>(&long).unwrap_err().len() < 200);
}

#[test]
fn reads_maps_and_lists_in_order() {
    let pairs: Vec<(String, u8)> = query("b=1&a=2&b=3").unwrap();
    assert_eq!(pairs, [("b".into(), 1), ("a".into(), 2), ("b".into(), 3)]);
    let map: BTreeMap<u8, Vec<String>> = query("2=x&1=y&2=z").unwrap();
    assert_eq!(map, BTreeMap::from([(1, vec!["y".into()]), (2, vec!["x".into(), "z".into()])]));
    let value: serde_json::Value = query("b=1&a=2&b=3").unwrap();
    assert_eq!(value.to_string(), r#"{"b":["1","3"],"a":"2"}"#);
    assert_eq!(query::<()>("a=1"), Ok(()));
    assert_eq!(query::<Option<BTreeMap<String, String>>>(""), Ok(None));
    assert!(query::<u32>("a=1").is_err());
}

#[test]
fn reads_params_by_position_and_by_name() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Named {
        b: u8,
        a: String,
    }
    assert_eq!(params(&["x", "2"]), Ok(Named { b: 2, a: "x".into() }));
    assert_eq!(params(&["x", "2"]), Ok(("x".to_string(), 2u8)));
    assert_eq!(params(&["7"]), Ok(7u64));
    assert_eq!(params(&["7"]), Ok((7u64,)));
    assert_eq!(params(&["7"]), Ok(Id(7)));
    assert_eq!(params(&["asc"]), Ok(Order::Asc));
    assert_eq!(params(&["1", "2", "3"]), Ok(vec![1, 2, 3]));
    assert_eq!(params(&[""]), Ok(None::<u8>));
    assert_eq!(params(&["5"]), Ok(Some(5u8)));
    assert_eq!(params::<()>(&[]), Ok(()));
    assert_eq!(params::<u8>(&["x"]), Err(r#"invalid value "x" for "a": expected u8"#.into()));
    assert_eq!(params::<(u8, u8)>(&["1", "x"]), Err(r#"invalid value "x" for "b": expected u8"#.into()));
    assert_eq!(params::<(u8, u8)>(&["1"]), Err("expected 2 parameters, found 1".into()));
    assert_eq!(params::<u8>(&["1", "2"]), Err("expected 1 parameters, found 2".into()));
}

proptest! {
    #[test]
    fn never_panics(text in r"(small|large|tags|range|raw|text|[a-z=&+é]|%[0-9A-F]{2}){0,40}") {
        let _ = query::<Everything>(&text);
        let _ = query::<BTreeMap<String, u8>>(&text);
        let _ = query::<Vec<(String, String)>>(&text);
    }

    #[test]
    fn numbers_come_back(number in any::<i128>(), ratio in -1e300f64..1e300) {
        prop_assert_eq!(params(&[&number.to_string()]), Ok(number));
        prop_assert_eq!(params(&[&ratio.to_string()]), Ok(ratio));
    }
}
