//! Blocks of IP addresses (RFC 4632).

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// A block of addresses: `10.0.0.0/8`, `2001:db8::/32`, or one address.
///
/// IPv4 mapped into IPv6 (`::ffff:10.0.0.0/104`) is the IPv4 block.
///
/// ```
/// use cepa_core::forwarded::Cidr;
///
/// let block: Cidr = "10.0.0.0/8".parse().unwrap();
/// assert!(block.contains("::ffff:10.1.2.3".parse().unwrap()));
/// assert!(!block.contains("11.0.0.1".parse().unwrap()));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Cidr {
    network: IpAddr,
    prefix: u8,
}

/// Why a text is not a block of addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidCidr {
    /// What stands before the slash is not an IP address.
    #[error("not an IP address")]
    Address,
    /// What stands after the slash is not a number of bits, at most 32 for IPv4 and 128 for IPv6.
    #[error("the part after `/` must be a number of bits: at most 32 for IPv4, 128 for IPv6")]
    Prefix,
    /// Bits of the address after the prefix are set.
    #[error("the address has bits set after its prefix; write the first address of the block")]
    HostBits,
}

impl Cidr {
    /// The block of the addresses that share their first `prefix` bits with `network`.
    ///
    /// # Errors
    /// When `prefix` is longer than the address, or a later bit of `network` is set.
    pub fn new(network: IpAddr, prefix: u8) -> Result<Self, InvalidCidr> {
        let (bits, width) = bits(network);
        if prefix > width {
            return Err(InvalidCidr::Prefix);
        }
        if bits & !mask(prefix, width) != 0 {
            return Err(InvalidCidr::HostBits);
        }
        let canonical = network.to_canonical();
        if canonical.is_ipv4() && width == 128 && prefix >= 96 {
            return Ok(Cidr { network: canonical, prefix: prefix - 96 });
        }
        Ok(Cidr { network, prefix })
    }

    /// Whether `address` is in the block.
    pub fn contains(&self, address: IpAddr) -> bool {
        let ((network, width), (address, found)) = (bits(self.network), bits(address.to_canonical()));
        width == found && (network ^ address) & mask(self.prefix, width) == 0
    }
}

/// The address as a number, and how many bits it has.
fn bits(address: IpAddr) -> (u128, u8) {
    match address {
        IpAddr::V4(address) => (address.to_bits().into(), 32),
        IpAddr::V6(address) => (address.to_bits(), 128),
    }
}

/// A number of `width` bits of which the first `prefix` are set.
fn mask(prefix: u8, width: u8) -> u128 {
    let ones = |count: u8| 1u128.checked_shl(count.into()).map_or(u128::MAX, |bit| bit - 1);
    ones(width) & !ones(width - prefix)
}

impl FromStr for Cidr {
    type Err = InvalidCidr;

    fn from_str(text: &str) -> Result<Self, InvalidCidr> {
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| InvalidCidr::Address)?;
        let prefix = match prefix {
            None => bits(address).1,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => {
                digits.parse().map_err(|_| InvalidCidr::Prefix)?
            }
            Some(_) => return Err(InvalidCidr::Prefix),
        };
        Cidr::new(address, prefix)
    }
}

impl fmt::Display for Cidr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.network, self.prefix)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn contains() {
        let table = [
            ("10.0.0.0/8", "10.255.255.255", true),
            ("10.0.0.0/8", "11.0.0.0", false),
            ("0.0.0.0/0", "1.2.3.4", true),
            ("0.0.0.0/0", "::1", false),
            ("::/0", "1.2.3.4", false),
            ("::/0", "::1", true),
            ("192.168.1.1", "192.168.1.1", true),
            ("192.168.1.1", "192.168.1.0", false),
            ("::ffff:10.0.0.0/104", "10.1.1.1", true),
            ("2001:db8::/33", "2001:db8:7fff::1", true),
            ("2001:db8::/33", "2001:db8:8000::1", false),
            ("::1", "::1", true),
        ];
        for (block, address, expected) in table {
            let cidr: Cidr = block.parse().unwrap();
            assert_eq!(cidr.contains(address.parse().unwrap()), expected, "{block} {address}");
        }
    }

    #[test]
    fn refuses() {
        use InvalidCidr::{Address, HostBits, Prefix};
        let table = [
            ("", Address),
            ("10.0.0/8", Address),
            ("example.com", Address),
            ("10.0.0.0/", Prefix),
            ("10.0.0.0/33", Prefix),
            ("10.0.0.0/+8", Prefix),
            ("10.0.0.0/8/8", Prefix),
            ("::/129", Prefix),
            ("::/999", Prefix),
            ("10.0.0.1/8", HostBits),
            ("1.2.3.4/0", HostBits),
        ];
        for (text, error) in table {
            assert_eq!(text.parse::<Cidr>(), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_back(text in r"[0-9a-f.:]{0,20}(/[0-9]{0,4})?") {
            if let Ok(cidr) = text.parse::<Cidr>() {
                prop_assert_eq!(cidr.to_string().parse::<Cidr>(), Ok(cidr));
            }
        }
    }
}
