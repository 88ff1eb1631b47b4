//! CRC-32C, the checksum of iSCSI (RFC 3720, appendix B.4), which a header of version 2 may have.

/// The polynomial, its bits in reverse.
const POLYNOMIAL: u32 = 0x82f6_3b78;

/// The checksum of some bytes. Bit by bit: a header is short, and comes once for a connection.
pub(super) fn crc32c(bytes: impl IntoIterator<Item = u8>) -> u32 {
    let rest = bytes.into_iter().fold(u32::MAX, |rest, byte| {
        (0..8).fold(rest ^ u32::from(byte), |rest, _| (rest >> 1) ^ (POLYNOMIAL * (rest & 1)))
    });
    !rest
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_checksums() {
        let ascending = || 0..32u8;
        // RFC 3720, appendix B.4, and the usual check value.
        assert_eq!(crc32c([0; 32]), 0x8a91_36aa);
        assert_eq!(crc32c([0xff; 32]), 0x62a8_ab43);
        assert_eq!(crc32c(ascending()), 0x46dd_794e);
        assert_eq!(crc32c(ascending().rev()), 0x113f_db5c);
        assert_eq!(crc32c(*b"123456789"), 0xe306_9283);
        assert_eq!(crc32c([]), 0);
    }
}
