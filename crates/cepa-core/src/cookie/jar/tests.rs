//! The jar against what Koa was recorded to do, and where it differs on purpose.

use super::*;
use crate::cookie::{Algorithm, Priority, SameSite, cookies};
use http::header::COOKIE;
use proptest::prelude::*;
use serde_json::Value;
use std::collections::HashMap;
use std::time::Duration;

const NOW: Duration = Duration::from_secs(1_800_000_000);

/// Runs `act` on the jar of a request with these `Cookie` headers; returns the `Set-Cookie` lines it left.
fn jar<T>(
    cookie_headers: &[&str],
    ring: &[&str],
    secure: bool,
    act: impl FnOnce(&mut Jar<'_>) -> T,
) -> (T, Vec<String>) {
    let keys = (!ring.is_empty()).then(|| Keys::new(ring).unwrap());
    let (mut request, mut response) = (Headers::new(), HeaderMap::new());
    for header in cookie_headers {
        request.map_mut().append(COOKIE, HeaderValue::from_bytes(header.as_bytes()).unwrap());
    }
    let now = UNIX_EPOCH + NOW;
    let result =
        act(&mut Jar { request: &request, response: &mut response, keys: keys.as_ref(), secure, now });
    let line = |line: &HeaderValue| String::from_utf8(line.as_bytes().to_vec()).unwrap();
    (result, response.get_all(SET_COOKIE).iter().map(line).collect())
}

fn value_in<'a>(line: &'a str, name: &str) -> &'a str {
    line.split(';').next().unwrap().strip_prefix(name).unwrap().strip_prefix('=').unwrap()
}

const DEFAULT: CookieOptions<'static> = CookieOptions {
    path: Some("/"),
    domain: None,
    max_age: None,
    expires: None,
    http_only: true,
    secure: None,
    same_site: None,
    priority: None,
    partitioned: false,
    signed: None,
    overwrite: false,
};
const UNSIGNED: CookieOptions<'static> = CookieOptions { signed: Some(false), ..DEFAULT };
const OVERWRITE: CookieOptions<'static> = CookieOptions { overwrite: true, ..DEFAULT };

/// The recorded requests of the group "cookie", replayed without a server.
mod recorded {
    use super::*;

    fn query(target: &str) -> HashMap<String, String> {
        let decode = |text: &str| {
            let mut bytes = Vec::new();
            let mut rest = text.as_bytes();
            while let [first, tail @ ..] = rest {
                rest = tail;
                if *first == b'%' {
                    bytes.push(u8::from_str_radix(str::from_utf8(&tail[..2]).unwrap(), 16).unwrap());
                    rest = &tail[2..];
                } else {
                    bytes.push(*first);
                }
            }
            String::from_utf8(bytes).unwrap()
        };
        let query = target.split_once('?').map_or("", |(_, query)| query);
        query
            .split('&')
            .filter_map(|pair| pair.split_once('='))
            .map(|(k, v)| (decode(k), decode(v)))
            .collect()
    }

    /// The options of a recorded call; its one date is 2030-01-02T03:04:05Z.
    fn options(json: &Value) -> CookieOptions<'_> {
        let millis = |field: &str| json[field].as_u64().map(Duration::from_millis);
        let lower = |field: &str| Some(Value::String(json[field].as_str()?.to_lowercase()));
        CookieOptions {
            path: json["path"].as_str().or(DEFAULT.path),
            domain: json["domain"].as_str(),
            max_age: millis("maxAge"),
            expires: json["expires"].as_str().map(|_| UNIX_EPOCH + Duration::from_secs(1_893_553_445)),
            http_only: json["httpOnly"].as_bool().unwrap_or(true),
            secure: json["secure"].as_bool(),
            same_site: lower("sameSite").map(|v| serde_json::from_value::<SameSite>(v).unwrap()),
            priority: lower("priority").map(|v| serde_json::from_value::<Priority>(v).unwrap()),
            partitioned: json["partitioned"].as_bool().unwrap_or(false),
            signed: json["signed"].as_bool(),
            overwrite: json["overwrite"].as_bool().unwrap_or(false),
        }
    }

    /// A recorded `Set-Cookie` line as we would write it.
    fn expected(cookie: &Value, ring: &[&str], lines: &[String]) -> String {
        let name = cookie["name"].as_str().unwrap();
        let mut line = match cookie["sig_of"].as_str() {
            Some(of) => {
                let signed = lines.iter().find_map(|line| line.strip_prefix(of)?.strip_prefix('=')).unwrap();
                let signed = format!("{of}={}", signed.split(';').next().unwrap());
                format!("{name}={}", Keys::new(ring).unwrap().sign(signed.as_bytes()))
            }
            None => format!("{name}={}", cookie["value"].as_str().unwrap()),
        };
        for attribute in cookie["attrs"].as_array().unwrap() {
            let (label, value) = (attribute[0].as_str().unwrap(), &attribute[1]);
            line += &match value {
                Value::Bool(true) => format!("; {label}"),
                Value::String(text) => format!("; {label}={text}"),
                // Whole seconds left when the answer was recorded; the begun one counts.
                in_s => {
                    let end = UNIX_EPOCH + NOW + Duration::from_secs(in_s["in_s"].as_u64().unwrap() + 1);
                    format!("; {label}={}", httpdate::fmt_http_date(end))
                }
            };
        }
        line
    }

    #[test]
    fn koas_answers_are_ours() {
        let text = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/koa/cases.json"));
        let root: Value = serde_json::from_str(text).unwrap();
        let ring: Vec<&str> =
            root["keys"].as_array().unwrap().iter().map(|key| key.as_str().unwrap()).collect();
        let cases = root["cases"].as_array().unwrap().iter().filter(|case| case["group"] == "cookie");
        let mut seen = 0;
        for case in cases {
            let (request, expect) = (&case["steps"][0]["request"], &case["steps"][0]["expect"]);
            let query = query(request["target"].as_str().unwrap());
            let sent: Vec<&str> =
                request["headers"].as_array().unwrap().iter().map(|h| h[1].as_str().unwrap()).collect();
            let path = request["target"].as_str().unwrap().split('?').next().unwrap();
            let (body, lines) = jar(&sent, &ring, false, |jar| match path {
                "/cookie/set" => {
                    let given: Value = serde_json::from_str(&query["opts"]).unwrap();
                    let value = query.get("value").map_or("", String::as_str);
                    jar.set(&query["name"], value, &options(&given)).map(|()| "set".to_string())
                }
                "/cookie/get" => {
                    let signed = query.get("signed").is_some_and(|signed| signed != "false");
                    let name = &query["name"];
                    let value = if signed { jar.get_signed(name)? } else { jar.get(name) };
                    Ok(serde_json::json!({ "value": value }).to_string())
                }
                other => panic!("{other}"),
            });
            assert_eq!(body.is_ok(), expect["status"] == 200, "{case}");
            if let Ok(body) = body {
                assert_eq!(body, expect["body"], "{case}");
            }
            let expected: Vec<String> = expect["cookies"]
                .as_array()
                .map_or(Vec::new(), |all| all.iter().map(|cookie| expected(cookie, &ring, &lines)).collect());
            assert_eq!(lines, expected, "{case}");
            seen += 1;
        }
        assert_eq!(seen, 19);
    }
}

#[test]
fn a_wrong_signature_is_deleted_and_a_missing_one_is_nothing() {
    let ((), lines) = jar(&["a=1; a.sig=L8DAGb2-yI_G2PfnypCYxqHJCdZ"], &["k1-new-secret"], false, |jar| {
        assert_eq!(jar.get_signed("a"), Ok(None));
    });
    assert_eq!(lines, ["a.sig=; path=/; expires=Thu, 01 Jan 1970 00:00:00 GMT; httponly"]);
    for sent in ["a=1", "a.sig=L8DAGb2-yI_G2PfnypCYxqHJCdY", "b=1; a=; a.sig=x"] {
        let (value, lines) =
            jar(&[sent], &["k"], false, |jar| jar.get_signed("a").unwrap().map(str::to_owned));
        assert_eq!((value, lines.len()), (None, 0), "{sent}");
    }
}

#[test]
fn a_repair_never_follows_a_newer_signature() {
    let old = Keys::new(["old"]).unwrap().sign(b"a=1");
    let sent = format!("a=1; a.sig={old}");
    let ((), lines) = jar(&[&sent], &["new", "old"], false, |jar| {
        assert_eq!(jar.get_signed("a"), Ok(Some("1")));
        assert_eq!(jar.get_signed("a"), Ok(Some("1")));
    });
    assert_eq!(lines.len(), 1, "one repair however often it is read");
    let ((), lines) = jar(&[&sent], &["new", "old"], false, |jar| {
        jar.set("a", "2", &DEFAULT).unwrap();
        assert_eq!(jar.get_signed("a"), Ok(Some("1")));
    });
    let new = Keys::new(["new"]).unwrap().sign(b"a=2");
    assert_eq!((lines.len(), value_in(&lines[1], "a.sig")), (2, &new[..]));
}

#[test]
fn a_repair_that_cannot_be_written_is_left_out() {
    let old = Keys::new(["old"]).unwrap().sign(b"__Host-a=1");
    let ((), lines) = jar(&[&format!("__Host-a=1; __Host-a.sig={old}")], &["new", "old"], false, |jar| {
        assert_eq!(jar.get_signed("__Host-a"), Ok(Some("1")));
        assert_eq!(jar.get_signed("no token"), Ok(None));
    });
    assert_eq!(lines, [""; 0]);
}

#[test]
fn duplicates_are_kept_unless_overwritten() {
    let ((), lines) = jar(&[], &["k"], false, |jar| {
        for (name, value) in [("a", "1"), ("a", "2"), ("ab", "3"), ("A", "4")] {
            jar.set(name, value, &UNSIGNED).unwrap();
        }
        jar.set("s", "1", &DEFAULT).unwrap();
        jar.set("a", "5", &CookieOptions { overwrite: true, ..UNSIGNED }).unwrap();
        jar.set("s", "2", &OVERWRITE).unwrap();
    });
    let sig = Keys::new(["k"]).unwrap().sign(b"s=2");
    let heads: Vec<&str> = lines.iter().map(|line| line.split(';').next().unwrap()).collect();
    assert_eq!(heads, ["ab=3", "A=4", "a=5", "s=2", &format!("s.sig={sig}")]);
}

#[test]
fn removing_ends_the_cookie_and_its_signature() {
    let ((), lines) = jar(&[], &["k"], true, |jar| {
        let options = CookieOptions { path: Some("/p"), max_age: Some(NOW), ..DEFAULT };
        jar.remove("a", &options).unwrap();
    });
    let sig = Keys::new(["k"]).unwrap().sign(b"a=");
    let attributes = "path=/p; expires=Thu, 01 Jan 1970 00:00:00 GMT; secure; httponly";
    assert_eq!(lines, [format!("a=; {attributes}"), format!("a.sig={sig}; {attributes}")]);
    // That signature of nothing is worth nothing.
    let (value, lines) = jar(&[&format!("a=; a.sig={sig}")], &["k"], true, |jar| {
        jar.get_signed("a").unwrap().map(str::to_owned)
    });
    assert_eq!((value, lines.len()), (None, 0));
}

#[test]
fn without_keys_nothing_is_signed_or_encrypted() {
    let ((), lines) = jar(&["a=1; a.sig=x"], &[], false, |jar| {
        let signed = CookieOptions { signed: Some(true), ..DEFAULT };
        assert_eq!(jar.set("a", "1", &signed), Err(CookieError::NoKeys));
        assert_eq!(jar.get_signed("a"), Err(CookieError::NoKeys));
        assert_eq!(jar.get_encrypted("a"), Err(CookieError::NoKeys));
        assert_eq!(jar.set_encrypted("a", b"1", &DEFAULT), Err(CookieError::NoKeys));
        jar.set("a", "1", &DEFAULT).unwrap();
    });
    assert_eq!(lines, ["a=1; path=/; httponly"]);
}

#[test]
fn an_error_leaves_the_response_as_it_was() {
    let long = "v".repeat(4080);
    let path = format!("/{}", "p".repeat(4060));
    let ((), lines) = jar(&[], &["k"], false, |jar| {
        jar.set("a", "1", &UNSIGNED).unwrap();
        let bare = CookieOptions { path: None, http_only: false, ..OVERWRITE };
        // The cookie fits, its signature does not.
        let error = jar.set("a", "2", &CookieOptions { path: Some(&path), ..bare }).unwrap_err();
        assert!(matches!(error, CookieError::TooLong { ref name, .. } if name == "a.sig"), "{error}");
        for (value, options) in [
            (long.as_str(), OVERWRITE),
            ("a;b", OVERWRITE),
            ("a\nb", OVERWRITE),
            ("a", CookieOptions { secure: Some(true), ..OVERWRITE }),
        ] {
            assert!(jar.set("a", value, &options).is_err());
        }
        assert!(jar.set_encrypted("a", &[0; 3100], &OVERWRITE).is_err());
        assert!(jar.set_encrypted("a", &[0; 1 << 20], &OVERWRITE).is_err());
        assert_eq!(
            format!("{jar:?}"),
            "Jar { keys: Some(Keys { len: 1, algorithm: Sha1 }), secure: false, .. }"
        );
    });
    assert_eq!(lines, ["a=1; path=/; httponly"]);
}

#[test]
fn encrypted_cookies_come_back_to_their_name_alone() {
    let ((), lines) = jar(&[], &["old"], true, |jar| {
        jar.set_encrypted("__Host-sid", b"\0secret\xff", &DEFAULT).unwrap();
    });
    let [line] = &lines[..] else { panic!("one line, no signature: {lines:?}") };
    let sealed = value_in(line, "__Host-sid");
    assert!(line.ends_with("; path=/; secure; httponly") && !line.contains("secret"));
    let sent = format!("__Host-sid={sealed}; moved={sealed}; long={}", "A".repeat(9000));
    let ((), lines) = jar(&[&sent], &["new", "old"], true, |jar| {
        let opened = jar.get_encrypted("__Host-sid").unwrap().unwrap();
        assert_eq!((&opened.value[..], opened.key_index), (&b"\0secret\xff"[..], 1));
        for name in ["moved", "long", "absent"] {
            assert_eq!(jar.get_encrypted(name), Ok(None));
        }
    });
    assert_eq!(lines, [""; 0]);
}

#[test]
fn a_value_that_is_not_text_is_read_as_bytes_only() {
    let mut request = Headers::new();
    request.map_mut().append(COOKIE, HeaderValue::from_bytes(b"a=\xe9; a=1").unwrap());
    let mut response = HeaderMap::new();
    let jar = Jar { request: &request, response: &mut response, keys: None, secure: false, now: UNIX_EPOCH };
    assert_eq!((jar.get("a"), jar.count("a")), (None, 2));
    assert_eq!(parse::get(&request, "a"), Some(&b"\xe9"[..]));
}

proptest! {
    /// Whatever is set is read back from what a browser would send.
    #[test]
    fn signed_cookies_come_back(
        name in "[a-zA-Z0-9._-]{1,12}", value in "[^;\\x00-\\x1f\\x7f]{1,40}", sha256: bool,
    ) {
        let algorithm = if sha256 { Algorithm::Sha256 } else { Algorithm::Sha1 };
        let keys = Keys::with_algorithm(algorithm, ["k"]).unwrap();
        let (mut request, mut response) = (Headers::new(), HeaderMap::new());
        let now = UNIX_EPOCH + NOW;
        let keys = Some(&keys);
        let mut jar = Jar { request: &request, response: &mut response, keys, secure: true, now };
        if jar.set(&name, &value, &DEFAULT).is_ok() {
            for line in response.get_all(SET_COOKIE) {
                let pair = line.as_bytes().split(|&byte| byte == b';').next().unwrap();
                request.map_mut().append(COOKIE, HeaderValue::from_bytes(pair).unwrap());
            }
            response.clear();
            prop_assert_eq!(cookies(&request).count(), 2);
            let mut jar = Jar { request: &request, response: &mut response, keys, secure: true, now };
            prop_assert_eq!(jar.get_signed(&name), Ok(Some(&value[..])));
            prop_assert!(response.is_empty());
        }
    }

    #[test]
    fn no_request_panics(
        header in "(a|a\\.sig|b)?=[A-Za-z0-9_=;\" -]{0,60}(; a\\.sig=[A-Za-z0-9_-]{0,50})?",
    ) {
        let (outcome, lines) = jar(&[&header], &["new", "old"], false, |jar| {
            (jar.get_signed("a").map(|v| v.is_some()), jar.get_encrypted("b").map(|v| v.is_some()))
        });
        prop_assert_eq!(outcome, (Ok(false), Ok(false)));
        prop_assert!(lines.len() <= 1);
    }
}
