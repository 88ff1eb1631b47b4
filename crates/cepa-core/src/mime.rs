//! Media types by file name extension, and what is known about them.

mod table;

use std::borrow::Cow;

/// The media type of a file name extension.
///
/// Takes `html`, `.html` or `page.html`, in any case; the answer has no parameters.
///
/// ```
/// assert_eq!(cepa_core::mime::from_extension("html"), Some("text/html"));
/// assert_eq!(cepa_core::mime::from_extension(".JSON"), Some("application/json"));
/// assert_eq!(cepa_core::mime::from_extension("nosuch"), None);
/// ```
pub fn from_extension(name: &str) -> Option<&'static str> {
    lookup(name).map(essence)
}

/// The `Content-Type` to send for an extension, a file name or a media type.
///
/// Text that holds a `/` is a media type and stays as it is; anything else goes by its extension, `None` when
/// that is unknown. A charset is added where [`charset_of`] knows one and the text names none.
///
/// ```
/// use cepa_core::mime::content_type;
///
/// assert_eq!(content_type("report.csv").as_deref(), Some("text/csv; charset=utf-8"));
/// assert_eq!(content_type("text/html").as_deref(), Some("text/html; charset=utf-8"));
/// assert_eq!(content_type("png").as_deref(), Some("image/png"));
/// ```
pub fn content_type(text: &str) -> Option<Cow<'_, str>> {
    if !text.contains('/') {
        return lookup(text).map(Cow::Borrowed);
    }
    match charset_of(text) {
        Some(charset) if !names_charset(text) => Some(Cow::Owned(format!("{text}; charset={charset}"))),
        _ => Some(Cow::Borrowed(text)),
    }
}

/// The charset in which files of this media type are written today: `utf-8` for text and JSON, `None` for types
/// that are not text or that name their charset inside.
pub fn charset_of(media_type: &str) -> Option<&'static str> {
    const UTF_8: [&str; 3] = ["application/json", "application/manifest+json", "application/javascript"];
    let essence = essence(media_type);
    let text = starts_with(essence, "text/") || UTF_8.iter().any(|known| known.eq_ignore_ascii_case(essence));
    text.then_some("utf-8")
}

/// The usual file name extension of a media type, without the dot; parameters are ignored.
pub fn extension_of(media_type: &str) -> Option<&'static str> {
    let essence_of = essence(media_type);
    let usual = table::USUAL.iter().find(|(known, _)| known.eq_ignore_ascii_case(essence_of));
    usual.map(|&(_, extension)| extension).or_else(|| {
        let same = |(_, known): &&(&str, &str)| essence(known).eq_ignore_ascii_case(essence_of);
        table::TYPES.iter().find(same).map(|&(extension, _)| extension)
    })
}

/// Whether a body of this media type is worth compressing; parameters are ignored.
///
/// True for text, for what is JSON or XML by its suffix, and for a list of uncompressed formats. It speaks of the
/// bytes only: an event stream compresses well, whether it should be is the compressor's question.
pub fn is_compressible(media_type: &str) -> bool {
    let essence = essence(media_type);
    let text = starts_with(essence, "text/")
        || ["+json", "+xml", "+text"].into_iter().any(|suffix| ends_with(essence, suffix));
    text || COMPRESSIBLE.iter().any(|known| known.eq_ignore_ascii_case(essence))
}

const COMPRESSIBLE: &[&str] = &[
    "application/dart",
    "application/ecmascript",
    "application/graphql",
    "application/javascript",
    "application/json",
    "application/json5",
    "application/jsonl",
    "application/octet-stream",
    "application/postscript",
    "application/rtf",
    "application/tar",
    "application/toml",
    "application/vnd.dart",
    "application/vnd.ms-fontobject",
    "application/vnd.ms-opentype",
    "application/wasm",
    "application/x-httpd-php",
    "application/x-javascript",
    "application/x-ndjson",
    "application/x-ns-proxy-autoconfig",
    "application/x-sh",
    "application/x-tar",
    "application/x-www-form-urlencoded",
    "application/xml",
    "application/xml-dtd",
    "application/yaml",
    "font/otf",
    "font/ttf",
    "image/bmp",
    "image/vnd.adobe.photoshop",
    "image/vnd.microsoft.icon",
    "image/x-icon",
    "image/x-ms-bmp",
    "message/rfc822",
    "model/gltf-binary",
];

/// The `Content-Type` of an extension or file name.
fn lookup(name: &str) -> Option<&'static str> {
    // The longest extension of the table has 12 letters; a longer one cannot be in it.
    let mut lower = [0; 12];
    let extension = name.rsplit('.').next()?.as_bytes();
    let lower = lower.get_mut(..extension.len())?;
    lower.copy_from_slice(extension);
    lower.make_ascii_lowercase();
    let found = table::TYPES.binary_search_by(|(known, _)| known.as_bytes().cmp(lower)).ok()?;
    Some(table::TYPES[found].1)
}

/// The type and subtype of `media_type`, without parameters and the space around them.
fn essence(media_type: &str) -> &str {
    media_type.split(';').next().unwrap_or_default().trim()
}

fn names_charset(text: &str) -> bool {
    text.as_bytes().windows(7).any(|window| window.eq_ignore_ascii_case(b"charset"))
}

fn starts_with(text: &str, prefix: &str) -> bool {
    text.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
}

fn ends_with(text: &str, suffix: &str) -> bool {
    let start = text.len().checked_sub(suffix.len());
    start.and_then(|start| text.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(suffix))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;
    use proptest::prelude::*;
    use serde_json::Value;

    #[test]
    fn sets_types_as_recorded() {
        #[derive(serde::Deserialize)]
        struct Vector {
            ext: String,
            content_type: Value,
            compressible: Option<bool>,
        }
        for vector in vectors::load::<Vector>("mime") {
            let found = content_type(&vector.ext);
            assert_eq!(found.as_deref(), vector.content_type.as_str(), "{}", vector.ext);
            assert_eq!(found.as_deref().map(is_compressible), vector.compressible, "{}", vector.ext);
        }
    }

    #[test]
    fn compresses_as_recorded() {
        #[derive(serde::Deserialize)]
        struct Vector {
            r#type: String,
            compress: bool,
        }
        for Vector { r#type, compress } in vectors::load("compressible") {
            assert_eq!(is_compressible(&r#type), compress, "{type}");
        }
    }

    #[test]
    fn the_table_is_sorted_and_says_the_same_as_the_rules() {
        assert!(table::TYPES.is_sorted_by(|a, b| a.0 < b.0));
        assert!(table::USUAL.is_sorted_by(|a, b| a.0 < b.0));
        for &(extension, known) in table::TYPES {
            assert_eq!(lookup(extension), Some(known), "longer than the buffer of lookup: {extension}");
            assert_eq!(charset_of(known).is_some(), names_charset(known), "{extension}");
            assert_eq!(essence(known), essence(known).to_ascii_lowercase());
        }
        for &(media_type, extension) in table::USUAL {
            assert_eq!(from_extension(extension), Some(media_type));
        }
    }

    #[test]
    fn reads_names_and_types() {
        let table = [
            (".json", Some("application/json; charset=utf-8")),
            ("a.b.HTML", Some("text/html; charset=utf-8")),
            ("text/html;level=1", Some("text/html;level=1; charset=utf-8")),
            ("text/html; Charset=latin1", Some("text/html; Charset=latin1")),
            ("image/png", Some("image/png")),
            ("x/y", Some("x/y")),
            ("", None),
            (".", None),
            ("html.", None),
            ("é", None),
            ("averyveryverylongextension", None),
        ];
        for (text, expected) in table {
            assert_eq!(content_type(text).as_deref(), expected, "{text}");
        }
        assert_eq!(extension_of("Text/HTML; charset=utf-8"), Some("html"));
        assert_eq!(extension_of("image/png"), Some("png"));
        assert_eq!(extension_of("image/jpeg"), Some("jpg"));
        assert_eq!(extension_of("x/y"), None);
    }

    proptest! {
        #[test]
        fn never_panics(text in any::<String>()) {
            let _ = (content_type(&text), from_extension(&text), extension_of(&text));
            let _ = (charset_of(&text), is_compressible(&text));
        }
    }
}
