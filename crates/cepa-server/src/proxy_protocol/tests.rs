//! Headers whole, cut, changed and made up.

use std::net::{IpAddr, SocketAddr};

use proptest::prelude::*;

use super::{crc32c::crc32c, *};

fn config() -> ProxyProtocol {
    ProxyProtocol { length: 300, ..ProxyProtocol::new(FrontServers::default()) }
}

/// What comes of bytes that arrive in such pieces: the header, and how many bytes it took.
fn decode_by(config: &ProxyProtocol, bytes: &[u8], step: usize) -> Result<(usize, Option<Announced>), Fault> {
    let (mut decoder, mut at) = (Decoder::new(config), 0);
    for piece in bytes.chunks(step) {
        let (used, announced) = decoder.decode(piece)?;
        at += used;
        if announced.is_some() {
            return Ok((at, announced));
        }
        assert_eq!(used, piece.len());
    }
    Ok((at, None))
}

fn decode(bytes: &[u8]) -> Result<(usize, Option<Announced>), Fault> {
    decode_by(&config(), bytes, bytes.len().max(1))
}

fn ip(client: &str, server: &str) -> Announced {
    Announced::Ip { client: client.parse().unwrap(), server: server.parse().unwrap() }
}

/// A header of version 2.
fn binary(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    bytes.extend([command, family]);
    bytes.extend((rest.len() as u16).to_be_bytes());
    bytes.extend_from_slice(rest);
    bytes
}

fn field(kind: u8, value: &[u8]) -> Vec<u8> {
    let length = (value.len() as u16).to_be_bytes();
    [&[kind][..], &length, value].concat()
}

const INET: [u8; 12] = [192, 0, 2, 7, 198, 51, 100, 1, 0xdc, 4, 1, 0xbb];

/// The same header with a checksum at its end.
fn summed(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
    let mut bytes = binary(command, family, &[rest, &field(3, &[0; 4])].concat());
    let at = bytes.len() - 4;
    let sum = crc32c(bytes.iter().copied()).to_be_bytes();
    bytes[at..].copy_from_slice(&sum);
    bytes
}

fn unix(client: &[u8]) -> Vec<u8> {
    let mut rest = client.to_vec();
    rest.resize(216, 0);
    rest
}

#[test]
fn headers_that_are_in_order() {
    let inet6: Vec<u8> = [[0x20, 1, 0xd, 0xb8], [0; 4], [0; 4], [0, 0, 0, 9]].concat();
    let inet6 = [&inet6[..], &inet6, &[0, 80, 0, 81]].concat();
    let v4 = || ip("192.0.2.7:56324", "198.51.100.1:443");
    for (bytes, announced) in [
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\r\n".to_vec(), v4()),
        (
            b"PROXY TCP4 255.255.255.255 255.255.255.255 65535 0\r\n".to_vec(),
            ip("255.255.255.255:65535", "255.255.255.255:0"),
        ),
        (b"PROXY TCP6 2001:db8::9 ::1 80 81\r\n".to_vec(), ip("[2001:db8::9]:80", "[::1]:81")),
        (b"PROXY UNKNOWN\r\n".to_vec(), Announced::Nobody),
        (b"PROXY UNKNOWN what \xff ever\r\n".to_vec(), Announced::Nobody),
        // The longest that there can be.
        (format!("PROXY UNKNOWN {}\r\n", "x".repeat(107 - 16)).into_bytes(), Announced::Nobody),
        (binary(0x21, 0x11, &INET), v4()),
        // From QUIC.
        (binary(0x21, 0x12, &INET), v4()),
        (binary(0x21, 0x21, &inet6), ip("[2001:db8::9]:80", "[2001:db8::9]:81")),
        (binary(0x21, 0x31, &unix(b"/run/client.sock")), Announced::Unix(Some("/run/client.sock".into()))),
        (binary(0x21, 0x31, &unix(&[b'/'; 108])), Announced::Unix(Some("/".repeat(108).into()))),
        (binary(0x21, 0x31, &unix(b"")), Announced::Unix(None)),
        (binary(0x21, 0x31, &unix(b"\0abstract")), Announced::Unix(None)),
        (binary(0x21, 0, &[]), Announced::Nobody),
        (binary(0x20, 0, &[]), Announced::Nobody),
        // Of a proxy's own connection the rest means nothing.
        (binary(0x20, 0xff, b"anything"), Announced::Nobody),
        (binary(0x21, 0x11, &[&INET[..], &field(4, b""), &field(0x20, &[1, 0, 0, 0, 0])].concat()), v4()),
        (summed(0x21, 0x11, &INET), v4()),
        (summed(0x21, 0x11, &[&INET[..], &field(2, b"host.test")].concat()), v4()),
        (summed(0x21, 0, &[]), Announced::Nobody),
    ] {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let whole = Ok((bytes.len(), Some(announced)));
        // What follows is left alone, however it begins.
        let followed = [&bytes[..], b"\r\nGET / HTTP/1.1\r\n"].concat();
        assert_eq!(decode(&followed), whole, "{text}");
        for step in 1..=bytes.len() {
            assert_eq!(decode_by(&config(), &bytes, step), whole, "{text} by {step}");
        }
        for end in 0..bytes.len() {
            assert_eq!(decode(&bytes[..end]), Ok((end, None)), "{text} up to {end}");
        }
    }
}

#[test]
fn what_is_no_header_is_refused_with_its_first_wrong_byte() {
    let line = |text: &str| format!("PROXY {text}\r\n").into_bytes();
    let changed = |at: usize| {
        let mut bytes = summed(0x21, 0x11, &INET);
        bytes[at] ^= 1;
        bytes
    };
    for (bytes, fault) in [
        (b"G".to_vec(), Fault::Absent),
        (b"PO".to_vec(), Fault::Absent),
        (b"PROXY\t".to_vec(), Fault::Absent),
        (b"proxy".to_vec(), Fault::Absent),
        (b"\x16\x03".to_vec(), Fault::Absent),
        (b"\r\nG".to_vec(), Fault::Absent),
        (b"\r\n\r\n\0\r\nQUIZ".to_vec(), Fault::Absent),
        (b"PROXY \r\n".to_vec(), Fault::Malformed),
        (b"PROXY TCP4 192.0.2.7 198.51.100.1 56324 443\n".to_vec(), Fault::Malformed),
        (line("TCP4"), Fault::Malformed),
        (line("TCP5 192.0.2.7 198.51.100.1 1 2"), Fault::Malformed),
        (line("tcp4 192.0.2.7 198.51.100.1 1 2"), Fault::Malformed),
        (line("UNKNOWNS"), Fault::Malformed),
        (line("TCP4 192.0.2.7 198.51.100.1 1"), Fault::Malformed),
        (line("TCP4 192.0.2.7 198.51.100.1 1 2 3"), Fault::Malformed),
        (line("TCP4 192.0.2.7 198.51.100.1 1 2 "), Fault::Malformed),
        (line("TCP4  192.0.2.7 198.51.100.1 1 2"), Fault::Malformed),
        (line("TCP4 192.0.2.07 198.51.100.1 1 2"), Fault::Malformed),
        (line("TCP4 ::1 ::1 1 2"), Fault::Malformed),
        (line("TCP6 192.0.2.7 198.51.100.1 1 2"), Fault::Malformed),
        (line("TCP4 host.test 198.51.100.1 1 2"), Fault::Malformed),
        (line("TCP4 192.0.2.7 198.51.100.1 01 2"), Fault::Malformed),
        (line("TCP4 192.0.2.7 198.51.100.1 +1 2"), Fault::Malformed),
        (line("TCP4 192.0.2.7 198.51.100.1 65536 2"), Fault::Malformed),
        (line("TCP4 192.0.2.7 198.51.100.1 1 \r"), Fault::Malformed),
        (line(&format!("UNKNOWN {}", "x".repeat(92))), Fault::TooLong),
        (binary(0x21, 0x11, &INET[..11]), Fault::Malformed),
        (binary(0x21, 0x21, &INET), Fault::Malformed),
        (binary(0x21, 0x31, &[0; 215]), Fault::Malformed),
        (binary(0x21, 0x10, &INET), Fault::Malformed),
        (binary(0x21, 0x13, &INET), Fault::Malformed),
        (binary(0x21, 0x41, &INET), Fault::Malformed),
        (binary(0x22, 0x11, &INET)[..13].to_vec(), Fault::Malformed),
        (binary(0x11, 0x11, &INET)[..13].to_vec(), Fault::Malformed),
        (binary(0x21, 0x11, &[0; 301])[..16].to_vec(), Fault::TooLong),
        (binary(0x20, 0, &[0; 301])[..16].to_vec(), Fault::TooLong),
        // Fields that are not whole.
        (binary(0x21, 0x11, &[&INET[..], &[4]].concat()), Fault::Malformed),
        (binary(0x21, 0x11, &[&INET[..], &[4, 0, 1]].concat()), Fault::Malformed),
        (binary(0x21, 0x11, &[&INET[..], &field(3, &[0; 3])].concat()), Fault::Malformed),
        (binary(0x21, 0x11, &[&INET[..], &field(3, &[0; 4])].concat()), Fault::Checksum),
        (changed(16), Fault::Checksum),
        (changed(31), Fault::Checksum),
    ] {
        let text = String::from_utf8_lossy(&bytes).into_owned();
        for step in 1..=bytes.len() {
            assert_eq!(decode_by(&config(), &bytes, step), Err(fault), "{text} by {step}");
        }
    }
}

#[test]
fn a_listener_takes_its_version_only() {
    let (line, binary) = (b"PROXY UNKNOWN\r\n".to_vec(), binary(0x20, 0, &[]));
    for (version, lines, binaries) in
        [(Version::Any, true, true), (Version::V1, true, false), (Version::V2, false, true)]
    {
        let config = ProxyProtocol { version, ..config() };
        for (bytes, taken) in [(&line, lines), (&binary, binaries)] {
            let expected =
                if taken { Ok((bytes.len(), Some(Announced::Nobody))) } else { Err(Fault::Version) };
            assert_eq!(decode_by(&config, bytes, 1), expected, "{version:?}");
        }
    }
}

#[test]
fn keys_are_read_and_the_proxies_must_be_named() {
    let read = |text: &str| toml::from_str::<ProxyProtocol>(text);
    let config = read("from = ['10.0.0.0/8', 'unix']\nversion = 'v1'\nlength = '1 KiB'").unwrap();
    assert_eq!((config.version, config.length), (Version::V1, 1024));
    assert_eq!(read(&toml::to_string(&config).unwrap()).unwrap(), config);
    for (text, fault) in [
        ("version = 'v1'", "missing field `from`"),
        ("from = ['everybody']", "everybody"),
        ("from = []\nversion = 'v3'", "v3"),
        ("from = []\nlength = '64 KiB'", "too large"),
        ("from = []\nlenght = 1", "lenght"),
    ] {
        let error = read(text).unwrap_err().to_string();
        assert!(error.contains(fault), "{text}: {error}");
    }
}

proptest! {
    #[test]
    fn any_client_is_read_back(client: SocketAddr, server: SocketAddr, step in 1..50usize, sum: bool) {
        // One header has addresses of one family.
        let (client, server) = match (client, server) {
            (SocketAddr::V4(_), SocketAddr::V4(_)) => (client, server),
            _ => (v6(client), v6(server)),
        };
        let (family, code) = if client.is_ipv4() { ("TCP4", 0x11) } else { ("TCP6", 0x21) };
        let (from, to) = (client.ip(), server.ip());
        let line = format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), server.port());
        let octets = |ip: IpAddr| match ip {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        let ports = [client.port().to_be_bytes(), server.port().to_be_bytes()].concat();
        let rest = [octets(from), octets(to), ports].concat();
        let binary = if sum { summed(0x21, code, &rest) } else { binary(0x21, code, &rest) };
        let announced = Announced::Ip { client, server };
        for bytes in [line.into_bytes(), binary] {
            prop_assert_eq!(decode_by(&config(), &bytes, step), Ok((bytes.len(), Some(announced.clone()))));
        }
    }

    #[test]
    fn a_cut_changes_nothing(mut bytes: Vec<u8>, start in 0..4usize, step in 1..40usize) {
        let head: &[u8] = [&b""[..], b"PROXY ", b"PROXY TCP4 1.2.3.4 ", b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0"][start];
        bytes.splice(..0, head.iter().copied());
        let whole = decode(&bytes);
        let cut = decode_by(&config(), &bytes, step);
        prop_assert_eq!(&whole, &cut);
        if let Ok((used, _)) = whole {
            prop_assert!(used <= 16 + 300);
        }
    }
}

fn v6(address: SocketAddr) -> SocketAddr {
    match address.ip() {
        IpAddr::V4(ip) => (ip.to_ipv6_compatible(), address.port()).into(),
        IpAddr::V6(ip) => (ip, address.port()).into(),
    }
}
