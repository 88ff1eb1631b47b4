//! Finds the delimiter between parts, in linear time whatever the bytes are.

/// The delimiter: a line break, two hyphens and the boundary (RFC 2046, section 5.1.1).
#[derive(Debug)]
pub(super) struct Delimiter(Box<[u8]>);

/// Where a delimiter is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// It begins here.
    At(usize),
    /// Nowhere before here, where one may begin that goes on past the bytes at hand; mostly their end.
    NotBefore(usize),
}

/// The most bytes of a boundary.
const MOST: usize = 70;

impl Delimiter {
    /// `None` for what is no boundary: 1 to 70 characters of a small set, the last of them no space.
    pub(super) fn new(boundary: &str) -> Option<Self> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"'()+_,-./:=? ".contains(&byte);
        let valid = (1..=MOST).contains(&boundary.len())
            && boundary.bytes().all(is_allowed)
            && !boundary.ends_with(' ');
        valid.then(|| Self([b"\r\n--", boundary.as_bytes()].concat().into()))
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether the bytes begin with the delimiter; `None` if more of them are needed to say.
    pub(super) fn begins(&self, bytes: &[u8]) -> Option<bool> {
        let length = bytes.len().min(self.len());
        match bytes[..length] == self.0[..length] {
            true if length < self.len() => None,
            is_so => Some(is_so),
        }
    }

    /// Looks for the first delimiter.
    ///
    /// A boundary holds no CR, so that no more bytes are compared from one CR than lie before the next: all
    /// comparisons together take the time of a few passes.
    pub(super) fn find(&self, bytes: &[u8]) -> Found {
        let mut from = 0;
        while let Some(at) = find_cr(bytes, from) {
            match self.begins(&bytes[at..]) {
                Some(true) => return Found::At(at),
                None => return Found::NotBefore(at),
                Some(false) => from = at + 1,
            }
        }
        Found::NotBefore(bytes.len())
    }
}

/// The first CR from here on. Most blocks have none, which compilers make a few wide comparisons of.
fn find_cr(bytes: &[u8], from: usize) -> Option<usize> {
    const BLOCK: usize = 64;
    let is_cr = |byte: &u8| *byte == b'\r';
    let (blocks, _) = bytes[from..].as_chunks::<BLOCK>();
    let without = blocks.iter().take_while(|block| !block.iter().fold(false, |any, byte| any | is_cr(byte)));
    let start = from + without.count() * BLOCK;
    bytes[start..].iter().position(is_cr).map(|at| start + at)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn boundaries_are_those_of_the_rfc() {
        for (boundary, valid) in [
            ("x", true),
            ("----WebKitFormBoundary7MA4YWxkTrZu0gW", true),
            ("a b'()+_,-./:=?", true),
            (&"x".repeat(70), true),
            (&"x".repeat(71), false),
            ("", false),
            ("x ", false),
            ("a\rb", false),
            ("a\"b", false),
            ("é", false),
        ] {
            assert_eq!(Delimiter::new(boundary).is_some(), valid, "{boundary:?}");
        }
    }

    #[test]
    fn finds_whole_and_beginning_delimiters() {
        let delimiter = Delimiter::new("ab").unwrap();
        let long = "x".repeat(200);
        for (bytes, found) in [
            ("", Found::NotBefore(0)),
            ("\r\n--ab", Found::At(0)),
            ("x\r\n--a\r\n--ab", Found::At(6)),
            ("\r\r\n--ab", Found::At(1)),
            ("x\r\n--", Found::NotBefore(1)),
            ("x\r\n-x", Found::NotBefore(5)),
            ("\n--ab", Found::NotBefore(5)),
            (&format!("{long}\r\n--ab"), Found::At(200)),
            (&format!("{long}\r"), Found::NotBefore(200)),
        ] {
            assert_eq!(delimiter.find(bytes.as_bytes()), found, "{bytes:?}");
        }
    }

    proptest! {
        #[test]
        fn finds_what_a_plain_search_finds(bytes in "(\r|\n|-|a|b|\r\n--a|\r\n--ab|x{60,70}){0,12}") {
            let needle = b"\r\n--ab";
            let bytes = bytes.as_bytes();
            let plain = bytes.windows(needle.len()).position(|window| window == needle);
            match Delimiter::new("ab").unwrap().find(bytes) {
                Found::At(at) => prop_assert_eq!(Some(at), plain),
                Found::NotBefore(at) => {
                    prop_assert_eq!(plain, None);
                    prop_assert!(needle.starts_with(&bytes[at..]));
                }
            }
        }
    }
}
