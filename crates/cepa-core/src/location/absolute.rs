//! Absolute `http` and `https` URLs, normalised as browsers read them (WHATWG URL, section 4.4).

use std::borrow::Cow;
use std::net::Ipv6Addr;

use super::encode_url;
use crate::percent;

/// Why an absolute URL cannot be a redirect's target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidLocation {
    /// It holds a user name or password.
    #[error("the URL holds user information before `@`")]
    UserInfo,
    /// It has no host, or one that no URL can hold.
    #[error("the URL has no valid host")]
    Host,
    /// Its port is not a number up to 65535.
    #[error("the port of the URL is not a number up to 65535")]
    Port,
}

struct Scheme {
    prefix: &'static str,
    default_port: u16,
}

const SCHEMES: [Scheme; 2] =
    [Scheme { prefix: "http://", default_port: 80 }, Scheme { prefix: "https://", default_port: 443 }];

/// The normalised text of `url`; `None` when it is not absolute with one of the two schemes.
pub(super) fn normalise(url: &str) -> Option<Result<Cow<'_, str>, InvalidLocation>> {
    let (scheme, rest) = split_scheme(url)?;
    Some(normalise_rest(scheme, rest).map(Cow::Owned))
}

/// Whether `url` is absolute with one of the two schemes.
pub(super) fn is_absolute(url: &str) -> bool {
    split_scheme(url).is_some()
}

/// Whether `url` is absolute and leads to `host`.
pub(super) fn has_host(url: &str, host: &str) -> bool {
    let Some((scheme, rest)) = split_scheme(url) else { return false };
    if rest.bytes().any(|byte| byte.is_ascii_control()) {
        return false;
    }
    let (authority, _) = split_authority(rest);
    let of_site = push_authority(scheme, host);
    !host.is_empty() && of_site.is_ok() && of_site == push_authority(scheme, authority)
}

fn split_scheme(url: &str) -> Option<(&'static Scheme, &str)> {
    SCHEMES.iter().find_map(|scheme| {
        let (start, rest) = url.split_at_checked(scheme.prefix.len())?;
        start.eq_ignore_ascii_case(scheme.prefix).then_some((scheme, rest))
    })
}

/// Splits before the path; more than two slashes after the scheme count as two.
fn split_authority(rest: &str) -> (&str, &str) {
    let rest = rest.trim_start_matches(['/', '\\']);
    rest.split_at(rest.find(['/', '\\', '?', '#']).unwrap_or(rest.len()))
}

fn normalise_rest(scheme: &'static Scheme, rest: &str) -> Result<String, InvalidLocation> {
    let removed = ['\t', '\n', '\r'];
    let rest = match rest.contains(removed) {
        true => Cow::Owned(rest.replace(removed, "")),
        false => Cow::Borrowed(rest),
    };
    let rest = rest.trim_end_matches(|char| char <= ' ');
    let (authority, rest) = split_authority(rest);
    let mut out = push_authority(scheme, authority)?;

    let (rest, fragment) = split_before(rest, '#');
    let (path, query) = split_before(rest, '?');
    push_path(&mut out, path);
    out.push_str(&encode_url(query).replace('\'', "%27"));
    out.push_str(&encode_url(fragment));
    Ok(out)
}

fn split_before(text: &str, separator: char) -> (&str, &str) {
    text.split_at(text.find(separator).unwrap_or(text.len()))
}

/// Scheme, host and, unless it is the default one, port.
fn push_authority(scheme: &Scheme, authority: &str) -> Result<String, InvalidLocation> {
    if authority.contains('@') {
        return Err(InvalidLocation::UserInfo);
    }
    let mut out = String::with_capacity(64);
    out.push_str(scheme.prefix);
    let port = if let Some(rest) = authority.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or(InvalidLocation::Host)?;
        let address: Ipv6Addr = address.parse().map_err(|_| InvalidLocation::Host)?;
        out.push_str(&format!("[{address}]"));
        port
    } else {
        let (name, port) = split_before(authority, ':');
        push_name(&mut out, name)?;
        port
    };
    let digits = if port.is_empty() { "" } else { port.strip_prefix(':').ok_or(InvalidLocation::Host)? };
    if digits.is_empty() {
        return Ok(out);
    }
    if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(InvalidLocation::Port);
    }
    let port: u16 = digits.parse().map_err(|_| InvalidLocation::Port)?;
    if port != scheme.default_port {
        out.push_str(&format!(":{port}"));
    }
    Ok(out)
}

/// A host name in lower case; its escapes are decoded first, since browsers do so.
fn push_name(out: &mut String, name: &str) -> Result<(), InvalidLocation> {
    if name.is_empty() {
        return Err(InvalidLocation::Host);
    }
    for &byte in percent::decode(name).iter() {
        match byte {
            b'!'..=b'~' if b"#/:<>?@[\\]^|%\"`{}".contains(&byte) => return Err(InvalidLocation::Host),
            b'!'..=b'~' => out.push(byte.to_ascii_lowercase() as char),
            0x80.. => percent::push_escape(out, byte),
            _ => return Err(InvalidLocation::Host),
        }
    }
    Ok(())
}

/// The path with its dot segments resolved (RFC 3986, section 5.2.4).
fn push_path(out: &mut String, path: &str) {
    let root = out.len();
    let mut segments = path.split(['/', '\\']).skip(usize::from(!path.is_empty())).peekable();
    while let Some(segment) = segments.next() {
        let dots = dots(segment);
        if dots == Some(2) {
            let parent = out[root..].rfind('/').map_or(root, |slash| root + slash);
            out.truncate(parent);
        }
        if dots.is_none() {
            out.push('/');
            out.push_str(&encode_url(segment));
        } else if segments.peek().is_none() {
            out.push('/');
        }
    }
}

/// How many dots `segment` is made of, escaped or not, when it is one or two.
fn dots(segment: &str) -> Option<usize> {
    let mut rest = segment;
    let mut count = 0;
    while !rest.is_empty() && count < 2 {
        rest = match rest.strip_prefix('.') {
            Some(rest) => rest,
            None => rest.strip_prefix("%2e").or_else(|| rest.strip_prefix("%2E"))?,
        };
        count += 1;
    }
    (rest.is_empty() && count > 0).then_some(count)
}
