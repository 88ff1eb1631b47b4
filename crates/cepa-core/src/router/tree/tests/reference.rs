//! Random tables and paths: the tree agrees with a matcher that tries everything.

use std::cmp::Reverse;

use proptest::prelude::*;

use super::{matches, tree};
use crate::router::{Pattern, TreeOptions};

/// A part of a segment, as a pattern is meant, not as it is parsed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Text(String),
    /// The constraint, or nothing.
    Param(&'static str),
    Rest,
}

type Segment = Vec<Part>;

/// Writes a pattern in its syntax.
fn render(pattern: &[Segment]) -> String {
    let mut text = String::new();
    let mut names = 0;
    for segment in pattern {
        text.push('/');
        for part in segment {
            names += 1;
            match part {
                Part::Text(literal) => text.push_str(literal),
                Part::Param("") => text.push_str(&format!("{{p{names}}}")),
                Part::Param(kind) => text.push_str(&format!("{{p{names}:{kind}}}")),
                Part::Rest => text.push_str(&format!("{{*p{names}}}")),
            }
        }
    }
    text
}

fn accepts(kind: &str, value: &str) -> bool {
    !value.is_empty()
        && !value.contains('/')
        && match kind {
            "int" => value.chars().all(|sign| sign.is_ascii_digit()),
            "alpha" => value.chars().all(|sign| sign.is_ascii_alphabetic()),
            "slug" => value.chars().all(|sign| matches!(sign, 'a'..='z' | '0'..='9' | '-')),
            _ => true,
        }
}

/// The values if the parts match all of `path`, longest first, trying every split.
fn fit(parts: &[Part], path: &str, ignore_case: bool) -> Option<Vec<String>> {
    let Some((part, after)) = parts.split_first() else { return path.is_empty().then(Vec::new) };
    if let Part::Text(literal) = part {
        let (front, back) = path.split_at_checked(literal.len())?;
        let same = if ignore_case { front.eq_ignore_ascii_case(literal) } else { front == literal };
        return if same { fit(after, back, ignore_case) } else { None };
    }
    (1..=path.len()).rev().find_map(|len| {
        let (front, back) = path.split_at_checked(len)?;
        if matches!(part, Part::Param(kind) if !accepts(kind, front)) {
            return None;
        }
        let mut values = fit(after, back, ignore_case)?;
        values.insert(0, front.to_owned());
        Some(values)
    })
}

fn matched(pattern: &[Segment], path: &str, options: TreeOptions) -> Option<Vec<String>> {
    let mut parts = Vec::new();
    for segment in pattern {
        parts.push(Part::Text("/".into()));
        parts.extend(segment.iter().cloned());
    }
    if options.lenient_slash && pattern.len() > 1 && pattern.last().is_some_and(Vec::is_empty) {
        parts.pop();
    }
    fit(&parts, path, options.ignore_case).or_else(|| {
        let shorter = path.strip_suffix('/').filter(|path| options.lenient_slash && !path.is_empty())?;
        fit(&parts, shorter, options.ignore_case)
    })
}

/// Sorts patterns that match one path by precedence, as the documentation of the tree states it.
type Rank = Vec<(u8, Reverse<[usize; 3]>, Segment)>;

fn rank(pattern: &[Segment], options: TreeOptions) -> Rank {
    let mut pattern = pattern.to_vec();
    if options.lenient_slash && pattern.len() > 1 && pattern.last().is_some_and(Vec::is_empty) {
        pattern.pop();
    }
    for part in pattern.iter_mut().flatten().filter(|_| options.ignore_case) {
        if let Part::Text(literal) = part {
            literal.make_ascii_lowercase();
        }
    }
    let len = pattern.len();
    let of = |(index, segment): (usize, &Segment)| {
        let text = |part: &Part| if let Part::Text(literal) = part { literal.len() } else { 0 };
        let literal: usize = segment.iter().map(&text).sum();
        let bound =
            segment.iter().filter(|part| matches!(part, Part::Param(kind) if !kind.is_empty())).count();
        match segment.as_slice() {
            [] | [Part::Text(_)] => (0, Reverse([0; 3]), segment.clone()),
            [Part::Param(kind)] => {
                let place = ["int", "alpha", "slug", ""].iter().position(|known| known == kind).unwrap();
                (2 + place as u8, Reverse([0; 3]), Vec::new())
            }
            [Part::Rest] => (9, Reverse([len - index, 0, 0]), Vec::new()),
            [first, ..] => (1, Reverse([literal, bound, text(first)]), segment.clone()),
        }
    };
    pattern.iter().enumerate().map(of).collect()
}

fn literal() -> impl Strategy<Value = String> {
    "[aAb1.-]{1,2}".prop_filter("clients resolve dots", |text| text != "." && text != "..")
}

fn segment() -> impl Strategy<Value = Segment> {
    let param = || prop::sample::select(vec!["", "", "int", "alpha", "slug"]).prop_map(Part::Param);
    let text = || literal().prop_map(Part::Text);
    prop_oneof![
        4 => text().prop_map(|text| vec![text]),
        2 => param().prop_map(|param| vec![param]),
        1 => (text(), param()).prop_map(|(a, b)| vec![a, b]),
        1 => (param(), text()).prop_map(|(a, b)| vec![a, b]),
        1 => (param(), text(), param()).prop_map(|(a, b, c)| vec![a, b, c]),
        1 => (text(), param(), text(), param(), text(), param()).prop_map(|(a, b, c, d, e, f)| vec![a, b, c, d, e, f]),
    ]
}

fn pattern() -> impl Strategy<Value = Vec<Segment>> {
    (prop::collection::vec(segment(), 0..4), prop::option::weighted(0.3, 0..4_usize), any::<bool>()).prop_map(
        |(mut segments, rest, slash)| {
            if let Some(at) = rest {
                segments.insert(at.min(segments.len()), vec![Part::Rest]);
            }
            if slash || segments.is_empty() {
                segments.push(Vec::new());
            }
            segments
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]
    #[test]
    fn the_tree_agrees_with_a_naive_matcher(
        patterns in prop::collection::vec(pattern(), 1..12),
        paths in prop::collection::vec("(/[aAb1.é-]{0,5}){1,5}", 1..8),
        ignore_case: bool,
        lenient_slash: bool,
    ) {
        let options = TreeOptions { ignore_case, lenient_slash };
        let mut known: Vec<(Rank, &Vec<Segment>)> = Vec::new();
        for pattern in &patterns {
            // Equal ranks are not equal shapes: a rank does not hold what must be equal anyway.
            let rank = rank(pattern, options);
            if known.iter().all(|(other, _)| *other != rank) {
                known.push((rank, pattern));
            }
        }
        known.sort();
        let texts: Vec<_> = known.iter().map(|(_, pattern)| render(pattern)).collect();
        let tree = tree(options, &texts.iter().map(String::as_str).collect::<Vec<_>>());
        for path in &paths {
            let expected: Vec<_> = known
                .iter()
                .zip(&texts)
                .filter_map(|((_, pattern), text)| Some((text.as_str(), matched(pattern, path, options)?)))
                .collect();
            for pair in expected.windows(2).filter(|_| options == TreeOptions::default()) {
                let [first, second] = [pair[0].0, pair[1].0].map(|text| Pattern::parse(text).unwrap());
                prop_assert!(first.is_more_specific(&second), "{first} {second}");
                prop_assert!(!second.is_more_specific(&first), "{first} {second}");
            }
            prop_assert_eq!(matches(&tree, path), expected, "{}", path);
        }
    }

    #[test]
    fn no_path_panics(path in "\\PC{0,24}|(/|[a-b.1é-]){0,24}") {
        let patterns = ["/", "/a/{x}-{y:int}", "/{x}.{y}/b", "/{*x}/a", "/{*x}", "/{x:uuid}/{y:alpha}é"];
        for bits in 0..4 {
            let options = TreeOptions { ignore_case: bits & 1 != 0, lenient_slash: bits & 2 != 0 };
            matches(&tree(options, &patterns), &path);
        }
    }
}
