//! Bodies cut anywhere, broken anywhere, and floods.

use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;

const TYPE: &str = "multipart/form-data; boundary=ab";

/// All parts, with their content in one piece, of a body that is fed in pieces of this size.
fn parse(body: &[u8], size: usize) -> Result<Vec<(String, Vec<u8>)>, MultipartError> {
    let mut parser = Parser::new(TYPE, HeadLimits::default())?;
    let mut parts: Vec<(String, Vec<u8>)> = Vec::new();
    let (mut inside, mut over) = (false, false);
    for piece in body.chunks(size) {
        parser.feed(Bytes::copy_from_slice(piece));
        while let Some(event) = parser.event()? {
            assert!(!over, "nothing comes behind the end");
            match event {
                Event::Part(head) => {
                    assert!(!inside, "parts do not nest");
                    inside = true;
                    parts.push((head.name().to_owned(), Vec::new()));
                }
                Event::Data(data) => {
                    assert!(inside && !data.is_empty());
                    parts.last_mut().expect("a part has begun").1.extend_from_slice(&data);
                }
                Event::PartEnd => {
                    assert!(inside);
                    inside = false;
                }
                Event::End => over = true,
            }
        }
        assert!(parser.buffer.len() <= HeadLimits::default().header_bytes.max(size));
    }
    parser.finish()?;
    Ok(parts)
}

/// A part of a body, delimiter included.
fn part(name: &str, content: &[u8]) -> Vec<u8> {
    let head = format!("--ab\r\nContent-Disposition: form-data; name={name}\r\n\r\n");
    [head.as_bytes(), content, b"\r\n"].concat()
}

fn body(parts: &[(&str, &[u8])]) -> Vec<u8> {
    let mut body: Vec<u8> = parts.iter().flat_map(|(name, content)| part(name, content)).collect();
    body.extend_from_slice(b"--ab--\r\n");
    body
}

#[test]
fn types_and_boundaries() {
    let parser = |kind: &str| Parser::new(kind, HeadLimits::default()).err();
    for kind in
        ["", "text/plain", "multipart/mixed; boundary=a", "multipart", "multipart/form-data; boundary=\""]
    {
        assert_eq!(parser(kind), Some(MultipartError::NotMultipart), "{kind}");
    }
    for boundary in
        ["", "; boundary=\"\"", "; boundary=a; boundary=a", "; boundary=\"a\tb\"", "; boundary=\"a \""]
    {
        assert_eq!(
            parser(&format!("multipart/form-data{boundary}")),
            Some(MultipartError::Boundary),
            "{boundary}"
        );
    }
    for boundary in ["boundary=a", "Boundary=\"a b\"", "charset=utf-8; boundary=--a"] {
        assert_eq!(parser(&format!("Multipart/Form-Data; {boundary}")), None, "{boundary}");
    }
}

#[test]
fn bodies_are_read_however_they_are_cut() {
    let large = vec![b'\r'; 5000];
    let tricky: &[u8] = b"\r\n--a\r\n-\r\n--\r\n\r\r\n--a\r--ab\n--ab\r\n";
    let parts = [("a", &b"1"[..]), ("b", b""), ("c", tricky), ("d", &large), ("e", b"x--ab"), ("f", b"\r\n")];
    let whole = body(&parts);
    let expected: Vec<_> =
        parts.iter().map(|(name, content)| ((*name).to_owned(), content.to_vec())).collect();
    for size in [1, 2, 3, 5, 64, 1000, whole.len()] {
        assert!(parse(&whole, size).as_ref() == Ok(&expected), "pieces of {size}");
    }
}

#[test]
fn what_the_rfc_allows_is_read() {
    let with = |text: &str| parse(text.as_bytes(), 1);
    let one = Ok(vec![("a".to_owned(), b"1".to_vec())]);
    let head = "Content-Disposition: form-data; name=a\r\n";
    assert_eq!(with("--ab--"), Ok(vec![]));
    assert_eq!(with(&format!("--ab\r\n{head}\r\n1\r\n--ab--")), one, "no line break at the end");
    assert_eq!(with(&format!("\r\n--ab\r\n{head}\r\n1\r\n--ab--")), one, "an empty line in front");
    assert_eq!(with(&format!("preamble\r\n--ab\r\n{head}\r\n1\r\n--ab--\r\nepilogue --ab")), one);
    assert_eq!(with(&format!("--ab \t\r\n{head}\r\n1\r\n--ab--")), one, "padding");
    let empty = Ok(vec![("a".to_owned(), Vec::new())]);
    assert_eq!(with(&format!("--ab\r\n{head}\r\n--ab--")), empty, "a part of nothing but a head");
}

#[test]
fn broken_bodies_are_refused() {
    let large = format!("--ab\r\nX: {}", "y".repeat(9000));
    let head = "Content-Disposition: form-data; name=a\r\n";
    for (text, error) in [
        ("", MultipartError::CutOff),
        ("--ab", MultipartError::CutOff),
        ("--ab-", MultipartError::CutOff),
        ("no part at all", MultipartError::CutOff),
        ("--ab\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--ab", MultipartError::CutOff),
        ("--abc\r\n", MultipartError::Delimiter),
        ("--ab\n", MultipartError::Delimiter),
        ("--ab-x", MultipartError::Delimiter),
        ("--ab -", MultipartError::Delimiter),
        (&format!("--ab{}", " ".repeat(65)), MultipartError::Delimiter),
        (&format!("--ab\r\n{head}\r\nx\r\n--abc\r\n"), MultipartError::Delimiter),
        (&"x".repeat(2000), MultipartError::Preamble),
        (&large, MultipartError::TooLarge { what: "a header of a part", most: 8192 }),
        ("--ab\r\n\r\n\r\nno head", MultipartError::Disposition),
    ] {
        for size in [1, 7, 10_000] {
            assert_eq!(
                parse(text.as_bytes(), size).err(),
                Some(error.clone()),
                "{text:.40} in pieces of {size}"
            );
        }
    }
    let mut parser = Parser::new(TYPE, HeadLimits::default()).unwrap();
    parser.feed("--abc\r\n".into());
    for _ in 0..2 {
        assert_eq!(parser.event(), Err(MultipartError::Delimiter));
        assert_eq!(parser.finish(), Err(MultipartError::Delimiter));
        parser.feed("--ab--".into());
    }
}

#[test]
fn floods_take_linear_time() {
    let boundary = "b".repeat(70);
    let kind = format!("multipart/form-data; boundary={boundary}");
    let begin = format!("--{boundary}\r\nContent-Disposition: form-data; name=a\r\n\r\n");
    for flood in ["\r", "\r\n", "\r\n-", "\r\n--", &format!("\r\n--{}", &boundary[1..]), "\n--", "--"] {
        let flood: Bytes = flood.repeat((1 << 20) / flood.len()).into();
        for size in [100, 16 << 10] {
            let started = Instant::now();
            let mut parser = Parser::new(&kind, HeadLimits::default()).unwrap();
            parser.feed(begin.clone().into());
            let mut rest = flood.clone();
            let mut seen = 0;
            while !rest.is_empty() {
                parser.feed(rest.split_to(size.min(rest.len())));
                while let Some(event) = parser.event().unwrap() {
                    if let Event::Data(data) = event {
                        seen += data.len();
                    }
                }
            }
            assert!(seen + 100 > flood.len());
            assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
        }
    }
}

proptest! {
    #[test]
    fn reads_back_what_was_written(
        contents in prop::collection::vec("(\r|\n|-|a|b|\r\n--a|\r\n--|é|x{0,70}){0,12}", 0..5),
        size in 1usize..200,
    ) {
        prop_assume!(contents.iter().all(|content| !content.contains("\r\n--ab")));
        // The line break in front is the delimiter's too.
        prop_assume!(contents.iter().all(|content| !content.starts_with("--ab")));
        let parts: Vec<_> = contents.iter().map(|content| ("n", content.as_bytes())).collect();
        let found = parse(&body(&parts), size).unwrap();
        prop_assert!(found.iter().map(|(_, content)| content.as_slice()).eq(contents.iter().map(String::as_bytes)));
    }

    #[test]
    fn any_bytes_are_read_alike_however_they_are_cut(
        text in "(\r\n|--ab|--|\r|\n| |:|Content-Disposition: form-data; name=a|;|\"|x|\\\\){0,40}",
        size in 1usize..20,
    ) {
        prop_assert_eq!(parse(text.as_bytes(), size), parse(text.as_bytes(), text.len().max(1)));
    }

    #[test]
    fn never_panics(bytes in prop::collection::vec(any::<u8>(), 0..200), size in 1usize..50) {
        let _ = parse(&[&b"--ab\r\n"[..], &bytes].concat(), size);
    }
}
