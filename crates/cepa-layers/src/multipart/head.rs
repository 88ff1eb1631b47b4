//! The head of a part: what it is called, and whether it is a file (RFC 7578, section 4).

use std::borrow::Cow;

use cepa_core::form;
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::MultipartError;

/// How large the head of a part may be.
#[derive(Clone, Debug)]
pub struct HeadLimits {
    /// Bytes of all headers of a part, default 8 KiB.
    pub header_bytes: usize,
    /// Bytes of the name of a field, default 100.
    pub name_bytes: usize,
    /// Bytes of the name of a file, default 255.
    pub file_name_bytes: usize,
}

impl Default for HeadLimits {
    fn default() -> Self {
        Self { header_bytes: 8 << 10, name_bytes: 100, file_name_bytes: 255 }
    }
}

/// The most headers of a part, and the most parameters of one; two are usual.
const MOST: usize = 16;

/// The head of a part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartHead {
    name: String,
    file_name: Option<String>,
    headers: HeaderMap,
}

impl PartHead {
    /// The name of the field. Clients write a quote in it as `%22` and line breaks as `%0D` and `%0A` (WHATWG HTML,
    /// multipart/form-data encoding), as in the name of a file, and a `%` as it is: so these stay.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the client calls the file: the last component of a path, without control characters. `None` if the part is
    /// no file, empty if the file has no name.
    ///
    /// Show it, or keep it beside the file; a file stored under it is one whose name an attacker has chosen.
    pub fn file_name(&self) -> Option<&str> {
        self.file_name.as_deref()
    }

    /// Whether the part is a file: it has a file name, be it an empty one.
    pub fn is_file(&self) -> bool {
        self.file_name.is_some()
    }

    /// The type that the client says the content has; it has not been looked at.
    pub fn content_type(&self) -> Option<&str> {
        self.headers.get(header::CONTENT_TYPE)?.to_str().ok()
    }

    pub(super) fn into_name(self) -> String {
        self.name
    }

    /// All headers of the part.
    pub fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// Reads the lines of a head, without the line break of the last.
    pub(super) fn parse(lines: &[u8], limits: &HeadLimits) -> Result<Self, MultipartError> {
        let mut headers = HeaderMap::new();
        for line in split_lines(lines) {
            let colon = line.iter().position(|&byte| byte == b':').ok_or(MultipartError::Header)?;
            let name = HeaderName::from_bytes(&line[..colon]).map_err(|_| MultipartError::Header)?;
            let value = HeaderValue::from_bytes(line[colon + 1..].trim_ascii());
            let value = value.map_err(|_| MultipartError::Header)?;
            if headers.len() == MOST || headers.insert(name, value).is_some() {
                return Err(MultipartError::Header);
            }
        }
        let is_plain = |value: &HeaderValue| {
            [&b"binary"[..], b"8bit", b"7bit"]
                .iter()
                .any(|plain| value.as_bytes().eq_ignore_ascii_case(plain))
        };
        if !headers.get("content-transfer-encoding").is_none_or(is_plain) {
            return Err(MultipartError::Encoding);
        }
        let disposition = headers.get(header::CONTENT_DISPOSITION).ok_or(MultipartError::Disposition)?;
        let disposition = str::from_utf8(disposition.as_bytes()).map_err(|_| MultipartError::Disposition)?;
        let (name, file_name) = names(disposition).ok_or(MultipartError::Disposition)?;
        check("the name of a field", &name, limits.name_bytes)?;
        let file_name = file_name.as_deref().map(base_name);
        check("the name of a file", file_name.unwrap_or_default(), limits.file_name_bytes)?;
        let (name, file_name) = (name.into_owned(), file_name.map(str::to_owned));
        Ok(Self { name, file_name, headers })
    }
}

fn split_lines(mut lines: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        if lines.is_empty() {
            return None;
        }
        // A lone CR or LF stays in its line, where no header may have it.
        let end = lines.windows(2).position(|window| window == b"\r\n");
        let line = &lines[..end.unwrap_or(lines.len())];
        lines = end.map_or(&[], |end| &lines[end + 2..]);
        Some(line)
    })
}

fn check(what: &'static str, name: &str, most: usize) -> Result<(), MultipartError> {
    match name {
        _ if name.len() > most => Err(MultipartError::TooLarge { what, most: most as u64 }),
        _ if name.contains(char::is_control) => Err(MultipartError::Disposition),
        _ => Ok(()),
    }
}

/// The last component of a path, as some clients send it; empty if that is not a name.
fn base_name(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    if matches!(name, "." | "..") { "" } else { name }
}

/// The name of the field and that of the file in a `Content-Disposition`.
///
/// Of two names of a file the extended one counts (RFC 6266, section 4.3), which RFC 7578 does not want, but some
/// clients send.
fn names(disposition: &str) -> Option<(Cow<'_, str>, Option<Cow<'_, str>>)> {
    let (kind, mut rest) = disposition.split_at(disposition.find(';')?);
    if !kind.trim_ascii().eq_ignore_ascii_case("form-data") {
        return None;
    }
    let (mut name, mut file_name, mut extended) = (None, None, None);
    for _ in 0..MOST {
        rest = rest.trim_ascii_start();
        if rest.is_empty() {
            return Some((name?, extended.or(file_name)));
        }
        rest = rest.strip_prefix(';')?.trim_ascii_start();
        if rest.is_empty() {
            continue;
        }
        let (key, value) = rest.split_once('=')?;
        let (value, after) = parameter(value)?;
        rest = after;
        let slot = match () {
            () if key.eq_ignore_ascii_case("name") => &mut name,
            () if key.eq_ignore_ascii_case("filename") => &mut file_name,
            () if key.eq_ignore_ascii_case("filename*") => &mut extended,
            () => continue,
        };
        let value = if key.ends_with('*') { extended_value(&value)? } else { value };
        if slot.replace(value).is_some() {
            return None;
        }
    }
    None
}

/// The value of a parameter, and what follows it. Of escapes there are `\"` and `\\`: a browser that means no escape
/// writes a backslash as it is.
fn parameter(text: &str) -> Option<(Cow<'_, str>, &str)> {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([';', ' ', '\t']).unwrap_or(text.len());
        let (value, rest) = text.split_at(end);
        return (!value.is_empty() && !value.contains('"')).then_some((Cow::Borrowed(value), rest));
    };
    let bytes = quoted.as_bytes();
    let (mut at, mut copied, mut value) = (0, 0, String::new());
    loop {
        match (bytes.get(at)?, bytes.get(at + 1)) {
            (b'"', _) => break,
            (b'\\', Some(b'"' | b'\\')) => {
                value.push_str(&quoted[copied..at]);
                copied = at + 1;
                at += 2;
            }
            _ => at += 1,
        }
    }
    let last = &quoted[copied..at];
    let value = if copied == 0 { Cow::Borrowed(last) } else { Cow::Owned(value + last) };
    Some((value, &quoted[at + 1..]))
}

/// A value in UTF-8 as RFC 8187 writes it.
fn extended_value(value: &str) -> Option<Cow<'static, str>> {
    let (charset, value) = value.split_once('\'')?;
    let (_language, value) = value.split_once('\'')?;
    if !charset.eq_ignore_ascii_case("utf-8") || !value.is_ascii() {
        return None;
    }
    let decoded = form::decode_component(&value.replace('+', "%2B")).into_owned();
    (!decoded.contains(char::REPLACEMENT_CHARACTER)).then_some(Cow::Owned(decoded))
}

#[cfg(test)]
mod tests;
