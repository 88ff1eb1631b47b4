//! An entry of the book, and what must be right before something becomes one.

use serde::{Deserialize, Serialize};

/// Most characters of a name.
pub(crate) const NAME_MOST: usize = 60;
/// Most characters of a message.
pub(crate) const MESSAGE_MOST: usize = 1_000;

/// What somebody has written into the book. It never changes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Entry {
    /// From 1, in the order of signing.
    pub(crate) id: u64,
    /// When, as `2020-01-02T03:04:05Z`.
    pub(crate) at: String,
    pub(crate) name: String,
    pub(crate) message: String,
}

/// What a form or a program has sent, right or wrong.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(crate) struct Draft {
    pub(crate) name: String,
    pub(crate) message: String,
}

/// A draft that may be written into the book.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Words {
    pub(crate) name: String,
    pub(crate) message: String,
}

/// What is wrong with a draft, field by field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, thiserror::Error)]
#[error("the entry cannot be taken as it is")]
pub(crate) struct Invalid {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
}

impl Draft {
    /// The words to be written: white space tidied, control characters gone, lengths checked.
    pub(crate) fn check(&self) -> Result<Words, Invalid> {
        let name = self.name.replace(char::is_control, " ");
        let name = name.split_whitespace().collect::<Vec<_>>().join(" ");
        // Forms send line breaks as CRLF (HTML, section 4.10.21.8).
        let message = self.message.replace(|c: char| c.is_control() && !"\n\t".contains(c), "");
        let message = message.trim().to_owned();
        let invalid = Invalid {
            name: fault(&name, NAME_MOST, "Please tell your name."),
            message: fault(&message, MESSAGE_MOST, "Please write a few words."),
        };
        if invalid == Invalid::default() { Ok(Words { name, message }) } else { Err(invalid) }
    }
}

fn fault(text: &str, most: usize, if_empty: &str) -> Option<String> {
    match text.chars().count() {
        0 => Some(if_empty.to_owned()),
        count if count > most => Some(format!("At most {most} characters, please; these are {count}.")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, message: &str) -> Result<Words, Invalid> {
        Draft { name: name.to_owned(), message: message.to_owned() }.check()
    }

    #[test]
    fn drafts_are_tidied() {
        let words = check("\0 Ada \t Lovelace\0 ", "\r\n  one\r\n\ttwo\u{1b}[31m  ").unwrap();
        assert_eq!((&*words.name, &*words.message), ("Ada Lovelace", "one\n\ttwo[31m"));
    }

    #[test]
    fn lengths_are_counted_in_characters() {
        assert!(check(&"é".repeat(NAME_MOST), &"é".repeat(MESSAGE_MOST)).is_ok());
        let invalid = check(&"é".repeat(NAME_MOST + 1), &"é".repeat(MESSAGE_MOST + 1)).unwrap_err();
        assert_eq!(invalid.name.as_deref(), Some("At most 60 characters, please; these are 61."));
        assert_eq!(invalid.message.as_deref(), Some("At most 1000 characters, please; these are 1001."));
    }

    #[test]
    fn what_is_empty_is_named() {
        let invalid = check("\0", "fine").unwrap_err();
        assert_eq!((invalid.name.as_deref(), invalid.message), (Some("Please tell your name."), None));
    }
}
