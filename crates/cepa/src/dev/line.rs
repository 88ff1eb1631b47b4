//! What `dev` and the program that it runs say to each other: one JSON object a line, over the socket that the program
//! has as its standard input.
//!
//! The two may be of different versions of Cepa, if the one is the program `cepa`: what is not known is passed over, and
//! what is missing has a default.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The longest line.
pub(super) const LONGEST: u64 = 1 << 20;

/// `dev` to the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "lowercase")]
pub(super) enum Order {
    /// The first: where to listen, and what pages are to know.
    Begin {
        /// For an address of the configuration the number of the descriptor that listens there.
        sockets: BTreeMap<String, i32>,
        state: State,
    },
    State(State),
    /// Take nothing new, finish, leave.
    Drain,
    /// Leave now.
    Cut,
    #[serde(other)]
    Unknown,
}

/// The program to `dev`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "lowercase")]
pub(super) enum Report {
    /// It serves.
    Ready,
    /// It does not start, or has ended, and why.
    Failed { why: String },
    #[serde(other)]
    Unknown,
}

/// What pages are to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct State {
    /// What a page is made of: when this changes, it is to be loaded again.
    pub(super) page: String,
    /// Whether a build is under way.
    pub(super) building: bool,
    /// What is wrong with the latest sources.
    pub(super) trouble: Option<Trouble>,
}

/// Why the latest sources are not what is served.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Trouble {
    pub(super) title: String,
    /// What the compiler or the program has said, with colours as terminals have them.
    pub(super) text: String,
}

impl Trouble {
    /// As much of it as can be read.
    pub(super) fn new(title: &str, text: &str) -> Self {
        const MOST: usize = 64 * 1024;
        let mut end = text.len().min(MOST);
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        let left_out = if end < text.len() { "\n(the rest is in the terminal)" } else { "" };
        Self { title: title.to_owned(), text: [&text[..end], left_out].concat() }
    }
}

/// A message as a line.
pub(super) fn line(message: &impl Serialize) -> Vec<u8> {
    let mut bytes = serde_json::to_vec(message).expect("these types have nothing that JSON lacks");
    bytes.push(b'\n');
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_version_may_say_more_or_less() {
        let order = |text| serde_json::from_str::<Order>(text).unwrap();
        assert_eq!(order(r#"{"do":"dance","how":"slowly"}"#), Order::Unknown);
        let state = State { page: "1".to_owned(), ..State::default() };
        assert_eq!(order(r#"{"do":"state","page":"1","mood":"good"}"#), Order::State(state));
    }

    #[test]
    fn a_line_is_never_too_long() {
        let trouble = Trouble::new("t", &"\u{1b}é".repeat(100_000));
        assert!(
            trouble.text.ends_with("é\n(the rest is in the terminal)") || trouble.text.contains("the rest")
        );
        let state = State { trouble: Some(trouble), ..State::default() };
        assert!((line(&Order::State(state)).len() as u64) < LONGEST);
    }
}
