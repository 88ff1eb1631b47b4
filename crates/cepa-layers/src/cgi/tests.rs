use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use cepa_core::{App, test::Client};
use tokio::runtime::LocalRuntime;

use super::*;

fn script(root: &Path, name: &str, text: &str, mode: u32) {
    let path = root.join(name);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(&path, format!("#!/bin/sh\n{text}")).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
}

fn client(root: &Path, change: impl FnOnce(&mut Options)) -> Client {
    let mut options = Options { root: root.into(), ..Options::default() };
    change(&mut options);
    App::new()
        .mount("/cgi-bin", cgi(options).unwrap())
        .get("/elsewhere", async |ctx: &mut Ctx| format!("elsewhere {}", ctx.search()))
        .test()
}

fn run<F: Future>(work: F) -> F::Output {
    LocalRuntime::new().unwrap().block_on(work)
}

#[test]
fn scripts_answer() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    script(
        root,
        "env.sh",
        "printf 'Content-Type: text/plain\\n\\n'; echo \"$SCRIPT_NAME|$PATH_INFO|$QUERY_STRING|$HTTP_X_A|$HOME|$HTTP_AUTHORIZATION|$MORE|$(pwd)\"",
        0o755,
    );
    script(root, "echo.sh", "printf 'X-Length: %s\\n\\n' \"$CONTENT_LENGTH\"; cat", 0o755);
    script(
        root,
        "sub/status.sh",
        "printf 'Status: 404 Nothing\\nSet-Cookie: a=1\\nSet-Cookie: b=2\\n\\nnothing'",
        0o755,
    );
    script(root, "nph-own.sh", "printf 'HTTP/1.1 201 Made\\r\\nX-A: 1\\r\\n\\r\\nown'", 0o755);
    script(root, "away.sh", "printf 'Location: http://a.test/\\n\\n'", 0o755);
    script(root, "local.sh", "printf 'Location: /elsewhere?x=1\\n\\n'", 0o755);
    script(root, "loop.sh", "printf 'Location: /cgi-bin/loop.sh\\n\\n'", 0o755);
    let client = client(root, |options| drop(options.variables.insert("MORE".to_owned(), "more".to_owned())));
    run(async {
        let answer = client
            .get("/cgi-bin/env.sh/in/fo%20?q=%201")
            .header("x-a", "1")
            .header("authorization", "x")
            .await;
        let place = root.canonicalize().unwrap();
        assert_eq!(
            answer.text(),
            format!("/cgi-bin/env.sh|/in/fo |q=%201|1||||more|{}\n", place.display()).replace("||||", "|||")
        );
        let body = "x".repeat(300_000);
        let answer = client.post("/cgi-bin/echo.sh").body(body.clone()).await;
        assert!(answer.text() == body && answer.header("x-length") == "300000");
        let answer = client.get("/cgi-bin/sub/status.sh").await;
        assert_eq!((answer.status().as_u16(), answer.text()), (404, "nothing"));
        assert_eq!(answer.headers().get_all("set-cookie").iter().count(), 2);
        let answer = client.get("/cgi-bin/nph-own.sh").await;
        assert_eq!((answer.status().as_u16(), answer.text(), answer.header("x-a")), (201, "own", "1"));
        let answer = client.get("/cgi-bin/away.sh").await;
        assert_eq!((answer.status().as_u16(), answer.header("location")), (302, "http://a.test/"));
        let answer = client.post("/cgi-bin/local.sh").body("x").await;
        assert_eq!((answer.status().as_u16(), answer.text()), (200, "elsewhere ?x=1"));
        assert_eq!(client.get("/cgi-bin/loop.sh").await.status(), 502);
        assert_eq!(client.head("/cgi-bin/env.sh").await.text(), "");
    });
}

#[test]
fn only_scripts_of_the_folder_run() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().join("root");
    script(&root, "plain.sh", "echo", 0o644);
    script(&root, ".hidden.sh", "printf 'X: 1\\n\\n'", 0o755);
    script(folder.path(), "outside.sh", "printf 'X: 1\\n\\n'", 0o755);
    std::os::unix::fs::symlink("../outside.sh", root.join("link.sh")).unwrap();
    fs::create_dir(root.join("folder")).unwrap();
    let client = client(&root, |_| {});
    run(async {
        for (path, status) in [
            ("/plain.sh", 403),
            ("/.hidden.sh", 404),
            ("/none.sh", 404),
            ("/folder", 404),
            ("/folder/", 404),
            ("/", 404),
            ("/link.sh", 404),
            ("/../outside.sh", 403),
            ("/%2e%2e/outside.sh", 403),
            ("/..%2foutside.sh", 404),
            ("/plain.sh%00", 400),
        ] {
            assert_eq!(client.get(&format!("/cgi-bin{path}")).await.status(), status, "{path}");
        }
    });
}

#[test]
fn what_a_script_takes_is_bounded() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path();
    script(root, "slow.sh", "sleep 60 & echo $! > child; wait", 0o755);
    script(root, "none.sh", "exit 3", 0o755);
    script(root, "broken.sh", "echo no head; echo; echo", 0o755);
    script(root, "much.sh", "printf 'X: 1\\n\\n'; head -c 200000 /dev/zero", 0o755);
    script(
        root,
        "memory.sh",
        "x=$(head -c 200000000 /dev/zero | tr '\\0' x); printf 'X: 1\\n\\n%s' ${#x}",
        0o755,
    );
    script(root, "unread.sh", "printf 'X: 1\\n\\nunread'", 0o755);
    let few = |change: fn(&mut Options)| client(root, change);
    run(async {
        let client = few(|options| options.time = Duration::from_millis(500));
        assert_eq!(client.get("/cgi-bin/slow.sh").await.status(), 504);
        // Its whole group is gone.
        let child: i32 = fs::read_to_string(root.join("child")).unwrap().trim().parse().unwrap();
        for _ in 0..100 {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
            if state.is_empty() || state.contains(") Z ") {
                break;
            }
        }
        let state = fs::read_to_string(format!("/proc/{child}/stat")).unwrap_or_default();
        assert!(state.is_empty() || state.contains(") Z "), "{state}");
        let client = few(|_| {});
        assert_eq!(client.get("/cgi-bin/none.sh").await.status(), 502);
        assert_eq!(client.get("/cgi-bin/broken.sh").await.status(), 502);
        let answer = client.post("/cgi-bin/unread.sh").body(vec![b'x'; 1 << 20]).await;
        assert_eq!(answer.text(), "unread");
        let client = few(|options| options.memory = 32 << 20);
        let answer = client.get("/cgi-bin/memory.sh").await;
        assert!(answer.status() == 502 || answer.text() != "200000000", "{}", answer.text());
        let onion = App::new()
            .mount("/", cgi(Options { root: root.into(), output: 1000, ..Options::default() }).unwrap());
        let mut answer =
            onion.build().unwrap().handle(cepa_core::Request::new(http::Method::GET, "/much.sh")).await;
        assert!(answer.take_body().unwrap().bytes(u64::MAX).await.is_err());
    });
}

#[test]
fn no_more_scripts_run_than_may() {
    let folder = tempfile::tempdir().unwrap();
    script(folder.path(), "slow.sh", "sleep 0.5; printf 'X: 1\\n\\n'", 0o755);
    let client = client(folder.path(), |options| options.processes = 1);
    run(async {
        let (one, two) = tokio::join!(
            client.get("/cgi-bin/slow.sh").into_future(),
            client.get("/cgi-bin/slow.sh").into_future()
        );
        let mut statuses = [one.status().as_u16(), two.status().as_u16()];
        statuses.sort_unstable();
        assert_eq!(statuses, [200, 503]);
    });
}

#[test]
fn options_that_cannot_be() {
    let root = std::env::temp_dir();
    for (options, fault) in [
        (Options { root: "/none".into(), ..Options::default() }, "/none"),
        (Options { root: root.clone(), processes: 0, ..Options::default() }, "processes"),
        (Options { root, variables: [("A=".to_owned(), String::new())].into(), ..Options::default() }, "A="),
    ] {
        assert!(cgi(options).unwrap_err().to_string().contains(fault), "{fault}");
    }
}
