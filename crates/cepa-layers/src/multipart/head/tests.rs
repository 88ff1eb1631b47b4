//! Heads of parts as clients write them, and as attackers do.

use super::*;

fn parse(head: &str) -> Result<PartHead, MultipartError> {
    PartHead::parse(head.as_bytes(), &HeadLimits::default())
}

fn names_of(disposition: &str) -> Option<(String, Option<String>)> {
    let head = parse(&format!("Content-Disposition: {disposition}")).ok()?;
    Some((head.name().to_owned(), head.file_name().map(str::to_owned)))
}

#[test]
fn names_are_read_as_clients_write_them() {
    for (disposition, name, file_name) in [
        (r#"form-data; name="a""#, "a", None),
        ("form-data; name=a", "a", None),
        ("Form-Data;NAME=a ; x=y;", "a", None),
        (r#"form-data; name="a"; filename="b.txt""#, "a", Some("b.txt")),
        (r#"form-data; name="a"; filename="""#, "a", Some("")),
        // Browsers write UTF-8 as it is, and a quote as %22.
        (r#"form-data; name="é%22"; filename="中 文.txt""#, "é%22", Some("中 文.txt")),
        // curl and others write a backslash before a quote.
        (r#"form-data; name="a\"b\\"; filename="c\"d""#, r#"a"b\"#, Some(r#"c"d"#)),
        // Paths are cut to their last component.
        (r#"form-data; name=a; filename="C:\dir\file.txt""#, "a", Some("file.txt")),
        (r#"form-data; name=a; filename="../../etc/passwd""#, "a", Some("passwd")),
        (r#"form-data; name=a; filename="..""#, "a", Some("")),
        (r#"form-data; name=a; filename="dir/""#, "a", Some("")),
        ("form-data; name=a; filename*=UTF-8''%e2%82%ac+1.txt", "a", Some("€+1.txt")),
        ("form-data; name=a; filename=x; filename*=utf-8'en'y%2Fz", "a", Some("z")),
        (r#"form-data; x="a;name=b"; name=c"#, "c", None),
        (r#"form-data; name="""#, "", None),
    ] {
        let expected = Some((name.to_owned(), file_name.map(str::to_owned)));
        assert_eq!(names_of(disposition), expected, "{disposition}");
    }
}

#[test]
fn dispositions_that_can_be_read_two_ways_are_refused() {
    for disposition in [
        "",
        "form-data",
        "form-data; filename=a",
        "attachment; name=a",
        "form-data; name=a; name=b",
        "form-data; name=a; filename=b; filename=c",
        "form-data; name=a; filename*=UTF-8''b; filename*=UTF-8''c",
        "form-data; name",
        "form-data; name=",
        r#"form-data; name="a"#,
        r#"form-data; name="a"b"#,
        r#"form-data; name=a"b""#,
        "form-data; name=a filename=b",
        "form-data; name=\"a\tb\"",
        "form-data; name=a; filename*=UTF-8''%00",
        "form-data; name=a; filename*=UTF-8''a%0d%0a",
        "form-data; name=a; filename*=UTF-8''%ff",
        "form-data; name=a; filename*=latin1''a",
        "form-data; name=a; filename*=a",
        "form-data; name=\u{85}",
        &format!("form-data; name=a{}", "; x=y".repeat(20)),
    ] {
        assert_eq!(names_of(disposition), None, "{disposition:?}");
    }
}

#[test]
fn headers_are_checked() {
    const NAMED: &str = "Content-Disposition: form-data; name=a";
    let head = parse(&format!("{NAMED}\r\nContent-Type: text/plain\r\nX-Y:z")).unwrap();
    assert_eq!((head.content_type(), head.headers()["x-y"].as_bytes()), (Some("text/plain"), &b"z"[..]));
    for (more, error) in [
        ("\r\nContent-Disposition: form-data; name=b", MultipartError::Header),
        ("\r\nContent-Type: a/b\r\ncontent-type: c/d", MultipartError::Header),
        ("\r\n folded", MultipartError::Header),
        ("\r\nX : y", MultipartError::Header),
        ("\r\nno colon", MultipartError::Header),
        ("\r\nX: a\nY: b", MultipartError::Header),
        ("\r\nX: a\rY: b", MultipartError::Header),
        ("\r\nX: a\0", MultipartError::Header),
        ("\r\n: a", MultipartError::Header),
        ("\r\nContent-Transfer-Encoding: base64", MultipartError::Encoding),
    ] {
        assert_eq!(parse(&format!("{NAMED}{more}")), Err(error), "{more:?}");
    }
    let many: String = (0..16).map(|number| format!("\r\nX-{number}: y")).collect();
    assert_eq!(parse(&format!("{NAMED}{many}")), Err(MultipartError::Header));
    assert!(parse(&format!("{NAMED}\r\nContent-Transfer-Encoding: Binary")).is_ok());
    assert_eq!(parse("X: y"), Err(MultipartError::Disposition));
    let head = [NAMED.as_bytes(), b"\xff"].concat();
    assert_eq!(PartHead::parse(&head, &HeadLimits::default()), Err(MultipartError::Disposition));
}

#[test]
fn names_have_limits() {
    let long = |name: usize, file_name: usize| {
        let (name, file_name) = ("n".repeat(name), "f".repeat(file_name));
        parse(&format!("Content-Disposition: form-data; name={name}; filename={file_name}"))
    };
    assert!(long(100, 255).is_ok());
    let what = "the name of a field";
    assert_eq!(long(101, 1), Err(MultipartError::TooLarge { what, most: 100 }));
    let what = "the name of a file";
    assert_eq!(long(1, 256), Err(MultipartError::TooLarge { what, most: 255 }));
}
