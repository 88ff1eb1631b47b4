//! Reads the segments of a path by the word: end and key of each.

const SLASHES: u64 = u64::from_ne_bytes([b'/'; 8]);
const ONES: u64 = u64::from_ne_bytes([0x01; 8]);
const TOPS: u64 = u64::from_ne_bytes([0x80; 8]);

/// How many bytes a key holds as they are.
pub(super) const WORD: usize = 8;

/// A path, read eight bytes at a time: most segments are found, hashed and compared as one word.
#[derive(Clone, Copy)]
pub(super) struct Words<'a> {
    pub(super) path: &'a [u8],
    /// The last eight bytes, the first one lowest, and above them eight slashes, which end the last
    /// segment like any other. Below those of a shorter path there are zeros.
    tail: u128,
    /// The bits that count in a key: all, or all but the one that tells ASCII cases apart.
    counts: u64,
}

impl<'a> Words<'a> {
    pub(super) fn new(path: &'a [u8], ignore_case: bool) -> Self {
        let last = match path.last_chunk() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => path.iter().fold(0, |last, &byte| last >> 8 | u64::from(byte) << 56),
        };
        let tail = u128::from(SLASHES) << 64 | u128::from(last);
        let counts = if ignore_case { !u64::from_ne_bytes([0x20; WORD]) } else { u64::MAX };
        Self { path, tail, counts }
    }

    /// The end of the segment that starts at `at`, which is in the path or at its end, and its key.
    ///
    /// Equal segments have equal keys, in either case if that is ignored. If it is not, segments of one
    /// length up to eight bytes that have equal keys are equal.
    pub(super) fn segment(&self, at: usize) -> (usize, u64) {
        let mut key = 0_u64;
        let mut end = at;
        loop {
            let word = self.word(end);
            // The lowest bit that is left is the top bit of the first byte that is a slash.
            let differs = word ^ SLASHES;
            let slashes = differs.wrapping_sub(ONES) & !differs & TOPS;
            let before_slash = ((slashes & slashes.wrapping_neg()) >> 7).wrapping_sub(1);
            key = key.rotate_left(29) ^ word & before_slash & self.counts;
            let len = slashes.trailing_zeros() as usize / 8;
            end += len;
            if len < WORD {
                return (end, key);
            }
        }
    }

    /// The eight bytes from `at` on, the first one lowest; slashes stand for those beyond the path.
    fn word(&self, at: usize) -> u64 {
        let left = &self.path[at..];
        match left.first_chunk() {
            Some(chunk) => u64::from_le_bytes(*chunk),
            None => (self.tail >> (8 * (WORD - left.len()))) as u64,
        }
    }
}

#[cfg(test)]
mod tests;
