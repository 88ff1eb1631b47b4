//! Heads of frames (RFC 6455, section 5.2).

use crate::ProtocolError;

/// The longest head: two bytes, a length of eight, a mask of four.
pub(crate) const LONGEST: usize = 14;
/// The longest payload of a control frame.
pub(crate) const CONTROL: u64 = 125;

/// What a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    pub(crate) fn is_control(self) -> bool {
        self as u8 >= 8
    }
}

/// The head of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) fin: bool,
    pub(crate) compressed: bool,
    pub(crate) opcode: Opcode,
    pub(crate) length: u64,
    pub(crate) key: [u8; 4],
}

/// A head of which some bytes have come.
#[derive(Debug, Default)]
pub(crate) struct PartialHead {
    bytes: [u8; LONGEST],
    filled: u8,
}

impl PartialHead {
    /// Takes bytes of the head off the front of `input`: how many, and the head when it is whole. Whatever is wrong is
    /// found with the byte that makes it so.
    pub(crate) fn read(
        &mut self,
        input: &[u8],
        compression: bool,
    ) -> Result<(usize, Option<Head>), ProtocolError> {
        for (at, &byte) in input.iter().enumerate() {
            let filled = usize::from(self.filled);
            self.bytes[filled] = byte;
            self.filled += 1;
            match filled {
                0 => drop(first(byte, compression)?),
                1 => second(self.bytes[0], byte)?,
                _ if filled + 1 == 2 + self.extended() => self.check_length()?,
                _ => {}
            }
            if filled + 1 >= 2 && filled + 1 == 6 + self.extended() {
                let head = self.head(compression)?;
                self.filled = 0;
                return Ok((at + 1, Some(head)));
            }
        }
        Ok((input.len(), None))
    }

    /// Whether a head has begun.
    pub(crate) fn is_begun(&self) -> bool {
        self.filled > 0
    }

    /// Bytes of a length that does not fit in the second byte.
    fn extended(&self) -> usize {
        match self.bytes[1] & 0x7f {
            126 => 2,
            127 => 8,
            _ => 0,
        }
    }

    fn length(&self) -> u64 {
        match self.extended() {
            0 => u64::from(self.bytes[1] & 0x7f),
            extended => {
                self.bytes[2..2 + extended].iter().fold(0, |length, &byte| length << 8 | u64::from(byte))
            }
        }
    }

    fn check_length(&self) -> Result<(), ProtocolError> {
        let shortest = match self.extended() {
            0 => true,
            2 => self.length() > 125,
            _ => self.length() > 0xffff && self.length() < 1 << 63,
        };
        if shortest { Ok(()) } else { Err(ProtocolError::Length) }
    }

    fn head(&self, compression: bool) -> Result<Head, ProtocolError> {
        let at = 2 + self.extended();
        let key = [self.bytes[at], self.bytes[at + 1], self.bytes[at + 2], self.bytes[at + 3]];
        let (fin, compressed, opcode) = first(self.bytes[0], compression)?;
        Ok(Head { fin, compressed, opcode, length: self.length(), key })
    }
}

/// Whether it is the last of its message, whether it is compressed, what it is.
fn first(byte: u8, compression: bool) -> Result<(bool, bool, Opcode), ProtocolError> {
    let opcode = match byte & 0x0f {
        0 => Opcode::Continuation,
        1 => Opcode::Text,
        2 => Opcode::Binary,
        8 => Opcode::Close,
        9 => Opcode::Ping,
        10 => Opcode::Pong,
        other => return Err(ProtocolError::Opcode(other)),
    };
    // RFC 7692, section 6: the first bit is set on the first frame of a message, and on no other.
    let may_compress = compression && matches!(opcode, Opcode::Text | Opcode::Binary);
    if byte & 0x70 != 0 && !(may_compress && byte & 0x30 == 0) {
        return Err(ProtocolError::ReservedBit);
    }
    let fin = byte & 0x80 != 0;
    if opcode.is_control() && !fin {
        return Err(ProtocolError::Control);
    }
    Ok((fin, byte & 0x40 != 0, opcode))
}

fn second(first: u8, byte: u8) -> Result<(), ProtocolError> {
    if byte & 0x80 == 0 {
        return Err(ProtocolError::Unmasked);
    }
    let is_control = first & 0x08 != 0;
    if is_control && u64::from(byte & 0x7f) > CONTROL { Err(ProtocolError::Control) } else { Ok(()) }
}

/// Appends the head of a frame of ours: the last of its message, without a mask.
pub(crate) fn encode_head(out: &mut Vec<u8>, opcode: Opcode, compressed: bool, length: usize) {
    out.push(0x80 | u8::from(compressed) << 6 | opcode as u8);
    match length {
        0..=125 => out.push(length as u8),
        126..=0xffff => {
            out.push(126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(bytes: &[u8], compression: bool) -> Result<(usize, Option<Head>), ProtocolError> {
        PartialHead::default().read(bytes, compression)
    }

    #[test]
    fn what_is_wrong_is_found_with_the_byte_that_makes_it_so() {
        use ProtocolError as E;
        let table: [(&[u8], E); 13] = [
            (b"\xc1", E::ReservedBit),
            (b"\xa1", E::ReservedBit),
            (b"\x91", E::ReservedBit),
            (b"\x83", E::Opcode(3)),
            (b"\x8b", E::Opcode(11)),
            (b"\x08", E::Control),
            (b"\x81\x05", E::Unmasked),
            (b"\x88\xfe", E::Control),
            (b"\x89\xff", E::Control),
            (b"\x81\xfe\x00\x7d", E::Length),
            (b"\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff", E::Length),
            (b"\x82\xff\x80\x00\x00\x00\x00\x00\x00\x00", E::Length),
            (b"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", E::Length),
        ];
        for (bytes, error) in table {
            assert_eq!(read(bytes, false), Err(error), "{bytes:x?}");
            assert_eq!(read(&bytes[..bytes.len() - 1], false), Ok((bytes.len() - 1, None)), "{bytes:x?}");
        }
        // With compression the first bit means something, on the first frame of a message.
        assert_eq!(read(b"\xc1", true), Ok((1, None)));
        assert_eq!(read(b"\xe1", true), Err(E::ReservedBit));
        assert_eq!(read(b"\xc0", true), Err(E::ReservedBit));
        assert_eq!(read(b"\xc9", true), Err(E::ReservedBit));
    }

    #[test]
    fn lengths_of_all_sizes() {
        for length in [0, 1, 125, 126, 0xffff, 0x1_0000, 1 << 40] {
            let mut bytes = Vec::new();
            encode_head(&mut bytes, Opcode::Binary, false, length);
            bytes[1] |= 0x80;
            bytes.extend_from_slice(b"mask and more");
            let head = Head {
                fin: true,
                compressed: false,
                opcode: Opcode::Binary,
                length: length as u64,
                key: *b"mask",
            };
            assert_eq!(read(&bytes, false), Ok((bytes.len() - 9, Some(head))));
        }
    }
}
