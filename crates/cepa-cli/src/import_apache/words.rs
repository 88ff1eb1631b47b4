//! The lines of a file of Apache, and the words of a line.

use std::{borrow::Cow, collections::BTreeMap};

/// Bytes of a line after its variables were put in.
const LONGEST: usize = 64 << 10;

/// The lines of a text that say something, with their numbers: what ends in a backslash goes on in the next line, what
/// begins with `#` is a comment.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    let mut lines = text.lines().enumerate();
    std::iter::from_fn(move || {
        let (at, first) = lines.next()?;
        let mut line = Cow::Borrowed(first);
        while let Some(begun) = line.strip_suffix('\\') {
            let begun = begun.to_owned();
            let Some((_, next)) = lines.next() else {
                line = begun.into();
                break;
            };
            line = (begun + next).into();
        }
        Some((at + 1, line))
    })
    .map(|(at, line)| match line {
        Cow::Borrowed(line) => (at, Cow::Borrowed(line.trim())),
        Cow::Owned(line) => (at, line.trim().to_owned().into()),
    })
    .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

/// The words of a line: apart by white space, unless quotes hold them together. A backslash takes the meaning of a quote
/// or a backslash behind it, and is itself before anything else.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut chars = line.trim().chars().peekable();
    while let Some(first) = chars.next_if(|_| true) {
        if first.is_whitespace() {
            continue;
        }
        let quote = matches!(first, '"' | '\'').then_some(first);
        let mut word = String::new();
        let mut next = if quote.is_some() { chars.next() } else { Some(first) };
        while let Some(char) = next {
            let ends = quote.map_or(char.is_whitespace(), |quote| char == quote);
            if ends {
                break;
            }
            let escaped = chars.next_if(|next| char == '\\' && (*next == '\\' || Some(*next) == quote));
            word.push(escaped.unwrap_or(char));
            next = chars.next();
        }
        words.push(word);
    }
    words
}

/// Puts variables in the place of `${NAME}`, and says the first that is not known. That stays as it is, as in Apache.
pub(super) fn resolve<'t>(
    text: &'t str,
    variables: &BTreeMap<String, String>,
) -> (Cow<'t, str>, Option<String>) {
    if !text.contains("${") {
        return (text.into(), None);
    }
    let (mut out, mut rest, mut unknown) = (String::new(), text, None);
    while let Some((before, behind)) = rest.split_once("${") {
        out.push_str(before);
        let Some((name, after)) = behind.split_once('}') else {
            rest = &rest[before.len()..];
            break;
        };
        match variables.get(name) {
            Some(value) if out.len() + value.len() <= LONGEST => out.push_str(value),
            _ => {
                out.extend(["${", name, "}"]);
                unknown.get_or_insert_with(|| name.to_owned());
            }
        }
        rest = after;
    }
    out.push_str(rest);
    (out.into(), unknown)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lines_go_on_behind_a_backslash() {
        let text = "# no\n  A b \\\n  c\n\n#no \\\nneither\nD\r\nE \\";
        let found: Vec<_> = lines(text).collect();
        let expected = [(2, "A b   c"), (7, "D"), (8, "E")].map(|(at, line)| (at, Cow::Borrowed(line)));
        assert_eq!(found, expected);
    }

    #[test]
    fn quotes_hold_words_together() {
        for (line, expected) in [
            ("A  b\tc", &["A", "b", "c"][..]),
            (r#"A "b c" d"#, &["A", "b c", "d"]),
            (r#"A 'b "c"' "d 'e'""#, &["A", "b \"c\"", "d 'e'"]),
            (r#"A "b \"c\" \\ \n""#, &["A", r#"b "c" \ \n"#]),
            (r"A b\\c \d+\.", &["A", r"b\c", r"\d+\."]),
            (r#"A "never ends"#, &["A", "never ends"]),
            (r#"A "" b"#, &["A", "", "b"]),
            (r#"A b"c d"#, &["A", "b\"c", "d"]),
            ("", &[]),
        ] {
            assert_eq!(words(line), expected, "{line}");
        }
    }

    #[test]
    fn variables_are_put_in() {
        let known = BTreeMap::from([("A".to_owned(), "1".to_owned()), ("B".to_owned(), "${A}".to_owned())]);
        for (text, expected, unknown) in [
            ("no", "no", None),
            ("${A}/${A}", "1/1", None),
            ("${B}", "${A}", None),
            ("${C}${A}", "${C}1", Some("C")),
            ("${A", "${A", None),
            ("$A", "$A", None),
        ] {
            let (found, missed) = resolve(text, &known);
            assert_eq!((&*found, missed.as_deref()), (expected, unknown), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[a-z \"'\\\\\n#${}]{0,60}") {
            let known = BTreeMap::from([("a".to_owned(), "${a}${a}".to_owned())]);
            for (_, line) in lines(&text) {
                let (line, _) = resolve(&line, &known);
                prop_assert!(words(&line).len() <= line.len());
            }
        }
    }
}
