use proptest::prelude::*;

use super::*;
use crate::router::{ParamSpans, Params, Tree};

fn url(pattern: &str, params: &[(&str, &str)]) -> Result<String, String> {
    Pattern::parse(pattern).unwrap().url(params).map_err(|error| error.to_string())
}

#[test]
fn values_are_filled_in_and_encoded() {
    for (pattern, params, expected) in [
        ("/", &[][..], "/"),
        ("/users/", &[], "/users/"),
        ("/users/{id}", &[("id", "a b/c")], "/users/a%20b%2Fc"),
        ("/z/{a}/{b}", &[("b", "é"), ("a", "1")], "/z/1/%C3%A9"),
        ("/w/{*p}", &[("p", "a b/c//d/")], "/w/a%20b/c//d/"),
        ("/v{a}.{b:int}", &[("a", "1.x"), ("b", "7")], "/v1.x.7"),
        ("/café {{x}}", &[], "/caf%C3%A9%20%7Bx%7D"),
        (
            "/users/{id}",
            &[("id", "3"), ("q", "x y"), ("tag", "a"), ("tag", "&")],
            "/users/3?q=x+y&tag=a&tag=%26",
        ),
        ("/users/{id}", &[("id", "3"), ("id", "4")], "/users/3"),
        ("/{x}", &[("x", "...")], "/..."),
        ("/{a}.{b}", &[("a", "x"), ("b", "y/..")], "/x.y%2F.."),
        ("/{x}", &[("x", "/evil.example")], "/%2Fevil.example"),
        ("/a/{*p}", &[("p", "/b")], "/a//b"),
    ] {
        assert_eq!(url(pattern, params).as_deref(), Ok(expected), "{pattern}");
    }
}

#[test]
fn a_url_that_would_not_lead_back_is_an_error() {
    for (pattern, params, why) in [
        ("/users/{id}", &[][..], "needs a value for parameter \"id\""),
        ("/users/{id}", &[("id", "")], "it is empty"),
        ("/{*p}", &[("p", "")], "it is empty"),
        ("/users/{id:int}", &[("id", "x")], "not of the kind"),
        ("/users/{id}", &[("id", "..")], "segment"),
        ("/.{a}", &[("a", ".")], "segment"),
        ("/%2e{a}", &[("a", ".")], "segment"),
        ("/f/{*p}", &[("p", "a/../../etc")], "segment"),
        ("/{*p}", &[("p", "/evil.example")], "start with \"//\""),
    ] {
        let error = url(pattern, params).unwrap_err();
        assert!(error.contains(why), "{error}");
    }
}

#[test]
fn positions_stand_for_names() {
    let pattern = Pattern::parse("/a/{x}/b/{y}").unwrap();
    assert_eq!(pattern.url_positional(&["1", "2"]).unwrap(), "/a/1/b/2");
    let missing = UrlError::Missing { pattern: "/a/{x}/b/{y}".into(), name: "y".into() };
    assert_eq!(pattern.url_positional(&["1"]), Err(missing));
    let error = pattern.url_positional(&["1", "2", "3"]).unwrap_err();
    assert_eq!(error.to_string(), "a URL for \"/a/{x}/b/{y}\" takes 2 values by position, 3 were given");
}

#[test]
fn a_query_is_started_or_continued() {
    for (start, expected) in
        [("/a", "/a?k=v"), ("/a?", "/a?k=v"), ("/a?b", "/a?b&k=v"), ("/a?b&", "/a?b&k=v")]
    {
        let mut url = start.to_owned();
        append_query(&mut url, [("k", "v")]);
        assert_eq!(url, expected);
        append_query(&mut url, []);
        assert_eq!(url, expected);
    }
}

proptest! {
    /// What goes in comes out, wherever the border between two values is not in a value itself.
    #[test]
    fn a_url_leads_back(a in "\\PC{1,6}|\\.{1,3}", n in "[0-9]{1,4}", rest in "(\\PC|/){1,8}") {
        let pattern = Pattern::parse("/{a}/v{n:int}.json/{*rest}").unwrap();
        let Ok(url) = pattern.url(&[("a", &a), ("n", &n), ("rest", &rest)]) else {
            prop_assert!(is_dot_segment(&a) || rest.split('/').any(is_dot_segment));
            return Ok(());
        };
        let mut tree = Tree::default();
        tree.insert(&pattern, ()).unwrap();
        let mut spans = ParamSpans::new();
        prop_assert!(tree.get(&url, &mut spans).is_some());
        let params = Params::new(pattern.names(), &spans, &url);
        prop_assert_eq!(params.decoded("a").unwrap(), a);
        prop_assert_eq!(params.decoded("n").unwrap(), n);
        prop_assert_eq!(params.decoded("rest").unwrap(), rest);
    }
}
