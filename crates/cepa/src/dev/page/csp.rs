//! A `Content-Security-Policy` that lets the script of `dev` work, and nothing else that it did not.

/// A policy in which `source` may be loaded as a script, and asked for events.
pub(super) fn allowing(policy: &str, source: &str) -> String {
    let policies: Vec<_> = policy.split(',').map(|policy| allow(policy, source)).collect();
    policies.join(", ")
}

/// The nonce that scripts have to have, if there is one.
pub(super) fn nonce(policy: &str) -> Option<&str> {
    let scripts = directives(policy).find(|(name, _)| is(name, "script-src"));
    let sources = scripts.or_else(|| directives(policy).find(|(name, _)| is(name, "default-src")))?.1;
    let nonce = sources.split_ascii_whitespace().find_map(|source| source.strip_prefix("'nonce-"))?;
    let nonce = nonce.strip_suffix('\'')?;
    nonce.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+/-_=".contains(&byte)).then_some(nonce)
}

fn directives(policy: &str) -> impl Iterator<Item = (&str, &str)> {
    policy.split(';').map(|directive| {
        let directive = directive.trim();
        directive.split_once(|c: char| c.is_ascii_whitespace()).unwrap_or((directive, ""))
    })
}

fn is(name: &str, directive: &str) -> bool {
    name.eq_ignore_ascii_case(directive)
}

/// CSP Level 3, section 6.8.3: each kind of fetch has a list of directives of which the first one there is counts.
fn allow(policy: &str, source: &str) -> String {
    let mut all: Vec<(String, String)> = directives(policy)
        .filter(|(name, _)| !name.is_empty())
        .map(|(name, sources)| (name.to_owned(), sources.to_owned()))
        .collect();
    let default = all.iter().find(|(name, _)| is(name, "default-src")).map(|(_, sources)| sources.clone());
    for kinds in [&["script-src-elem", "script-src"][..], &["connect-src"]] {
        let found = kinds.iter().find_map(|kind| all.iter().position(|(name, _)| is(name, kind)));
        match (found, &default) {
            (Some(at), _) => all[at].1 = with(&all[at].1, source),
            (None, Some(default)) => {
                let kind = kinds.last().copied().unwrap_or_default();
                all.push((kind.to_owned(), with(default, source)));
            }
            // What nothing forbids is allowed.
            (None, None) => {}
        }
    }
    let all: Vec<_> =
        all.iter().map(|(name, sources)| format!("{name} {sources}").trim_end().to_owned()).collect();
    all.join("; ")
}

fn with(sources: &str, source: &str) -> String {
    // 'none' is only heeded when it is alone.
    let others = sources.split_ascii_whitespace().filter(|other| !other.eq_ignore_ascii_case("'none'"));
    others.chain([source]).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_is_let_through_wherever_a_policy_speaks_of_it() {
        for (policy, allowed) in [
            ("", ""),
            ("img-src 'self'", "img-src 'self'"),
            ("default-src 'none'", "default-src 'none'; script-src h/; connect-src h/"),
            ("default-src 'self';", "default-src 'self'; script-src 'self' h/; connect-src 'self' h/"),
            (
                "Script-Src 'nonce-a' 'strict-dynamic' ; connect-src 'NONE'",
                "Script-Src 'nonce-a' 'strict-dynamic' h/; connect-src h/",
            ),
            (
                "script-src x; script-src-elem y; connect-src *",
                "script-src x; script-src-elem y h/; connect-src * h/",
            ),
            (
                "script-src x, default-src y",
                "script-src x h/, default-src y; script-src y h/; connect-src y h/",
            ),
            ("upgrade-insecure-requests", "upgrade-insecure-requests"),
        ] {
            assert_eq!(allowing(policy, "h/"), allowed, "{policy}");
        }
    }

    #[test]
    fn a_nonce_is_taken_from_where_it_counts() {
        for (policy, found) in [
            ("script-src 'self' 'nonce-aB-_+/=='", Some("aB-_+/==")),
            ("default-src 'nonce-a'; script-src 'nonce-b'", Some("b")),
            ("default-src 'nonce-a'", Some("a")),
            ("style-src 'nonce-a'", None),
            ("script-src 'nonce-\"><script>'", None),
            ("script-src 'nonce-a", None),
        ] {
            assert_eq!(nonce(policy), found, "{policy}");
        }
    }
}
