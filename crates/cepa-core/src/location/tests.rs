use super::*;
use proptest::prelude::*;

#[test]
fn encodes_as_recorded() {
    // One recorded input holds a lone surrogate, which no &str can: its JSON does not parse into one.
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/koa/vectors/encodeurl.json");
    let text = std::fs::read_to_string(path).unwrap().replace("\\ud800", "\\ufffd");
    let file: serde_json::Value = serde_json::from_str(&text).unwrap();
    for vector in file["vectors"].as_array().unwrap() {
        let url = vector["url"].as_str().unwrap();
        assert_eq!(encode_url(url), vector["result"].as_str().unwrap(), "{url}");
    }
}

#[test]
fn redirects_as_recorded() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/koa/cases.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut seen = 0;
    for case in file["cases"].as_array().unwrap().iter().filter(|case| case["group"] == "redirect") {
        let request = case["steps"][0]["request"]["target"].as_str().unwrap();
        let (_, query) = request.split_once('?').unwrap();
        let query = crate::form::to_json_map(crate::form::parse(query, 10));
        let expected = case["steps"][0]["expect"]["headers"]["location"].as_str().unwrap();
        assert_eq!(normalise_location(query["to"].as_str().unwrap()).unwrap(), expected);
        seen += 1;
    }
    assert!(seen > 5);
}

#[test]
fn normalises_absolute_urls() {
    let table = [
        ("HTTPS://Example.COM:443", "https://example.com/"),
        ("http://a:8080?x", "http://a:8080/?x"),
        ("http://a:#f", "http://a/#f"),
        ("http://a:0080/", "http://a/"),
        ("https://a:80/", "https://a:80/"),
        ("http:////a//b", "http://a//b"),
        ("http://\\evil.test\\x\\..\\y", "http://evil.test/y"),
        ("http://a/b/../c/./d/..", "http://a/c/"),
        ("http://a/../../b/%2E%2e/.%2e/c", "http://a/c"),
        ("http://a/...", "http://a/..."),
        ("http://a/.", "http://a/"),
        ("http://a/b?c=/../d\\'", "http://a/b?c=/../d\\%27"),
        ("http://a/#x y#z", "http://a/#x%20y#z"),
        ("http://ev\til.test\n/\r", "http://evil.test/"),
        ("http://a/b \u{1}", "http://a/b"),
        ("http://[2001:DB8:0::1]:80/", "http://[2001:db8::1]/"),
        ("http://中文.Test/é", "http://%E4%B8%AD%E6%96%87.test/%C3%A9"),
        ("http://%65vil.test/", "http://evil.test/"),
        ("//evil.test/x", "//evil.test/x"),
        ("/\\evil.test", "/%5Cevil.test"),
        ("\\\\evil.test", "%5C%5Cevil.test"),
        ("https:evil.test", "https:evil.test"),
        ("mailto:a@b.test", "mailto:a@b.test"),
        ("", ""),
    ];
    for (url, expected) in table {
        assert_eq!(normalise_location(url).as_deref(), Ok(expected), "{url}");
    }
}

#[test]
fn refuses_what_browsers_refuse_and_user_information() {
    use InvalidLocation::{Host, Port, UserInfo};
    let table = [
        ("http://", Host),
        ("http://?x", Host),
        ("http://:80/", Host),
        ("http://a b/", Host),
        ("http://a%2Fb/", Host),
        ("http://a%zz/", Host),
        ("http://a<b/", Host),
        ("http://[::1/", Host),
        ("http://[::1]x/", Host),
        ("http://[::g]/", Host),
        ("http://a:x/", Port),
        ("http://a:+80/", Port),
        ("http://a:65536/", Port),
        ("http://a:b@c/", UserInfo),
        ("http://@c/", UserInfo),
        ("http://example.test@evil.test/", UserInfo),
    ];
    for (url, error) in table {
        assert_eq!(normalise_location(url), Err(error), "{url}");
    }
}

#[test]
fn knows_local_targets() {
    for local in ["/", "/a", "/a//b", "/é", "/?next=//x", "/a\\b"] {
        assert!(is_local(local), "{local}");
    }
    let elsewhere =
        ["", "a", "//a", "/\\a", "\\/a", "/\t/a", "/a\nb", "/a\x7f", "http://a", " /a", "///", "?a", "."];
    for url in elsewhere {
        assert!(!is_local(url), "{url:?}");
    }
}

#[test]
fn knows_its_own_site() {
    let same = ["/x", "http://example.test", "https://example.test:443/p", "HTTP://EXAMPLE.test/?q"];
    for referrer in same {
        assert!(is_same_site(referrer, "example.test"), "{referrer}");
    }
    let other = [
        "http://evil.test/prev",
        "http://example.test:99/",
        "http://example.test@evil.test/",
        "http://evil.test\\@example.test/",
        "http://example.test.evil.test/",
        "http://exam\tple.test/",
        "//example.test/",
        "ftp://example.test/",
        "http://",
        "",
    ];
    for referrer in other {
        assert!(!is_same_site(referrer, "example.test"), "{referrer}");
    }
    assert!(is_same_site("http://a:8080/", "A:8080") && !is_same_site("http://a/", "a:8080"));
    assert!(!is_same_site("http://", "") && !is_same_site("http://a@b/", "a@b"));
}

#[test]
fn escapes_html() {
    assert_eq!(html_escape("plain é"), "plain é");
    assert_eq!(html_escape("é<a href=\"x\">&'"), "é&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
}

proptest! {
    #[test]
    fn a_location_is_printable_and_stays_as_it_is(url in r"(https?://)?[a-z/\\.?#%:@'\[\] é\t]{0,30}", any in any::<String>()) {
        for url in [url, any] {
            let encoded = encode_url(&url);
            prop_assert_eq!(encode_url(&encoded), encoded.as_ref());
            let Ok(once) = normalise_location(&url) else { continue };
            prop_assert!(once.bytes().all(|byte| byte.is_ascii_graphic()), "{:?}", once);
            let twice = normalise_location(&once);
            prop_assert_eq!(twice.as_deref(), Ok(&*once));
        }
    }

    #[test]
    fn never_panics(referrer in any::<String>(), host in any::<String>()) {
        let _ = (is_same_site(&referrer, &host), html_escape(&referrer));
    }
}
