//! Multipart bodies: read alike however they are cut, with nothing kept that was not asked for.

use cepa_layers::multipart::{Event, HeadLimits, MultipartError, Parser, PartHead};

/// The boundary that seeds are written with.
const TYPE: &str = "multipart/form-data; boundary=x";

/// The first byte says how large the pieces are, the rest is the body.
pub fn multipart(input: &[u8]) {
    let Some((&size, body)) = input.split_first() else { return };
    let whole = parse(body, body.len().max(1));
    assert_eq!(parse(body, usize::from(size).max(1)), whole);
    let Ok(parts) = whole else { return };
    assert!(parts.iter().map(|(_, content)| content.len()).sum::<usize>() <= body.len());
    for (head, _) in parts {
        let limits = HeadLimits::default();
        let file_name = head.file_name().unwrap_or_default();
        assert!(head.name().len() <= limits.name_bytes && file_name.len() <= limits.file_name_bytes);
        for name in [head.name(), file_name] {
            assert!(!name.contains(char::is_control));
        }
        assert!(!file_name.contains(['/', '\\']) && file_name != "." && file_name != "..");
    }
}

/// The parts with their whole content.
fn parse(body: &[u8], size: usize) -> Result<Vec<(PartHead, Vec<u8>)>, MultipartError> {
    let mut parser = Parser::new(TYPE, HeadLimits::default())?;
    let mut parts = Vec::new();
    let mut part = None;
    let mut is_over = false;
    for piece in body.chunks(size) {
        parser.feed(piece.to_vec().into());
        while let Some(event) = parser.event()? {
            assert!(!is_over, "nothing comes behind the end");
            match event {
                Event::Part(head) => assert!(part.replace((head, Vec::new())).is_none()),
                Event::Data(data) => {
                    assert!(!data.is_empty());
                    part.as_mut().expect("content has a head").1.extend_from_slice(&data);
                }
                Event::PartEnd => parts.push(part.take().expect("a part has a head")),
                Event::End => is_over = true,
            }
        }
    }
    parser.finish()?;
    assert!(is_over && part.is_none());
    Ok(parts)
}
