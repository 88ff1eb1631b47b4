//! The name of an app: that of a package, a crate, a program and a folder at once.

use std::{fmt, str::FromStr};

/// The longest name.
const LONGEST: usize = 64;

/// Reserved words of Rust, strict, reserved and of every edition (The Rust Reference, "Keywords").
const KEYWORDS: [&str; 52] = [
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn",
    "else", "enum", "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop",
    "macro", "match", "mod", "move", "mut", "override", "priv", "pub", "ref", "return", "self", "static",
    "struct", "super", "trait", "true", "try", "type", "typeof", "unsafe", "unsized", "use", "virtual",
    "where", "while", "yield", "union",
];

/// What a crate of this name would get in the way of: crates that come with Rust, those that the app uses, and folders
/// of cargo's own.
const TAKEN: [&str; 12] = [
    "alloc",
    "build",
    "cepa",
    "core",
    "deps",
    "examples",
    "incremental",
    "proc_macro",
    "serde",
    "std",
    "test",
    "tokio",
];

/// A name that an app can have.
///
/// ```
/// use cepa_cli::new::Name;
///
/// let name: Name = "ring-shop".parse()?;
/// assert_eq!((name.as_str(), &*name.as_crate()), ("ring-shop", "ring_shop"));
/// assert!("Ring Shop".parse::<Name>().is_err());
/// # Ok::<(), cepa_cli::new::NameError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name(String);

/// Why an app cannot have a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is not made of what names are made of.
    #[error(
        "a name has up to {LONGEST} lower-case letters (a to z) and digits, a letter first, in words with one \"-\" or \"_\" \
         between them"
    )]
    Form,
    /// It is a word of the language.
    #[error("it is a reserved word of Rust")]
    Keyword,
    /// Something else has that name.
    #[error("a crate or folder that the app needs has that name")]
    Taken,
}

impl Name {
    /// The name, as a package has it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name of the crate.
    pub fn as_crate(&self) -> String {
        self.0.replace('-', "_")
    }
}

impl FromStr for Name {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
        // rustc wants the names of crates like this, and warns of any other.
        let sound = text.split(['-', '_']).all(|word| !word.is_empty() && word.bytes().all(is_plain));
        if !sound || text.len() > LONGEST || !text.starts_with(|c: char| c.is_ascii_lowercase()) {
            return Err(NameError::Form);
        }
        let name = Self(text.to_owned());
        let of_crate = name.as_crate();
        match (KEYWORDS.contains(&&*of_crate), TAKEN.contains(&&*of_crate)) {
            (true, _) => Err(NameError::Keyword),
            (_, true) => Err(NameError::Taken),
            (false, false) => Ok(name),
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_build_without_a_warning() {
        for name in ["a", "blog", "ring-shop", "ring_shop", "web2", "a-1", "async-app", &"a".repeat(64)] {
            assert!(name.parse::<Name>().is_ok(), "{name}");
        }
        use NameError::*;
        for (name, error) in [
            ("", Form),
            ("Blog", Form),
            ("2web", Form),
            ("-a", Form),
            ("a-", Form),
            ("_a", Form),
            ("a--b", Form),
            ("a-_b", Form),
            ("a b", Form),
            ("a/b", Form),
            ("..", Form),
            ("a.b", Form),
            ("naïve", Form),
            ("a\n", Form),
            (&"a".repeat(65), Form),
            ("async", Keyword),
            ("gen", Keyword),
            ("test", Taken),
            ("cepa", Taken),
            ("proc-macro", Taken),
            ("deps", Taken),
        ] {
            assert_eq!(name.parse::<Name>(), Err(error), "{name:?}");
        }
    }
}
