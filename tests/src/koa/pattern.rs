//! The few forms of regular expressions that the recorded cases use.

/// Whether `pattern` matches the whole of `text`.
///
/// Known are literal characters, `\d`, an escaped sign, `.` for any character, sets as `[A-Za-z_-]`, and after each
/// of them `{n}`, `+` or `*`.
///
/// # Panics
/// On anything else: a case that needs more is a reason to write more.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    rest_matches(&parse(pattern), &text)
}

struct Item {
    /// The ranges of characters that fit.
    set: Vec<(char, char)>,
    least: usize,
    most: usize,
}

fn rest_matches(items: &[Item], text: &[char]) -> bool {
    let Some((item, rest)) = items.split_first() else { return text.is_empty() };
    let fits = |char: &&char| item.set.iter().any(|(from, to)| (from..=to).contains(char));
    let run = text.iter().take(item.most).take_while(fits).count();
    (item.least..=run).rev().any(|taken| rest_matches(rest, &text[taken..]))
}

fn parse(pattern: &str) -> Vec<Item> {
    let mut items: Vec<Item> = Vec::new();
    let mut chars = pattern.chars();
    while let Some(char) = chars.next() {
        let mut one = |set| items.push(Item { set, least: 1, most: 1 });
        match char {
            '\\' => match chars.next() {
                Some('d') => one(vec![('0', '9')]),
                Some(sign) if !sign.is_alphanumeric() => one(vec![(sign, sign)]),
                other => panic!("{pattern:?} escapes {other:?}"),
            },
            '.' => one(vec![(char::MIN, char::MAX)]),
            '[' => {
                let set: String = chars.by_ref().take_while(|&char| char != ']').collect();
                one(ranges(&set));
            }
            '{' | '+' | '*' => {
                let (least, most) = match char {
                    '+' => (1, usize::MAX),
                    '*' => (0, usize::MAX),
                    _ => {
                        let count: String = chars.by_ref().take_while(|&char| char != '}').collect();
                        let count = count.parse().unwrap_or_else(|_| panic!("{pattern:?} repeats {count:?}"));
                        (count, count)
                    }
                };
                let item = items.last_mut().unwrap_or_else(|| panic!("{pattern:?} repeats nothing"));
                (item.least, item.most) = (least, most);
            }
            '(' | ')' | '|' | '^' | '$' | '?' => panic!("{pattern:?} uses {char:?}"),
            literal => one(vec![(literal, literal)]),
        }
    }
    items
}

/// The inside of a set: ranges and characters, a hyphen last.
fn ranges(set: &str) -> Vec<(char, char)> {
    let chars: Vec<char> = set.chars().collect();
    let mut ranges = Vec::new();
    let mut rest = &chars[..];
    loop {
        rest = match rest {
            [from, '-', to, rest @ ..] => {
                ranges.push((*from, *to));
                rest
            }
            [char, rest @ ..] => {
                ranges.push((*char, *char));
                rest
            }
            [] => return ranges,
        };
    }
}

#[cfg(test)]
mod tests {
    use super::matches;

    #[test]
    fn the_forms_in_use() {
        for (pattern, text, expected) in [
            ("\\d+", "2048", true),
            ("\\d+", "", false),
            ("\\d+", "1x", false),
            (".*", "any\nthing", true),
            ("[0-9a-f]{2}-4[89ab]", "0f-4b", true),
            ("[0-9a-f]{2}-4[89ab]", "0f-47", false),
            ("\\{\"t\":\"[A-Za-z0-9_-]{3}\"\\}", "{\"t\":\"a-_\"}", true),
            ("a*ab", "aaab", true),
        ] {
            assert_eq!(matches(pattern, text), expected, "{pattern} {text}");
        }
    }
}
