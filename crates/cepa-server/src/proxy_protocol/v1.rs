//! Version 1: a line such as `PROXY TCP4 192.0.2.7 198.51.100.1 56324 443`.

use std::{
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::{self, FromStr},
};

use super::decode::{Announced, Fault};

const START: &[u8] = b"PROXY ";

/// Bytes of the longest line, with its CRLF.
pub(super) const LONGEST: usize = 107;

/// How many of the bytes that are here belong to a line of which `bytes` have come: those up to its end.
pub(super) fn more(bytes: &[u8], input: &[u8]) -> usize {
    let room = LONGEST - bytes.len().min(LONGEST);
    let input = &input[..input.len().min(room)];
    input.iter().position(|byte| *byte == b'\n').map_or(input.len(), |end| end + 1)
}

/// What a line says, if it is whole.
pub(super) fn parse(bytes: &[u8]) -> Result<Option<Announced>, Fault> {
    let common = bytes.len().min(START.len());
    if bytes[..common] != START[..common] {
        return Err(Fault::Absent);
    }
    if bytes.last() != Some(&b'\n') {
        return if bytes.len() < LONGEST { Ok(None) } else { Err(Fault::TooLong) };
    }
    let line =
        bytes.strip_prefix(START).and_then(|line| line.strip_suffix(b"\r\n")).ok_or(Fault::Malformed)?;
    let family = line.split(|byte| *byte == b' ').next().unwrap_or(line);
    let rest = || str::from_utf8(line.get(family.len() + 1..)?).ok();
    let announced = match family {
        // Whatever follows says nothing.
        b"UNKNOWN" => Some(Announced::Nobody),
        b"TCP4" => rest().and_then(addresses::<Ipv4Addr>),
        b"TCP6" => rest().and_then(addresses::<Ipv6Addr>),
        _ => None,
    };
    announced.map(Some).ok_or(Fault::Malformed)
}

fn addresses<A: FromStr + Into<IpAddr>>(text: &str) -> Option<Announced> {
    let mut words = text.split(' ');
    let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
    let (client, server): (IpAddr, IpAddr) = (address()?, address()?);
    let ports = (port(words.next()?)?, port(words.next()?)?);
    if words.next().is_some() {
        return None;
    }
    Some(Announced::Ip { client: (client, ports.0).into(), server: (server, ports.1).into() })
}

/// A port in decimal, without zeros in front.
fn port(text: &str) -> Option<u16> {
    let zeros = text.len() > 1 && text.starts_with('0');
    // `u16::from_str` takes a sign.
    if zeros || text.starts_with('+') { None } else { text.parse().ok() }
}
