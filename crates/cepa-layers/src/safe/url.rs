//! URLs in attributes of a page.

use std::{borrow::Cow, fmt::Write as _};

/// A URL for an attribute of a page: Egg's `surl`.
///
/// It begins with `/`, `http://` or `https://`; any other is empty, `javascript:` and `data:` for one, and relative ones
/// too. Quotes and angle brackets become entities; white space, control characters and backticks are percent-encoded,
/// so that it stays one value even where the quotes around it are missing.
///
/// It may lead to any host: `//host` does. Where that matters ask [`Hosts`](crate::hosts::Hosts), or
/// [`is_local`](cepa_core::location::is_local) before a redirect.
pub fn url(url: &str) -> Cow<'_, str> {
    let has_scheme = |scheme: &str| {
        url.split_at_checked(scheme.len()).is_some_and(|(start, _)| start.eq_ignore_ascii_case(scheme))
    };
    if !(url.starts_with('/') || has_scheme("http://") || has_scheme("https://")) {
        return Cow::Borrowed("");
    }
    if url.chars().all(stays) {
        return Cow::Borrowed(url);
    }
    let mut out = String::with_capacity(url.len() + 16);
    for char in url.chars() {
        match char {
            '"' => out.push_str("&quot;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '\'' => out.push_str("&#x27;"),
            char if stays(char) => out.push(char),
            char => {
                let mut bytes = [0; 4];
                for byte in char.encode_utf8(&mut bytes).bytes() {
                    write!(out, "%{byte:02X}").expect("a string takes what is written to it");
                }
            }
        }
    }
    Cow::Owned(out)
}

fn stays(char: char) -> bool {
    !matches!(char, '"' | '<' | '>' | '\'' | '`') && !char.is_whitespace() && !char.is_control()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attack_script_in_a_link() {
        for attack in [
            "javascript:alert(1)",
            "JavaScript://%0aalert(1)",
            " javascript:alert(1)",
            "java\tscript:alert(1)",
            "\u{1}http://a",
            "&#106;avascript:alert(1)",
            "vbscript:x",
            "data:text/html,x",
            "data://text/html,x",
            "file:///etc/passwd",
            "http:/a",
            "a/b",
            "#a",
        ] {
            assert_eq!(url(attack), "", "{attack}");
        }
        for (given, safe) in [
            ("HTTPS://a/吴?b=1&c=2#d", "HTTPS://a/吴?b=1&c=2#d"),
            ("/\" onclick='x'", "/&quot;%20onclick=&#x27;x&#x27;"),
            ("/ onclick=`x`\n\u{a0}", "/%20onclick=%60x%60%0A%C2%A0"),
            ("http://a/</script>", "http://a/&lt;/script&gt;"),
        ] {
            assert_eq!(url(given), safe);
        }
    }

    proptest! {
        #[test]
        fn it_stays_one_value(text in "(/|https?://)\\PC{0,60}|[\\x00-\\x7f]{0,60}") {
            let safe = url(&text);
            prop_assert!(!safe.contains(['"', '\'', '<', '>', '`', ' ', '\t', '\n', '\r', '\x0c']), "{}", safe);
            prop_assert!(safe.is_empty() || safe.starts_with('/') || safe[..4].eq_ignore_ascii_case("http"));
        }
    }
}
