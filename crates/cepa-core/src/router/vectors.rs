//! The recorded behaviour of @koa/router 15 and the Egg router, translated to our patterns.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{Action, ParamSpans, Params, Pattern, PatternFault, Tree, TreeOptions, append_query, resources};

macro_rules! recorded {
    ($name:literal) => {
        load(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/koa/vectors/", $name)))
    };
}

fn load(text: &str) -> (String, Vec<Value>) {
    let file: Value = serde_json::from_str(text).unwrap();
    let vectors = file["vectors"].as_array().unwrap().clone();
    assert_eq!(file["count"], vectors.len());
    (file["about"].as_str().unwrap().to_owned(), vectors)
}

/// The paths a recording tried, which its description lists as JSON.
fn tried(about: &str) -> Vec<String> {
    let list = &about[about.find('[').unwrap()..=about.rfind(']').unwrap()];
    serde_json::from_str(list).unwrap()
}

type Bound = BTreeMap<String, String>;

fn matched(tree: &Tree<Pattern>, path: &str) -> Option<Bound> {
    let mut spans = ParamSpans::new();
    let pattern = tree.get(path, &mut spans)?;
    let params = Params::new(pattern.names(), &spans, path);
    Some(params.iter().map(|(name, value)| (name.to_owned(), value.into_owned())).collect())
}

/// What was recorded for `path`, with the parameters renamed as in our patterns.
fn expected(vector: &Value, path: &str) -> Option<Bound> {
    let bound = vector["matches"].get(path)?.as_object().unwrap();
    Some(
        bound
            .iter()
            .map(|(name, value)| (name.replace(' ', "_"), value.as_str().unwrap().to_owned()))
            .collect(),
    )
}

fn table(options: TreeOptions, patterns: &[&str]) -> Tree<Pattern> {
    let mut tree = Tree::new(options);
    for text in patterns {
        let pattern = Pattern::parse(text).unwrap();
        tree.insert(&pattern, pattern.clone()).unwrap();
    }
    tree
}

/// A recorded pattern in our syntax. An optional part makes two patterns.
const TRANSLATED: &[(&str, &[&str])] = &[
    ("/", &["/"]),
    ("/users", &["/users"]),
    ("/users/:id/posts/:pid", &["/users/{id}/posts/{pid}"]),
    ("/files/*path", &["/files/{*path}"]),
    ("/files/*path/end", &["/files/{*path}/end"]),
    ("/opt{/:x}", &["/opt", "/opt/{x}"]),
    ("/{:lang/}home", &["/home", "/{lang}/home"]),
    ("/:\"odd name\"", &["/{odd_name}"]),
    ("/esc\\:aped", &["/esc:aped"]),
    ("/a.b", &["/a.b"]),
    ("/café", &["/café"]),
    ("/:x.json", &["/{x}.json"]),
    ("/:x{.:ext}", &["/{x}", "/{x}.{ext}"]),
    ("/*all", &["/{*all}"]),
    ("/:from-:to", &["/{from}-{to}"]),
    ("/files/:path*", &["/files", "/files/{*path}"]),
    ("/files/:path+", &["/files/{*path}"]),
    ("/opt/:x?", &["/opt", "/opt/{x}"]),
];

fn translated(pattern: &str) -> Option<&'static [&'static str]> {
    TRANSLATED.iter().find(|(recorded, _)| *recorded == pattern).map(|(_, ours)| *ours)
}

/// Where we differ on purpose: a pattern, a path, and why.
///
/// Koa and Egg compare the decoded literal with the raw path, so that `/café` answers only clients
/// that send raw UTF-8, which RFC 3986 forbids, and never a browser. Ours answers what browsers send.
const DIFFERENT: &[(&str, &str)] = &[("/café", "/café"), ("/café", "/caf%C3%A9")];

#[test]
fn koa_matches() {
    let (about, vectors) = recorded!("router_match.json");
    let paths = tried(&about);
    let mut differences = 0;
    for vector in &vectors {
        let recorded = vector["pattern"].as_str().unwrap();
        if vector.get("error").is_some() {
            assert!(Pattern::parse(recorded).is_err() || recorded == "/(.*)", "{recorded}");
            continue;
        }
        let set = |name: &str| vector["options"][name] == true;
        let options = TreeOptions { ignore_case: !set("sensitive"), lenient_slash: !set("strict") };
        let tree = table(options, translated(recorded).unwrap());
        for path in &paths {
            let (ours, theirs) = (matched(&tree, path), expected(vector, path));
            if DIFFERENT.contains(&(recorded, path)) {
                assert_ne!(ours, theirs, "{recorded} on {path}");
                differences += 1;
            } else {
                assert_eq!(ours, theirs, "{recorded} {options:?} on {path}");
            }
        }
    }
    assert_eq!(differences, 2);
}

/// What their parser refuses, ours refuses too, but for `/(.*)`: parentheses are plain path
/// characters here (RFC 3986, section 3.3), since nothing else needs them.
#[test]
fn koa_refusals() {
    for (pattern, at, fault) in [
        ("/:a:b", 1, PatternFault::ForeignSyntax(':')),
        ("/:id(\\d+)", 1, PatternFault::ForeignSyntax(':')),
        ("/:", 1, PatternFault::ForeignSyntax(':')),
        ("/x?", 2, PatternFault::NotInPath('?')),
    ] {
        let error = Pattern::parse(pattern).unwrap_err();
        assert_eq!((error.at(), error.fault()), (at, &fault), "{pattern}");
    }
    assert!(Pattern::parse("/(.*)").is_ok());
}

/// Egg patterns that have no equal here, and why. Their paths are still matched, by other names.
///
/// - `/(en|zh)/home` binds an unnamed group to one of two words. Parameters have names, and a choice of
///   words is as many patterns.
/// - `*` binds the whole path, its leading slash included, to an unnamed group. A pattern starts with a
///   slash, so `{*name}` never holds the first one, and `/` is a pattern of its own.
const NOT_EXPRESSIBLE: &[(&str, &[&str])] =
    &[("/(en|zh)/home", &["/en/home", "/zh/home"]), ("*", &["/", "/{*all}"])];

#[test]
fn egg_matches() {
    let (about, vectors) = recorded!("egg_router_match.json");
    let paths = tried(&about[about.find("Paths tried").unwrap()..]);
    let options = TreeOptions { ignore_case: false, lenient_slash: true };
    for vector in &vectors {
        let recorded = vector["pattern"].as_str().unwrap();
        let other = NOT_EXPRESSIBLE.iter().find(|(pattern, _)| *pattern == recorded);
        let tree = table(options, other.map_or_else(|| translated(recorded).unwrap(), |(_, ours)| ours));
        for path in &paths {
            let (ours, theirs) = (matched(&tree, path), expected(vector, path));
            match other {
                None => assert_eq!(ours, theirs, "{recorded} on {path}"),
                Some(_) => assert_eq!(ours.is_some(), theirs.is_some(), "{recorded} on {path}"),
            }
        }
    }
}

/// A recorded scalar as the text that stands in a URL.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// A recorded object as pairs; a list repeats its key.
fn pairs(object: &Value) -> Vec<(String, String)> {
    let mut pairs = Vec::new();
    for (key, value) in object.as_object().into_iter().flatten() {
        match value {
            Value::Array(values) => pairs.extend(values.iter().map(|value| (key.clone(), text(value)))),
            value => pairs.push((key.clone(), text(value))),
        }
    }
    pairs
}

fn borrowed(pairs: &[(String, String)]) -> Vec<(&str, &str)> {
    pairs.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect()
}

#[test]
fn koa_urls() {
    let routes = [("user", "/users/{id}"), ("two", "/a/{x}/b/{y}"), ("opt", "/opt"), ("wild", "/w/{*p}")];
    for vector in &recorded!("router_url.json").1 {
        let Some((name, pattern)) = routes.iter().find(|(name, _)| vector["name"] == *name) else {
            // Looking a name up is the router's part.
            assert_eq!(vector["name"], "nope");
            continue;
        };
        let pattern = Pattern::parse(pattern).unwrap();
        let args = vector["args"].as_array().unwrap();
        let url = if args.first().is_some_and(Value::is_object) {
            pattern.url(&borrowed(&pairs(&args[0]))).map(|mut url| {
                let query = args.get(1).map_or("", |options| options["query"].as_str().unwrap());
                append_query(&mut url, query.split('&').filter_map(|pair| pair.split_once('=')));
                url
            })
        } else {
            let values: Vec<_> = args.iter().map(text).collect();
            pattern.url_positional(&values.iter().map(String::as_str).collect::<Vec<_>>())
        };
        match vector["result"]["ok"].as_str() {
            // A forgotten value becomes the word "undefined" there; here it is an error like any other.
            Some("/a/1/b/undefined") => {
                assert!(url.unwrap_err().to_string().contains("a value for parameter \"y\""));
            }
            Some(expected) => assert_eq!(url.as_deref(), Ok(expected), "{name}"),
            None => assert!(url.unwrap_err().to_string().contains("a value for parameter \"id\"")),
        }
    }
}

#[test]
fn egg_urls() {
    let routes = [("posts", "/posts"), ("post", "/posts/{id}"), ("edit_post", "/posts/{id}/edit")];
    for vector in &recorded!("egg_router_url.json").1 {
        let Some((_, pattern)) = routes.iter().find(|(name, _)| vector["name"] == *name) else {
            assert_eq!(vector["name"], "nope");
            continue;
        };
        let params = pairs(&vector["params"]);
        let url = Pattern::parse(pattern).unwrap().url(&borrowed(&params));
        assert_eq!(url.as_deref(), Ok(vector["result"]["ok"].as_str().unwrap()));
    }
}

#[test]
fn egg_resources() {
    for vector in &recorded!("egg_resources.json").1 {
        let wanted = |action: Action| vector["actions"].as_array().unwrap().contains(&action.as_str().into());
        let routes = resources(vector["name"].as_str(), vector["prefix"].as_str().unwrap());
        let ours: Vec<_> = routes.iter().filter(|route| wanted(route.action)).collect();
        let theirs = vector["routes"].as_array().unwrap();
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.into_iter().zip(theirs) {
            let methods: Vec<_> = ours.action.methods().iter().map(http::Method::as_str).collect();
            assert_eq!(Value::from(methods), theirs["methods"]);
            assert_eq!(ours.path.replace("{id}", ":id"), theirs["path"].as_str().unwrap());
            // Without a name Egg bends the empty one: "s", "destroy_". Ours has none then.
            let name = vector["name"].as_str().and(theirs["name"].as_str());
            assert_eq!(ours.name.as_deref(), name);
        }
    }
}
