//! The program `cepa` as it hosts folders: who answers which host and path, over real sockets.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    process::{Child, Command, Stdio},
};

use cepa_programs::needs;
use cepa_tests::{
    acme::{Authority, free_port},
    hosted::{self, Folder, Hosted},
    stats::eventually,
    wire::Wire,
};

fn folder() -> Folder {
    Folder::new(env!("CARGO_BIN_EXE_cepa"))
}

#[test]
fn each_host_and_path_has_its_answer() {
    let folder = folder();
    for (path, text) in [
        ("public/index.html", "main"),
        ("public/api/x", "a file of main"),
        ("below/index.html", "below"),
        ("long/index.html", "long"),
        ("pattern/index.html", "pattern"),
        ("both/index.html", "both"),
        ("rest/index.html", "rest"),
        ("tree/a/b.txt", "deep"),
    ] {
        folder.write(path, text);
    }
    folder.script(
        "programs/env",
        "printf 'Content-Type: text/plain\\r\\n\\r\\n%s|%s' \"$SCRIPT_NAME\" \"$PATH_INFO\"",
    );
    let upstream = folder.serve_other("upstream");
    folder.write(
        "cepa.toml",
        &format!(
            r#"
            server.listen = ["127.0.0.1:0"]
            [[hosts]]
            names = ["main.test", "www.main.test"]
            mounts = [
                {{ files.root = "public" }},
                {{ path = "/api", proxy = {{ upstreams = ["http://{upstream}"] }} }},
                {{ path = "/api/v2", redirect = "https://v2.test/new" }},
                {{ path = "/run", cgi.root = "programs" }},
                {{ path = "/tree/", files = {{ root = "tree", index = "" }}, listing = true }},
                {{ path = "/shut", files.root = "tree" }},
            ]
            [[hosts]]
            names = ["*.main.test"]
            mounts = [{{ files.root = "below" }}]
            [[hosts]]
            names = ["*.long.main.test"]
            mounts = [{{ files.root = "long" }}]
            [[hosts]]
            names = ['~shop-[0-9]+\.test']
            mounts = [{{ files.root = "pattern" }}]
            [[hosts]]
            names = [".both.test"]
            mounts = [{{ files.root = "both" }}]
            [[hosts]]
            mounts = [{{ files.root = "rest" }}]
            [[hosts]]
            names = ["old.test"]
            mounts = [{{ redirect = {{ to = "https://{{host}}/", status = 308 }} }}]
            "#
        ),
    );
    let served = folder.serve();
    for (host, path, status, text) in [
        ("main.test", "/", 200, "main"),
        ("MAIN.test.:8080", "/", 200, "main"),
        ("www.main.test", "/", 200, "main"),
        ("x.main.test", "/", 200, "below"),
        ("x.y.main.test", "/", 200, "below"),
        ("long.main.test", "/", 200, "below"),
        ("x.long.main.test", "/", 200, "long"),
        ("shop-7.test", "/", 200, "pattern"),
        ("shop-x.test", "/", 200, "rest"),
        ("shop-7.test.evil.test", "/", 200, "rest"),
        ("both.test", "/", 200, "both"),
        ("x.both.test", "/", 200, "both"),
        ("127.0.0.1", "/", 200, "rest"),
        ("[::1]", "/", 200, "rest"),
        ("main.test", "/api/x", 200, "upstream /x"),
        ("main.test", "/api", 200, "upstream /"),
        ("main.test", "/apix", 404, "Not Found"),
        ("main.test", "/api/v2x", 200, "upstream /v2x"),
        ("main.test", "/api/v2/x?q=1", 307, "https://v2.test/new/x?q=1"),
        ("main.test", "/run/env/a/b", 200, "/run/env|/a/b"),
        ("main.test", "/run/nothing", 404, "Not Found"),
        ("main.test", "/tree/a/b.txt", 200, "deep"),
        ("main.test", "/tree/a/", 200, "b.txt"),
        ("main.test", "/shut/a/", 404, "Not Found"),
        ("main.test", "/%61pi/x", 400, "the path can be read in two ways"),
        ("main.test", "//api/x", 400, "the path can be read in two ways"),
        ("old.test", "/a", 308, "https://old.test/a"),
    ] {
        let answer = served.get(host, path);
        assert_eq!(answer.status, status, "{host}{path}");
        let location = answer.all("location").next().map(str::to_owned);
        let told = location.unwrap_or_else(|| answer.text());
        // Listings and errors are pages.
        let is_page = status >= 400 || text == "b.txt";
        assert!(told == text || is_page && told.contains(text), "{host}{path}: {told}");
    }
    let posted = Wire::open(
        served.address(),
        "POST / HTTP/1.1\r\nHost: main.test\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    )
    .response();
    assert_eq!((posted.status, posted.all("allow").next()), (405, Some("GET, HEAD")));
    curl_finds_hosts(&served);
}

/// A client that resolves names and sends them itself.
fn curl_finds_hosts(served: &Hosted) {
    if cepa_programs::find("curl").is_none() {
        return cepa_programs::has_not_run("curl_finds_hosts", "no curl; apt-get install curl");
    }
    let port = served.address().port();
    for (host, text) in [("www.main.test", "main"), ("a.main.test", "below"), ("elsewhere.test", "rest")] {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "20", "--resolve", &format!("{host}:{port}:127.0.0.1")])
            .arg(format!("http://{host}:{port}/"))
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), text, "{output:?}");
    }
}

#[test]
fn nobody_is_misdirected_unless_it_is_said() {
    for (unknown, status) in [("", 421), ("site.unknown = 'not_found'", 404)] {
        let folder = folder();
        folder.write("public/index.html", "main");
        folder.write("cepa.toml", &format!("{unknown}\n[[hosts]]\nnames = ['main.test']"));
        let served = folder.serve();
        assert_eq!(served.get("other.test", "/").status, status);
        assert_eq!(served.get("main.test", "/").text(), "main");
    }
}

#[test]
fn a_host_is_limited_to_addresses() {
    let folder = folder();
    folder.write("inner/public/index.html", "inner");
    folder.write("outer/public/index.html", "outer");
    // Of two ports that are free, the second is known only to the configuration.
    let [one, two] = hosted::free_ports();
    folder.write(
        "cepa.toml",
        &format!(
            "[server]\nlisten = ['127.0.0.1:{one}', '127.0.0.1:{two}']\n\
             [[hosts]]\nfolder = 'outer'\n[[hosts]]\nfolder = 'inner'\nlisten = ['127.0.0.1:{two}']"
        ),
    );
    let served = folder.serve_with(&["serve"]);
    for (port, text) in [(one, "outer"), (two, "inner")] {
        let asked = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        assert_eq!(Wire::open(([127, 0, 0, 1], port).into(), asked).response().text(), text);
    }
    served.stop();
}

#[test]
fn each_host_has_its_limits_errors_and_log() {
    let folder = folder();
    folder.script("slow/cgi/sleep", "read line; sleep 20; printf 'Content-Type: text/plain\\r\\n\\r\\n'");
    folder.script("slow/cgi/size", "printf 'Content-Type: text/plain\\r\\n\\r\\n'; wc -c");
    folder.write("slow/errors/5xx.html", "the slow one is sorry");
    folder.script("free/cgi/size", "printf 'Content-Type: text/plain\\r\\n\\r\\n'; wc -c");
    folder.write(
        "cepa.toml",
        r#"
        [[hosts]]
        names = ["slow.test"]
        folder = "slow"
        limits = { body = "10 B", request_time = "1s" }
        log = { category = "access.slow", format = ":method :hostname :status" }
        [[hosts]]
        names = ["free.test"]
        folder = "free"
        [[hosts]]
        names = ["silent.test"]
        folder = "free"
        log.category = ""
        [log.appenders]
        console.type = "stderr"
        all = { type = "file", filename = "all.log", layout.type = "message_pass_through" }
        slow = { type = "file", filename = "slow.log", layout.type = "message_pass_through" }
        [log.categories]
        default.appenders = ["all", "console"]
        "access.slow" = { appenders = ["slow"], inherit = false }
        "#,
    );
    let served = folder.serve();
    let post = |host: &str, path: &str, length: usize| {
        let body = "x".repeat(length);
        let head = format!("POST /cgi-bin/{path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\n");
        let asked = format!("{head}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}");
        let answer = Wire::open(served.address(), asked).response();
        (answer.status, answer.text().trim().to_owned())
    };
    assert_eq!(post("slow.test", "size", 10), (200, "10".to_owned()));
    assert_eq!(post("slow.test", "size", 11).0, 413);
    assert_eq!(post("free.test", "size", 11), (200, "11".to_owned()));
    assert_eq!(post("silent.test", "size", 11), (200, "11".to_owned()));
    assert_eq!(post("slow.test", "sleep", 1).0, 503);
    served.stop();
    let slow = fs::read_to_string(folder.path("slow.log")).unwrap();
    let lines: Vec<_> = slow.lines().collect();
    assert_eq!(lines[..2], ["POST slow.test 200", "POST slow.test 413"], "{slow}");
    let all = fs::read_to_string(folder.path("all.log")).unwrap();
    assert_eq!(all.matches("POST /cgi-bin/size HTTP/1.1").count(), 1, "{all}");
    assert!(!all.contains("slow.test"), "{all}");
}

#[test]
fn a_site_without_a_configuration_is_what_is_in_its_folder() {
    let folder = folder();
    folder.write("public/index.html", "home");
    folder.write("public/.env", "secret");
    folder.write("public/.well-known/x", "known");
    folder.script("public/run", "echo ran");
    folder.script("cgi/hello", "printf 'Content-Type: text/plain\\r\\n\\r\\nhello'");
    folder.write("public/dir/a.txt", "a");
    folder.write("errors/404.html", "lost");
    folder.write("outside.txt", "secret");
    std::os::unix::fs::symlink("../outside.txt", folder.path("public/link.txt")).unwrap();
    let served = folder.serve();
    for (path, status, text) in [
        ("/", 200, "home"),
        ("/.well-known/x", 200, "known"),
        ("/cgi-bin/hello", 200, "hello"),
        ("/dir/a.txt", 200, "a"),
        // No listing, no dot files, no way out; programs run in `cgi` alone.
        ("/dir/", 404, "lost"),
        ("/.env", 404, "lost"),
        ("/link.txt", 404, "lost"),
        ("/cgi/hello", 404, "lost"),
        ("/run", 200, "#!/bin/sh\necho ran\n"),
    ] {
        let answer = served.get("any.test", path);
        assert_eq!((answer.status, answer.text()), (status, text.to_owned()), "{path}");
    }
    for path in ["/../cepa.toml", "/%2e%2e/outside.txt", "/..%2foutside.txt"] {
        let answer = served.get("any.test", path);
        assert!((400..500).contains(&answer.status) && !answer.text().contains("secret"), "{path}");
    }
}

#[test]
fn an_empty_folder_explains_itself() {
    let folder = folder();
    let served = folder.serve();
    let page = served.get("localhost", "/");
    assert_eq!(page.status, 200);
    assert!(page.text().contains("<h1>Cepa is running</h1>"));
    assert!(page.all("content-security-policy").any(|policy| policy.contains("default-src 'none'")));
    assert_eq!(served.get("localhost", "/x").status, 404);
    eventually("it says so on the terminal, to the last line", || served.said().contains("cepa new NAME"));
    for word in ["nothing to serve yet", "public/", "cgi/", "errors/", "cepa.toml"] {
        assert!(served.said().contains(word), "{word}");
    }
}

#[test]
fn a_folder_alone_is_no_command() {
    let (is_well, said) = folder().run(&[]);
    assert!(!is_well && said.contains("is a folder, no command; `cepa serve "), "{said}");
}

#[test]
fn shells_complete_all_commands() {
    let cepa = |line: &[&str]| Command::new(env!("CARGO_BIN_EXE_cepa")).args(line).output().unwrap().stdout;
    let (help, script) = (cepa(&["--help"]), cepa(&["completions", "bash"]));
    let (help, script) = (String::from_utf8_lossy(&help), String::from_utf8_lossy(&script));
    let (_, commands) = help.split_once("Commands:\n").unwrap();
    let commands =
        commands.lines().take_while(|line| !line.is_empty()).filter_map(|line| line.split(' ').nth(2));
    let commands: Vec<_> = commands.collect();
    assert!(commands.len() > 12, "{help}");
    for command in commands {
        assert!(script.contains(&format!("cepa,{command})")), "{command}\n{script}");
    }
}

#[test]
fn the_commands_say_what_there_is() {
    let folder = folder();
    folder.write("public/index.html", "home");
    folder.script("cgi/run", "");
    folder.write(
        "cepa.toml",
        r#"
        [[hosts]]
        names = ["a.test", "*.a.test"]
        limits.body = "1 MiB"
        mounts = [
            { files.root = "public" },
            { path = "/php", files.root = "public", fastcgi = { upstream = "127.0.0.1:9000", root = "public" } },
            { path = "/api", proxy.upstreams = ["http://127.0.0.1:9"] },
            { path = "/old", redirect = "https://a.test" },
        ]
        [[hosts]]
        "#,
    );
    let told = [
        &["check"][..],
        &["routes"],
        &["routes", "--explain", "/php/x", "--host", "www.a.test"],
        &["routes", "--explain", "/php/x", "--host", "b.test"],
        &["status"],
    ];
    let told = told.map(|line| {
        let (_, said) = folder.run(line);
        let said: Vec<_> = said.lines().map(without_place).collect();
        format!("cepa {} SITE\n{}\n", line.join(" "), said.join("\n"))
    });
    insta::assert_snapshot!(told.join("\n"));
    let nowhere =
        Command::new(env!("CARGO_BIN_EXE_cepa")).args(["check", "/no/such/folder"]).output().unwrap();
    let said = String::from_utf8_lossy(&nowhere.stderr).into_owned();
    assert_eq!(said, "error: /no/such/folder: No such file or directory (os error 2); name a folder\n");
}

/// A line without the place in the source, which is not about the site.
fn without_place(line: &str) -> &str {
    line.split("crates/cepa-").next().unwrap_or_default().trim_end()
}

#[test]
fn a_cluster_reads_the_site_anew() {
    let folder = folder();
    let [port, _] = hosted::free_ports();
    let site = |root: &str| {
        folder.write(&format!("{root}/index.html"), root);
        let listen = format!("server.listen = ['127.0.0.1:{port}']\ncluster.workers = 2");
        folder.write("cepa.toml", &format!("{listen}\n[[hosts]]\nmounts = [{{ files.root = '{root}' }}]"));
    };
    let get = || {
        let asked = "GET / HTTP/1.1\r\nHost: a.test\r\nConnection: close\r\n\r\n";
        Wire::open(([127, 0, 0, 1], port).into(), asked).response().text()
    };
    site("one");
    let (is_well, said) = folder.run(&["start", "--daemon"]);
    let stops = hosted::Stops(&folder);
    assert!(is_well && said.contains("cepa serves as process"), "{said}");
    assert_eq!(get(), "one");
    site("two");
    assert_eq!(get(), "one");
    let (is_well, said) = folder.run(&["reload"]);
    assert!(is_well && said.contains("cepa is reloaded"), "{said}");
    // Who leaves may still answer what had come to it.
    eventually("the new site answers", || get() == "two");
    // A fault leaves what serves.
    folder.write("cepa.toml", "[[hosts]]\nname = 'a.test'");
    let (is_well, said) = folder.run(&["reload"]);
    assert!(!is_well && said.contains("did you mean `names`?"), "{said}");
    assert_eq!(get(), "two");
    site("three");
    let (is_well, said) = folder.run(&["upgrade"]);
    assert!(is_well, "{said}");
    eventually("the new site answers", || get() == "three");
    site("four");
    let (is_well, said) = folder.run(&["reload"]);
    assert!(is_well, "{said}");
    eventually("the new site answers", || get() == "four");
    drop(stops);
    let (_, said) = folder.run(&["status"]);
    assert!(said.contains("cepa is not running"), "{said}");
}

#[test]
fn each_host_has_its_certificate() {
    if cepa_programs::find("curl").is_none() {
        return cepa_programs::has_not_run("each_host_has_its_certificate", "no curl; apt-get install curl");
    }
    let folder = folder();
    folder.write("public/index.html", "home");
    let mut hosts = String::new();
    for name in ["one.test", "two.test"] {
        let made = cepa::server::tls::self_signed(&[name]).unwrap();
        folder.write(&format!("{name}.pem"), &made.cert);
        folder.write(&format!("{name}.key"), &made.key);
        hosts +=
            &format!("[[hosts]]\nnames = ['{name}']\ntls = {{ cert = '{name}.pem', key = '{name}.key' }}\n");
    }
    hosts += "[[hosts]]\nnames = ['own.test']\ntls = 'self_signed'\n";
    folder
        .write("cepa.toml", &format!("server.listen = [{{ address = '127.0.0.1:0', tls = {{}} }}]\n{hosts}"));
    let (is_well, dump) = folder.run(&["check", "--dump"]);
    assert!(is_well && dump.contains("own.test") && dump.contains("two.test.pem"), "{dump}");
    let served = folder.serve_with(&["serve", "--workers", "1"]);
    let port = served.address().port();
    let ask = |host: &str, ca: &str| {
        let output = Command::new("curl")
            .args(["-sS", "--max-time", "20", "--resolve", &format!("{host}:{port}:127.0.0.1")])
            .args(["--cacert".as_ref(), folder.path(ca).as_os_str()])
            .arg(format!("https://{host}:{port}/"))
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert_eq!(ask("one.test", "one.test.pem"), "home");
    assert_eq!(ask("two.test", "two.test.pem"), "home");
    assert_eq!(ask("two.test", "one.test.pem"), "", "it is not that of the other host");
    assert_eq!(ask("own.test", "one.test.pem"), "", "nobody has told the client of it");
    let made = fs::read_dir(folder.path("data/tls/self-signed")).unwrap().flatten().map(|entry| entry.path());
    let made =
        made.filter(|path| fs::read_to_string(path).is_ok_and(|text| text.contains("BEGIN CERTIFICATE")));
    let made: Vec<_> = made.collect();
    assert_eq!(made.len(), 1, "{made:?}");
    assert_eq!(ask("own.test", made[0].to_str().unwrap()), "home");
}

#[test]
fn the_certificate_of_a_host_is_got_by_its_cluster() {
    needs!("pebble");
    needs!("curl");
    let authority = Authority::default();
    let (http, tls) = (authority.http, free_port());
    let pebble = authority.start();
    let folder = folder();
    folder.write("public/index.html", "home");
    // The agent gets it, which knows of hosts by the configuration alone.
    folder.write(
        "cepa.toml",
        &format!(
            "server.listen = ['127.0.0.1:{http}', {{ address = '127.0.0.1:{tls}', tls = {{}} }}]\n\
             cluster.workers = 1\n{}[[hosts]]\nnames = ['shop.acme.test']\ntls = 'acme'\n",
            pebble.section()
        ),
    );
    let (is_well, said) = folder.run(&["start", "--daemon"]);
    let _stops = hosted::Stops(&folder);
    assert!(is_well, "{said}");
    eventually("who believes the authority is answered", || {
        pebble.fetch("shop.acme.test", tls).stdout == b"home"
    });
}

#[test]
fn the_welcome_page_is_for_everybody() {
    let served = folder().serve();
    cepa_tests::browser::browse(
        "welcome.js",
        serde_json::json!({ "home": format!("http://{}", served.address()) }),
    );
}

/// A process that is ended with the test.
struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        // Its own processes end with it only if it is asked.
        let _ = Command::new("kill").args(["-TERM", &self.0.id().to_string()]).status();
        let _ = self.0.wait();
    }
}

/// php-fpm that listens at `sock` in a folder, which its users may enter.
fn php_fpm(folder: &Folder) -> Option<Ended> {
    let program =
        ["php-fpm8.4", "php-fpm8.2", "php-fpm"].iter().find_map(|name| cepa_programs::find(name))?;
    let dir = folder.path("").display().to_string();
    let dir = dir.trim_end_matches('/');
    // It refuses to run as root, and otherwise to become somebody else.
    let is_root = fs::metadata("/proc/self").unwrap().uid() == 0;
    let user = if is_root { "user = www-data\ngroup = www-data\n" } else { "" };
    let config = format!(
        "[global]\npid = {dir}/pid\nerror_log = {dir}/log\ndaemonize = no\n[www]\n{user}listen = {dir}/sock\n\
         listen.mode = 0666\npm = static\npm.max_children = 2\n"
    );
    folder.write("php.conf", &config);
    fs::set_permissions(folder.path(""), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    command.arg("-F").arg("-y").arg(folder.path("php.conf")).stdin(Stdio::null());
    let process = Ended(command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap());
    eventually("php-fpm listens", || UnixStream::connect(folder.path("sock")).is_ok());
    Some(process)
}

#[test]
fn php_runs_below_a_path_and_never_shows_itself() {
    let folder = folder();
    let Some(_php) = php_fpm(&folder) else {
        return cepa_programs::has_not_run("php_runs_below_a_path", "no php-fpm; apt-get install php-fpm");
    };
    let says = "<?php /* secret */ echo $_SERVER['SCRIPT_NAME'], '|', $_SERVER['PATH_INFO'] ?? '', '|', \
                $_SERVER['HTTP_HOST'];";
    for (name, text) in [
        ("www/index.html", "main"),
        ("www/blog/index.php", says),
        ("www/blog/sub/index.php", says),
        ("www/blog/style.css", "css"),
        ("www/blog/page/index.html", "page"),
        ("www/blog/UPPER.PHP", says),
    ] {
        folder.write(name, text);
    }
    let sock = folder.path("sock");
    folder.write(
        "cepa.toml",
        &format!(
            r#"
            [[hosts]]
            names = ["a.test"]
            [[hosts.mounts]]
            files.root = "www"
            [[hosts.mounts]]
            path = "/blog"
            files.root = "www/blog"
            fastcgi = {{ upstream = "unix:{}", root = "www/blog", front_controller = "/index.php" }}
            [[hosts.mounts]]
            path = "/plain"
            fastcgi = {{ upstream = "unix:{0}", root = "www/blog" }}
            "#,
            sock.display()
        ),
    );
    let served = folder.serve();
    for (path, status, text) in [
        ("/", 200, "main"),
        ("/blog/", 200, "/blog/index.php||a.test"),
        ("/blog/index.php/x/y", 200, "/blog/index.php|/x/y|a.test"),
        ("/blog/sub/", 200, "/blog/sub/index.php||a.test"),
        ("/blog/style.css", 200, "css"),
        ("/blog/page/", 200, "page"),
        // What is not there is for the front controller.
        ("/blog/any/thing", 200, "/blog/index.php|/any/thing|a.test"),
        ("/plain/sub/index.php", 200, "/plain/sub/index.php||a.test"),
        ("/plain/any", 404, ""),
        ("/plain/style.css", 404, ""),
    ] {
        let answer = served.get("a.test", path);
        assert_eq!(answer.status, status, "{path}");
        assert!(status != 200 || answer.text() == text, "{path}: {}", answer.text());
    }
    // Ways to the same file that are none of its own.
    for path in [
        "/%62log/index.php",
        "//blog/index.php",
        "/x/../blog/index.php",
        "/blog%2findex.php",
        "/blog/index.ph%70",
        "/blog/index.php.",
        "/blog/index.php%00",
        "/blog/UPPER.PHP",
        "/blog/sub%2Findex.php",
        "/plain/UPPER.PHP",
        "/blog\\index.php",
    ] {
        let answer = served.get("a.test", path);
        assert!(!answer.text().contains("secret"), "{path}: {} {}", answer.status, answer.text());
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    let mut told = Vec::new();
    for config in [
        "[[hosts]]\nname = ['a.test']",
        "[[hosts]]\nnames = ['a.test:80']",
        "[[hosts]]\nnames = ['a.test']\nfolder = 'www'\n[[hosts]]\nfolder = 'www'\nnames = ['b.test', 'A.test.']",
        "[[hosts]]\nnames = ['~(']",
        "[[hosts]]\nlisten = ['localhost']",
        "[[hosts]]\nfolder = 'nowhere'",
        "[[hosts]]\nerrors = 'nowhere'\nmounts = [{ redirect = '/b' }]",
        "[[hosts]]\nlimits.bodies = 1",
        "[[hosts]]\nlog.category = 'shop'",
        "[[hosts]]\n[[hosts.mounts]]\npath = '/a'",
        "[[hosts]]\n[[hosts.mounts]]\npath = 'a'\nredirect = '/b'",
        "[[hosts]]\n[[hosts.mounts]]\npath = '/{a}'\nredirect = '/b'",
        "[[hosts]]\n[[hosts.mounts]]\nredirect = '/b'\ncgi.root = 'programs'",
        "[[hosts]]\n[[hosts.mounts]]\nredirect = 'b.test'",
        "[[hosts]]\n[[hosts.mounts]]\nproxi.upstreams = []",
        "[[hosts]]\n[[hosts.mounts]]\nproxy.upstream = 'http://a'",
        "[[hosts]]\n[[hosts.mounts]]\nproxy.upstreams = ['ftp://a']",
        "[[hosts]]\n[[hosts.mounts]]\nfiles.root = 'nowhere'",
        "[[hosts]]\n[[hosts.mounts]]\nfiles.root = '.'",
        "[[hosts]]\n[[hosts.mounts]]\nfiles.root = '..'",
        "[[hosts]]\n[[hosts.mounts]]\nfiles.root = 'www'\n[[hosts.mounts]]\npath = '/p'\ncgi.root = 'www/programs'",
        "server.listen = [{ address = '127.0.0.1:0', tls = {} }]\n[[hosts]]\ntls = { cert = 'c.pem', key = 'www/k.pem' }\n[[hosts.mounts]]\nfiles.root = 'www'",
        "server.listen = [{ address = '127.0.0.1:0', tls.acme = ['a.test'] }]\nserver.tls_dir = 'www/keys'\n[[hosts]]\n[[hosts.mounts]]\nfiles.root = 'www'",
        "[[hosts]]\n[[hosts.mounts]]\nfiles.index = 'index.php'\nfastcgi.root = 'www'",
        "[[hosts]]\n[[hosts.mounts]]\nfiles = { root = 'www', index = 'index.php' }\n[[hosts.mounts]]\npath = '/p'\nfastcgi = { upstream = 'unix:s', root = 'www/public' }",
        "[[hosts]]\n[[hosts.mounts]]\nlisting = true\nredirect = '/b'",
        "[[hosts]]\n[[hosts.mounts]]\nfiles.root = 'www'\n[[hosts.mounts]]\nfiles.root = 'www'",
        "[[hosts]]\n[[hosts.mounts]]\napp = 'shop'",
        "[[hosts]]\ntls = 'self-signed'",
        "[[hosts]]\nnames = ['a.test']\ntls = 'self_signed'\nmounts = [{ redirect = '/b' }]",
        "server.listen = [{ address = '127.0.0.1:0', tls = {} }]\n[[hosts]]\nnames = ['~a']\ntls = 'acme'\nmounts = [{ redirect = '/b' }]",
        "site.unknown = 'lost'",
        "site.trust = ['everybody']",
        "sites.unknown = 'not_found'",
    ] {
        let folder = folder();
        folder.write("www/programs/run", "");
        folder.write("www/public/x", "");
        folder.write("www/k.pem", "");
        folder.write("cepa.toml", config);
        let (is_well, said) = folder.run(&["check"]);
        assert!(!is_well, "{config}: {said}");
        told.push(format!("{config}\n=> {said}"));
    }
    insta::assert_snapshot!(told.join("\n"));
}
