//! Which path was asked for, and where the front server has mounted the app: `REQUEST_URI`, `SCRIPT_NAME` and
//! `PATH_INFO` (RFC 3875, sections 4.1.5 and 4.1.13).
//!
//! | variables | path | mounted at |
//! | --- | --- | --- |
//! | `REQUEST_URI` alone | that | nowhere |
//! | `REQUEST_URI` that is `SCRIPT_NAME` and `PATH_INFO`, decoded or as it is | `REQUEST_URI` | `SCRIPT_NAME` |
//! | `PATH_INFO`, and a `REQUEST_URI` that differs or is missing | `SCRIPT_NAME` and `PATH_INFO` | `SCRIPT_NAME` |
//! | neither | `SCRIPT_NAME` | nowhere |
//!
//! `REQUEST_URI` is no standard and all servers have it: it alone holds the escapes of the client. Where the front server
//! has rewritten or normalised the path it is something else, and what that server has decided counts.

use std::borrow::Cow;

/// A target and how much of the front of its path is the mount.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Located<'a> {
    pub(super) text: Cow<'a, [u8]>,
    /// Where in `text` the prefix is that the app is mounted at.
    pub(super) mount: std::ops::Range<usize>,
}

/// The variables that say it.
#[derive(Clone, Copy, Default)]
pub(super) struct Asked<'a> {
    pub(super) uri: Option<&'a [u8]>,
    pub(super) script: &'a [u8],
    pub(super) info: Option<&'a [u8]>,
    pub(super) query: &'a [u8],
}

impl<'a> Asked<'a> {
    pub(super) fn locate(self) -> Located<'a> {
        let Some(uri) = self.uri else { return self.compose() };
        let Some(info) = self.info else { return Located { text: uri.into(), mount: 0..0 } };
        let path = path_of(uri);
        let (info, script) = (rooted(info), trim_end(self.script));
        let length = mount_length(&uri[path.clone()], &info);
        match length.filter(|length| is_mount(&uri[path.start..path.start + length], script)) {
            Some(length) => Located { text: uri.into(), mount: path.start..path.start + length },
            None => self.compose(),
        }
    }

    /// The target that the decoded variables stand for.
    fn compose(self) -> Located<'a> {
        let mut text = Vec::with_capacity(self.script.len() + self.query.len() + 64);
        let mut mount = 0;
        if let Some(info) = self.info {
            escape(trim_end(self.script), &mut text);
            mount = text.len();
            escape(&rooted(info), &mut text);
        } else {
            escape(self.script, &mut text);
        }
        if text.first() != Some(&b'/') && text != b"*" {
            text.insert(0, b'/');
            mount += usize::from(mount > 0);
        }
        if !self.query.is_empty() {
            text.push(b'?');
            text.extend_from_slice(self.query);
        }
        Located { text: text.into(), mount: 0..mount }
    }
}

/// Where the path lies in a target of origin or absolute form.
fn path_of(uri: &[u8]) -> std::ops::Range<usize> {
    let end = uri.iter().position(|&byte| byte == b'?').unwrap_or(uri.len());
    let start = match uri {
        [b'/', ..] => 0,
        _ => match uri[..end].windows(3).position(|three| three == b"://") {
            Some(scheme) => {
                let authority = scheme + 3;
                uri[authority..end].iter().position(|&byte| byte == b'/').map_or(end, |at| authority + at)
            }
            None => 0,
        },
    };
    start..end
}

/// A `PATH_INFO` as it is meant: one server leaves out the slash that it has counted to the script.
fn rooted(info: &[u8]) -> Cow<'_, [u8]> {
    match info {
        [] | [b'/', ..] => info.into(),
        _ => [b"/", info].concat().into(),
    }
}

fn trim_end(mut script: &[u8]) -> &[u8] {
    while let [rest @ .., b'/'] = script {
        script = rest;
    }
    script
}

/// How long the front of `path` is if the rest of it, as it is or decoded, is `info`.
fn mount_length(path: &[u8], info: &[u8]) -> Option<usize> {
    if path.ends_with(info) {
        return Some(path.len() - info.len());
    }
    let mut left = pieces(path).count().checked_sub(info.len())?;
    let mut rest = path;
    while left > 0 {
        rest = &rest[pieces(rest).next()?.1..];
        left -= 1;
    }
    pieces(rest).map(|(byte, _)| byte).eq(info.iter().copied()).then(|| path.len() - rest.len())
}

/// Whether the front of a path is where the server has mounted the app: its script, or what that begins with. (Apache's
/// mod_proxy_scgi counts a path with escapes to both variables.) What a client has written before a `..` is not.
fn is_mount(front: &[u8], script: &[u8]) -> bool {
    let mut rest = script;
    for (byte, _) in pieces(front) {
        match rest.split_first() {
            Some((first, left)) if *first == byte => rest = left,
            _ => return false,
        }
    }
    matches!(rest, [] | [b'/', ..])
}

/// The decoded bytes, and of how many each was made.
fn pieces(text: &[u8]) -> impl Iterator<Item = (u8, usize)> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (byte, width) = match rest {
            [] => return None,
            [b'%', high, low, ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            [byte, ..] => (*byte, 1),
        };
        rest = &rest[width..];
        Some((byte, width))
    })
}

fn digit(byte: u8) -> Option<u8> {
    (byte as char).to_digit(16).map(|digit| digit as u8)
}

/// Writes what cannot stand in a path as `%XX`.
fn escape(path: &[u8], out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for &byte in path {
        if byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', HEX[usize::from(byte >> 4)], HEX[usize::from(byte & 15)]]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn locate(uri: Option<&str>, script: &str, info: Option<&str>, query: &str) -> (String, String) {
        let asked = Asked {
            uri: uri.map(str::as_bytes),
            script: script.as_bytes(),
            info: info.map(str::as_bytes),
            query: query.as_bytes(),
        };
        let located = asked.locate();
        let text = String::from_utf8(located.text.into_owned()).unwrap();
        let mount = text[located.mount].to_owned();
        (text, mount)
    }

    #[test]
    fn what_front_servers_send_is_understood() {
        for (uri, script, info, query, text, mount) in [
            // nginx with its fastcgi_params, and with a split path
            (Some("/a/b?x=1"), "/a/b", None, "x=1", "/a/b?x=1", ""),
            (Some("/a%2Fb"), "/a/b", None, "", "/a%2Fb", ""),
            (Some("/app/a%2Fb?x"), "/app", Some("/a/b"), "x", "/app/a%2Fb?x", "/app"),
            (Some("/app"), "/app", Some(""), "", "/app", "/app"),
            // nginx with its scgi_params
            (Some("/a?x"), "", None, "x", "/a?x", ""),
            // Apache's mod_proxy_scgi: PATH_INFO as it was sent, SCRIPT_NAME then too long
            (Some("/app/a%20b"), "/app/a b", Some("/a%20b"), "", "/app/a%20b", "/app"),
            (Some("/a%20b"), "/a b", Some("/a%20b"), "", "/a%20b", ""),
            (Some("/app/u"), "/app", Some("/u"), "", "/app/u", "/app"),
            // lighttpd at the root
            (Some("/foo"), "", Some("/foo"), "", "/foo", ""),
            (Some("/foo"), "/", Some("foo"), "", "/foo", ""),
            // the front server has normalised the path, or rewritten it
            (Some("/app//x/../u?q"), "/app", Some("/u"), "q", "/app/u?q", "/app"),
            (Some("//evil.test/../app/u"), "/app", Some("/u"), "", "/app/u", "/app"),
            (Some("/app/x/../u/"), "/app", Some("/u"), "q", "/app/u?q", "/app"),
            (Some("/old"), "/new", Some("/é"), "y=1", "/new/%C3%A9?y=1", "/new"),
            // no REQUEST_URI
            (None, "/app", Some("/a b?c"), "x=1", "/app/a%20b%3Fc?x=1", "/app"),
            (None, "", Some("/a"), "", "/a", ""),
            (None, "/app/", Some(""), "", "/app", "/app"),
            (None, "/a", None, "", "/a", ""),
            (None, "", None, "", "/", ""),
            (None, "", Some(""), "q", "/?q", ""),
            (None, "app", Some("/x"), "", "/app/x", "/app"),
            // other forms
            (Some("*"), "", None, "", "*", ""),
            (None, "*", None, "", "*", ""),
            (Some("http://h/app/x?y=/x"), "/app", Some("/x"), "", "http://h/app/x?y=/x", "/app"),
            (Some("http://h"), "", Some(""), "", "http://h", ""),
        ] {
            let found = locate(uri, script, info, query);
            assert_eq!(found, (text.to_owned(), mount.to_owned()), "{uri:?} {script} {info:?}");
        }
    }

    proptest! {
        #[test]
        fn a_path_that_a_server_has_split_and_decoded_is_found_again(
            script in "(/[a-z%?é ]{1,4}){0,3}", info in "(/[a-z%?é ]{0,4}){0,3}",
        ) {
            let mut uri = Vec::new();
            escape(script.as_bytes(), &mut uri);
            let mount = uri.len();
            escape(info.as_bytes(), &mut uri);
            let asked =
                Asked { uri: Some(&uri), script: script.as_bytes(), info: Some(info.as_bytes()), query: b"" };
            let located = asked.locate();
            prop_assert_eq!(&*located.text, &*uri);
            prop_assert_eq!(located.mount, 0..mount);
        }

        #[test]
        fn any_bytes_are_located(uri: Option<Vec<u8>>, script: Vec<u8>, info: Option<Vec<u8>>, query: Vec<u8>) {
            let asked =
                Asked { uri: uri.as_deref(), script: &script, info: info.as_deref(), query: &query };
            let located = asked.locate();
            prop_assert!(located.mount.end <= located.text.len());
        }
    }
}
