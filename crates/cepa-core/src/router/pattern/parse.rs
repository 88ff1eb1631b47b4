//! Parses the text of a pattern, one segment after the other.

use super::{Pattern, PatternError, PatternFault as Fault};
use crate::{
    percent,
    router::{
        MAX_PARAMS, MAX_PATTERN_LEN,
        segment::{Kind, Mixed, Segment, is_dot_segment},
    },
};

pub(super) fn parse(text: &str) -> Result<Pattern, PatternError> {
    let mut parser = Parser { text, names: Vec::new(), rest_seen: false };
    if text.len() > MAX_PATTERN_LEN {
        return Err(parser.error(MAX_PATTERN_LEN, Fault::TooLong));
    }
    if !text.starts_with('/') {
        return Err(parser.error(0, Fault::NoLeadingSlash));
    }
    let mut segments = Vec::new();
    let mut from = 1;
    loop {
        let to = text[from..].find('/').map_or(text.len(), |len| from + len);
        if from == to && to < text.len() {
            return Err(parser.error(from, Fault::EmptySegment));
        }
        segments.push(parser.segment(from, to)?);
        if to == text.len() {
            return Ok(Pattern::new(text, segments, parser.names));
        }
        from = to + 1;
    }
}

struct Parser<'a> {
    text: &'a str,
    names: Vec<Box<str>>,
    rest_seen: bool,
}

impl Parser<'_> {
    fn error(&self, at: usize, fault: Fault) -> PatternError {
        PatternError::new(self.text, at, fault)
    }

    /// Parses the segment `from..to`, which holds no slash.
    fn segment(&mut self, from: usize, to: usize) -> Result<Segment, PatternError> {
        let segment = &self.text[from..to];
        if let Some(sign @ (':' | '*')) = segment.chars().next() {
            return Err(self.error(from, Fault::ForeignSyntax(sign)));
        }
        if segment.starts_with("{*") {
            return self.rest(from, to);
        }
        let mut head = String::new();
        let mut params: Vec<(Kind, String)> = Vec::new();
        let mut at = from;
        while let Some(sign) = self.text[at..to].chars().next() {
            let first = params.is_empty();
            let literal = params.last_mut().map_or(&mut head, |(_, after)| after);
            let doubled = self.text[at + sign.len_utf8()..to].starts_with(sign);
            match sign {
                '{' | '}' if doubled => {
                    push_literal(literal, sign);
                    at += 2;
                }
                '}' => return Err(self.error(at, Fault::Unopened)),
                '{' if self.text[at + 1..to].starts_with('*') => {
                    return Err(self.error(at, Fault::RestNotAlone));
                }
                '{' => {
                    if !first && literal.is_empty() {
                        return Err(self.error(at, Fault::Adjacent));
                    }
                    let (kind, end) = self.param(at, to)?;
                    params.push((kind, String::new()));
                    at = end;
                }
                '?' | '#' => return Err(self.error(at, Fault::NotInPath(sign))),
                _ => {
                    push_literal(literal, sign);
                    at += sign.len_utf8();
                }
            }
        }
        match params.as_slice() {
            [] if is_dot_segment(&head) => Err(self.error(from, Fault::DotSegment)),
            [] => Ok(Segment::Literal(head.into())),
            [(kind, after)] if head.is_empty() && after.is_empty() => Ok(Segment::One(*kind)),
            _ => Ok(Segment::Mixed(Mixed::new(&head, params))),
        }
    }

    /// Parses `{*name}`, which must reach from `from` to `to`.
    fn rest(&mut self, from: usize, to: usize) -> Result<Segment, PatternError> {
        let close = self.close(from, to)?;
        if close + 1 != to {
            return Err(self.error(close + 1, Fault::RestNotAlone));
        }
        if self.rest_seen {
            return Err(self.error(from, Fault::SecondRest));
        }
        self.rest_seen = true;
        self.name(from + 2, close)?;
        Ok(Segment::Rest)
    }

    /// Parses `{name}` or `{name:kind}` at `open`; the second value is the byte after it.
    fn param(&mut self, open: usize, to: usize) -> Result<(Kind, usize), PatternError> {
        let close = self.close(open, to)?;
        let inside = &self.text[open + 1..close];
        let (name_end, kind) = match inside.split_once(':') {
            None => (close, Kind::Any),
            Some((name, word)) => {
                let colon = open + 1 + name.len();
                let unknown = || self.error(colon + 1, Fault::UnknownConstraint(word.into()));
                (colon, Kind::named(word).ok_or_else(unknown)?)
            }
        };
        self.name(open + 1, name_end)?;
        Ok((kind, close + 1))
    }

    fn close(&self, open: usize, to: usize) -> Result<usize, PatternError> {
        let len = self.text[open..to].find('}').ok_or_else(|| self.error(open, Fault::Unclosed))?;
        Ok(open + len)
    }

    fn name(&mut self, from: usize, to: usize) -> Result<(), PatternError> {
        let name = &self.text[from..to];
        let first = name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || byte == b'_');
        if !first || !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            return Err(self.error(from, Fault::BadName(name.into())));
        }
        if self.names.iter().any(|known| **known == *name) {
            return Err(self.error(from, Fault::DuplicateName(name.into())));
        }
        if self.names.len() == MAX_PARAMS {
            return Err(self.error(from, Fault::TooManyParams));
        }
        self.names.push(name.into());
        Ok(())
    }
}

/// Appends one character of a literal as a client would send it in a path: the path percent-encode set
/// (WHATWG URL, 1.3) is encoded, `%` itself is left.
fn push_literal(out: &mut String, sign: char) {
    match sign {
        '\0'..=' ' | '"' | '<' | '>' | '^' | '`' | '{' | '}' | '\x7f'.. => {
            percent::push(out, sign.encode_utf8(&mut [0; 4]), |_| false);
        }
        _ => out.push(sign),
    }
}

#[cfg(test)]
mod tests;
