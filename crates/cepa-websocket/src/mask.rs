//! Takes the mask off a payload (RFC 6455, section 5.3).

/// Bytes that are unmasked at once.
const WORD: usize = 16;

/// Takes the mask off `bytes` in place, of which `before` bytes of the same frame came earlier.
///
/// Masking and unmasking are the same.
pub(crate) fn unmask(bytes: &mut [u8], key: [u8; 4], before: u64) {
    let mut key = key;
    key.rotate_left((before % 4) as usize);
    let word = u128::from_ne_bytes(std::array::from_fn(|at| key[at % 4]));
    let (words, rest) = bytes.as_chunks_mut::<WORD>();
    for bytes in words {
        *bytes = (u128::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(key.iter().cycle()) {
        *byte ^= key;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn words_and_cuts_change_nothing(bytes: Vec<u8>, key: [u8; 4], cut: usize) {
            let expected: Vec<u8> = bytes.iter().enumerate().map(|(at, byte)| byte ^ key[at % 4]).collect();
            let mut bytes = bytes;
            let cut = cut % (bytes.len() + 1);
            let (first, second) = bytes.split_at_mut(cut);
            unmask(first, key, 0);
            unmask(second, key, cut as u64);
            prop_assert_eq!(bytes, expected);
        }
    }
}
