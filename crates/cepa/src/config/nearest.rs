//! Which of the known names somebody who wrote an unknown one may have meant.

/// Names longer than this are not compared: the work grows with the square.
const LONGEST: usize = 64;
/// How many known names a message lists.
const LISTED: usize = 24;

/// What to say after naming the unknown: the nearest known name, all if none is near, nothing if there is none.
pub(crate) fn hint<'a>(name: &str, what: &str, known: impl Iterator<Item = &'a str> + Clone) -> String {
    if let Some(near) = nearest(name, known.clone()) {
        return format!("; did you mean `{near}`?");
    }
    let mut names: Vec<&str> = known.collect();
    if names.is_empty() {
        return String::new();
    }
    let more = if names.len() > LISTED { ", …" } else { "" };
    names.truncate(LISTED);
    format!("; the {what} here are `{}`{more}", names.join("`, `"))
}

/// The nearest of the known names, unless more than a third of it is different.
pub(super) fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let name = plain(name)?;
    known
        .filter_map(|candidate| {
            let plain = plain(candidate)?;
            let most = (name.len().max(plain.len()) / 3).max(1);
            let distance = distance(&name, &plain);
            (distance <= most && distance < plain.len()).then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// The characters that count: `max-age` and `Max_Age` are one name to the reader.
fn plain(name: &str) -> Option<Vec<char>> {
    if name.len() > LONGEST {
        return None;
    }
    Some(name.chars().map(|c| if c == '-' { '_' } else { c.to_ascii_lowercase() }).collect())
}

/// How many characters must be put in, taken out, replaced, or swapped with their neighbour (optimal string
/// alignment).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for (i, x) in a.iter().enumerate() {
        let mut row = vec![i + 1];
        for (j, y) in b.iter().enumerate() {
            let mut least = (last[j] + usize::from(x != y)).min(last[j + 1] + 1).min(row[j] + 1);
            if i > 0 && j > 0 && *x == b[j - 1] && a[i - 1] == *y {
                least = least.min(before[j - 1] + 1);
            }
            row.push(least);
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slips_of_the_pen_are_understood() {
        let known = ["listen", "workers", "server_header", "limits", "id"];
        for (name, near) in [
            ("listn", Some("listen")),
            ("wrokers", Some("workers")),
            ("worker", Some("workers")),
            ("server-header", Some("server_header")),
            ("ServerHeader", Some("server_header")),
            ("LIMITS", Some("limits")),
            ("ib", Some("id")),
            ("xy", None),
            ("", None),
            ("certificates", None),
        ] {
            assert_eq!(nearest(name, known.into_iter()), near, "{name}");
        }
        assert_eq!(nearest(&"x".repeat(1 << 20), known.into_iter()), None);
    }

    #[test]
    fn all_names_are_listed_if_none_is_near() {
        assert_eq!(hint("x", "keys", [].into_iter()), "");
        assert_eq!(hint("other", "keys", ["a", "b"].into_iter()), "; the keys here are `a`, `b`");
        let many: Vec<String> = (100..200).map(|n| n.to_string()).collect();
        let text = hint("other", "keys", many.iter().map(String::as_str));
        assert!(text.ends_with("`122`, `123`, …"), "{text}");
    }

    proptest::proptest! {
        #[test]
        fn the_distance_is_one_between_neighbours(name in "[a-z]{2,12}", at in 0usize..11) {
            let name: Vec<char> = name.chars().collect();
            let at = at % (name.len() - 1);
            let mut swapped = name.clone();
            swapped.swap(at, at + 1);
            proptest::prop_assert_eq!(distance(&name, &swapped), usize::from(name != swapped));
            proptest::prop_assert_eq!(distance(&name, &name[1..]), 1);
            proptest::prop_assert_eq!(distance(&[], &name), name.len());
        }
    }
}
