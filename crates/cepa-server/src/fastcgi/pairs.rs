//! Names and values, each pair with its two lengths before it (FastCGI 1.0, section 3.4).

use crate::cgi::Reject;

/// The pairs in a text, up to the first that reaches over its end, which is an error and the last.
#[derive(Debug, Clone)]
pub struct Pairs<'a>(&'a [u8]);

impl<'a> Pairs<'a> {
    /// The pairs in `text`.
    #[must_use]
    pub fn new(text: &'a [u8]) -> Self {
        Self(text)
    }

    fn pair(&mut self) -> Option<(&'a [u8], &'a [u8])> {
        let (name, rest) = length(self.0)?;
        let (value, rest) = length(rest)?;
        let (name, rest) = rest.split_at_checked(name)?;
        let (value, rest) = rest.split_at_checked(value)?;
        self.0 = rest;
        Some((name, value))
    }
}

impl<'a> Iterator for Pairs<'a> {
    type Item = Result<(&'a [u8], &'a [u8]), Reject>;

    #[inline]
    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        Some(self.pair().ok_or_else(|| {
            self.0 = &[];
            Reject::Variables
        }))
    }
}

/// A length of one byte below 128, or of four with the highest bit set.
fn length(text: &[u8]) -> Option<(usize, &[u8])> {
    match *text {
        [short @ 0..=0x7f, ref rest @ ..] => Some((short.into(), rest)),
        [a, b, c, d, ref rest @ ..] => Some((u32::from_be_bytes([a & 0x7f, b, c, d]) as usize, rest)),
        _ => None,
    }
}

/// Appends a pair.
///
/// # Panics
/// In debug builds, when one of them is longer than 2 GiB.
pub fn push_pair(out: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    for part in [name, value] {
        debug_assert!(part.len() < 1 << 31, "a length has 31 bits");
        match u8::try_from(part.len()) {
            Ok(short @ 0..=0x7f) => out.push(short),
            _ => out.extend_from_slice(&(part.len() as u32 | 1 << 31).to_be_bytes()),
        }
    }
    out.extend_from_slice(name);
    out.extend_from_slice(value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn lengths_of_both_kinds() {
        for (text, expected) in [
            (&b""[..], &[][..]),
            (b"\x01\x02abc", &[Ok((&b"a"[..], &b"bc"[..]))]),
            (b"\x00\x00", &[Ok((b"", b""))]),
            (b"\x80\x00\x00\x01\x00a", &[Ok((b"a", b""))]),
            (b"\x01\x80\x00\x00\x02abc\x01", &[Ok((b"a", b"bc")), Err(Reject::Variables)]),
            (b"\x01\x02ab", &[Err(Reject::Variables)]),
            (b"\x01", &[Err(Reject::Variables)]),
            (b"\x80\x00", &[Err(Reject::Variables)]),
            (b"\xff\xff\xff\xff\xff\xff\xff\xffa", &[Err(Reject::Variables)]),
        ] {
            assert_eq!(Pairs::new(text).collect::<Vec<_>>(), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(pairs in prop::collection::vec((prop::collection::vec(any::<u8>(), 0..300), ".{0,200}"), 0..8)) {
            let mut text = Vec::new();
            for (name, value) in &pairs {
                push_pair(&mut text, name, value.as_bytes());
            }
            let read: Vec<_> = Pairs::new(&text).map(Result::unwrap).collect();
            let written: Vec<_> = pairs.iter().map(|(name, value)| (&**name, value.as_bytes())).collect();
            prop_assert_eq!(read, written);
        }

        #[test]
        fn any_bytes_are_pairs_or_refused(text: Vec<u8>) {
            let bytes: usize = Pairs::new(&text).filter_map(Result::ok).map(|(name, value)| name.len() + value.len()).sum();
            prop_assert!(bytes <= text.len());
        }
    }
}
