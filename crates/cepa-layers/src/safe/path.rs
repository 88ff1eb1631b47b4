//! Paths of files that stay where they belong.

/// The path, if it leads nowhere else than below the folder to which it is joined: Egg's `spath`.
///
/// It is refused when it is absolute, holds two dots in a row, a backslash or a NUL, or does so after its escapes were
/// decoded, as often as there are any. Whoever opens it may therefore decode it or not.
///
/// It knows nothing of links: what is on the disk may still lead elsewhere.
pub fn path(path: &str) -> Option<&str> {
    let decoded = decode(path);
    let leads_away = decoded.starts_with(b"/")
        || decoded.contains(&0)
        || decoded.contains(&b'\\')
        || decoded.windows(2).any(|two| two == b"..");
    (!leads_away).then_some(path)
}

/// Whether the path of a URL stays below its root however it is decoded: Egg's `isSafePath`.
///
/// ```
/// use cepa_layers::safe::is_inside;
///
/// assert!(is_inside("/a/../b"));
/// assert!(!is_inside("/a/%2e%2e/../b"));
/// ```
pub fn is_inside(path: &str) -> bool {
    let decoded = decode(path);
    let mut depth = 0usize;
    for segment in decoded.split(|byte| matches!(byte, b'/' | b'\\')) {
        match segment {
            b"" | b"." => {}
            b".." => match depth.checked_sub(1) {
                Some(above) => depth = above,
                None => return false,
            },
            _ => depth += 1,
        }
    }
    !decoded.contains(&0)
}

/// Decodes escapes, those that come out of others too, in one pass: what is decoded never grows.
fn decode(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    for byte in text.bytes() {
        out.push(byte);
        while let Some(&[b'%', high, low]) = out.last_chunk() {
            let digit = |digit: u8| (digit as char).to_digit(16);
            let (Some(high), Some(low)) = (digit(high), digit(low)) else { break };
            out.truncate(out.len() - 3);
            out.push((high << 4 | low) as u8);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn attack_path_traversal() {
        for attack in [
            "/etc/passwd",
            "../a",
            "a/..",
            "..",
            "%2e%2e/a",
            ".%2e/a",
            "%252e%252e%252fa",
            "%25252e./a",
            "%%32%65%2e/a",
            "%zz/%2e%2e/a",
            "%ff%2e%2e/a",
            "%2fetc/passwd",
            "a%00.png",
            "a\0.png",
            "..\\a",
            "\\\\host\\share",
            "%5c%5chost",
        ] {
            assert_eq!(path(attack), None, "{attack}");
        }
        for fine in ["", "a/b.txt", "a.b", "%", "%zz", "100%", "吴.txt", "%e5%90%b4"] {
            assert_eq!(path(fine), Some(fine), "{fine}");
        }
        for outside in [
            "..",
            "/..",
            "/../a",
            "/a/../../b",
            "/%2e%2e/a",
            "/%252e%252e/a",
            "/..\\a",
            "/a%00",
            "/a/..%5c..",
        ] {
            assert!(!is_inside(outside), "{outside}");
        }
        for inside in ["", "/", "/a/..", "/a/../b", "/..a", "/a../b", "/.../a", "/%zz", "/./."] {
            assert!(is_inside(inside), "{inside}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_passes_can_be_decoded_into_an_attack(text in "[%0-9a-f./\\\\]{0,40}") {
            let mut decoded = text.clone().into_bytes();
            let passes = path(&text).is_some();
            for _ in 0..20 {
                prop_assert!(!passes || !decoded.starts_with(b"/") && !decoded.windows(2).any(|two| two == b".."));
                decoded = cepa_core::percent::decode(&String::from_utf8_lossy(&decoded)).into_owned();
            }
        }
    }
}
