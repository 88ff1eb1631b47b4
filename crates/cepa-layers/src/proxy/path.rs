//! Paths that a server behind could take for another.

/// Whether a server could take a segment of a path for `..`: escaped, between backslashes, or with parameters after it.
pub(super) fn climbs(path: &str) -> bool {
    let bytes = path.as_bytes();
    let (mut at, mut dots, mut only_dots) = (0, 0, true);
    loop {
        let (byte, length) = match bytes.get(at..) {
            None | Some([]) => (b'/', 1),
            Some([b'%', high, low, ..]) => match (hex(*high), hex(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, 3),
                _ => (b'%', 1),
            },
            Some([byte, ..]) => (*byte, 1),
        };
        match byte {
            b'/' | b'\\' | b';' => {
                if only_dots && dots == 2 {
                    return true;
                }
                // What follows a `;` is a parameter of the segment, up to the next slash.
                (dots, only_dots) = (0, byte != b';');
            }
            b'.' => dots += 1,
            _ => only_dots = false,
        }
        if at >= bytes.len() {
            return false;
        }
        at += length;
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}
