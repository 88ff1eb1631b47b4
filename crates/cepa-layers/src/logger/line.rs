//! A line, filled in from a request: all of it at once, or but for what only the end of a stream tells.

use std::time::{Duration, SystemTime};

use cepa_core::{Ctx, date};
use http::{
    HeaderValue, Version,
    header::{CONTENT_LOCATION, LOCATION},
};

use super::{
    format::{Pattern, Style, Token},
    value::{put, write_bytes, write_client, write_date, write_number, write_url},
};
use crate::{auth::User, request_id::RequestId};

/// What a line is filled in from.
pub(super) struct Facts<'a> {
    pub(super) ctx: &'a Ctx,
    pub(super) status: u16,
    pub(super) hidden: &'a [String],
    /// `None` while the body is still to be sent.
    pub(super) sent: Option<Sent>,
}

/// How it ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sent {
    pub(super) length: Option<u64>,
    pub(super) elapsed: Duration,
    pub(super) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Done,
    Failed,
    Closed,
}

/// A line with gaps where something is not known yet.
#[derive(Debug)]
pub(super) struct Line {
    text: String,
    style: Style,
    status: u16,
    gaps: Vec<(usize, Token)>,
}

impl Line {
    /// Fills a pattern in, using the memory of `text`.
    pub(super) fn new(pattern: &Pattern, facts: &Facts<'_>, mut text: String) -> Self {
        text.clear();
        let mut line = Self { text, style: pattern.style, status: facts.status, gaps: Vec::new() };
        for token in &pattern.tokens {
            line.fill(token, facts);
        }
        line
    }

    pub(super) fn text(&self) -> &str {
        &self.text
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    pub(super) fn status(&self) -> u16 {
        self.status
    }

    /// The whole line.
    pub(super) fn finish(&self, sent: Sent) -> String {
        let mut text = String::with_capacity(self.text.len() + 32);
        let mut copied = 0;
        for (at, token) in &self.gaps {
            text.push_str(&self.text[copied..*at]);
            copied = *at;
            write_late(&mut text, self.style, token, self.status, sent);
        }
        text.push_str(&self.text[copied..]);
        text
    }

    fn fill(&mut self, token: &Token, facts: &Facts<'_>) {
        let (ctx, style) = (facts.ctx, self.style);
        let request_header = |name: &str| ctx.request.fields().get(name);
        let out = &mut self.text;
        match token {
            Token::Literal(text) => out.push_str(text),
            Token::Arrow | Token::Length | Token::ShortLength | Token::Millis => self.fill_late(token, facts),
            Token::ShortTime | Token::Outcome | Token::Date | Token::IsoDate => self.fill_late(token, facts),
            Token::RemoteAddr => write_client(out, style, ctx.client()),
            Token::RemoteUser => {
                write_bytes(out, style, ctx.state::<User>().map(|user| user.name().as_bytes()));
            }
            Token::Method => write_bytes(out, style, Some(ctx.method().as_str().as_bytes())),
            Token::Url => write_url(out, ctx.original_url().as_bytes(), facts.hidden, style),
            Token::HttpVersion => write_bytes(out, style, Some(version(ctx.request.version()))),
            Token::Hostname => {
                let host = Some(ctx.hostname()).filter(|host| !host.is_empty());
                write_bytes(out, style, host.map(str::as_bytes));
            }
            Token::Protocol => write_bytes(out, style, Some(ctx.protocol().as_bytes())),
            Token::Route => write_bytes(out, style, ctx.route_pattern().map(str::as_bytes)),
            Token::Status => write_number(out, facts.status.into()),
            Token::Referrer => write_address(out, style, request_header("referer"), facts.hidden),
            Token::UserAgent => write_bytes(out, style, request_header("user-agent")),
            Token::RequestId => {
                write_bytes(out, style, ctx.state::<RequestId>().map(|id| id.as_str().as_bytes()));
            }
            Token::Request(name) => write_bytes(out, style, request_header(name.as_str())),
            Token::Response(name) => {
                let value = ctx.response.headers().get(name).map(HeaderValue::as_bytes);
                match *name {
                    LOCATION | CONTENT_LOCATION => write_address(out, style, value, facts.hidden),
                    _ => write_bytes(out, style, value),
                }
            }
        }
    }

    /// Fills in what the end tells, or leaves a gap for it.
    fn fill_late(&mut self, token: &Token, facts: &Facts<'_>) {
        match facts.sent {
            Some(sent) => write_late(&mut self.text, self.style, token, facts.status, sent),
            None => self.gaps.push((self.text.len(), token.clone())),
        }
    }
}

fn write_address(out: &mut String, style: Style, url: Option<&[u8]>, hidden: &[String]) {
    match url {
        Some(url) => write_url(out, url, hidden, style),
        None => write_bytes(out, style, None),
    }
}

fn write_late(out: &mut String, style: Style, token: &Token, status: u16, sent: Sent) {
    match token {
        Token::Date => write_date(out),
        Token::IsoDate => {
            let now = date::format_iso(SystemTime::now());
            write_bytes(out, style, now.as_deref().map(str::as_bytes));
        }
        Token::Arrow => out.push_str(match sent.outcome {
            Outcome::Done => "-->",
            Outcome::Failed => "xxx",
            Outcome::Closed => "-x-",
        }),
        Token::Outcome => {
            let name: &[u8] = match sent.outcome {
                Outcome::Done => b"done",
                Outcome::Failed => b"failed",
                Outcome::Closed => b"closed",
            };
            write_bytes(out, style, Some(name));
        }
        // In the common log format, no bytes are a dash.
        Token::Length if style == Style::Text => match sent.length {
            None | Some(0) => out.push('-'),
            Some(length) => write_number(out, length),
        },
        Token::Length => match sent.length {
            None => write_bytes(out, style, None),
            Some(length) => write_number(out, length),
        },
        Token::ShortLength => match sent.length {
            _ if matches!(status, 204 | 205 | 304) => {}
            None => out.push_str(" -"),
            Some(length) => write_short_length(out, length),
        },
        Token::Millis => {
            let micros = sent.elapsed.as_micros();
            put(out, format_args!("{}.{:03}", micros / 1000, micros % 1000));
        }
        Token::ShortTime => {
            let micros = sent.elapsed.as_micros();
            match micros {
                0..10_000 => put(out, format_args!("{}.{}ms", micros / 1000, micros / 100 % 10)),
                10_000..10_000_000 => put(out, format_args!("{}ms", micros / 1000)),
                _ => put(out, format_args!("{}s", (micros + 500_000) / 1_000_000)),
            }
        }
        _ => {}
    }
}

/// The bytes in the largest unit of which there is at least one, with at most two digits after the point.
fn write_short_length(out: &mut String, length: u64) {
    let units = [("tb", 40), ("gb", 30), ("mb", 20), ("kb", 10)];
    let Some((unit, shift)) = units.into_iter().find(|(_, shift)| length >> shift > 0) else {
        return put(out, format_args!(" {length}b"));
    };
    let hundredths = (u128::from(length) * 100 + (1 << (shift - 1))) >> shift;
    let (whole, fraction) = (hundredths / 100, hundredths % 100);
    match (fraction, fraction % 10) {
        (0, _) => put(out, format_args!(" {whole}{unit}")),
        (_, 0) => put(out, format_args!(" {whole}.{}{unit}", fraction / 10)),
        _ => put(out, format_args!(" {whole}.{fraction:02}{unit}")),
    }
}

fn version(version: Version) -> &'static [u8] {
    match version {
        Version::HTTP_09 => b"0.9",
        Version::HTTP_10 => b"1.0",
        Version::HTTP_2 => b"2.0",
        Version::HTTP_3 => b"3.0",
        _ => b"1.1",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_for_people() {
        for (length, expected) in [
            (0, " 0b"),
            (1023, " 1023b"),
            (1024, " 1kb"),
            (1536, " 1.5kb"),
            (1234, " 1.21kb"),
            (1034, " 1.01kb"),
            (5 << 20, " 5mb"),
            (u64::MAX, " 16777216tb"),
        ] {
            let mut out = String::new();
            write_short_length(&mut out, length);
            assert_eq!(out, expected);
        }
    }
}
