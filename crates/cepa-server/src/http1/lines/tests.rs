//! The lines of a head, with httparse as a second opinion.

use proptest::prelude::*;

use super::*;

type Found = (Vec<u8>, Vec<u8>);

/// Method, target, minor version, fields, and the length of the whole.
type Head = (Vec<u8>, Vec<u8>, u8, Vec<Found>, usize);

fn ours(text: &[u8]) -> Result<Head, Stop> {
    let line = request_line(text)?;
    let mut fields = Vec::new();
    let end = field_lines(text, line.length, 8, |name, value| {
        fields.push((text[name].to_vec(), text[value].to_vec()));
    })?;
    let minor = u8::from(line.version == Version::HTTP_11);
    Ok((line.method.to_vec(), line.target.to_vec(), minor, fields, end))
}

fn theirs(text: &[u8]) -> Result<Option<Head>, httparse::Error> {
    let mut lines = [httparse::EMPTY_HEADER; 8];
    let mut request = httparse::Request::new(&mut lines);
    Ok(match request.parse(text)? {
        httparse::Status::Partial => None,
        httparse::Status::Complete(length) => {
            let fields = request.headers.iter().map(|line| (line.name.into(), line.value.to_vec())).collect();
            let (method, target) = (request.method.unwrap().into(), request.path.unwrap().into());
            Some((method, target, request.version.unwrap(), fields, length))
        }
    })
}

/// Whether both come to the same, but for what httparse tolerates: LF alone, and empty lines in front.
fn agree(text: &[u8]) -> bool {
    let is_lenient =
        text.windows(2).any(|pair| pair[0] != b'\r' && pair[1] == b'\n') || text.starts_with(b"\n");
    match (ours(text), theirs(text)) {
        (Ok(ours), Ok(Some(theirs))) => ours == theirs,
        (Err(Stop::Partial), Ok(None)) | (Err(Stop::Broken(_)), Err(_)) => true,
        // A target beyond ASCII is read here as it is, and refused for what it is. httparse wants UTF-8.
        (_, Err(_)) => is_lenient || text.iter().any(|byte| !byte.is_ascii()),
        _ => is_lenient || text.starts_with(b"\r"),
    }
}

#[test]
fn every_byte_in_every_place_is_read_as_httparse_reads_it() {
    let head =
        b"PUT /a?b HTTP/1.1\r\nHost: example.com\r\nX-Long: \t a value\tof several words \t\r\nY:\r\n\r\n";
    assert!(ours(head).is_ok() && agree(head));
    for at in 0..head.len() {
        for byte in 0..=255 {
            let mut head = head.to_vec();
            head[at] = byte;
            assert!(agree(&head), "{}", head.escape_ascii());
        }
        assert!(agree(&head[..at]), "{}", head[..at].escape_ascii());
    }
}

#[test]
fn a_control_byte_is_found_wherever_it_stands() {
    for length in 0..40 {
        for at in 0..length {
            for byte in 0..=255u8 {
                let mut text = [b' ', b'~', 0x80, 0xff, b'!', 0xa0, 0x9f].repeat(6)[..length].to_vec();
                text[at] = byte;
                let is_control = byte != b'\t' && (byte < b' ' || byte == 0x7f);
                assert_eq!(line_end(&text, 0), is_control.then_some(at), "{byte:#x} at {at} of {length}");
            }
        }
    }
    // A tab is looked at as one, and passed.
    for length in 0..40 {
        for tab in 0..length {
            let mut text = vec![b'a'; length];
            text[tab] = b'\t';
            text.push(0x7f);
            assert_eq!(line_end(&text, 0), Some(length), "a tab at {tab} of {length}");
            assert_eq!(line_end(&text[..length], 0), None, "a tab at {tab} of {length}");
        }
        assert_eq!(line_end(&[&vec![b'\t'; length][..], b"\x7f"].concat(), 0), Some(length));
    }
    assert_eq!(line_end(b"a", 2), None);
}

proptest! {
    #[test]
    fn a_head_is_read_as_httparse_reads_it(
        method in "[A-Z]{1,9}", target in "[!-~]{1,40}", minor in 0..2,
        fields in prop::collection::vec(("[a-zA-Z0-9!#$%&'*+.^_`|~-]{1,30}", "[ \t]{0,3}[\t -~\u{e9}]{0,60}"), 0..8),
        cut: prop::sample::Index, at: prop::sample::Index, byte: Option<u8>,
    ) {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        let mut head = format!("{method} {target} HTTP/1.{minor}\r\n{fields}\r\n").into_bytes();
        prop_assert!(ours(&head).is_ok() && agree(&head));
        prop_assert!(agree(&head[..cut.index(head.len())]));
        let at = at.index(head.len());
        head[at] = byte.unwrap_or(head[at]);
        prop_assert!(agree(&head), "{}", head.escape_ascii());
    }
}
