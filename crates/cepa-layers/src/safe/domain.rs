//! Whether a host is on a list.

/// The most bytes that a host name has (RFC 1035, section 2.3.4).
const MAX_DOMAIN: usize = 253;

/// Whether a list has a domain, or one above it: Egg's `isSafeDomain`.
///
/// * `example.com` and `.example.com` are the domain and all below it, not `myexample.com`.
/// * `*` stands for any letters of one label, and as the first label for one label or more: `*.example.com` is all below
///   the domain and not itself, `cdn*.example.com` is `cdn7.example.com`. `*` alone is every domain.
/// * Upper and lower case are the same. An entry that is the very text is a match whatever it is.
/// * An empty entry matches nothing.
///
/// ```
/// use cepa_layers::safe::is_listed;
///
/// assert!(is_listed("www.example.com", &["example.com"]));
/// assert!(!is_listed("myexample.com", &["example.com"]));
/// ```
pub fn is_listed<S: AsRef<str>>(domain: &str, list: &[S]) -> bool {
    let matches = |entry: &str| match entry.contains('*') {
        true => matches_labels(entry, domain),
        false => entry.eq_ignore_ascii_case(domain) || is_below(domain, entry),
    };
    (1..=MAX_DOMAIN).contains(&domain.len()) && list.iter().any(|entry| matches(entry.as_ref()))
}

/// Whether a domain is another one, or below it.
fn is_below(domain: &str, above: &str) -> bool {
    let above = above.strip_prefix('.').unwrap_or(above).as_bytes();
    let Some(start) = domain.len().checked_sub(above.len()) else { return false };
    let (rest, end) = domain.as_bytes().split_at(start);
    !above.is_empty() && end.eq_ignore_ascii_case(above) && matches!(rest.last(), None | Some(b'.'))
}

fn matches_labels(pattern: &str, domain: &str) -> bool {
    if pattern == "*" {
        return true;
    }
    let (any_depth, pattern) = match pattern.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, pattern),
    };
    let mut labels = domain.rsplit('.');
    let all = pattern.rsplit('.').all(|pattern| {
        labels.next().is_some_and(|label| matches_label(pattern.as_bytes(), label.as_bytes()))
    });
    all && labels.next().is_some() == any_depth
}

/// Goes back to the last `*` alone, so that it takes at most the product of the two lengths.
fn matches_label(pattern: &[u8], label: &[u8]) -> bool {
    let (mut at, mut from, mut last_star) = (0, 0, None);
    while at < label.len() {
        match pattern.get(from) {
            Some(b'*') => {
                last_star = Some((from, at));
                from += 1;
            }
            Some(byte) if byte.eq_ignore_ascii_case(&label[at]) => (at, from) = (at + 1, from + 1),
            _ => {
                let Some((star, taken)) = last_star else { return false };
                last_star = Some((star, taken + 1));
                (at, from) = (taken + 1, star + 1);
            }
        }
    }
    pattern[from..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn who_is_listed() {
        let listed = ["Example.com", ".below.test", "*.wild.test", "cdn*.host.test", "a*b*c.test", ""];
        for domain in [
            "example.com",
            "a.b.EXAMPLE.COM",
            "below.test",
            "x.below.test",
            "a.wild.test",
            "a.b.WILD.test",
            "cdn.host.test",
            "cdn7.host.test",
            "abc.test",
            "axxbxbc.test",
        ] {
            assert!(is_listed(domain, &listed), "{domain}");
        }
        for domain in [
            "",
            ".",
            "com",
            "myexample.com",
            "example.com.evil.test",
            "example.com.",
            "example.com/.",
            "wild.test",
            "cdn.evil.host.test",
            "xcdn.host.test",
            "ab.test",
            "abc.test.evil.test",
        ] {
            assert!(!is_listed(domain, &listed), "{domain}");
        }
        assert!(is_listed("any.test", &["*"]) && !is_listed(&"a".repeat(254), &["*"]));
        assert!(!is_listed::<&str>("any.test", &[]));
    }

    proptest! {
        #[test]
        fn stars_match_what_they_stand_for(a in "[a-z]{0,5}", b in "[a-z]{0,5}", c in "[a-z]{0,5}") {
            let (pattern, label) = (format!("{a}*{c}"), format!("{a}{b}{c}"));
            prop_assert!(matches_label(pattern.as_bytes(), label.as_bytes()));
        }

        #[test]
        fn nothing_panics(domain in "\\PC{0,300}", entry in "[*.a-cé]{0,12}") {
            let _ = is_listed(&domain, &[entry]);
        }
    }
}
