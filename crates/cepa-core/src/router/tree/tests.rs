//! The tree against tables of its own rules, hostile inputs, and a naive matcher.

mod reference;

use super::*;

fn tree(options: TreeOptions, patterns: &[&str]) -> Tree<String> {
    let mut tree = Tree::new(options);
    for pattern in patterns {
        tree.insert(&Pattern::parse(pattern).unwrap(), (*pattern).to_owned()).unwrap();
    }
    tree
}

/// Every match with its values, in the order the tree finds them.
fn matches<'t>(tree: &'t Tree<String>, path: &str) -> Vec<(&'t str, Vec<String>)> {
    let mut found = Vec::new();
    let mut spans = ParamSpans::new();
    let none: Option<()> = tree.find_map(path, &mut spans, |pattern, spans| {
        let value = |&(start, end): &(u32, u32)| path[start as usize..end as usize].to_owned();
        found.push((pattern.as_str(), spans.as_slice().iter().map(value).collect()));
        None
    });
    assert_eq!((none, spans.as_slice().len()), (None, 0));
    found
}

fn order(patterns: &[&str], path: &str) -> Vec<String> {
    let tree = tree(TreeOptions::default(), patterns);
    matches(&tree, path).into_iter().map(|(pattern, _)| pattern.to_owned()).collect()
}

#[test]
fn the_most_specific_comes_first() {
    let in_order = [
        "/p/ab",
        "/p/a{x:alpha}",
        "/p/a{x}",
        "/p/{x}b",
        "/p/{x:alpha}",
        "/p/{x:slug}",
        "/p/{x}",
        "/p/{*x}",
        "/{x}/ab",
        "/{x}/{y}",
        "/{*x}/{y}",
        "/{*x}",
    ];
    assert_eq!(order(&in_order, "/p/ab"), in_order);
    let mut reversed = in_order;
    reversed.reverse();
    assert_eq!(order(&reversed, "/p/ab"), in_order, "insertion order makes no difference");

    let tails = ["/f/{*p}/x/{y}", "/f/{*p}/y", "/f/{*p}/{y}", "/f/{*p}"];
    assert_eq!(order(&tails, "/f/a/x/y"), tails);
    let uuid = "/0190aeb1-5d3c-7cc2-8f3e-0123456789ab";
    assert_eq!(order(&["/{a}", "/{b:slug}", "/{c:uuid}"], uuid), ["/{c:uuid}", "/{b:slug}", "/{a}"]);
    assert_eq!(order(&["/{a}", "/{b:slug}", "/{c:int}"], "/7"), ["/{c:int}", "/{b:slug}", "/{a}"]);
}

#[test]
fn a_wrong_branch_is_left_again() {
    let tree = tree(
        TreeOptions::default(),
        &["/a/b/c", "/a/{x}/d", "/{x}/b/e", "/{x:int}/b", "/{x}.json/f", "/{*x}/g"],
    );
    for (path, pattern, values) in [
        ("/a/b/c", "/a/b/c", &[][..]),
        ("/a/b/d", "/a/{x}/d", &["b"]),
        ("/a/b/e", "/{x}/b/e", &["a"]),
        ("/a/b/g", "/{*x}/g", &["a/b"]),
        ("/7/b", "/{x:int}/b", &["7"]),
        ("/7/b/e", "/{x}/b/e", &["7"]),
        ("/7.json/f", "/{x}.json/f", &["7"]),
        ("/7.json/g", "/{*x}/g", &["7.json"]),
    ] {
        assert_eq!(
            matches(&tree, path),
            [(pattern, values.iter().map(|&v| v.to_owned()).collect())],
            "{path}"
        );
    }
    for path in ["", "/", "a/b/c", "/a/b", "/a/b/c/d", "/a/b/c/", "*", "//"] {
        assert_eq!(matches(&tree, path), [], "{path}");
    }
}

#[test]
fn find_map_stops_where_it_is_told_and_keeps_those_values() {
    let tree = tree(TreeOptions::default(), &["/u/me", "/u/{id}", "/{*all}"]);
    let mut spans = ParamSpans::new();
    let path = "/u/me";
    let found = tree.find_map(path, &mut spans, |pattern, _| (pattern != "/u/me").then_some(pattern));
    assert_eq!(found.map(String::as_str), Some("/u/{id}"));
    assert_eq!(spans.as_slice(), [(3, 5)]);
    assert_eq!(tree.get("nowhere", &mut spans), None);
    assert_eq!(spans.as_slice(), [], "a miss leaves nothing of an earlier match");
}

#[test]
fn patterns_of_one_shape_conflict() {
    let lenient = TreeOptions { lenient_slash: true, ..TreeOptions::default() };
    let any_case = TreeOptions { ignore_case: true, ..TreeOptions::default() };
    for (options, first, second, conflict) in [
        (TreeOptions::default(), "/a/{x}", "/a/{y}", true),
        (TreeOptions::default(), "/a/{x}/b", "/a/{y}/c", false),
        (TreeOptions::default(), "/a/{x:int}", "/a/{x}", false),
        (TreeOptions::default(), "/{a}-{b}", "/{c}-{d}", true),
        (TreeOptions::default(), "/{a}-{b}", "/{a}.{b}", false),
        (TreeOptions::default(), "/{*a}/x", "/{*b}/x", true),
        (TreeOptions::default(), "/{*a}", "/{b}", false),
        (TreeOptions::default(), "/a", "/a/", false),
        (TreeOptions::default(), "/a", "/A", false),
        (TreeOptions::default(), "/caf%C3%A9", "/café", true),
        (lenient, "/a", "/a/", true),
        (lenient, "/{*a}", "/{*a}/", true),
        (lenient, "/", "/a", false),
        (any_case, "/a/{x}.JS", "/A/{y}.js", true),
    ] {
        let mut tree = tree(options, &[first]);
        let result = tree.insert(&Pattern::parse(second).unwrap(), second.to_owned());
        match result {
            Err(Conflict { existing, rejected }) => {
                assert!(conflict, "{first} {second}");
                assert_eq!((existing.as_str(), rejected.as_str()), (first, second));
                existing.push('!');
            }
            Ok(()) => assert!(!conflict, "{first} {second}"),
        }
    }
}

#[test]
fn a_final_slash_is_optional_when_lenient() {
    let options = TreeOptions { lenient_slash: true, ..TreeOptions::default() };
    let tree = tree(options, &["/", "/a", "/b/", "/c/{x}", "/f/{*p}", "/f/{*p}/end", "/d/{x}.js"]);
    for (path, expected) in [
        ("/", Some(("/", ""))),
        ("//", Some(("/", ""))),
        ("///", None),
        ("/a", Some(("/a", ""))),
        ("/a/", Some(("/a", ""))),
        ("/a//", None),
        ("/b", Some(("/b/", ""))),
        ("/b/", Some(("/b/", ""))),
        ("/c/", None),
        ("/c/x/", Some(("/c/{x}", "x"))),
        ("/d/x.js/", Some(("/d/{x}.js", "x"))),
        ("/f/", None),
        ("/f/a/", Some(("/f/{*p}", "a/"))),
        ("/f/a/end", Some(("/f/{*p}/end", "a"))),
        ("/f/a/end/", Some(("/f/{*p}/end", "a"))),
        ("/f/a/end//", Some(("/f/{*p}", "a/end//"))),
        ("", None),
    ] {
        let first = matches(&tree, path).into_iter().next();
        let first = first.as_ref().map(|(pattern, values)| (*pattern, values.concat()));
        let expected = expected.map(|(pattern, value)| (pattern, value.to_owned()));
        assert_eq!(first, expected, "{path}");
    }
}

#[test]
fn case_is_ignored_in_literals_only() {
    let options = TreeOptions { ignore_case: true, ..TreeOptions::default() };
    let tree = tree(options, &["/Users/{x}", "/v{x}END", "/s/{x:slug}", "/caf%c3%a9"]);
    assert_eq!(matches(&tree, "/uSERS/Bob"), [("/Users/{x}", vec!["Bob".into()])]);
    assert_eq!(matches(&tree, "/VxeNd"), [("/v{x}END", vec!["x".into()])]);
    assert_eq!(matches(&tree, "/S/ab"), [("/s/{x:slug}", vec!["ab".into()])]);
    assert_eq!(matches(&tree, "/s/AB"), []);
    assert_eq!(matches(&tree, "/CAF%C3%A9"), [("/caf%c3%a9", vec![])]);
}

#[test]
fn labels_with_one_hash_are_told_apart() {
    // The hash folds one bit, which in ASCII tells more than letters apart.
    let tree = tree(TreeOptions::default(), &["/@", "/a@", "/A@", "/0"]);
    for path in ["/`", "/A`", "/\u{10}"] {
        assert_eq!(matches(&tree, path), [], "{path}");
    }
    assert_eq!(matches(&tree, "/A@"), [("/A@", vec![])]);
}

#[test]
fn a_node_holds_many_literals() {
    let mut tree = Tree::default();
    for number in 0..5000 {
        tree.insert(&Pattern::parse(&format!("/n/{number}/x")).unwrap(), number).unwrap();
    }
    let mut spans = ParamSpans::new();
    for number in 0..5000 {
        assert_eq!(tree.get(&format!("/n/{number}/x"), &mut spans), Some(&number));
        assert_eq!(tree.get(&format!("/n/{number}x/x"), &mut spans), None);
    }
}

/// Were a failed place tried again, each of these would outlast the machine.
#[test]
fn hostile_paths_end() {
    // Every split of a long run, sixteen parameters deep, that fails at the last byte.
    let params: Vec<_> = (0..16).map(|n| format!("{{p{n}}}")).collect();
    let dashes = format!("/{}", "-".repeat(100_000));
    let separated = format!("/{}!", params.join("-"));
    assert_eq!(order(&[separated.as_str()], &dashes), [""; 0]);

    let ints: Vec<_> = (0..16).map(|n| format!("{{p{n}:int}}")).collect();
    let ones = format!("/{}x", "1".repeat(100_000));
    for last in ["", "y"] {
        let pattern = format!("/{}{last}", ints.join("1"));
        assert_eq!(order(&[pattern.as_str()], &ones), [""; 0]);
    }
    let pattern = format!("/{}1{{last:alpha}}", ints[..15].join("1"));
    assert_eq!(order(&[pattern.as_str()], &ones).len(), 1);

    // A wildcard in front of many ends, over a path of nothing but slashes.
    let slashes = "/".repeat(100_000);
    let ends: Vec<_> = (0..200).map(|n| format!("/{{*p}}{}/end", "/x".repeat(n))).collect();
    let ends: Vec<_> = ends.iter().map(String::as_str).collect();
    assert_eq!(order(&ends, &slashes), [""; 0]);
}

#[test]
fn a_hostile_table_costs_its_nodes_once() {
    // 2^12 patterns: at each of 12 places "a" or a parameter. Every one of them matches.
    let mut tree = Tree::new(TreeOptions::default());
    for bits in 0..1_u32 << 12 {
        let place = |n: u32| if bits & (1 << n) == 0 { "/a".to_owned() } else { format!("/{{p{n}}}") };
        tree.insert(&Pattern::parse(&(0..12).map(place).collect::<String>()).unwrap(), bits).unwrap();
    }
    let mut spans = ParamSpans::new();
    let mut met = 0_u32;
    let mut count = |_: &u32, _: &ParamSpans| -> Option<()> {
        met += 1;
        None
    };
    tree.find_map("/a".repeat(12), &mut spans, &mut count);
    tree.find_map(format!("{}/b", "/a".repeat(12)), &mut spans, &mut count);
    assert_eq!(met, 1 << 12);
}

/// At each of 511 segments there is a choice, so each of them takes a frame.
#[test]
fn the_deepest_pattern_fits_a_small_stack() {
    let mut tree = Tree::default();
    for depth in 0..511 {
        tree.insert(&Pattern::parse(&format!("{}/{{x}}", "/a".repeat(depth))).unwrap(), depth).unwrap();
    }
    let work = move || {
        let mut spans = ParamSpans::new();
        assert_eq!(tree.get(&"/a".repeat(511), &mut spans), Some(&510));
        assert_eq!(tree.get(&"/a".repeat(512), &mut spans), None);
    };
    std::thread::Builder::new().stack_size(512 * 1024).spawn(work).unwrap().join().unwrap();
}
