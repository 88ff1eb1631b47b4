//! The forms of a line: those that have a name, and patterns of tokens.

use std::{fmt, str::FromStr};

use http::{HeaderName, header::REFERER};
use serde::Deserialize;

/// The form of a line.
///
/// In a configuration it is a name, `dev`, `common`, `combined`, `json` or `fields`, or a pattern with `:tokens`:
///
/// | token | is |
/// | --- | --- |
/// | `:remote-addr` | the address of the client |
/// | `:remote-user` | who has [signed in](crate::auth::User) |
/// | `:date`, `:date[iso]` | when the line is written, in UTC: `21/Nov/2026:08:09:20 +0000`, `2026-11-21T08:09:20Z` |
/// | `:method`, `:url`, `:http-version` | of the request line |
/// | `:hostname`, `:protocol` | the host asked for; `http` or `https` |
/// | `:route` | the pattern of the route that answered |
/// | `:status` | the status of the answer |
/// | `:content-length` | the bytes of its body that were sent |
/// | `:response-time` | milliseconds with three digits after the point |
/// | `:referrer`, `:user-agent` | from the headers of the request |
/// | `:req[name]`, `:res[name]` | any header of the request or the response |
/// | `:request-id` | see [`request_id`](crate::request_id()) |
/// | `:outcome` | `done`, `failed` where an error has passed, `closed` where the client left |
///
/// What is missing is `-`. A log holds no credentials, so that the headers that carry them cannot be named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Format {
    /// Two short lines for people, `<-- GET /` and `--> GET / 200 0.4ms 12b`; the second arrow is `xxx` where an
    /// error has passed, and `-x-` where the client left.
    Dev,
    /// The common log format of NCSA and Apache: `127.0.0.1 - ada [21/Nov/2026:08:09:20 +0000] "GET / HTTP/1.1" 200 12`.
    #[default]
    Common,
    /// The same with referrer and user agent.
    Combined,
    /// An object of JSON.
    Json,
    /// No line but an event with the same members as fields, for a log that is itself JSON.
    Fields,
    /// A pattern.
    Custom(Tokens),
}

/// The tokens of a pattern of one's own; read with [`str::parse`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tokens(Vec<Token>);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FormatError {
    /// A token that is not known.
    #[error("there is no token {0:?}; there are {names}, :req[name] and :res[name]", names = Names)]
    Unknown(String),
    /// A token that wants something in brackets, or does not, or wants something else.
    #[error("{0:?} wants the name of a header in brackets, as in :req[accept]")]
    Argument(String),
    /// A header with credentials.
    #[error("{0:?} carries credentials, which a log must not hold")]
    Secret(String),
    /// No token at all: mostly a misspelt name.
    #[error("{0:?} is neither dev, common, combined, json, fields, nor a pattern with :tokens")]
    NoPattern(String),
}

/// A part of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Token {
    Literal(String),
    Arrow,
    RemoteAddr,
    RemoteUser,
    Date,
    IsoDate,
    Method,
    Url,
    HttpVersion,
    Hostname,
    Protocol,
    Route,
    Status,
    Length,
    ShortLength,
    Millis,
    ShortTime,
    Referrer,
    UserAgent,
    RequestId,
    Outcome,
    Request(HeaderName),
    Response(HeaderName),
}

/// The tokens that stand for themselves.
const NAMED: [(&str, Token); 16] = [
    ("remote-addr", Token::RemoteAddr),
    ("remote-user", Token::RemoteUser),
    ("date", Token::Date),
    ("method", Token::Method),
    ("url", Token::Url),
    ("http-version", Token::HttpVersion),
    ("hostname", Token::Hostname),
    ("protocol", Token::Protocol),
    ("route", Token::Route),
    ("status", Token::Status),
    ("content-length", Token::Length),
    ("response-time", Token::Millis),
    ("referrer", Token::Referrer),
    ("user-agent", Token::UserAgent),
    ("request-id", Token::RequestId),
    ("outcome", Token::Outcome),
];

/// Headers that let somebody in.
const SECRET: [HeaderName; 4] = [
    http::header::AUTHORIZATION,
    http::header::COOKIE,
    http::header::PROXY_AUTHORIZATION,
    http::header::SET_COOKIE,
];

struct Names;

impl fmt::Display for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (name, _)) in NAMED.iter().enumerate() {
            write!(f, "{}:{name}", if at == 0 { "" } else { ", " })?;
        }
        Ok(())
    }
}

/// How values are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// For people.
    Dev,
    /// As text, with `-` for what is missing.
    Text,
    /// As values of JSON.
    Json,
    /// As text, one value on each line.
    Fields,
}

/// A format as it is written.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    pub(super) tokens: Vec<Token>,
    pub(super) style: Style,
}

const COMMON: &str =
    r#":remote-addr - :remote-user [:date] ":method :url HTTP/:http-version" :status :content-length"#;

impl Format {
    pub(super) fn pattern(self) -> Pattern {
        let common = || parse(COMMON).expect("the pattern is tested");
        let (tokens, style) = match self {
            Self::Dev => (dev(), Style::Dev),
            Self::Common => (common(), Style::Text),
            Self::Combined => {
                let more = parse(r#" ":referrer" ":user-agent""#).expect("the pattern is tested");
                (common().into_iter().chain(more).collect(), Style::Text)
            }
            Self::Json => (json(), Style::Json),
            Self::Fields => (fields(), Style::Fields),
            Self::Custom(Tokens(tokens)) => (tokens, Style::Text),
        };
        Pattern { tokens, style }
    }
}

fn dev() -> Vec<Token> {
    let space = || Token::Literal(" ".to_owned());
    let words =
        [Token::Arrow, Token::Method, Token::Url, Token::Status, Token::ShortTime, Token::ShortLength];
    let mut tokens: Vec<Token> = words.into_iter().flat_map(|token| [token, space()]).collect();
    // The length brings its own space, since some answers have none.
    tokens.remove(tokens.len() - 3);
    tokens.pop();
    tokens
}

/// How many members an object of JSON has beside the time, and an event fields.
pub(super) const FIELDS: usize = 14;

static MEMBERS: [(&str, Token); FIELDS] = [
    ("client", Token::RemoteAddr),
    ("user", Token::RemoteUser),
    ("method", Token::Method),
    ("url", Token::Url),
    ("version", Token::HttpVersion),
    ("host", Token::Hostname),
    ("route", Token::Route),
    ("status", Token::Status),
    ("bytes", Token::Length),
    ("ms", Token::Millis),
    ("referrer", Token::Referrer),
    ("user_agent", Token::UserAgent),
    ("request_id", Token::RequestId),
    ("outcome", Token::Outcome),
];

fn json() -> Vec<Token> {
    let mut tokens = vec![Token::Literal("{\"time\":".to_owned()), Token::IsoDate];
    for (name, token) in &MEMBERS {
        tokens.extend([Token::Literal(format!(",\"{name}\":")), token.clone()]);
    }
    tokens.push(Token::Literal("}".to_owned()));
    tokens
}

fn fields() -> Vec<Token> {
    MEMBERS.iter().flat_map(|(_, token)| [token.clone(), Token::Literal("\n".to_owned())]).collect()
}

impl FromStr for Format {
    type Err = FormatError;

    fn from_str(text: &str) -> Result<Self, FormatError> {
        Ok(match text {
            "dev" => Self::Dev,
            "common" => Self::Common,
            "combined" => Self::Combined,
            "json" => Self::Json,
            "fields" => Self::Fields,
            pattern => Self::Custom(Tokens(parse(pattern)?)),
        })
    }
}

impl TryFrom<String> for Format {
    type Error = FormatError;

    fn try_from(text: String) -> Result<Self, FormatError> {
        text.parse()
    }
}

fn parse(pattern: &str) -> Result<Vec<Token>, FormatError> {
    let mut tokens = Vec::new();
    let mut literal = String::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(':') {
        let (before, after) = (&rest[..at], &rest[at + 1..]);
        let length = after.bytes().take_while(|byte| byte.is_ascii_lowercase() || *byte == b'-').count();
        let (name, after) = after.split_at(length);
        literal.push_str(before);
        if name.is_empty() {
            // A colon that begins no token, as in a time.
            literal.push(':');
            rest = after;
            continue;
        }
        let bracketed = after.strip_prefix('[').and_then(|after| after.split_once(']'));
        let (token, is_bracket_read) = token(name, bracketed.map(|(argument, _)| argument))?;
        rest = match bracketed {
            Some((_, after)) if is_bracket_read => after,
            _ => after,
        };
        if !literal.is_empty() {
            tokens.push(Token::Literal(std::mem::take(&mut literal)));
        }
        tokens.push(token);
    }
    if tokens.is_empty() {
        return Err(FormatError::NoPattern(pattern.to_owned()));
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        tokens.push(Token::Literal(literal));
    }
    Ok(tokens)
}

/// The token of a name, and whether what stands in brackets behind it is part of it.
fn token(name: &str, argument: Option<&str>) -> Result<(Token, bool), FormatError> {
    match (name, argument) {
        ("req" | "res", Some(header)) => {
            let written = || format!(":{name}[{header}]");
            let header: HeaderName = header.parse().map_err(|_| FormatError::Argument(written()))?;
            if SECRET.contains(&header) {
                return Err(FormatError::Secret(written()));
            }
            let token = match name {
                // As `:referrer`, with its parameters hidden.
                "req" if header == REFERER => Token::Referrer,
                "req" => Token::Request(header),
                _ => Token::Response(header),
            };
            Ok((token, true))
        }
        ("req" | "res", None) => Err(FormatError::Argument(format!(":{name}"))),
        ("date", Some("iso")) => Ok((Token::IsoDate, true)),
        _ => {
            let known = NAMED.into_iter().find(|(known, _)| *known == name);
            let (_, token) = known.ok_or_else(|| FormatError::Unknown(format!(":{name}")))?;
            Ok((token, false))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_wrong_pattern_says_what_is_wrong() {
        for (pattern, expected) in [
            (":verb", FormatError::Unknown(":verb".into())),
            (":req", FormatError::Argument(":req".into())),
            (":req[a b]", FormatError::Argument(":req[a b]".into())),
            (":req[Cookie]", FormatError::Secret(":req[Cookie]".into())),
            (":res[set-cookie]", FormatError::Secret(":res[set-cookie]".into())),
            ("comon", FormatError::NoPattern("comon".into())),
            ("", FormatError::NoPattern("".into())),
        ] {
            assert_eq!(pattern.parse::<Format>(), Err(expected), "{pattern}");
        }
        assert!(":verb".parse::<Format>().unwrap_err().to_string().contains(":remote-addr, :remote-user"));
    }

    #[test]
    fn the_forms_that_have_a_name_can_be_written() {
        for format in [Format::Dev, Format::Common, Format::Combined, Format::Json, Format::Fields] {
            assert!(!format.pattern().tokens.is_empty());
        }
    }

    #[test]
    fn text_between_tokens_stays() {
        let literal = |text: &str| Token::Literal(text.to_owned());
        let tokens = parse("a: :method[x] 12:00 :res[etag]:url]").unwrap();
        let etag = Token::Response(http::header::ETAG);
        let expected = [literal("a: "), Token::Method, literal("[x] 12:00 "), etag, Token::Url, literal("]")];
        assert_eq!(tokens, expected);
    }

    proptest! {
        #[test]
        fn never_panics(pattern in "[:a-z\\[\\]é -]{0,40}", any in any::<String>()) {
            let _ = (pattern.parse::<Format>(), any.parse::<Format>());
        }
    }
}
