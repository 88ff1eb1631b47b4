//! Which addresses are public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Whether an address is one that anybody may reach: not loopback, private, link-local, of a carrier's network,
/// multicast, reserved or unspecified, nor one at which a cloud tells its secrets.
///
/// An IPv6 address that stands for an IPv4 address, mapped or translated (NAT64), is public if that is. Tunnels of old
/// (6to4, Teredo) lead to where nobody can see and are not public.
///
/// Source: the IANA registries of special-purpose addresses (RFC 6890 and its successors).
///
/// ```
/// use cepa_layers::fetch::is_public;
///
/// assert!(is_public("93.184.216.34".parse().unwrap()));
/// assert!(!is_public("169.254.169.254".parse().unwrap()));
/// assert!(!is_public("::ffff:10.0.0.1".parse().unwrap()));
/// ```
pub fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let [a, b, c, _] = address.octets();
    let special = match (a, b, c) {
        // This network, private, loopback.
        (0 | 10 | 127, ..) => true,
        // Carrier-grade NAT, where some clouds also keep their metadata (100.100.100.200).
        (100, 64..=127, _) => true,
        // Link-local, with the metadata of most clouds (169.254.169.254).
        (169, 254, _) => true,
        (172, 16..=31, _) | (192, 168, _) => true,
        // Protocol assignments, with the metadata of one more cloud (192.0.0.192).
        (192, 0, 0) => true,
        // Documentation.
        (192, 0, 2) | (198, 51, 100) | (203, 0, 113) => true,
        // The relays of 6to4.
        (192, 88, 99) => true,
        // Benchmarks.
        (198, 18..=19, _) => true,
        // Multicast, reserved, broadcast.
        (224.., ..) => true,
        _ => false,
    };
    // The platform address of Azure lies among public ones.
    !special && address != Ipv4Addr::new(168, 63, 129, 16)
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let segments = address.segments();
    let embedded = || Ipv4Addr::from_bits((u32::from(segments[6]) << 16) | u32::from(segments[7]));
    match segments {
        // Mapped (RFC 4291, section 2.5.5.2) and translated (RFC 6052) IPv4.
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(embedded()),
        // Protocol assignments with Teredo and benchmarks; documentation; 6to4; documentation once more.
        [0x2001, 0..=0x1ff, ..] | [0x2001, 0xdb8, ..] | [0x2002, ..] | [0x3fff, 0..=0xfff, ..] => false,
        // Of all others only these are given out: loopback, link-local, unique local and multicast are outside.
        [first, ..] => first & 0xe000 == 0x2000,
    }
}

/// The IPv4 addresses that an IPv6 address may lead to: mapped and compatible (RFC 4291, section 2.5.5), translated (RFC
/// 6052; RFC 8215, whose prefix leaves open which of the four places is meant; RFC 2765), and tunnelled by 6to4 (RFC
/// 3056), Teredo (RFC 4380, its server and its client) and ISATAP (RFC 5214).
pub(super) fn embedded(address: Ipv6Addr) -> impl Iterator<Item = Ipv4Addr> {
    let (bits, s) = (address.to_bits(), address.segments());
    let at = |bits: u128, shift: u32| Some(Ipv4Addr::from_bits((bits >> shift) as u32));
    // Octet 8 is no part of what is embedded around it (RFC 6052, section 2.2).
    let around = (bits >> 64 << 56) | (bits & ((1 << 56) - 1));
    let found = match s {
        [0x64, 0xff9b, 1, ..] => [at(around, 40), at(around, 32), at(around, 24), at(bits, 0)],
        [0x64, 0xff9b, 0, 0, 0, 0, ..]
        | [0, 0, 0, 0, 0, 0 | 0xffff, ..]
        | [0, 0, 0, 0, 0xffff, 0, ..]
        | [_, _, _, _, 0 | 0x200, 0x5efe, ..] => [at(bits, 0), None, None, None],
        [0x2002, ..] => [at(bits, 80), None, None, None],
        [0x2001, 0, ..] => [at(bits, 64), at(!bits, 0), None, None],
        _ => [None; 4],
    };
    found.into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn public_or_not() {
        let public = [
            "1.1.1.1",
            "9.9.9.9",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "172.15.255.255",
            "172.32.0.0",
            "192.0.1.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "2606:4700::1111",
            "2001:200::1",
            "2a00:1450:4001::1",
            "64:ff9b::1.1.1.1",
            "::ffff:1.1.1.1",
        ];
        let not = [
            // Loopback, unspecified, this network.
            "127.0.0.1",
            "127.255.255.255",
            "0.0.0.0",
            "0.1.2.3",
            "::1",
            "::",
            // Private.
            "10.0.0.1",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.0.1",
            "fc00::1",
            "fd12:3456::1",
            "fec0::1",
            // Link-local, carrier-grade NAT.
            "169.254.0.1",
            "fe80::1",
            "100.64.0.1",
            "100.127.255.255",
            // Metadata.
            "169.254.169.254",
            "169.254.170.2",
            "100.100.100.200",
            "192.0.0.192",
            "168.63.129.16",
            "fd00:ec2::254",
            // Multicast, reserved, broadcast, documentation, benchmarks.
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "ff02::1",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "198.18.0.1",
            "2001:db8::1",
            "3fff::1",
            "2001:2::1",
            "192.88.99.1",
            // IPv4 in IPv6: mapped, compatible, NAT64 with its local prefix, 6to4, Teredo.
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "::ffff:169.254.169.254",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::169.254.169.254",
            "64:ff9b:1::1.1.1.1",
            "2002:7f00:1::",
            "2002:101:101::1",
            "2001::1",
            // Nobody's.
            "4000::1",
            "5f00::1",
            "100::1",
        ];
        for (addresses, expected) in [(&public[..], true), (&not[..], false)] {
            for text in addresses {
                assert_eq!(is_public(text.parse().unwrap()), expected, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_stands_for_an_ipv4_address_is_as_public_as_that(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let mapped = address.to_ipv6_mapped();
            let translated = Ipv6Addr::from_bits((0x64_ff9b << 96) | u128::from(bits));
            prop_assert_eq!(is_public(mapped.into()), is_public(address.into()));
            prop_assert_eq!(is_public(translated.into()), is_public(address.into()));
        }

        #[test]
        fn whatever_std_calls_private_is_not_public(bits: u32) {
            let address = Ipv4Addr::from_bits(bits);
            let special = address.is_private() || address.is_loopback() || address.is_link_local()
                || address.is_multicast() || address.is_broadcast() || address.is_documentation()
                || address.is_unspecified();
            prop_assert!(!(special && is_public(address.into())), "{address}");
        }
    }
}
