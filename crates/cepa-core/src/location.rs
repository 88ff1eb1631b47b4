//! Where a redirect goes: the `Location` field (RFC 9110, section 10.2.2) and the text of its page.

mod absolute;

use std::borrow::Cow;

use crate::percent;

pub use absolute::InvalidLocation;

/// Percent-encodes the characters a URL cannot hold: space, `"<>` and `` `{} ``, controls and all that is not ASCII.
///
/// Escapes stay; a `%` that starts none becomes `%25`.
///
/// ```
/// assert_eq!(cepa_core::location::encode_url("/a b/%41?50%"), "/a%20b/%41?50%25");
/// ```
pub fn encode_url(url: &str) -> Cow<'_, str> {
    let bytes = url.as_bytes();
    let stays = |at: usize| match bytes[at] {
        b'%' => percent::escape_at(&bytes[at..]).is_some(),
        byte => is_url_byte(byte),
    };
    let Some(first) = (0..bytes.len()).find(|&at| !stays(at)) else { return Cow::Borrowed(url) };
    let mut out = String::with_capacity(url.len() + 16);
    out.push_str(&url[..first]);
    for (at, &byte) in bytes.iter().enumerate().skip(first) {
        if stays(at) {
            out.push(byte as char);
        } else {
            percent::push_escape(&mut out, byte);
        }
    }
    Cow::Owned(out)
}

fn is_url_byte(byte: u8) -> bool {
    matches!(byte, b'!'..=b'~') && !b"\"<>`{}".contains(&byte)
}

/// The `Location` of a redirect to `url`, always printable ASCII without spaces.
///
/// An absolute `http` or `https` URL is normalised as a browser reads it: scheme and host in lower case, the
/// default port dropped, backslashes of the path turned into slashes, dot segments resolved, `/` for an empty
/// path, tabs and line breaks removed. So what an app checks is what the browser will follow. Then, as for any other
/// URL, what a URL cannot hold is percent-encoded. Host names that are not ASCII are percent-encoded in UTF-8, which
/// browsers turn into Punycode; IPv4 shorthands (`http://127.1/`) stay as they are. A backslash in any other URL,
/// which browsers would take for a slash, becomes `%5C`. A `//host` still leads to another site: see [`is_local`].
///
/// ```
/// use cepa_core::location::normalise_location;
///
/// assert_eq!(normalise_location("HTTP://Example.COM:80").unwrap(), "http://example.com/");
/// assert_eq!(normalise_location("/path with space").unwrap(), "/path%20with%20space");
/// ```
///
/// # Errors
/// When an absolute URL has user information, which RFC 9110, section 4.2.4, forbids to send, or no valid host or
/// port.
pub fn normalise_location(url: &str) -> Result<Cow<'_, str>, InvalidLocation> {
    absolute::normalise(url).unwrap_or_else(|| {
        let encoded = encode_url(url);
        Ok(if encoded.contains('\\') { Cow::Owned(encoded.replace('\\', "%5C")) } else { encoded })
    })
}

/// What the page of a redirect to `url` calls it: an absolute URL as it was normalised, anything else as it was given.
pub(crate) fn shown<'u>(url: &'u str, location: &'u str) -> &'u str {
    if absolute::is_absolute(url) { location } else { url }
}

/// Whether `url` leads to a path of the same site: it starts with exactly one `/`, no `\` follows, and it holds no
/// control character.
///
/// The check for redirects to a place a request named: `//evil.test` and `/\evil.test` lead elsewhere, and browsers
/// drop a tab or line break between the slashes.
pub fn is_local(url: &str) -> bool {
    let mut bytes = url.bytes();
    bytes.next() == Some(b'/')
        && !matches!(bytes.next(), Some(b'/' | b'\\'))
        && !url.bytes().any(|byte| byte.is_ascii_control())
}

/// Whether a `Referer` leads to the site that answers as `host` (with its port, if not the default).
///
/// True for a local path and for an absolute URL with this host and port, compared without case; `http` and `https`
/// are one site. The check before redirecting back.
///
/// ```
/// use cepa_core::location::is_same_site;
///
/// assert!(is_same_site("https://example.test/prev", "example.test"));
/// assert!(!is_same_site("https://example.test:99/prev", "example.test"));
/// ```
pub fn is_same_site(referrer: &str, host: &str) -> bool {
    is_local(referrer) || absolute::has_host(referrer, host)
}

/// `text` with `& < > " '` written as entities, fit for HTML text and quoted attributes.
pub fn html_escape(text: &str) -> Cow<'_, str> {
    let entity = |byte| match byte {
        b'&' => Some("&amp;"),
        b'<' => Some("&lt;"),
        b'>' => Some("&gt;"),
        b'"' => Some("&quot;"),
        b'\'' => Some("&#39;"),
        _ => None,
    };
    if !text.bytes().any(|byte| entity(byte).is_some()) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 16);
    let mut copied = 0;
    for (at, byte) in text.bytes().enumerate() {
        let Some(entity) = entity(byte) else { continue };
        out.push_str(&text[copied..at]);
        out.push_str(entity);
        copied = at + 1;
    }
    out.push_str(&text[copied..]);
    Cow::Owned(out)
}

#[cfg(test)]
mod tests;
