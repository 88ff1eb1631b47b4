//! What file a URL path names.

use std::borrow::Cow;

use cepa_core::percent;

/// The longest path that is looked up, and the longest segment of one, in bytes: those of Linux.
const MAX_PATH: usize = 4095;
const MAX_SEGMENT: usize = 255;

/// A path below a root: segments with one slash between them, none of them empty, `.` or `..`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Name<'u> {
    /// Without a slash at the end; empty is the root itself.
    pub(crate) path: Cow<'u, str>,
    /// Whether the URL ends with a slash, and so asks for a directory.
    pub(crate) is_directory: bool,
}

/// What a URL path names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Named<'u> {
    Name(Name<'u>),
    /// No file that may be served can have this name: an encoded slash, a backslash, an empty or hidden segment,
    /// what is not UTF-8, or too long.
    Nothing,
    /// `..`, encoded or not: nobody follows such a link, clients resolve it.
    Outside,
    /// A NUL, which ends a name for the kernel and for nobody else.
    Nul,
}

impl<'u> Named<'u> {
    /// Reads the part of a URL path that lies below a root, without the slash in front.
    ///
    /// It is decoded once, segment by segment, and checked after that: `%2e%2e` is `..`, and `%252e` is a file with
    /// a percent sign. Segments that begin with a dot are hidden unless `hidden` says that they are served;
    /// `.well-known` (RFC 8615) is not, being public by its name.
    pub(crate) fn read(url: &'u str, hidden: bool) -> Self {
        // An escape takes three bytes, so that nothing longer can be short enough.
        if url.len() > 3 * MAX_PATH {
            return Self::Nothing;
        }
        let (segments, is_directory) = match url.strip_suffix('/') {
            Some(segments) => (segments, true),
            None => (url, url.is_empty()),
        };
        if segments.is_empty() {
            let name = Name { path: Cow::Borrowed(""), is_directory };
            return if url.is_empty() || url == "/" { Self::Name(name) } else { Self::Nothing };
        }
        let mut is_name = true;
        for segment in segments.split('/') {
            match Segment::read(segment, hidden) {
                Segment::Name => {}
                // Whatever stands before it, an attack is told as one.
                Segment::Outside => return Self::Outside,
                Segment::Nul => return Self::Nul,
                Segment::Nothing => is_name = false,
            }
        }
        let path = match percent::decode(segments) {
            Cow::Borrowed(_) => Ok(Cow::Borrowed(segments)),
            Cow::Owned(bytes) => String::from_utf8(bytes).map(Cow::Owned),
        };
        match path {
            Ok(path) if is_name && path.len() <= MAX_PATH => Self::Name(Name { path, is_directory }),
            _ => Self::Nothing,
        }
    }
}

enum Segment {
    Name,
    Nothing,
    Outside,
    Nul,
}

impl Segment {
    fn read(text: &str, hidden: bool) -> Self {
        let segment = percent::decode(text);
        if segment.contains(&0) {
            return Self::Nul;
        }
        match &*segment {
            b"" | b"." => Self::Nothing,
            b".." => Self::Outside,
            name if name.len() > MAX_SEGMENT || name.iter().any(|byte| matches!(byte, b'/' | b'\\')) => {
                Self::Nothing
            }
            [b'.', rest @ ..] if !hidden && rest != b"well-known" => Self::Nothing,
            _ => Self::Name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_path_is_decoded_once_and_checked_after_that() {
        for (url, path, is_directory) in [
            ("", "", true),
            ("/", "", true),
            ("a.txt", "a.txt", false),
            ("a/b/", "a/b", true),
            ("sp%20ace+.txt", "sp ace+.txt", false),
            ("%E4%B8%AD.txt", "中.txt", false),
            ("%252e%252e/x", "%2e%2e/x", false),
            ("100%", "100%", false),
            ("...", "...", false),
            (".well-known/acme", ".well-known/acme", false),
        ] {
            let hidden = url == "...";
            let expected = Named::Name(Name { path: path.into(), is_directory });
            assert_eq!(Named::read(url, hidden), expected, "{url}");
        }
        let segment = "a".repeat(MAX_SEGMENT + 1);
        let path = "a/".repeat(MAX_PATH);
        for url in [
            "//",
            "a//b",
            "/a",
            "a/./b",
            "%2e",
            "a%2fb",
            "a%5cb",
            "a\\b",
            "..%5c..%5cx",
            "%ff",
            &segment,
            &path,
        ] {
            assert_eq!(Named::read(url, true), Named::Nothing, "{url}");
        }
        for url in [".env", "a/.git/config", "%2egit/config", "..."] {
            assert_eq!(Named::read(url, false), Named::Nothing, "{url}");
        }
        for url in ["..", "../x", "a/../../x", "%2e%2e/x", ".%2E/x", "a//../x", "%2fetc/%2e%2e"] {
            assert_eq!(Named::read(url, false), Named::Outside, "{url}");
        }
        for url in ["a%00b", "%00", "a.txt%00.png"] {
            assert_eq!(Named::read(url, false), Named::Nul, "{url}");
        }
    }

    proptest! {
        #[test]
        fn a_name_never_leaves_its_root(url in r"(\.|/|%2[eEfF]|%5c|%00|%|[a-z\\é]){0,24}", hidden: bool) {
            if let Named::Name(Name { path, .. }) = Named::read(&url, hidden) {
                prop_assert!(!path.contains(['\0', '\\']));
                for segment in path.split('/').filter(|_| !path.is_empty()) {
                    prop_assert!(!matches!(segment, "" | "." | ".."), "{url} is {path}");
                    prop_assert!(hidden || !segment.starts_with('.') || segment == ".well-known");
                }
            }
        }

        #[test]
        fn never_panics(url in any::<String>()) {
            let _ = Named::read(&url, false);
        }
    }
}
