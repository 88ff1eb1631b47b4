//! The recorded pairs of Egg's validation, and what they leave out.

use proptest::prelude::*;
use serde_json::json;

use super::*;

#[derive(Deserialize)]
struct Recorded {
    rules: Value,
    data: Value,
    options: Options,
    errors: Option<Value>,
    data_after: Value,
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
#[derive(Default)]
struct Options {
    convert: bool,
}

/// The findings as Egg answers them.
fn told(findings: &[Finding]) -> Value {
    let told = findings
        .iter()
        .map(|finding| json!({ "message": finding.message, "code": finding.code, "field": finding.field() }));
    told.collect()
}

#[test]
fn data_is_judged_and_changed_as_recorded() {
    #[derive(Deserialize)]
    struct File {
        vectors: Vec<Recorded>,
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/koa/vectors/egg_validate.json");
    let file: File = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    assert_eq!(file.vectors.len(), 17);
    for Recorded { rules, mut data, options, errors, data_after } in file.vectors {
        let mut parsed = Rules::from_value(&rules).unwrap();
        if options.convert {
            parsed = parsed.convert();
        }
        let findings = parsed.check(&mut data);
        assert_eq!(told(&findings), errors.unwrap_or(json!([])), "{rules}");
        assert_eq!(data, data_after, "{rules}");
    }
}

/// What is found in `data` by `rules`, as lines of field and message.
fn found(rules: &Value, data: Value) -> String {
    let (_, lines) = judged(&Rules::from_value(rules).unwrap(), data);
    lines
}

fn judged(rules: &Rules, mut data: Value) -> (Value, String) {
    let lines: Vec<_> =
        rules.check(&mut data).iter().map(|found| format!("{} {}", found.field(), found.message)).collect();
    (data, lines.join("; "))
}

#[test]
fn every_type_judges_in_eggs_words() {
    for (rule, value, expected) in [
        (json!("int"), json!(null), "a required"),
        (json!("int?"), json!(null), ""),
        (json!({"type": "int", "required": false}), json!(null), ""),
        (json!("integer"), json!("1"), "a should be an integer"),
        (json!("int"), json!(3.0), ""),
        (json!({"type": "int", "max": 3}), json!(4), "a should smaller than 3"),
        (json!({"type": "number", "min": 1.5}), json!(1), "a should bigger than 1.5"),
        (json!("string"), json!(1), "a should be a string"),
        (json!("string?"), json!(""), ""),
        (json!({"type": "string", "empty": true}), json!(""), ""),
        (json!({"type": "string", "max": 2}), json!("🙂a"), "a length should smaller than 2"),
        (json!("/^a+$/i"), json!("AA"), ""),
        (json!("id"), json!("1x"), r"a should match /^\d+$/"),
        (json!("date"), json!("x"), r"a should match /^\d{4}\-\d{2}\-\d{2}$/"),
        (json!("datetime"), json!("x"), r"a should match /^\d{4}\-\d{2}\-\d{2} \d{2}:\d{2}:\d{2}$/"),
        (json!("email"), json!("x"), "a should be an email"),
        (json!("email?"), json!(""), "a should not be empty"),
        (json!({"type": "email", "allowEmpty": true}), json!(""), ""),
        (json!("url"), json!("http://10.0.0.1"), "a should be a url"),
        (json!({"type": "password", "min": 3, "compare": "b"}), json!("abc"), "a should equal to b"),
        (json!({"type": "password", "compare": "b"}), json!("abc"), "a length should bigger than 6"),
        (
            json!("password"),
            json!("pass word"),
            r#"a should match /^[\w\`\~\!\@\#\$\%\^\&\*\(\)\-\_\=\+\[\]\{\}\|\;\:\'\"\,\<\.\>\/\?]+$/"#,
        ),
        (json!("bool"), json!("true"), "a should be a boolean"),
        (json!([1, "b"]), json!("c"), "a should be one of 1, b"),
        (json!([1, "b"]), json!(1.0), ""),
        (json!("object"), json!([]), "a should be an object"),
        (json!("object"), json!({"x": 1}), ""),
        (json!("array"), json!({}), "a should be an array"),
        (json!({"type": "array", "min": 1}), json!([]), "a length should bigger than 1"),
        (
            json!({"type": "array", "itemType": "int", "rule": {"min": 2}}),
            json!([2, 1, "x"]),
            "a[1] should bigger than 2; a[2] should be an integer",
        ),
        (
            json!({"type": "array", "itemType": "object", "rule": {"b": "int"}}),
            json!([null, {}, {"b": 1}]),
            "a[0] should be an object; a[1].b required",
        ),
        (
            json!({"type": "array", "itemType": "array", "rule": {"itemType": "bool"}}),
            json!([[true], [1]]),
            "a[1][0] should be a boolean",
        ),
        (
            json!({"type": "object", "rule": {"b": {"type": "object", "rule": {"c": "int"}}}}),
            json!({"b": {}}),
            "a.b.c required",
        ),
        (json!({"type": "int", "message": "no"}), json!(null), "a no"),
        (json!({"type": "int", "message": {"required": "give a"}}), json!(null), "a give a"),
        (
            json!({"type": "int", "max": 1, "message": {"max": "too much", "int": "whole"}}),
            json!(2),
            "a too much",
        ),
        (json!({"type": "email", "message": {"email": "no mail"}}), json!("x"), "a no mail"),
        (json!({"type": "enum", "values": [1], "message": {"enum": "one"}}), json!(2), "a one"),
        (json!({"type": "string", "message": {"allowEmpty": "words!"}}), json!(""), "a words!"),
    ] {
        assert_eq!(found(&json!({ "a": rule }), json!({ "a": value })), expected, "{rule} {value}");
    }
    assert_eq!(found(&json!({"a": "int"}), json!([])), " the validated value should be a object");
    assert_eq!(found(&json!({"a": "int"}), json!({"b": 1})), "a required");
}

#[test]
fn values_are_trimmed_converted_and_filled_in() {
    let rules = json!({
        "s": { "type": "string", "trim": true },
        "d": { "type": "string", "required": false, "default": "x" },
        "i": { "type": "int", "convertType": "int" },
        "o": { "type": "object", "required": false, "rule": { "n": { "type": "number", "convertType": "number" } } },
    });
    let rules = Rules::from_value(&rules).unwrap();
    let data = json!({"s": " a ", "i": " 12px", "o": {"n": "1e2"}});
    let (after, lines) = judged(&rules, data);
    assert_eq!((after, &*lines), (json!({"s": "a", "d": "x", "i": 12, "o": {"n": 100}}), ""));

    for (rule, value, expected) in [
        ("int", json!("-7.9"), json!(-7)),
        ("int", json!(7.9), json!(7)),
        ("int", json!("x"), json!("x")),
        ("int", json!("99999999999999999999"), json!(1e20)),
        ("number", json!(" 1.5 "), json!(1.5)),
        ("number", json!("inf"), json!("inf")),
        ("number", json!("nan"), json!("nan")),
        ("number", json!("1x"), json!("1x")),
        ("number", json!(""), json!(0)),
        ("number", json!(true), json!(1)),
        ("string", json!(12), json!("12")),
        ("id", json!(12), json!("12")),
        ("bool", json!(""), json!(false)),
        ("bool", json!("false"), json!(true)),
        ("bool", json!(0), json!(false)),
        ("array", json!("1"), json!("1")),
    ] {
        let rules = Rules::from_value(&json!({ "a": rule })).unwrap().convert();
        assert_eq!(
            judged(&rules, json!({ "a": value.clone() })).0,
            json!({ "a": expected }),
            "{rule} {value}"
        );
    }

    let rules =
        Rules::from_value(&json!({"a": "string?", "b": {"type": "string", "widelyUndefined": false}}));
    let rules = rules.unwrap().widely_undefined();
    let (after, lines) = judged(&rules, json!({"a": "", "b": ""}));
    assert_eq!((after, &*lines), (json!({"b": ""}), "b should not be empty"));
}

#[test]
fn wrong_rules_are_an_error_that_names_the_field() {
    let mut deep = json!("int");
    for _ in 0..20 {
        deep = json!({ "type": "object", "rule": { "a": deep } });
    }
    for (rule, part) in [
        (json!("itn"), "\"itn\" is no type"),
        (json!({"min": 1}), "a type is missing"),
        (json!({"type": "int", "mni": 1}), "\"mni\" is no option of int"),
        (json!({"type": "int", "min": "1"}), "\"min\" is no number"),
        (json!({"type": "string", "format": "^a$"}), "no pattern between slashes"),
        (json!("/(/"), "the format /(/"),
        (json!("/(?=a)/"), "the format"),
        (json!("/a/y"), "'y' is no flag"),
        (json!("/((a{100}){100}){100}/"), "the format"),
        (json!([]), "needs a list"),
        (json!(7), "expected a type"),
        (json!({"type": "object", "rule": {"b": "x"}}), "\"a.b\": \"x\" is no type"),
        (json!({"type": "array", "itemType": "x"}), "\"a[]\": \"x\" is no type"),
        (json!({"type": "int", "message": {"typo": "x"}}), "\"typo\" is nothing"),
        (json!({"type": "int", "convertType": "float"}), "convertType"),
        (deep, "more than 16 levels"),
    ] {
        let error = Rules::from_value(&json!({ "a": rule })).unwrap_err().to_string();
        assert!(error.contains(part) && error.starts_with("the rule of \"a"), "{part}: {error}");
    }
    assert!(toml::from_str::<Rules>("a = \"itn\"").unwrap_err().to_string().contains("is no type"));
}

#[test]
fn the_rules_of_the_guide_are_rules() {
    let page = include_str!("../../../../../docs/guide/src/pages.md");
    let block = page.rsplit("```toml\n[signup]\n").next().and_then(|rest| rest.split("```").next()).unwrap();
    let rules: Rules = toml::from_str(block).unwrap();
    let mut data = json!({
        "name": "Ada", "mail": "ada@example.com", "password": "1234567890", "again": "1234567890", "role": "guest",
        "code": "ABC", "tags": ["a"],
    });
    assert_eq!(rules.check(&mut data), []);
}

#[test]
fn a_flood_of_findings_ends() {
    let rules = json!({"a": {"type": "array", "itemType": "object", "rule": {"b": "int", "c": "int"}}});
    let mut data = json!({ "a": vec![json!({}); 100_000] });
    assert_eq!(Rules::from_value(&rules).unwrap().check(&mut data).len(), 100);
}

#[test]
fn patterns_take_linear_time() {
    let rules = Rules::from_value(&json!({"a": "/^(a+)+$/"})).unwrap();
    let mut data = json!({ "a": format!("{}b", "a".repeat(20_000)) });
    let started = std::time::Instant::now();
    assert_eq!(rules.check(&mut data).len(), 1);
    assert!(started.elapsed().as_secs() < 5, "{:?}", started.elapsed());
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a/0-9. -]{0,6}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        let key =
            prop::sample::select(vec!["a", "type", "rule", "min", "values", "itemType", "format", "message"]);
        let table = prop::collection::vec((key, inner.clone()), 0..4);
        prop_oneof![
            prop::collection::vec(inner, 0..4).prop_map(Value::from),
            table.prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
        ]
    })
}

proptest! {
    #[test]
    fn never_panics(rules in any_json(), mut data in any_json()) {
        let _ = Rules::from_value(&rules);
        let all = json!({
            "a": { "type": "object", "required": false, "rule": { "a": "int", "min": "url", "type": "email" } },
            "min": "number", "values": { "type": "array", "itemType": "string" }, "format": "date", "type": "bool",
        });
        let all = Rules::from_value(&all).unwrap().convert();
        all.check(&mut data);
        all.retain_named(&mut data);
    }
}
