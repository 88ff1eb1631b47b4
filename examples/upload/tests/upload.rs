//! The shelf as its visitors have it: in memory, and over a socket with curl.

#![allow(clippy::unwrap_used, reason = "a panic is a test's answer, also where tests share code")]

use cepa_programs::needs;
use std::{fs, process::Command};

use cepa::{App, ServerConfig, core::test::Client, prelude::Boot};
use tempfile::TempDir;
use tokio::runtime::LocalRuntime;

fn app(folder: &TempDir, settings: &[&str]) -> App {
    let path = format!("upload.folder={}", folder.path().display());
    let settings = [&[path.as_str()], settings].concat();
    upload::app(&mut Boot::load_with("test", &settings).unwrap()).unwrap()
}

fn visit(settings: &[&str], test: impl AsyncFnOnce(Client, &TempDir)) {
    let folder = tempfile::tempdir().unwrap();
    let client = app(&folder, settings).test();
    LocalRuntime::new().unwrap().block_on(test(client, &folder));
}

/// A form with a note and files: their names and contents.
fn form(files: &[(&str, &str)]) -> String {
    let mut body = "--x\r\nContent-Disposition: form-data; name=note\r\n\r\n<b>\r\n".to_owned();
    for (name, content) in files {
        let head = format!("Content-Disposition: form-data; name=files; filename=\"{name}\"");
        body += &format!("--x\r\n{head}\r\nContent-Type: text/html\r\n\r\n{content}\r\n");
    }
    body + "--x--\r\n"
}

async fn post(client: &Client, body: String) -> (u16, String) {
    let answer = client.post("/").header("content-type", "multipart/form-data; boundary=x").body(body).await;
    (answer.status().as_u16(), answer.text().to_owned())
}

/// The paths of all files that a page links to.
fn links(page: &str) -> Vec<String> {
    page.split("href=\"").skip(1).filter_map(|rest| rest.split('"').next()).map(str::to_owned).collect()
}

fn count(folder: &TempDir) -> usize {
    fs::read_dir(folder.path()).unwrap().count()
}

#[test]
fn files_are_kept_and_handed_out() {
    visit(&[], async |client, folder| {
        assert!(client.get("/").await.text().contains("Nothing yet"));
        let large = "large ".repeat(100_000);
        let (status, _) = post(&client, form(&[("../../é.html", "<script>"), ("b.txt", &large)])).await;
        assert_eq!((status, count(folder)), (303, 4));
        let page = client.get("/").await;
        assert!(page.text().contains("é.html</a>") && page.text().contains("&lt;b&gt;"), "{}", page.text());
        let mut contents = Vec::new();
        for link in links(page.text()) {
            let answer = client.get(&link).await;
            assert_eq!(answer.header("content-type"), "application/octet-stream");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert!(answer.header("content-security-policy").contains("script-src 'none'"));
            assert!(answer.header("content-disposition").starts_with("attachment; "));
            contents.push(answer.text().to_owned());
        }
        contents.sort();
        assert!(contents == ["<script>".to_owned(), large]);
    });
}

#[test]
fn what_is_refused_leaves_nothing() {
    visit(&["multipart.file_bytes=1000000", "upload.most=1500000"], async |client, folder| {
        let (most, over) = ("x".repeat(900_000), "x".repeat(1_000_001));
        for (files, status, text) in [
            (vec![], 400, "choose a file first"),
            (vec![("", "")], 400, "choose a file first"),
            (vec![("a", &*over)], 413, "a file larger than 1000000 bytes"),
            (vec![("a", &*most), ("b", &*most)], 413, "Payload Too Large"),
            (vec![("a", "x"); 6], 413, "more than 5 files"),
        ] {
            assert_eq!(post(&client, form(&files)).await, (status, text.to_owned()));
        }
        let cut = form(&[("a", &most)]).replace("--x--", "");
        assert_eq!(post(&client, cut).await.0, 400);
        assert_eq!(client.post("/").form(&[("note", "x")]).await.status(), 415);
        assert_eq!(count(folder), 0);
    });
}

#[test]
fn a_page_of_another_site_puts_nothing_on_the_shelf() {
    visit(&[], async |client, folder| {
        for (name, value) in [("origin", "https://evil.test"), ("sec-fetch-site", "same-site")] {
            let call = client.post("/").header("content-type", "multipart/form-data; boundary=x");
            let answer = call.header(name, value).body(form(&[("a", "x")])).await;
            assert_eq!((answer.status().as_u16(), count(folder)), (403, 0));
        }
    });
}

#[test]
fn ids_do_not_become_paths() {
    visit(&[], async |client, folder| {
        fs::write(folder.path().join("secret.json"), "{}").unwrap();
        for id in ["secret", "..%2Fsecret", "%2Fetc%2Fpasswd", &"0".repeat(32), &"a/".repeat(16), "%00"] {
            let answer = client.get(&format!("/files/{id}")).await;
            assert!([400, 404].contains(&answer.status().as_u16()), "{id}: {}", answer.status());
        }
    });
}

#[test]
fn curl_sends_files_and_gets_them_back() {
    needs!("curl");
    let folder = tempfile::tempdir().unwrap();
    let here = tempfile::tempdir().unwrap();
    let sent = here.path().join("sent one.bin");
    let bytes: Vec<u8> = (0..3_000_000_u32).map(|number| (number * 7 % 251) as u8).collect();
    fs::write(&sent, &bytes).unwrap();
    let listen = vec!["127.0.0.1:0".parse::<cepa::server::listen::Address>().unwrap().into()];
    let config = ServerConfig { listen, workers: 2, ..ServerConfig::default() };
    let running = cepa::serve(app(&folder, &[]).build().unwrap(), config).unwrap();
    let url = format!("http://{}", running.endpoints()[0]);
    let curl = |arguments: &[&str]| {
        let mut command = Command::new("curl");
        command.args(["--silent", "--show-error", "--max-time", "25", "--noproxy", "*"]).args(arguments);
        let output = command.output().expect("curl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    };
    let page =
        curl(&["--location", "--form", &format!("files=@{}", sent.display()), "--form", "note=hi", &url]);
    let page = String::from_utf8(page).unwrap();
    assert!(page.contains("sent one.bin</a>") && page.contains("<td>hi"), "{page}");
    assert!(curl(&[&format!("{url}{}", links(&page)[0])]) == bytes);
    running.stop().unwrap();
}
