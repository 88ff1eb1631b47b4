//! Version 2: a signature, a command, a length, addresses in binary, and further fields.

use std::{
    ffi::OsStr,
    net::{IpAddr, SocketAddr},
    os::unix::ffi::OsStrExt,
};

use super::{
    crc32c::crc32c,
    decode::{Announced, Fault},
};

/// What no protocol begins with, and no line of text has in it.
const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// The signature, version with command, family with transport, and the length of the rest.
pub(super) const START: usize = 16;

/// The type of the field that holds a checksum.
const CRC32C: u8 = 3;

/// Bytes behind the start, once that is whole.
pub(super) fn length(bytes: &[u8]) -> Option<usize> {
    let length = bytes.get(14..START)?;
    Some(usize::from(u16::from_be_bytes([length[0], length[1]])))
}

/// Refuses what cannot become a header, with its first wrong byte.
pub(super) fn check_start(bytes: &[u8]) -> Result<(), Fault> {
    let common = bytes.len().min(SIGNATURE.len());
    if bytes[..common] != SIGNATURE[..common] {
        return Err(Fault::Absent);
    }
    match bytes.get(12) {
        None | Some(0x20 | 0x21) => Ok(()),
        Some(_) => Err(Fault::Malformed),
    }
}

/// What a whole header says.
pub(super) fn parse(bytes: &[u8]) -> Result<Announced, Fault> {
    let (command, family, rest) = (bytes[12] & 0xf, bytes[13], &bytes[START..]);
    // The proxy's own connection, say, to see whether we are there: the rest means nothing.
    if command == 0 {
        return Ok(Announced::Nobody);
    }
    // The lower half is the transport between client and proxy: a stream, or datagrams, which QUIC is made of.
    let (announced, fields) = match family {
        0x00 => (Announced::Nobody, rest),
        0x11 | 0x12 => inet::<4>(rest).ok_or(Fault::Malformed)?,
        0x21 | 0x22 => inet::<16>(rest).ok_or(Fault::Malformed)?,
        0x31 | 0x32 => unix(rest).ok_or(Fault::Malformed)?,
        _ => return Err(Fault::Malformed),
    };
    check_fields(bytes, fields)?;
    Ok(announced)
}

/// Two addresses of `N` bytes, then two ports.
fn inet<const N: usize>(rest: &[u8]) -> Option<(Announced, &[u8])>
where
    IpAddr: From<[u8; N]>,
{
    let (client, rest) = rest.split_first_chunk::<N>()?;
    let (server, rest) = rest.split_first_chunk::<N>()?;
    let (client_port, rest) = rest.split_first_chunk::<2>()?;
    let (server_port, rest) = rest.split_first_chunk::<2>()?;
    let end = |address: &[u8; N], port: &[u8; 2]| {
        SocketAddr::new(IpAddr::from(*address), u16::from_be_bytes(*port))
    };
    let (client, server) = (end(client, client_port), end(server, server_port));
    Some((Announced::Ip { client, server }, rest))
}

/// Two paths of 108 bytes, which end with their first NUL. One that begins with it is abstract, and no path.
fn unix(rest: &[u8]) -> Option<(Announced, &[u8])> {
    let (client, rest) = rest.split_first_chunk::<108>()?;
    let (_server, rest) = rest.split_first_chunk::<108>()?;
    let path = client.split(|byte| *byte == 0).next().filter(|path| !path.is_empty());
    Some((Announced::Unix(path.map(|path| OsStr::from_bytes(path).into())), rest))
}

/// Checks that fields are whole, and the checksum if there is one; otherwise they are passed over.
fn check_fields(bytes: &[u8], fields: &[u8]) -> Result<(), Fault> {
    let mut left = fields;
    let mut checked = false;
    while let [kind, high, low, rest @ ..] = left {
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        let (value, after) = rest.split_at_checked(length).ok_or(Fault::Malformed)?;
        if *kind == CRC32C {
            let value: [u8; 4] = value.try_into().map_err(|_| Fault::Malformed)?;
            if checked {
                return Err(Fault::Malformed);
            }
            checked = true;
            let at = bytes.len() - after.len() - value.len();
            let without = bytes
                .iter()
                .enumerate()
                .map(|(index, byte)| if (at..at + value.len()).contains(&index) { 0 } else { *byte });
            if crc32c(without) != u32::from_be_bytes(value) {
                return Err(Fault::Checksum);
            }
        }
        left = after;
    }
    if left.is_empty() { Ok(()) } else { Err(Fault::Malformed) }
}
