//! Sets of bytes, such as those that may stand in a token, and how far a text goes on in one.

/// A set of bytes.
pub(super) struct Set([bool; 256]);

impl Set {
    /// The letters and digits of ASCII, and these.
    pub(super) const fn alphanumeric_and(others: &[u8]) -> Self {
        let mut set = [false; 256];
        let mut byte = 0;
        while byte < 128 {
            set[byte] = (byte as u8).is_ascii_alphanumeric();
            byte += 1;
        }
        let mut at = 0;
        while at < others.len() {
            set[others[at] as usize] = true;
            at += 1;
        }
        Self(set)
    }

    #[inline]
    pub(super) const fn contains(&self, byte: u8) -> bool {
        self.0[byte as usize]
    }

    /// How many bytes at the start are in the set.
    ///
    /// Whether there are as many left is asked for four at a time: what stands in a head is short, and these questions
    /// are half of the work on it.
    #[inline]
    pub(super) fn run(&self, bytes: &[u8]) -> usize {
        let (mut run, mut left) = (0, bytes);
        while let [a, b, c, d, rest @ ..] = left {
            for byte in [a, b, c, d] {
                if !self.contains(*byte) {
                    return run;
                }
                run += 1;
            }
            left = rest;
        }
        run + left.iter().take_while(|byte| self.contains(**byte)).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_ends_at_the_first_byte_that_is_not_in_the_set() {
        let set = Set::alphanumeric_and(b"-");
        assert!(set.contains(b'-') && set.contains(b'Z') && !set.contains(b'_') && !set.contains(0xe9));
        for length in 0..12 {
            let text = b"abcdefghi-0Z"[..length].to_vec();
            assert_eq!(set.run(&text), length);
            for at in 0..length {
                let mut text = text.clone();
                text[at] = b' ';
                assert_eq!(set.run(&text), at);
            }
        }
    }
}
