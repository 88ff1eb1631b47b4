//! Lines as Koa writes them, and everything that must not become one.

use super::*;
use crate::cookie::parse;
use proptest::prelude::*;

const NONE: CookieOptions<'static> = CookieOptions {
    path: None,
    domain: None,
    max_age: None,
    expires: None,
    http_only: false,
    secure: Some(false),
    same_site: None,
    priority: None,
    partitioned: false,
    signed: None,
    overwrite: false,
};

fn line(name: &str, value: &str, options: CookieOptions<'_>, secure: bool) -> Result<String, CookieError> {
    let now = UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    set_cookie(name, value, &options, secure, now).map(|v| String::from_utf8(v.as_bytes().to_vec()).unwrap())
}

#[test]
fn attributes_in_koas_order_and_spelling() {
    let all = CookieOptions {
        path: Some("/p"),
        domain: Some("example.test"),
        max_age: Some(Duration::from_millis(60_999)),
        expires: Some(UNIX_EPOCH),
        http_only: true,
        secure: None,
        same_site: Some(SameSite::Lax),
        priority: Some(Priority::High),
        partitioned: true,
        ..NONE
    };
    assert_eq!(
        line("a", "v", all, true).unwrap(),
        "a=v; path=/p; expires=Sun, 09 Sep 2001 01:47:40 GMT; domain=example.test; priority=high; \
         samesite=lax; secure; httponly; partitioned"
    );
    assert_eq!(line("a", "v", CookieOptions::default(), false).unwrap(), "a=v; path=/; httponly");
    assert_eq!(line("a", "v", NONE, true).unwrap(), "a=v");
    assert_eq!(line("a", "吴", NONE, true).unwrap(), "a=吴");
}

#[test]
fn dates_stay_within_what_can_be_written() {
    let expires = |time| CookieOptions { expires: Some(time), ..NONE };
    let age = |age| CookieOptions { max_age: Some(age), ..NONE };
    let far = UNIX_EPOCH + Duration::from_secs(1 << 40);
    let before = UNIX_EPOCH - Duration::from_secs(1);
    let table = [
        ("v", age(Duration::MAX), "a=v; expires=Fri, 31 Dec 9999 23:59:59 GMT"),
        ("v", expires(far), "a=v; expires=Fri, 31 Dec 9999 23:59:59 GMT"),
        ("v", expires(before), "a=v; expires=Thu, 01 Jan 1970 00:00:00 GMT"),
        ("v", age(Duration::ZERO), "a=v; expires=Sun, 09 Sep 2001 01:46:40 GMT"),
        ("", age(Duration::MAX), "a=; expires=Thu, 01 Jan 1970 00:00:00 GMT"),
    ];
    for (value, options, expected) in table {
        assert_eq!(line("a", value, options, false).unwrap(), expected);
    }
}

#[test]
fn what_a_browser_would_misread_is_refused() {
    for name in
        ["", "a b", "a=b", "a;b", "a\r\nb", "a\0", "é", " a", "a\t", "\u{2000}__Host-a", "a,b", "\"a\""]
    {
        assert_eq!(line(name, "v", NONE, false), Err(CookieError::Name(name.into())));
    }
    for value in ["a;b", "a\r\nSet-Cookie: b=1", "\n", "\0", "\x7f", " v", "v\t", "\"v\"", "\"\"", "\t"] {
        assert_eq!(line("a", value, NONE, false), Err(CookieError::Value("a".into())), "{value:?}");
    }
    for value in ["{\"a\": 1}", "a\tb", "\"", "a=b, c", "%3B"] {
        assert!(line("a", value, NONE, false).is_ok(), "{value:?}");
    }
    for path in ["", "p", "/a;b", "/\n", "/é", "/\x7f"] {
        let options = CookieOptions { path: Some(path), ..NONE };
        assert_eq!(line("a", "v", options, false), Err(CookieError::Path("a".into())), "{path:?}");
    }
    let long = format!("{}.test", "a".repeat(64));
    for domain in ["", ".", "..a", "a..b", "a.", "-a.b", "a-.b", "a b", "a;b", "a\n", "é.test", "a_b", &long]
    {
        let options = CookieOptions { domain: Some(domain), ..NONE };
        assert_eq!(line("a", "v", options, false), Err(CookieError::Domain("a".into())), "{domain:?}");
    }
    for domain in ["localhost", ".example.test", "a-b.c1.test", "127.0.0.1"] {
        assert!(line("a", "v", CookieOptions { domain: Some(domain), ..NONE }, false).is_ok(), "{domain:?}");
    }
}

#[test]
fn secure_needs_an_encrypted_connection() {
    let secure = CookieOptions { secure: Some(true), ..NONE };
    assert_eq!(line("a", "v", secure, true).unwrap(), "a=v; secure");
    let error = line("a", "v", secure, false).unwrap_err();
    assert_eq!(error.to_string(), "Cannot send secure cookie over unencrypted connection");
}

#[test]
fn prefixes_keep_their_promise() {
    let good = CookieOptions { path: Some("/"), http_only: true, secure: None, ..NONE };
    let plain = CookieOptions { secure: Some(false), ..good };
    let elsewhere = CookieOptions { path: Some("/a"), ..good };
    let nowhere = CookieOptions { path: None, ..good };
    let domain = CookieOptions { domain: Some("a.test"), ..good };
    let scripted = CookieOptions { http_only: false, ..good };
    let table = [
        ("__Host-a", good, true),
        ("__Host-a", plain, false),
        ("__Host-a", elsewhere, false),
        ("__Host-a", nowhere, false),
        ("__Host-a", domain, false),
        ("__Host-a", scripted, true),
        ("__hOST-a", domain, false),
        ("__Secure-a", good, true),
        ("__Secure-a", elsewhere, true),
        ("__Secure-a", domain, true),
        ("__secure-a", plain, false),
        ("__Http-a", scripted, false),
        ("__Http-a", plain, false),
        ("__Http-a", elsewhere, true),
        ("__Host-Http-a", scripted, false),
        ("__Host-Http-a", elsewhere, false),
        ("__Host-Http-a", good, true),
        ("__a", plain, true),
        ("__Host", plain, true),
    ];
    for (name, options, fine) in table {
        assert_eq!(line(name, "v", options, true).is_ok(), fine, "{name} {options:?}");
    }
    assert!(line("__Host-a", "v", good, false).is_err());
}

#[test]
fn a_line_has_at_most_4096_bytes() {
    let longest = "v".repeat(MAX_SET_COOKIE - "a=".len());
    assert_eq!(line("a", &longest, NONE, false).unwrap().len(), MAX_SET_COOKIE);
    let error = line("a", &format!("{longest}v"), NONE, false).unwrap_err();
    assert_eq!(error, CookieError::TooLong { name: "a".into(), len: 4097 });
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(name in any::<String>(), value in any::<String>()) {
        if let Ok(line) = line(&name, &value, NONE, false) {
            let sent = line.split("; expires=").next().unwrap();
            let read: Vec<_> = parse(sent.as_bytes()).map(|c| (c.name, c.value)).collect();
            prop_assert_eq!(read, [(name.as_bytes(), value.as_bytes())]);
        }
    }

    #[test]
    fn likely_values_are_read_back(name in "[a-z!#$&.]{1,9}", value in "[ -:<-~]{0,40}") {
        if let Ok(line) = line(&name, &value, NONE, false) {
            let sent = line.split("; expires=").next().unwrap();
            let read: Vec<_> = parse(sent.as_bytes()).map(|c| (c.name, c.value)).collect();
            prop_assert_eq!(read, [(name.as_bytes(), value.as_bytes())]);
        }
    }

    #[test]
    fn nothing_adds_a_line_or_an_attribute(
        name in any::<String>(), value in any::<String>(), path in any::<String>(), domain in any::<String>(),
    ) {
        let options = CookieOptions { path: Some(&path), domain: Some(&domain), ..NONE };
        if let Ok(line) = line(&name, &value, options, false) {
            prop_assert!(!line.contains(['\r', '\n', '\0']));
            prop_assert_eq!(line.matches(';').count(), if value.is_empty() { 3 } else { 2 });
        }
    }
}
