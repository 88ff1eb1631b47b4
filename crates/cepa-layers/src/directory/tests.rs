use std::{fs, os::unix::fs::symlink};

use super::*;
use cepa_core::{App, test::Client};
use serde_json::{Value, json};
use tempfile::TempDir;

fn tree() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    fs::create_dir_all(root.join("sub/deep")).unwrap();
    for (name, content) in [
        ("b.txt", "22"),
        ("a.txt", "333"),
        ("c.txt", "1"),
        (".hidden", "x"),
        ("sub/x", ""),
        ("sub/<b>\"&'.txt", ""),
        ("sub/javascript:alert(1)", ""),
        ("sub/100% é?#", ""),
    ] {
        fs::write(root.join(name), content).unwrap();
    }
    let time = cepa_core::date::parse_iso("2020-01-02T03:04:05Z").unwrap();
    for name in ["a.txt", "c.txt"] {
        fs::File::options().append(true).open(root.join(name)).unwrap().set_modified(time).unwrap();
    }
    symlink("a.txt", root.join("inside")).unwrap();
    symlink("../..", root.join("outside")).unwrap();
    rustix::fs::mkfifoat(rustix::fs::CWD, root.join("fifo"), rustix::fs::Mode::from_raw_mode(0o600)).unwrap();
    dir
}

fn app(dir: &TempDir, options: Options) -> Client {
    let root = dir.path().join("root");
    App::new()
        .with(directory(Options { root, ..options }).unwrap())
        .get("/app", async |_: &mut Ctx| "app")
        .test()
}

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::LocalRuntime::new().unwrap().block_on(future)
}

async fn names(client: &Client, target: &str) -> Vec<String> {
    let listing: Value = client.get(target).header("accept", "application/json").await.json();
    let entries = listing["entries"].as_array().unwrap();
    entries.iter().map(|entry| entry["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn lists_are_sorted_as_asked() {
    let dir = tree();
    let client = app(&dir, Options::default());
    run(async {
        for (query, expected) in [
            ("", ["sub", "a.txt", "b.txt", "c.txt", "inside"]),
            ("?order=desc", ["sub", "inside", "c.txt", "b.txt", "a.txt"]),
            ("?sort=size", ["sub", "c.txt", "b.txt", "a.txt", "inside"]),
            ("?sort=size&order=desc", ["sub", "inside", "a.txt", "b.txt", "c.txt"]),
            ("?sort=modified", ["sub", "a.txt", "c.txt", "inside", "b.txt"]),
            ("?sort=%3Cscript%3E&order=x", ["sub", "a.txt", "b.txt", "c.txt", "inside"]),
        ] {
            assert_eq!(names(&client, &format!("/{query}")).await, expected, "{query}");
        }
        let listing: Value = client.get("/").header("accept", "application/json").await.json();
        let modified = "2020-01-02T03:04:05Z";
        let expected = json!({ "name": "a.txt", "directory": false, "size": 3, "modified": modified });
        assert_eq!((&listing["entries"][1], &listing["cut"]), (&expected, &json!(false)));
        let none =
            app(&dir, Options { symlinks: Symlinks::Never, hidden: true, entries: 4, ..Options::default() });
        let listing: Value = none.get("/").header("accept", "application/json").await.json();
        assert!(listing["entries"].as_array().unwrap().len() <= 4);
        assert_eq!(listing["cut"], true);
    });
}

#[test]
fn what_is_not_shown_counts_too() {
    let dir = tree();
    let deep = dir.path().join("root/sub/deep");
    for at in 0..10 {
        fs::write(deep.join(format!(".{at}")), "").unwrap();
        symlink("nowhere", deep.join(format!("{at}"))).unwrap();
    }
    run(async {
        for (entries, cut) in [(19, true), (20, false)] {
            let client = app(&dir, Options { entries, ..Options::default() });
            let listing: Value = client.get("/sub/deep/").header("accept", "application/json").await.json();
            assert_eq!((&listing["entries"], &listing["cut"]), (&json!([]), &json!(cut)), "{entries}");
        }
    });
}

#[test]
fn a_directory_that_may_not_be_read_is_forbidden() {
    use std::os::unix::fs::PermissionsExt;

    let dir = tree();
    let deep = dir.path().join("root/sub/deep");
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o000)).unwrap();
    // Root may read it all the same.
    let (slashed, slashless) = if fs::read_dir(&deep).is_ok() { (200, 301) } else { (403, 403) };
    let client = app(&dir, Options::default());
    run(async {
        assert_eq!(client.get("/sub/deep/").await.status(), slashed);
        assert_eq!(client.get("/sub/deep").await.status(), slashless);
    });
    // The folder can be removed again.
    fs::set_permissions(&deep, fs::Permissions::from_mode(0o700)).unwrap();
}

#[test]
fn names_are_escaped_and_can_be_followed() {
    let dir = tree();
    let client = app(&dir, Options::default());
    run(async {
        let answer = client.get("/sub/?sort=%22%3E%3Cscript%3E").await;
        let page = answer.text();
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
        assert_eq!(answer.header("vary"), "Accept");
        for row in [
            "<a href=\"./%3Cb%3E%22%26'.txt\">&lt;b&gt;&quot;&amp;&#39;.txt</a>",
            "<a href=\"./javascript%3Aalert(1)\">javascript:alert(1)</a>",
            "<a href=\"./100%25%20%C3%A9%3F%23\">100% é?#</a>",
            "<a href=\"./deep/\">deep/</a>",
            "<a href=\"../\">../</a>",
        ] {
            assert!(page.contains(row), "{row} in {page}");
        }
        assert!(!page.contains("<script") && !page.contains("<b>"), "{page}");
    });
}

#[test]
fn only_directories_below_the_root_are_listed() {
    let dir = tree();
    let client = app(&dir, Options { prefix: "/files".into(), ..Options::default() });
    run(async {
        let answer = client.get("/files?sort=size").await;
        assert_eq!((answer.status().as_u16(), answer.header("location")), (301, "/files/?sort=size"));
        let answer = client.get("/files/sub").await;
        assert_eq!((answer.status().as_u16(), answer.header("location")), (301, "/files/sub/"));
        for (path, status) in [
            ("/files/", 200),
            ("/files/sub/deep/", 200),
            ("/files/a.txt", 404),
            ("/files/none/", 404),
            ("/files/outside/", 404),
            ("/files/../", 403),
            ("/files/%2e%2e/", 403),
            ("/files/a%00/", 400),
            ("/app", 200),
        ] {
            assert_eq!(client.get(path).await.status().as_u16(), status, "{path}");
        }
        assert_eq!(client.post("/files/").await.status(), 404);
        assert!(directory(Options { root: "no/such".into(), ..Options::default() }).is_err());
    });
}
