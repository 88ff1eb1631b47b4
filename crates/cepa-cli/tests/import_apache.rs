//! One configuration, served by Apache and, imported, by the program `cepa`: both answer alike.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    process::{Child, Command, Stdio},
};

use cepa_programs::needs;
use cepa_tests::{
    hosted::{Folder, free_ports},
    http::Response,
    stats::pause,
    wire::Wire,
};

/// Apache, which ends with its test.
struct Apache(Child);

impl Apache {
    fn start(folder: &Folder, config: &str, address: SocketAddr) -> Self {
        folder.write("httpd.conf", config);
        let mut command = Command::new("apache2");
        command.arg("-X").arg("-f").arg(folder.path("httpd.conf"));
        let mut apache = Self(command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap());
        while TcpStream::connect(address).is_err() {
            let log = || fs::read_to_string(folder.path("logs/error.log")).unwrap_or_default();
            assert!(apache.0.try_wait().unwrap().is_none(), "Apache does not start: {}", log());
            pause(std::time::Duration::from_millis(20));
        }
        apache
    }
}

impl Drop for Apache {
    fn drop(&mut self) {
        // It may have ended by itself, if the test fails because of that.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The configuration for an address, with the sites in a folder and a server to ask.
fn config(folder: &Folder, address: SocketAddr, upstream: SocketAddr) -> String {
    let modules: String =
        ["mpm_event", "authz_core", "dir", "mime", "autoindex", "alias", "proxy", "proxy_http", "cgi"]
            .map(|name| format!("LoadModule {name}_module /usr/lib/apache2/modules/mod_{name}.so\n"))
            .concat();
    let dir = folder.path("").display().to_string();
    let dir = dir.trim_end_matches('/');
    format!(
        r#"{modules}
ServerRoot {dir}
ServerName localhost
PidFile logs/httpd.pid
DefaultRuntimeDir {dir}/logs
ErrorLog logs/error.log
User www-data
Group www-data
TypesConfig /etc/mime.types
Listen {address}
Define SITES {dir}/sites
<Directory "{dir}">
    Options Indexes
    AllowOverride None
    Require all granted
</Directory>
<VirtualHost {address}>
    ServerName main.test
    ServerAlias www.main.test *.wild.test
    DocumentRoot "${{SITES}}/main site"
    DirectoryIndex start.html index.html
    Alias /more ${{SITES}}/more
    Alias /closed/ ${{SITES}}/more/
    <Directory ${{SITES}}/more>
        Options -Indexes
    </Directory>
    ScriptAlias /cgi-bin/ ${{SITES}}/programs/
    ProxyPass /api/own !
    ProxyPass /api http://{upstream}/base
    Redirect permanent /old https://new.test/place
    RedirectMatch 302 ^/older/(.*)$ https://older.test/$1
</VirtualHost>
<VirtualHost {address}>
    ServerName second.test
    DocumentRoot {dir}/sites/second
    ErrorDocument 404 /pages/404.html
    CustomLog logs/second.log common
</VirtualHost>
"#
    )
}

fn ask(address: SocketAddr, host: &str, path: &str) -> Response {
    let asked =
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\nAccept: text/html\r\nConnection: close\r\n\r\n");
    Wire::open(address, asked).response()
}

#[test]
fn what_is_imported_answers_as_apache_does() {
    needs!("apache2");
    let folder = Folder::new(env!("CARGO_BIN_EXE_cepa"));
    for (path, text) in [
        ("sites/main site/start.html", "<p>main"),
        ("sites/main site/folder/a.txt", "a"),
        ("sites/main site/own/index.html", "<p>not asked for"),
        ("sites/main site/api/own/x.txt", "own x"),
        ("sites/more/b.css", "b {}"),
        ("sites/second/index.html", "<p>second"),
        ("sites/second/pages/404.html", "<p>there is no such page"),
        ("logs/empty", ""),
        ("site/empty", ""),
    ] {
        folder.write(path, text);
    }
    folder.script(
        "sites/programs/env",
        "printf 'Content-Type: text/plain\\r\\n\\r\\n%s|%s|%s' \"$SCRIPT_NAME\" \"$PATH_INFO\" \"$QUERY_STRING\"",
    );
    // Apache's children are of another user.
    let open = Command::new("chmod").args(["-R", "a+rX"]).arg(folder.path("")).status().unwrap();
    assert!(open.success());
    let upstream = folder.serve_other("upstream");
    let [theirs, ours] = free_ports().map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    let _apache = Apache::start(&folder, &config(&folder, theirs, upstream), theirs);

    folder.write("ours.conf", &config(&folder, ours, upstream));
    let mut import = Command::new(env!("CARGO_BIN_EXE_cepa"));
    let imported = import.arg("import-apache").arg(folder.path("ours.conf")).output().unwrap();
    assert_eq!((imported.status.code(), &*String::from_utf8_lossy(&imported.stderr)), (Some(0), ""));
    folder.write("site/cepa.toml", &String::from_utf8(imported.stdout).unwrap());
    let site = folder.path("site");
    let mut cepa = Command::new(env!("CARGO_BIN_EXE_cepa"));
    cepa.args(["serve", "--workers", "1"]).arg(&site).env("NO_COLOR", "1").stdin(Stdio::null());
    let mut cepa = Apache(cepa.spawn().unwrap());
    while TcpStream::connect(ours).is_err() {
        assert!(
            cepa.0.try_wait().unwrap().is_none(),
            "{}",
            fs::read_to_string(site.join("cepa.toml")).unwrap()
        );
        pause(std::time::Duration::from_millis(20));
    }

    let mut differ = Vec::new();
    for (host, path, status) in [
        ("main.test", "/", 200),
        ("MAIN.test", "/start.html", 200),
        ("www.main.test", "/folder/a.txt", 200),
        ("x.wild.test", "/", 200),
        // Listed: by each in its own words.
        ("main.test", "/folder/", 200),
        ("main.test", "/folder", 301),
        ("main.test", "/none", 404),
        ("main.test", "/more/b.css", 200),
        ("main.test", "/closed/b.css", 200),
        ("main.test", "/morebar", 404),
        ("main.test", "/cgi-bin/env/a/b?c=d", 200),
        ("main.test", "/cgi-bin/none", 404),
        ("main.test", "/api/x?y", 200),
        ("main.test", "/api/own/x.txt", 200),
        ("main.test", "/apis", 404),
        ("main.test", "/old", 301),
        ("main.test", "/old/a/b?c=d", 301),
        ("main.test", "/older/a/b", 302),
        ("second.test", "/", 200),
        ("second.test", "/none", 404),
        // The first host answers for names that nobody has.
        ("nobody.test", "/", 200),
    ] {
        let (one, two) = (ask(theirs, host, path), ask(ours, host, path));
        let location = |response: &Response| {
            let location = response.all("location").next().unwrap_or("").to_owned();
            // Of one's own place one says the whole URL, the other the path.
            location.strip_prefix(&format!("http://{host}")).map(str::to_owned).unwrap_or(location)
        };
        let words = |response: &Response| match (status, path) {
            (200, "/folder/") => response.text().contains("a.txt").to_string(),
            (200, _) => response.text(),
            (404, _) if host == "second.test" => response.text(),
            _ => String::new(),
        };
        let seen = [&one, &two].map(|response| (response.status, location(response), words(response)));
        if seen[0] != seen[1] || seen[0].0 != status {
            differ.push(format!("{host}{path}: {seen:#?}"));
        }
    }
    assert!(differ.is_empty(), "{}", differ.join("\n"));
}
