//! Why a pattern was refused, in words that say what to write instead.

use std::fmt;

use crate::router::{MAX_PARAMS, MAX_PATTERN_LEN};

/// A pattern that could not be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternError {
    pattern: Box<str>,
    at: usize,
    fault: PatternFault,
}

/// What is wrong with a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PatternFault {
    /// It does not start with `/`.
    NoLeadingSlash,
    /// It is longer than [`MAX_PATTERN_LEN`].
    TooLong,
    /// It has more than [`MAX_PARAMS`] parameters.
    TooManyParams,
    /// A segment other than the last is empty.
    EmptySegment,
    /// A segment is `.` or `..`, plain or percent-encoded.
    DotSegment,
    /// It holds `?` or `#`.
    NotInPath(char),
    /// A segment starts with `:` or `*`, the parameters of other frameworks.
    ForeignSyntax(char),
    /// A `{` has no `}` in its segment.
    Unclosed,
    /// A `}` has no `{`.
    Unopened,
    /// The name between braces is not an identifier.
    BadName(Box<str>),
    /// Two parameters have the same name.
    DuplicateName(Box<str>),
    /// The word after the colon is not a constraint.
    UnknownConstraint(Box<str>),
    /// Two parameters stand side by side.
    Adjacent,
    /// `{*name}` shares its segment with something else.
    RestNotAlone,
    /// There are two `{*name}`.
    SecondRest,
}

impl PatternError {
    pub(super) fn new(pattern: &str, at: usize, fault: PatternFault) -> Self {
        // An error must not carry a pattern of any length into a log.
        let shown = pattern.floor_char_boundary(MAX_PATTERN_LEN);
        Self { pattern: pattern[..shown].into(), at, fault }
    }

    /// The pattern, cut to [`MAX_PATTERN_LEN`] bytes.
    pub fn pattern(&self) -> &str {
        &self.pattern
    }

    /// Where in the pattern, in bytes from its start.
    pub fn at(&self) -> usize {
        self.at
    }

    /// What is wrong.
    pub fn fault(&self) -> &PatternFault {
        &self.fault
    }
}

impl fmt::Display for PatternError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route pattern {:?}, byte {}: {}", self.pattern, self.at, self.fault)
    }
}

impl std::error::Error for PatternError {}

impl fmt::Display for PatternFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoLeadingSlash => f.write_str("a pattern starts with \"/\"; put one in front"),
            Self::TooLong => write!(f, "a pattern has at most {MAX_PATTERN_LEN} bytes; shorten it"),
            Self::TooManyParams => {
                write!(
                    f,
                    "a pattern has at most {MAX_PARAMS} parameters; take several values in one {{*name}}"
                )
            }
            Self::EmptySegment => f.write_str("a segment is empty; remove one of the two slashes"),
            Self::DotSegment => f.write_str(
                "clients resolve \".\" and \"..\" before they send a path; write the path they send",
            ),
            Self::NotInPath(sign) => write!(
                f,
                "a path ends before {sign:?}; leave out the query and the fragment, or write {} for the character",
                if *sign == '?' { "%3F" } else { "%23" }
            ),
            Self::ForeignSyntax(sign) => write!(
                f,
                "a segment cannot start with \"{sign}\"; write {{name}} for a parameter, {{*name}} for the rest of the path"
            ),
            Self::Unclosed => {
                f.write_str("\"{\" has no \"}\" in its segment; close it, or write \"{{\" for a brace")
            }
            Self::Unopened => f.write_str("\"}\" has no \"{\"; write \"}}\" for a brace"),
            Self::BadName(name) => write!(
                f,
                "{name:?} is no parameter name; use a letter or \"_\", then letters, digits and \"_\""
            ),
            Self::DuplicateName(name) => {
                write!(f, "a second parameter is named {name:?}; rename one of them")
            }
            Self::UnknownConstraint(name) => {
                write!(
                    f,
                    "{name:?} is no constraint; use int, uuid, slug or alpha, or check the value in the handler"
                )
            }
            Self::Adjacent => {
                f.write_str("two parameters side by side have no border; put a literal between them")
            }
            Self::RestNotAlone => f.write_str("{*name} must be a segment of its own; put slashes around it"),
            Self::SecondRest => f.write_str("a pattern has at most one {*name}; make one of them {name}"),
        }
    }
}
