use std::{fs, os::unix::fs::symlink, path::Path, time::Duration};

use super::*;
use cepa_core::{
    App,
    router::Mount,
    test::{Answer, Client},
};
use http::Method;
use tempfile::TempDir;

const DATE: &str = "Thu, 02 Jan 2020 03:04:05 GMT";
const LARGE: usize = 200_000;

/// Writes a file that was last changed long ago.
fn write(path: &Path, content: impl AsRef<[u8]>) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, content).unwrap();
    let modified = cepa_core::date::parse(DATE).unwrap();
    fs::File::options().write(true).open(path).unwrap().set_modified(modified).unwrap();
}

fn large() -> Vec<u8> {
    (0..LARGE).map(|at| (at % 251) as u8).collect()
}

fn site() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join("public").join(name);
    write(&at("index.html"), "<p>index</p>");
    write(&at("sub/index.html"), "<p>sub</p>");
    write(&at("bare/file.txt"), "bare");
    write(&at("about.html"), "<p>about</p>");
    write(&at("digits.txt"), "0123456789".repeat(100));
    write(&at("empty.txt"), "");
    write(&at("sp ace.txt"), "space");
    write(&at("noext"), "none");
    write(&at("large.bin"), large());
    write(&at("app.js"), "plain js");
    write(&at("app.js.br"), "br");
    write(&at("app.js.zst"), "zst");
    write(&at("app.js.gz"), "gz");
    write(&at("photo.png"), "png");
    write(&at("photo.png.gz"), "not asked for");
    write(&at(".env"), "SECRET");
    write(&at(".git/config"), "SECRET");
    write(&at(".well-known/security.txt"), "contact");
    write(&dir.path().join("secret.txt"), "SECRET");
    symlink("../secret.txt", at("out.txt")).unwrap();
    symlink("digits.txt", at("in.txt")).unwrap();
    dir
}

fn options(dir: &TempDir) -> Options {
    Options { root: dir.path().join("public"), ..Options::default() }
}

fn app(options: Options) -> Client {
    let app = App::new().with(static_files(options).unwrap());
    app.get("/app", async |_: &mut Ctx| "the app").test()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::LocalRuntime::new().unwrap().block_on(future)
}

async fn get(client: &Client, path: &str, headers: &[(&str, &str)]) -> Answer {
    let mut call = client.get(path);
    for (name, value) in headers {
        call = call.header(name, value);
    }
    call.await
}

#[test]
fn files_are_served_with_all_that_is_said_of_them() {
    let dir = site();
    let client = app(Options {
        extensions: vec!["html".into()],
        max_age: Duration::from_secs(60),
        immutable: vec!["/sub".into()],
        ..options(&dir)
    });
    run(async {
        for (path, text, kind, caching) in [
            ("/", "<p>index</p>", "text/html; charset=utf-8", "max-age=60"),
            ("/sub/", "<p>sub</p>", "text/html; charset=utf-8", "public, max-age=31536000, immutable"),
            ("/about", "<p>about</p>", "text/html; charset=utf-8", "max-age=60"),
            ("/sp%20ace.txt", "space", "text/plain; charset=utf-8", "max-age=60"),
            ("/noext", "none", "application/octet-stream", "max-age=60"),
            ("/empty.txt", "", "text/plain; charset=utf-8", "max-age=60"),
            ("/.well-known/security.txt", "contact", "text/plain; charset=utf-8", "max-age=60"),
            ("/in.txt", &"0123456789".repeat(100), "text/plain; charset=utf-8", "max-age=60"),
        ] {
            // Twice: from the disk, and from the cache.
            for _ in 0..2 {
                let answer = client.get(path).await;
                assert_eq!((answer.status().as_u16(), answer.text()), (200, text), "{path}");
                assert_eq!(answer.header("content-type"), kind, "{path}");
                assert_eq!(answer.header("cache-control"), caching, "{path}");
                assert_eq!(answer.header("last-modified"), DATE, "{path}");
                assert!(answer.header("etag").starts_with('"'), "{path}");
                assert_eq!(answer.header("accept-ranges"), "bytes", "{path}");
                let head = client.head(path).await;
                assert_eq!(head.header("content-length"), text.len().to_string(), "{path}");
                assert_eq!(head.header("etag"), answer.header("etag"));
            }
        }
        assert_eq!(client.get("/app").await.text(), "the app");
        assert_eq!(client.request(Method::POST, "/noext").await.status(), 404);
        let answer = client.get("/sub?a=b").await;
        assert_eq!((answer.status().as_u16(), answer.header("location")), (301, "/sub/?a=b"));
        assert_eq!(client.get("/bare").await.status(), 404);
        assert_eq!(client.get("/noext/").await.status(), 404);
    });
}

#[test]
fn traversal_and_hidden_files_are_refused() {
    let dir = site();
    let client = app(options(&dir));
    let long = format!("/{}", "a".repeat(300));
    run(async {
        for (path, status) in [
            ("/../secret.txt", 403),
            ("/..", 403),
            ("/sub/../../secret.txt", 403),
            ("/%2e%2e/secret.txt", 403),
            ("/%2E./secret.txt", 403),
            ("/%252e%252e/secret.txt", 404),
            ("/..%2fsecret.txt", 404),
            ("/..%5csecret.txt", 404),
            ("/..\\secret.txt", 404),
            ("/%2fetc%2fpasswd", 404),
            ("//etc/passwd", 404),
            ("/sub//index.html", 404),
            ("/digits.txt%00.png", 400),
            ("/out.txt", 404),
            ("/.env", 404),
            ("/%2eenv", 404),
            ("/.git/config", 404),
            (&long, 404),
        ] {
            let answer = client.get(path).await;
            assert_eq!(answer.status().as_u16(), status, "{path}");
            assert!(!answer.text().contains("SECRET"), "{path}");
        }
        let hidden = app(Options { hidden: true, symlinks: Symlinks::Anywhere, ..options(&dir) });
        assert_eq!(hidden.get("/.env").await.text(), "SECRET");
        assert_eq!(hidden.get("/out.txt").await.text(), "SECRET");
    });
}

#[test]
fn a_directory_does_not_redirect_to_another_host() {
    let dir = site();
    let mounted = App::new().mount("/", Mount::new(App::new().with(static_files(options(&dir)).unwrap())));
    let client = mounted.test();
    run(async {
        for path in ["//sub", "/\\sub", "//evil.test/%2e%2e/sub", "/%5csub"] {
            let answer = client.get(path).await;
            assert_eq!(answer.header("location"), "", "{path}");
        }
    });
}

#[test]
fn a_mounted_root_has_a_slash_too() {
    let dir = site();
    let files = App::new().with(static_files(options(&dir)).unwrap());
    let client = App::new().mount("/docs", files).test();
    run(async {
        let answer = client.get("/docs?a").await;
        assert_eq!((answer.status().as_u16(), answer.header("location")), (301, "/docs/?a"));
        let answer = client.get("/docs/sub").await;
        assert_eq!((answer.status().as_u16(), answer.header("location")), (301, "/docs/sub/"));
        assert_eq!(client.get("/docs/").await.text(), "<p>index</p>");
    });
}

#[test]
fn a_prefix_is_no_part_of_the_names() {
    let dir = site();
    let client = app(Options { prefix: "/static/".into(), ..options(&dir) });
    run(async {
        for (path, status) in [
            ("/static/noext", 200),
            ("/static/", 200),
            ("/static", 301),
            ("/noext", 404),
            ("/staticnoext", 404),
            ("/static/static/noext", 404),
            ("/../noext", 404),
        ] {
            assert_eq!(client.get(path).await.status().as_u16(), status, "{path}");
        }
    });
}

#[test]
fn conditions_and_ranges() {
    let dir = site();
    let client = app(options(&dir));
    run(async {
        let first = client.get("/digits.txt").await;
        let etag = first.header("etag").to_owned();
        let etag = etag.as_str();
        let old = "Wed, 01 Jan 2020 00:00:00 GMT";
        for (headers, status, range, text) in [
            (&[("if-none-match", etag)][..], 304, "", ""),
            (&[("if-none-match", "*")], 304, "", ""),
            (&[("if-modified-since", DATE)], 304, "", ""),
            (&[("if-modified-since", old), ("range", "bytes=0-1")], 206, "bytes 0-1/1000", "01"),
            (&[("if-match", "\"x\"")], 412, "", "Precondition Failed"),
            (&[("if-unmodified-since", old)], 412, "", "Precondition Failed"),
            (&[("range", "bytes=0-0")], 206, "bytes 0-0/1000", "0"),
            (&[("range", "bytes=-3")], 206, "bytes 997-999/1000", "789"),
            (&[("range", "bytes=998-5000")], 206, "bytes 998-999/1000", "89"),
            (&[("range", "bytes=0-1,2-3")], 206, "bytes 0-3/1000", "0123"),
            (&[("range", "bytes=1000-")], 416, "bytes */1000", "Range Not Satisfiable"),
            (&[("range", "bytes=0-1"), ("if-range", etag)], 206, "bytes 0-1/1000", "01"),
            (&[("range", "bytes=0-1"), ("if-range", DATE)], 206, "bytes 0-1/1000", "01"),
        ] {
            let answer = get(&client, "/digits.txt", headers).await;
            assert_eq!((answer.status().as_u16(), answer.text()), (status, text), "{headers:?}");
            assert_eq!(answer.header("content-range"), range, "{headers:?}");
        }
        let weak = format!("W/{etag}");
        for known in ["\"x\"", old, &weak, "soon", ""] {
            let answer = get(&client, "/digits.txt", &[("range", "bytes=0-1"), ("if-range", known)]).await;
            assert_eq!((answer.status().as_u16(), answer.bytes().len()), (200, 1000), "{known}");
        }
        let head = client.head("/digits.txt").header("range", "bytes=0-1").await;
        assert_eq!((head.status().as_u16(), head.header("content-length")), (200, "1000"));
        let empty = get(&client, "/empty.txt", &[("range", "bytes=0-")]).await;
        assert_eq!(empty.status(), 200);
    });
}

#[test]
fn several_ranges_are_parts() {
    let dir = site();
    let client = app(options(&dir));
    run(async {
        for path in ["/digits.txt", "/large.bin"] {
            let whole = client.get(path).await;
            let answer = get(&client, path, &[("range", "bytes=10-19, 900-909")]).await;
            assert_eq!(answer.status(), 206);
            let boundary = answer.header("content-type").strip_prefix("multipart/byteranges; boundary=");
            let boundary = format!("--{}", boundary.unwrap());
            let kind = whole.header("content-type");
            let len = whole.bytes().len();
            let mut expected = Vec::new();
            for (first, last) in [(10, 19), (900, 909)] {
                let line = if first == 10 { "" } else { "\r\n" };
                let head = format!(
                    "{line}{boundary}\r\nContent-Type: {kind}\r\nContent-Range: bytes {first}-{last}/{len}\r\n\r\n"
                );
                expected.extend_from_slice(head.as_bytes());
                expected.extend_from_slice(&whole.bytes()[first..=last]);
            }
            expected.extend_from_slice(format!("\r\n{boundary}--\r\n").as_bytes());
            assert_eq!(answer.bytes(), &expected, "{path}");
            assert_eq!(answer.header("content-length"), expected.len().to_string());
        }
    });
}

#[test]
fn a_bomb_of_ranges_sends_no_byte_twice() {
    let dir = site();
    let client = app(options(&dir));
    let many = format!("bytes={}", (0..5000).map(|at| format!("{at}-")).collect::<Vec<_>>().join(","));
    let few = format!("bytes={}", "0-,".repeat(16));
    run(async {
        for range in [&many, &few] {
            let answer = get(&client, "/large.bin", &[("range", range)]).await;
            assert_eq!(answer.bytes().len(), LARGE);
        }
    });
}

#[test]
fn large_files_are_streamed() {
    let dir = site();
    let client = app(options(&dir));
    run(async {
        let answer = client.get("/large.bin").await;
        assert_eq!(answer.header("content-length"), LARGE.to_string());
        assert_eq!(answer.bytes(), &large());
        let answer = get(&client, "/large.bin", &[("range", "bytes=60000-140000")]).await;
        assert_eq!(answer.bytes(), &large()[60_000..=140_000]);
    });
}

#[test]
fn what_lies_beside_a_file_is_chosen_by_weight() {
    let dir = site();
    let client = app(options(&dir));
    run(async {
        let plain = client.get("/app.js").await;
        for (accepted, coding, text) in [
            ("", "", "plain js"),
            ("gzip, br, zstd", "br", "br"),
            ("gzip, zstd", "zstd", "zst"),
            ("gzip, br;q=0.5", "gzip", "gz"),
            ("br;q=0, gzip", "gzip", "gz"),
            ("identity, br;q=0.1", "", "plain js"),
            ("deflate", "", "plain js"),
            ("identity;q=0", "", "plain js"),
            ("*", "br", "br"),
        ] {
            let answer = get(&client, "/app.js", &[("accept-encoding", accepted)]).await;
            assert_eq!((answer.header("content-encoding"), answer.text()), (coding, text), "{accepted}");
            assert_eq!(answer.header("vary"), "Accept-Encoding");
            assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
            assert_eq!(answer.header("etag") == plain.header("etag"), coding.is_empty(), "{accepted}");
        }
        let many = "x-coding;q=0.9, ".repeat(50_000) + "br";
        let started = std::time::Instant::now();
        assert_eq!(get(&client, "/app.js", &[("accept-encoding", &many)]).await.text(), "plain js");
        assert!(started.elapsed() < Duration::from_secs(1));
        let photo = get(&client, "/photo.png", &[("accept-encoding", "gzip")]).await;
        assert_eq!((photo.text(), photo.header("vary")), ("png", ""));
        let off = app(Options { precompressed: false, ..options(&dir) });
        let answer = get(&off, "/app.js", &[("accept-encoding", "br")]).await;
        assert_eq!((answer.text(), answer.header("vary")), ("plain js", ""));
    });
}

#[test]
fn changes_are_seen_and_told_by_the_tag() {
    let dir = site();
    let layer = static_files(options(&dir)).unwrap();
    let client = App::new().with(layer.clone()).test();
    let a_second_passes = || layer.files.cache.age();
    let path = dir.path().join("public/new.txt");
    run(async {
        assert_eq!(client.get("/new.txt").await.status(), 404);
        write(&path, "one");
        assert_eq!(client.get("/new.txt").await.status(), 404);
        a_second_passes();
        let one = client.get("/new.txt").await;
        assert_eq!(one.text(), "one");
        // Of the same size, and just now: the tag is weak until no other change could go unnoticed.
        fs::write(&path, "two").unwrap();
        assert_eq!(client.get("/new.txt").await.text(), "one");
        a_second_passes();
        let two = client.get("/new.txt").await;
        assert_eq!(two.text(), "two");
        assert!(two.header("etag").starts_with("W/"), "{}", two.header("etag"));
        assert_eq!(get(&client, "/new.txt", &[("if-none-match", one.header("etag"))]).await.text(), "two");
        fs::remove_file(&path).unwrap();
        a_second_passes();
        assert_eq!(client.get("/new.txt").await.status(), 404);
    });
}

#[test]
fn a_file_that_shrinks_breaks_the_response_off() {
    let dir = site();
    let path = dir.path().join("public/large.bin");
    let files = App::new().with(static_files(options(&dir)).unwrap()).build().unwrap();
    run(async {
        let request = cepa_core::Request::new(Method::GET, "/large.bin");
        let (.., mut body) = files.handle(request).await.into_parts();
        let mut received = body.chunk().await.unwrap().unwrap().len();
        assert_eq!(received, 64 << 10);
        fs::File::options().write(true).open(&path).unwrap().set_len(70_000).unwrap();
        let mut failed = false;
        while let Some(piece) = body.chunk().await {
            match piece {
                Ok(piece) => received += piece.len(),
                Err(_) => {
                    failed = true;
                    break;
                }
            }
        }
        assert!(failed && received < LARGE);
    });
}

#[test]
fn deferred_files_come_after_the_app() {
    let dir = site();
    write(&dir.path().join("public/app"), "the file");
    let client = app(Options { deferred: true, ..options(&dir) });
    run(async {
        assert_eq!(client.get("/app").await.text(), "the app");
        assert_eq!(client.get("/noext").await.text(), "none");
        assert_eq!(client.get("/missing").await.status(), 404);
    });
}

#[test]
fn options_are_read_from_the_configuration() {
    let options = serde_json::json!({
        "root": "www", "prefix": "/static", "max_age": "1h", "cache": "1 MiB", "symlinks": "never", "immutable": ["assets"]
    });
    let options: Options = serde_json::from_value(options).unwrap();
    assert_eq!(
        (options.max_age.as_secs(), options.cache, options.symlinks),
        (3600, 1 << 20, Symlinks::Never)
    );
    assert!(serde_json::from_value::<Options>(serde_json::json!({ "maxage": 1 })).is_err());
    assert!(static_files(Options { root: "no/such/dir".into(), ..Options::default() }).is_err());
}
