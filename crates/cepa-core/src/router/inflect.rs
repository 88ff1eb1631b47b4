//! English plurals for route names: `posts` lists them, `post` shows one.

/// Words whose plural follows no rule below, as (plural, singular).
const IRREGULAR: &[(&str, &str)] = &[
    ("people", "person"),
    ("children", "child"),
    ("women", "woman"),
    ("men", "man"),
    ("mice", "mouse"),
    ("geese", "goose"),
    ("feet", "foot"),
    ("teeth", "tooth"),
    ("indices", "index"),
    ("matrices", "matrix"),
    ("vertices", "vertex"),
    ("analyses", "analysis"),
    ("statuses", "status"),
    ("aliases", "alias"),
    ("buses", "bus"),
    ("bonuses", "bonus"),
    ("viruses", "virus"),
    ("campuses", "campus"),
    ("lenses", "lens"),
    ("quizzes", "quiz"),
    ("caches", "cache"),
    ("movies", "movie"),
    ("cookies", "cookie"),
    ("shoes", "shoe"),
    ("heroes", "hero"),
    ("potatoes", "potato"),
    ("knives", "knife"),
    ("lives", "life"),
    ("wives", "wife"),
    ("leaves", "leaf"),
    ("shelves", "shelf"),
    ("halves", "half"),
    ("wolves", "wolf"),
];

/// Words that are their own plural.
const UNCOUNTABLE: &[&str] = &[
    "equipment",
    "feedback",
    "fish",
    "information",
    "media",
    "money",
    "news",
    "rice",
    "series",
    "sheep",
    "species",
];

/// The singular and the plural of a name, whichever of the two is given.
///
/// Only the last word counts (`admin_posts`, `admin.posts`); it is looked up in a short list of
/// irregular words and else bent by rule. Words are ASCII lower-case.
pub(super) fn numbers(name: &str) -> (String, String) {
    let split = name.rfind(|sign: char| !sign.is_ascii_alphabetic()).map_or(0, |at| at + 1);
    // The found character may be longer than a byte; then the word starts after all of it.
    let split = name.ceil_char_boundary(split);
    let (front, word) = name.split_at(split);
    let (singular, plural) = word_numbers(word);
    (format!("{front}{singular}"), format!("{front}{plural}"))
}

fn word_numbers(word: &str) -> (String, String) {
    if word.is_empty() || UNCOUNTABLE.contains(&word) {
        return (word.into(), word.into());
    }
    if let Some((plural, singular)) = IRREGULAR.iter().find(|pair| word == pair.0 || word == pair.1) {
        return ((*singular).into(), (*plural).into());
    }
    match singular(word) {
        Some(singular) => (singular, word.into()),
        None => (word.into(), plural(word)),
    }
}

/// The singular of a regular plural, or nothing if the word does not look like one.
fn singular(word: &str) -> Option<String> {
    if let Some(stem) = word.strip_suffix("ies") {
        return Some(if stem.len() > 1 { format!("{stem}y") } else { format!("{stem}ie") });
    }
    if ["sses", "shes", "ches", "xes"].iter().any(|end| word.ends_with(end)) {
        return word.strip_suffix("es").map(Into::into);
    }
    if ["ss", "us", "is"].iter().any(|end| word.ends_with(end)) {
        return None;
    }
    word.strip_suffix('s').filter(|stem| !stem.is_empty()).map(Into::into)
}

fn plural(word: &str) -> String {
    match word.strip_suffix('y') {
        Some(stem) if !stem.is_empty() && !stem.ends_with(['a', 'e', 'i', 'o', 'u']) => format!("{stem}ies"),
        _ if ["s", "x", "z", "ch", "sh"].iter().any(|end| word.ends_with(end)) => format!("{word}es"),
        _ => format!("{word}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_number_gives_both() {
        for (one, many) in [
            ("post", "posts"),
            ("user", "users"),
            ("category", "categories"),
            ("day", "days"),
            ("box", "boxes"),
            ("address", "addresses"),
            ("process", "processes"),
            ("branch", "branches"),
            ("cache", "caches"),
            ("house", "houses"),
            ("response", "responses"),
            ("size", "sizes"),
            ("archive", "archives"),
            ("status", "statuses"),
            ("tie", "ties"),
            ("person", "people"),
            ("news", "news"),
            ("admin_post", "admin_posts"),
            ("admin.person", "admin.people"),
            ("v2", "v2"),
            ("añb_é", "añb_é"),
            ("", ""),
        ] {
            assert_eq!(numbers(one), (one.into(), many.into()), "{one}");
            assert_eq!(numbers(many), (one.into(), many.into()), "{many}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_name_panics(name in "\\PC{0,8}|[a-z]{0,5}(ies|es|s|y)?") {
            numbers(&name);
        }
    }
}
