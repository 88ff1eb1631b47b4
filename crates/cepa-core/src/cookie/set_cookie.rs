//! Writes one `Set-Cookie` line, and refuses whatever a browser would drop, cut or read as something else.

use super::{CookieError, CookieOptions, Priority, SameSite, parse::is_blank};
use http::HeaderValue;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Longest `Set-Cookie` line, in bytes: what every browser keeps (RFC 6265, section 6.1).
pub const MAX_SET_COOKIE: usize = 4096;

/// The value of a `Set-Cookie` header, its attributes in Koa's order and spelling.
///
/// `secure`: whether the connection is encrypted. `now`: what `max_age` counts from. An empty value deletes
/// the cookie: the line then expires in 1970, whatever the options say. `options.signed` and
/// `options.overwrite` concern the [`Jar`](super::Jar) and are not looked at here.
///
/// Errors: see [`CookieError`]. Sources: RFC 6265, section 4.1; for the `__Secure-`, `__Host-`, `__Http-` and
/// `__Host-Http-` prefixes its revisions (rfc6265bis, layered-cookies).
///
/// ```
/// use cepa_core::cookie::{CookieOptions, set_cookie};
/// let line = set_cookie("a", "1", &CookieOptions::default(), true, std::time::UNIX_EPOCH)?;
/// assert_eq!(line, "a=1; path=/; secure; httponly");
/// # Ok::<(), cepa_core::cookie::CookieError>(())
/// ```
pub fn set_cookie(
    name: &str,
    value: &str,
    options: &CookieOptions<'_>,
    secure: bool,
    now: SystemTime,
) -> Result<HeaderValue, CookieError> {
    if options.secure == Some(true) && !secure {
        return Err(CookieError::Insecure);
    }
    let secure = options.secure.unwrap_or(secure);
    check(name, value, options)?;
    check_prefix(name, options, secure)?;

    let end = if value.is_empty() { Some(Duration::ZERO) } else { options.end(now) };
    let date = end.map(|end| httpdate::fmt_http_date(UNIX_EPOCH + end));
    let parts = [
        ("", Some(name)),
        ("=", Some(value)),
        ("; path=", options.path),
        ("; expires=", date.as_deref()),
        ("; domain=", options.domain),
        ("; priority=", options.priority.map(Priority::as_str)),
        ("; samesite=", options.same_site.map(SameSite::as_str)),
        ("; secure", secure.then_some("")),
        ("; httponly", options.http_only.then_some("")),
        ("; partitioned", options.partitioned.then_some("")),
    ];
    let parts = parts.into_iter().filter_map(|(label, text)| Some([label, text?]));
    let len = parts.clone().flatten().map(str::len).sum();
    if len > MAX_SET_COOKIE {
        return Err(CookieError::TooLong { name: name.into(), len });
    }
    let mut line = String::with_capacity(len);
    line.extend(parts.flatten());
    let mut line = HeaderValue::try_from(line).map_err(|_| CookieError::Value(name.into()))?;
    // Kept out of debug output and of HPACK tables.
    line.set_sensitive(true);
    Ok(line)
}

fn check(name: &str, value: &str, options: &CookieOptions<'_>) -> Result<(), CookieError> {
    if !is_token(name) {
        return Err(CookieError::Name(name.into()));
    }
    if !comes_back_unchanged(value) {
        return Err(CookieError::Value(name.into()));
    }
    let is_path = |path: &str| {
        path.starts_with('/') && path.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b';')
    };
    if !options.path.is_none_or(is_path) {
        return Err(CookieError::Path(name.into()));
    }
    if !options.domain.is_none_or(is_domain) {
        return Err(CookieError::Domain(name.into()));
    }
    Ok(())
}

/// RFC 9110, section 5.6.2. Stricter than Koa, which lets spaces and letters beyond ASCII pass: those are
/// what disguises a name.
fn is_token(name: &str) -> bool {
    let is_tchar = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !name.is_empty() && name.bytes().all(is_tchar)
}

/// Whether a browser stores these bytes and [`parse`](super::parse()) reads them back as they are: JSON and
/// UTF-8 pass; `;`, control characters, blanks at the ends and a pair of quotes around it all do not.
fn comes_back_unchanged(value: &str) -> bool {
    let bytes = value.as_bytes();
    let quoted = matches!(bytes, [b'"', .., b'"']);
    let padded = [bytes.first(), bytes.last()].into_iter().flatten().any(|&byte| is_blank(byte));
    let printable = |&byte: &u8| matches!(byte, b'\t' | b' '..=b'~' | 0x80..) && byte != b';';
    !quoted && !padded && bytes.iter().all(printable)
}

/// Labels of letters, digits and inner hyphens, joined by dots; a leading dot is allowed and means nothing
/// (RFC 6265, section 5.2.3).
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    domain.len() <= 254 && domain.strip_prefix('.').unwrap_or(domain).split('.').all(is_label)
}

/// The promises some names make to the server, compared without regard to case, as browsers do.
fn check_prefix(name: &str, options: &CookieOptions<'_>, secure: bool) -> Result<(), CookieError> {
    let starts_with =
        |prefix: &str| name.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix));
    if !starts_with("__") {
        return Ok(());
    }
    let host = starts_with("__Host-");
    let http = starts_with("__Http-") || starts_with("__Host-Http-");
    let rule = if (host || http || starts_with("__Secure-")) && !secure {
        "it is secure, over an encrypted connection"
    } else if host && options.path != Some("/") {
        "its path is \"/\""
    } else if host && options.domain.is_some() {
        "it has no domain"
    } else if http && !options.http_only {
        "it is http_only"
    } else {
        return Ok(());
    };
    Err(CookieError::Prefix { name: name.into(), rule })
}

#[cfg(test)]
mod tests;
