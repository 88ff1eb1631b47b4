//! The files that a pattern names.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

/// The files that a pattern names, in the order of their names; of a folder all below it.
pub(super) fn files(pattern: &Path, most: usize) -> io::Result<Vec<PathBuf>> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !matches!(part, Component::Normal(_)) || !text.contains(['*', '?', '[']) {
            found.iter_mut().for_each(|path| path.push(part));
            continue;
        }
        let mut next = Vec::new();
        for folder in &found {
            // A pattern in the middle may meet files, and folders that are not there.
            for name in names(folder).unwrap_or_default() {
                if matches(&text, &name) {
                    next.push(folder.join(name));
                }
            }
        }
        found = next;
    }
    let mut all = Vec::new();
    for path in found {
        below(&path, most, &mut all, 0)?;
    }
    Ok(all)
}

fn below(path: &Path, most: usize, into: &mut Vec<PathBuf>, depth: usize) -> io::Result<()> {
    if into.len() > most || depth > 16 {
        return Ok(());
    }
    if path.is_dir() {
        for name in names(path)? {
            below(&path.join(name), most, into, depth + 1)?;
        }
    } else if path.is_file() {
        into.push(path.to_owned());
    }
    Ok(())
}

/// The names in a folder, in their order.
fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

/// Whether a name is one of those that a pattern means. One that begins with a dot is only if the pattern does.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n, mut back) = (0, 0, None);
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                back = Some((p, n));
                p += 1;
                continue;
            }
            Some(_) => {
                if let Some(length) = one(&pattern[p..], name[n]) {
                    (p, n) = (p + length, n + 1);
                    continue;
                }
            }
            None => {}
        }
        // The last star takes one character more.
        let Some((star, taken)) = back else { return false };
        back = Some((star, taken + 1));
        (p, n) = (star + 1, taken + 1);
    }
    pattern[p..].iter().all(|char| *char == '*')
}

/// How long the part of a pattern is that means one character, if it means this one.
fn one(pattern: &[char], char: char) -> Option<usize> {
    match pattern {
        ['?', ..] => Some(1),
        ['[', rest @ ..] => {
            let negated = matches!(rest, ['!' | '^', ..]);
            let set = &rest[usize::from(negated)..];
            let end = 1 + set.iter().skip(1).position(|char| *char == ']')?;
            let mut at = 0;
            let mut is_in = false;
            while at < end {
                let (low, high, length) = match set[at..end] {
                    [low, '-', high, ..] => (low, high, 3),
                    _ => (set[at], set[at], 1),
                };
                is_in |= (low..=high).contains(&char);
                at += length;
            }
            (is_in != negated).then_some(2 + usize::from(negated) + end)
        }
        [same, ..] if *same == char => Some(1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_matches() {
        for (pattern, name, expected) in [
            ("*.conf", "a.conf", true),
            ("*.conf", ".conf", false),
            (".*", ".conf", true),
            ("*.conf", "a.confx", false),
            ("a*b*c", "aXbYbZc", true),
            ("a*b*c", "aXbYbZ", false),
            ("???", "abc", true),
            ("???", "ab", false),
            ("[a-c]x", "bx", true),
            ("[!a-c]x", "bx", false),
            ("[^a]x", "bx", true),
            ("[]]", "]", true),
            ("[a", "[a", false),
            ("*", "", true),
            ("", "", true),
            ("x", "", false),
        ] {
            assert_eq!(matches(pattern, name), expected, "{pattern} {name}");
        }
    }

    proptest! {
        #[test]
        fn nothing_panics_and_each_name_is_its_own_pattern(pattern in "[ab*?\\[\\]!-]{0,12}", name in "[ab]{0,12}") {
            let _ = matches(&pattern, &name);
            prop_assert!(matches(&name, &name) && matches("*", &name));
        }
    }
}
