use proptest::prelude::*;

use super::*;
use crate::router::ParamSpans;
use crate::router::Tree;

/// The parameters a pattern binds in a path, if it matches.
fn matched(pattern: &str, path: &str) -> Option<Vec<String>> {
    let mut tree = Tree::default();
    tree.insert(&Pattern::parse(pattern).unwrap(), ()).unwrap();
    let mut spans = ParamSpans::new();
    tree.get(path, &mut spans)?;
    Some(spans.as_slice().iter().map(|&(start, end)| path[start as usize..end as usize].to_owned()).collect())
}

#[test]
fn patterns_match_and_bind() {
    let uuid = "0190aeb1-5d3C-7cc2-8f3e-0123456789ab";
    let uuid_path = format!("/u/{uuid}");
    let uuid_between = format!("/a-{uuid}-z");
    for (pattern, path, expected) in [
        ("/", "/", Some(vec![])),
        ("/", "", None),
        ("/", "//", None),
        ("/a", "/a", Some(vec![])),
        ("/a", "/a/", None),
        ("/a/", "/a/", Some(vec![])),
        ("/a/", "/a", None),
        ("/a", "/A", None),
        ("/{x}", "/", None),
        ("/{x}", "/a/b", None),
        ("/{x}/", "/a/", Some(vec!["a"])),
        ("/{from}-{to}", "/1-2-3", Some(vec!["1-2", "3"])),
        ("/{from}-{to}", "/-", None),
        ("/{from}-{to}", "/--", None),
        ("/{from}-{to}", "/---", Some(vec!["-", "-"])),
        ("/{a:int}-{b}", "/1-2-3", Some(vec!["1", "2-3"])),
        ("/{a}-{b:alpha}", "/1-b-2", None),
        ("/{a}1{b:int}", "/x111", Some(vec!["x1", "1"])),
        ("/re{n}", "/re7", Some(vec!["7"])),
        ("/re{n}", "/re", None),
        ("/re{n}", "/xre7", None),
        ("/{name}.json", "/a.json.json", Some(vec!["a.json"])),
        ("/{name}.json", "/.json", None),
        ("/v{a}.{b}.{c}x", "/v1.2.3.4x", Some(vec!["1.2", "3", "4"])),
        ("/{id:int}", "/042", Some(vec!["042"])),
        ("/{id:int}", "/4a", None),
        ("/{id:alpha}", "/aZ", Some(vec!["aZ"])),
        ("/{id:alpha}", "/aé", None),
        ("/{id:slug}", "/a-9", Some(vec!["a-9"])),
        ("/{id:slug}", "/A-9", None),
        ("/u/{id:uuid}", &uuid_path, Some(vec![uuid])),
        ("/u/{id:uuid}", "/u/0190aeb1-5d3c-7cc2-8f3e-0123456789a", None),
        ("/{a}-{id:uuid}-{b}", &uuid_between, Some(vec!["a", uuid, "z"])),
        ("/{a:uuid}-{b}", &uuid_between, None),
        ("/{*p}", "/", None),
        ("/{*p}", "//", Some(vec!["/"])),
        ("/{*p}", "/a/b/", Some(vec!["a/b/"])),
        ("/f/{*p}/end", "/f/a/end/end", Some(vec!["a/end"])),
        ("/f/{*p}/end", "/f/end", None),
        ("/f/{*p}/end", "/f//end", None),
        ("/f/{*p}/end", "/f///end", Some(vec!["/"])),
        ("/{*p}/{x}-{y}/z", "/a/b/c-d/z", Some(vec!["a/b", "c", "d"])),
        ("/{*p}/", "/a/b/", Some(vec!["a/b"])),
        ("/{*p}/", "/a/b", None),
        ("/{{x}}", "/%7Bx%7D", Some(vec![])),
        ("/{{{x}}}", "/%7Ba%7D", Some(vec!["a"])),
        ("/{a}{{{b}", "/1%7B2", Some(vec!["1", "2"])),
        ("/café au lait", "/caf%C3%A9%20au%20lait", Some(vec![])),
        ("/caf%c3%a9", "/caf%c3%a9", Some(vec![])),
        ("/100%", "/100%", Some(vec![])),
        ("/{x}é", "/a%C3%A9", Some(vec!["a"])),
        ("/{x}", "/é", Some(vec!["é"])),
        ("/{x}-{y}", "/é-é", Some(vec!["é", "é"])),
        ("/a:b*c(d)[e]+,;=@!$&'~", "/a:b*c(d)[e]+,;=@!$&'~", Some(vec![])),
        ("/{x}", "*", None),
    ] {
        let expected = expected.map(|values| values.into_iter().map(String::from).collect::<Vec<_>>());
        assert_eq!(matched(pattern, path), expected, "{pattern} on {path}");
    }
}

#[test]
fn a_refusal_says_where_and_why() {
    let seventeen = (0..17).map(|n| format!("/{{p{n}}}")).collect::<String>();
    let long = format!("/{}", "é".repeat(MAX_PATTERN_LEN));
    for (pattern, at, fault) in [
        ("", 0, Fault::NoLeadingSlash),
        ("a/{x}", 0, Fault::NoLeadingSlash),
        ("*", 0, Fault::NoLeadingSlash),
        (long.as_str(), MAX_PATTERN_LEN, Fault::TooLong),
        (seventeen.as_str(), 88, Fault::TooManyParams),
        ("/a//b", 3, Fault::EmptySegment),
        ("//", 1, Fault::EmptySegment),
        ("/a/../b", 3, Fault::DotSegment),
        ("/.%2E", 1, Fault::DotSegment),
        ("/x?", 2, Fault::NotInPath('?')),
        ("/x#y", 2, Fault::NotInPath('#')),
        ("/a/:id", 3, Fault::ForeignSyntax(':')),
        ("/*all", 1, Fault::ForeignSyntax('*')),
        ("/a/{id", 3, Fault::Unclosed),
        ("/{a/b}", 1, Fault::Unclosed),
        ("/a}", 2, Fault::Unopened),
        ("/{}", 2, Fault::BadName("".into())),
        ("/{1a}", 2, Fault::BadName("1a".into())),
        ("/{a-b}", 2, Fault::BadName("a-b".into())),
        ("/{é}", 2, Fault::BadName("é".into())),
        ("/{a{b}", 2, Fault::BadName("a{b".into())),
        ("/{*}", 3, Fault::BadName("".into())),
        ("/{*a:int}", 3, Fault::BadName("a:int".into())),
        ("/{a}/{a}", 6, Fault::DuplicateName("a".into())),
        ("/{a}/{*a}", 7, Fault::DuplicateName("a".into())),
        ("/{a:}", 4, Fault::UnknownConstraint("".into())),
        ("/{a:float}", 4, Fault::UnknownConstraint("float".into())),
        ("/{a}{b}", 4, Fault::Adjacent),
        ("/a{*b}", 2, Fault::RestNotAlone),
        ("/{*b}a", 5, Fault::RestNotAlone),
        ("/{a}{*b}", 4, Fault::RestNotAlone),
        ("/{*a}/b/{*c}", 8, Fault::SecondRest),
    ] {
        let error = Pattern::parse(pattern).unwrap_err();
        assert_eq!((error.at(), error.fault()), (at, &fault), "{pattern}");
        assert!(error.pattern().len() <= MAX_PATTERN_LEN);
        assert!(error.to_string().contains(&format!("byte {at}: ")), "{error}");
    }
}

#[test]
fn the_bounds_themselves_are_allowed() {
    let sixteen = (0..16).map(|n| format!("/{{p{n}}}")).collect::<String>();
    assert_eq!(Pattern::parse(&sixteen).unwrap().names().len(), 16);
    assert!(Pattern::parse(&format!("/{}", "a".repeat(MAX_PATTERN_LEN - 1))).is_ok());
}

#[test]
fn names_keep_their_order_and_text_stays() {
    let pattern: Pattern = "/{b}/{a:int}.{_c1}/{*d}".parse().unwrap();
    assert_eq!(pattern.names().iter().map(|name| &**name).collect::<Vec<_>>(), ["b", "a", "_c1", "d"]);
    assert_eq!(pattern.to_string(), "/{b}/{a:int}.{_c1}/{*d}");
}

proptest! {
    #[test]
    fn no_text_panics(text in r"/?([/{}*:?#%.é]|[a-z]|int|\{[a-z]{1,2}\}){0,16}|\PC{0,32}") {
        if let Err(error) = Pattern::parse(&text) {
            prop_assert!(error.at() <= text.len());
            prop_assert!(text.is_char_boundary(error.at()));
        }
    }
}
