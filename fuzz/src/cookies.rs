//! Cookies: what is read of a request, and that what is set comes back as it was.

use std::time::UNIX_EPOCH;

use cepa_core::Headers;
use cepa_core::cookie::{self, CookieOptions, Jar, Keys, MAX_COOKIES, MAX_SET_COOKIE};
use http::{HeaderMap, HeaderValue, header};

/// Any bytes are a `Cookie` header, and any text before a line break with what follows it a cookie to set.
pub fn cookies(input: &[u8]) {
    read(input);
    let text = String::from_utf8_lossy(input);
    let (name, value) = text.split_once('\n').unwrap_or((&*text, ""));
    write(name, value);
}

/// Pairs hold no separator, lie in the header in their order, and are found by their name.
fn read(header: &[u8]) {
    let pairs: Vec<_> = cookie::parse(header).collect();
    assert!(pairs.len() <= MAX_COOKIES);
    let mut rest = header;
    for pair in &pairs {
        assert!(!pair.name.is_empty() && !pair.name.contains(&b'='));
        for part in [pair.name, pair.value] {
            assert!(!part.contains(&b';'));
            let at = rest.windows(part.len().max(1)).position(|window| window.starts_with(part));
            rest = &rest[at.unwrap_or(rest.len())..];
            assert!(rest.starts_with(part), "a part lies after the one before it");
            rest = &rest[part.len()..];
        }
    }
    let mut headers = Headers::new();
    let Ok(value) = HeaderValue::from_bytes(header) else { return };
    headers.map_mut().append(header::COOKIE, value);
    assert!(cookie::cookies(&headers).eq(pairs.iter().copied()));
    for name in pairs.iter().filter_map(|pair| std::str::from_utf8(pair.name).ok()) {
        let same = || pairs.iter().filter(|pair| pair.name == name.as_bytes());
        assert_eq!(cookie::get(&headers, name), same().next().map(|pair| pair.value));
        assert_eq!(cookie::count(&headers, name), same().count());
    }
}

/// A cookie that can be set at all comes back as it was set: plain, signed and encrypted. One whose signature or
/// text was changed does not.
fn write(name: &str, value: &str) {
    let options = CookieOptions { secure: Some(true), ..CookieOptions::default() };
    if let Ok(line) = cookie::set_cookie(name, value, &options, true, UNIX_EPOCH) {
        assert!(line.len() <= MAX_SET_COOKIE);
        let pairs: Vec<_> = cookie::parse(line.as_bytes()).collect();
        assert_eq!((pairs[0].name, pairs[0].value), (name.as_bytes(), value.as_bytes()));
        let ended = value.is_empty().then_some(&b"Thu, 01 Jan 1970 00:00:00 GMT"[..]);
        assert_eq!(pairs.iter().find(|pair| pair.name == b"expires").map(|pair| pair.value), ended);
        assert_eq!(pairs.len(), 2 + usize::from(ended.is_some()), "no value opens an attribute");
    }
    let keys = Keys::new(["a key of the fuzzer"]).expect("there is a key");
    let (empty, mut response) = (Headers::new(), HeaderMap::new());
    let mut jar = jar(&empty, &mut response, &keys);
    let set = jar.set(name, value, &CookieOptions::default());
    let sealed = format!("{}!", name.get(..1).unwrap_or("x"));
    let set_encrypted = jar.set_encrypted("sealed", value.as_bytes(), &CookieOptions::default());
    let request = sent_back(&response);
    let mut answer = HeaderMap::new();
    let mut jar = self::jar(&request, &mut answer, &keys);
    if set.is_ok() && !name.eq_ignore_ascii_case("sealed") && !name.ends_with(".sig") {
        let expected = Some(value).filter(|value| !value.is_empty());
        assert_eq!(jar.get_signed(name), Ok(expected));
        assert_eq!(jar.get_encrypted(name), Ok(None), "a plain text opens nothing");
    }
    if set_encrypted.is_ok() && !value.is_empty() && name != "sealed" {
        let opened =
            jar.get_encrypted("sealed").expect("there are keys").expect("it was sealed for this name");
        assert_eq!((opened.value.as_slice(), opened.key_index), (value.as_bytes(), 0));
    }
    assert!(keys.open(&sealed, value.as_bytes()).is_none() && keys.verify(name.as_bytes(), b"").is_none());
}

fn jar<'a>(request: &'a Headers, response: &'a mut HeaderMap, keys: &'a Keys) -> Jar<'a> {
    Jar { request, response, keys: Some(keys), secure: true, now: UNIX_EPOCH }
}

/// The `Cookie` headers of a client that was sent these `Set-Cookie` lines.
fn sent_back(response: &HeaderMap) -> Headers {
    let mut request = Headers::new();
    for line in response.get_all(header::SET_COOKIE) {
        let pair = line.as_bytes().split(|&byte| byte == b';').next().unwrap_or_default();
        let pair = HeaderValue::from_bytes(pair).expect("a part of a header value is one");
        request.map_mut().append(header::COOKIE, pair);
    }
    request
}
