//! Configurations as there are, and such as there should not be.

use std::fs;

use cepa::{ServerConfig, server::ListenConfig};
use cepa_site::HostConfig;
use serde::Deserialize;
use tempfile::TempDir;

use super::*;

/// The parts of a site's configuration that are written, as their readers read them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Form {
    #[serde(default)]
    server: ServerConfig,
    #[serde(default)]
    log: toml::Table,
    hosts: Vec<HostConfig>,
}

/// Files in a folder.
fn folder(files: &[(&str, &str)]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in files {
        let path = folder.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    folder
}

/// What becomes of `apache2.conf` in a folder, and what is noted, without the name of the folder.
fn imported(folder: &TempDir, defines: &[&str]) -> (String, String) {
    let defines = defines.iter().map(|name| ((*name).to_owned(), String::new())).collect();
    read_back(folder, import(&folder.path().join("apache2.conf"), defines).unwrap())
}

/// The text and the notes, after the text was read as a site's.
fn read_back(folder: &TempDir, imported: Imported) -> (String, String) {
    let form: Form =
        toml::from_str(&imported.text).unwrap_or_else(|error| panic!("{error}\n{}", imported.text));
    assert!(!form.hosts.is_empty());
    assert_eq!(form.log.is_empty(), !imported.text.contains("[log."));
    assert!(form.server.limits.check().is_ok());
    let notes: String = imported.notes.iter().map(|note| format!("{note}\n")).collect();
    let plain = |text: String| text.replace(&folder.path().display().to_string(), "/etc/apache2");
    (plain(imported.text), plain(notes))
}

/// The same of one file.
fn import_text(text: &str) -> (String, String) {
    imported(&folder(&[("apache2.conf", text)]), &[])
}

/// The hosts of a file, as their readers read them.
fn hosts(text: &str) -> Vec<HostConfig> {
    let form: Form = toml::from_str(&import_text(text).0).unwrap();
    form.hosts
}

/// As Debian lays out the files.
const DEBIAN: &[(&str, &str)] = &[
    (
        "apache2.conf",
        r#"
DefaultRuntimeDir ${APACHE_RUN_DIR}
PidFile ${APACHE_PID_FILE}
Timeout 300
User ${APACHE_RUN_USER}
ErrorLog ${APACHE_LOG_DIR}/error.log
IncludeOptional mods-enabled/*.load
IncludeOptional mods-enabled/*.conf
# Include list of ports to listen on
Include ports.conf
<Directory />
	Options FollowSymLinks
	AllowOverride None
	Require all denied
</Directory>
<Directory /var/www/>
	Options Indexes FollowSymLinks
	AllowOverride None
	Require all granted
</Directory>
<FilesMatch "^\.ht">
	Require all denied
</FilesMatch>
LogFormat "%h %l %u %t \"%r\" %>s %O \"%{Referer}i\" \"%{User-Agent}i\"" combined
LogFormat "%h %l %u %t \"%r\" %>s %O" short
IncludeOptional conf-enabled/*.conf
IncludeOptional sites-enabled/*.conf
"#,
    ),
    (
        "envvars",
        "unset HOME\nexport APACHE_LOG_DIR=/var/log/apache2$SUFFIX\nexport APACHE_RUN_DIR=/run/apache2$SUFFIX\nexport APACHE_PID_FILE=/run/apache2.pid\nexport APACHE_RUN_USER=www-data\n",
    ),
    (
        "ports.conf",
        "Listen 80\n<IfModule ssl_module>\n\tListen 443\n</IfModule>\n<IfModule mod_gnutls.c>\n\tListen 444\n</IfModule>\n",
    ),
    ("mods-enabled/ssl.load", "LoadModule ssl_module /usr/lib/apache2/modules/mod_ssl.so\n"),
    (
        "mods-enabled/autoindex.load",
        "LoadModule autoindex_module /usr/lib/apache2/modules/mod_autoindex.so\n",
    ),
    (
        "mods-enabled/dir.conf",
        "<IfModule mod_dir.c>\n\tDirectoryIndex never.html\n</IfModule>\nDirectoryIndex index.php index.html\n",
    ),
    ("conf-enabled/security.conf", "ServerTokens OS\nServerSignature On\nTraceEnable Off\n"),
    ("conf-enabled/.hidden.conf", "Listen 1\n"),
    (
        "sites-enabled/000-default.conf",
        "<VirtualHost *:80>\n\tServerAdmin webmaster@localhost\n\tDocumentRoot /var/www/html\n\tCustomLog ${APACHE_LOG_DIR}/access.log combined\n</VirtualHost>\n",
    ),
    (
        "sites-enabled/shop.conf",
        r#"
Define SHOP /srv/shop
<VIRTUALHOST *:80>
    servername Shop.example.org:80
    ServerAlias www.shop.example.org *.shop.example.org \
        shop-??.example.org
    Redirect permanent / https://shop.example.org/
</VirtualHost>
<IfModule mod_ssl.c>
<VirtualHost *:443 [2001:db8::1]:8443>
    ServerName shop.example.org
    DocumentRoot "${SHOP}/my site"
    SSLEngine on
    SSLCertificateFile    /etc/ssl/shop.pem
    SSLCertificateKeyFile /etc/ssl/shop.key
    SSLCertificateChainFile /etc/ssl/chain.pem
    <Directory "${SHOP}/my site/secret">
        AuthType Basic
        Require valid-user
    </Directory>
    <FilesMatch "\.php$">
        SetHandler "proxy:unix:/run/php/php8.2-fpm.sock|fcgi://localhost"
    </FilesMatch>
    <Proxy balancer://apps>
        BalancerMember http://10.0.0.5:8080
        BalancerMember http://10.0.0.6:8080 loadfactor=2
    </Proxy>
    ProxyPreserveHost On
    ProxyPass "/api/public" "!"
    ProxyPass "/api" "balancer://apps/v1"
    ProxyPassReverse "/api" "balancer://apps/v1"
    <Location /chat>
        ProxyPass ws://10.0.0.7:9000/socket
    </Location>
    Alias /icons/ /usr/share/icons/
    ScriptAlias /cgi-bin/ /usr/lib/cgi-bin/
    RedirectMatch 301 ^/old/(.*)$ https://old.example.org/$1
    RedirectMatch ^/[0-9]+$ /number
    Redirect gone /gone
    ErrorDocument 404 /errors/404.html
    ErrorDocument 503 /errors/503.html
    ErrorDocument 500 "It is broken"
    CustomLog /var/log/shop.log short
    CustomLog "|/usr/bin/rotate" short
    RewriteEngine on
</VirtualHost>
</IfModule>
"#,
    ),
];

#[test]
fn a_configuration_as_debian_has_it() {
    let (text, notes) = imported(&folder(DEBIAN), &[]);
    insta::assert_snapshot!(format!("{text}\n=== notes\n{notes}"));
}

#[test]
fn the_file_of_one_host_says_where_it_listens() {
    let (text, notes) = import_text(
        "<VirtualHost 127.0.0.1:8080 *:81>\nServerName a.test\nDocumentRoot www\nDirectoryIndex disabled\n</VirtualHost>\n",
    );
    insta::assert_snapshot!(format!("{text}\n=== notes\n{notes}"));
}

#[test]
fn a_script_is_no_index_however_it_is_written() {
    for (written, index) in
        [("a.PHP b.html", "b.html"), ("a.php", ""), ("a.Cgi disabled", ""), ("c.htm", "c.htm")]
    {
        let php = "<FilesMatch \\.php$>\nSetHandler proxy:fcgi://127.0.0.1:9000\n</FilesMatch>";
        let hosts = hosts(&format!("DocumentRoot /x\nDirectoryIndex {written}\n{php}"));
        let files = hosts[0].mounts[0].files.as_ref().unwrap();
        assert_eq!(files.index, index, "{written}");
    }
}

#[test]
fn every_address_of_one_family_is_not_that_of_both() {
    for (listen, bound) in [
        ("Listen 80", &["[::]:80 of both"][..]),
        ("Listen *:80", &["[::]:80 of both"]),
        ("Listen [::]:80", &["[::]:80 of both"]),
        ("Listen 0.0.0.0:80", &["0.0.0.0:80"]),
        ("Listen 0.0.0.0:80\nListen [::]:80\nListen 80", &["[::]:80 of both"]),
        ("Listen 0.0.0.0:80\nListen 81", &["0.0.0.0:80", "[::]:81 of both"]),
        ("Listen 10.0.0.1:80\nListen [::1]:80\nListen 10.0.0.1:80", &["10.0.0.1:80", "[::1]:80"]),
    ] {
        let text =
            format!("{listen}\n<VirtualHost 127.0.0.1:9>\nDocumentRoot x\n</VirtualHost>\nDocumentRoot y");
        let form: Form = toml::from_str(&import_text(&text).0).unwrap();
        let told = |listen: &ListenConfig| match listen.options.ipv6_only {
            true => listen.address.to_string(),
            false => format!("{} of both", listen.address),
        };
        assert_eq!(form.server.listen.iter().map(told).collect::<Vec<_>>(), bound, "{listen}");
        // Requests come to no such address.
        let main = &form.hosts[1].listen;
        assert!(main.iter().all(|at| !at.to_string().starts_with("0.0.0.0")), "{main:?}");
    }
}

#[test]
fn conditions_hold_or_do_not() {
    let names = |text: &str, defines: &[&str]| {
        let text =
            format!("{text}\nDocumentRoot /x\n<VirtualHost *>\nDocumentRoot /x\n{text}\n</VirtualHost>");
        let (text, _) = imported(&folder(&[("apache2.conf", &text), ("there", "")]), defines);
        let form: Form = toml::from_str(&text).unwrap();
        form.hosts[0].names.iter().map(|name| format!("{name:?}")).collect::<String>().contains("yes")
    };
    for (condition, defines, holds) in [
        ("<IfModule ssl_module>", &[][..], true),
        ("<IfModule !ssl_module>", &[], false),
        ("LoadModule ssl_module x.so\n<IfModule mod_ssl.c>", &[], true),
        ("LoadModule ssl_module x.so\n<IfModule mod_other.c>", &[], false),
        ("LoadModule ssl_module x.so\n<IfModule !mod_other.c>", &[], true),
        ("LoadModule ssl_module x.so\n<IfModule log_config_module>", &[], true),
        ("<IfDefine A>", &[], false),
        ("<IfDefine A>", &["A"], true),
        ("<IfDefine !A>", &["A"], false),
        ("Define A\n<IfDefine A>", &[], true),
        ("Define A\nUnDefine A\n<IfDefine A>", &[], false),
        ("<IfFile there>", &[], true),
        ("<IfFile \"not there\">", &[], false),
        ("<IfVersion >= 2.4>", &[], false),
    ] {
        let name = condition.split_once('<').unwrap().1.split([' ', '>']).next().unwrap();
        let nested = format!("{condition}\n<IfDefine !never>\nServerName yes.test\n</IfDefine>\n</{name}>");
        assert_eq!(names(&nested, defines), holds, "{condition}");
    }
}

#[test]
fn the_first_rule_that_fits_answers() {
    let answers = |rules: &str| {
        let hosts = hosts(&format!("<VirtualHost *:80>\n{rules}\n</VirtualHost>"));
        let what = hosts[0].mounts.iter().map(|mount| {
            let files = mount.files.as_ref().map(|files| files.root.display().to_string());
            let proxy = mount.proxy.as_ref().map(|proxy| proxy.upstreams.join(","));
            let redirect =
                mount.redirect.as_ref().map(|redirect| format!("{} {}", redirect.status, redirect.to));
            let cgi = mount.cgi.as_ref().map(|cgi| format!("cgi {}", cgi.root.display()));
            let fastcgi = mount.fastcgi.as_ref().map(|fastcgi| format!("fastcgi {}", fastcgi.upstream));
            let what: Vec<_> = [files, proxy, redirect, cgi, fastcgi].into_iter().flatten().collect();
            format!("{}={}", mount.path, what.join("+"))
        });
        what.collect::<Vec<_>>().join(" ")
    };
    for (rules, expected) in [
        ("DocumentRoot /w", "/=/w"),
        ("DocumentRoot /w\nAlias /a /x", "/=/w /a=/x"),
        ("Alias /a/b /y\nAlias /a /x", "/a=/x /a/b=/y"),
        // The second would never be asked.
        ("Alias /a /x\nAlias /a/b /y", "/a=/x"),
        ("Alias /a /x\nAlias /a /y", "/a=/x"),
        ("Alias /ab /y\nAlias /a /x", "/a=/x /ab=/y"),
        ("DocumentRoot /w\nRedirect / https://a.test/\nAlias /a /x", "/=302 https://a.test/"),
        ("DocumentRoot /w\nAlias /a /x\nRedirect seeother /a https://a.test/", "/=/w /a=303 https://a.test/"),
        ("ProxyPass / http://u:1/\nRedirect /a https://a.test\nDocumentRoot /w", "/=http://u:1"),
        (
            "ProxyPass /s !\nProxyPass / http://u:1/\nDocumentRoot /w\nAlias /s/t /x",
            "/=http://u:1 /s=/w/s /s/t=/x",
        ),
        ("ProxyPass / http://u:1/\nProxyPass /s !\nDocumentRoot /w", "/=http://u:1"),
        ("ProxyPass /s !\nProxyPass / http://u:1/\nAlias /s /x", "/=http://u:1 /s=/x"),
        ("ProxyPass /s/t !\nProxyPass / http://u:1/\nAlias /s /x", "/=http://u:1 /s/t=/x/t"),
        ("ProxyPass /p fcgi://127.0.0.1:9000/", "/p=fastcgi 127.0.0.1:9000"),
        ("ProxyPass / unix:/run/a.sock|http://localhost/", "/=unix:/run/a.sock"),
        ("ScriptAlias /cgi-bin/ /c/", "/cgi-bin=cgi /c/"),
        ("DocumentRoot /w\nAlias /a%zz /x\nProxyPass /b ajp://u", "/=/w"),
    ] {
        assert_eq!(answers(rules), expected, "{rules}");
    }
}

#[test]
fn what_was_left_out_is_noted_with_its_place() {
    for (rules, note) in [
        (
            "Require ip 10.0.0.1",
            ":3: Require ip 10.0.0.1: it is not imported: what it guards is open to everybody",
        ),
        ("RewriteRule a b", ":3: RewriteRule a b: it is not imported"),
        ("Alias /a /x\nAlias /a/b /y", ":4: Alias /a/b /y: an earlier rule answers there already"),
        ("Alias /a /etc/passwd", "only folders can be mounted"),
        ("Alias /a{b} /x", ":3: Alias /a{b} /x: "),
        ("ProxyPass /b ajp://u", "only http, https"),
        ("ServerAlias a..b", ":3: a..b: it is no name of a host"),
        ("ServerName ${NAME}", "the variable NAME is not known"),
        ("</Directory>", ":3: </Directory> closes nothing that is open"),
        ("<Location /x>", "<Location> is not closed"),
        ("<If \"true\">\nAlias /x /y\n</If>", ":3: If true: the section is not imported, nor what is in it"),
        ("Include none.conf", ":3: Include none.conf: there is no such file"),
        ("Include apache2.conf", ":3: Include apache2.conf: the file includes itself"),
        ("</VirtualHost>\n<VirtualHost *:80>", ":4: VirtualHost: it has no name of its own"),
        (
            "ServerName a\n</VirtualHost>\n<VirtualHost *:80>\nDocumentRoot /w\nServerName a",
            ":7: a: an earlier host has this name",
        ),
        ("</VirtualHost>\n<VirtualHost name.test:80>\nDocumentRoot /w", "name.test:80 is no address"),
    ] {
        let (_, notes) =
            import_text(&format!("<VirtualHost *:80>\nDocumentRoot /w\n{rules}\n</VirtualHost>\n"));
        assert!(notes.contains(note), "{rules}: {notes}");
    }
}

#[test]
fn there_are_bounds() {
    let error = |files: &[(&str, &str)]| {
        let folder = folder(files);
        import(&folder.path().join("apache2.conf"), BTreeMap::new()).unwrap_err().to_string()
    };
    let deep: Vec<_> = (0..30).map(|at| (format!("{at}.conf"), format!("Include {}.conf", at + 1))).collect();
    let mut files: Vec<_> = deep.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    files.push(("apache2.conf", "Include 0.conf"));
    assert!(error(&files).ends_with("files 16 deep"), "{}", error(&files));
    let sections = "<Location /x>\n".repeat(20);
    assert!(error(&[("apache2.conf", &sections)]).ends_with("sections 16 deep"));
    let long = "# long\n".repeat(700_000);
    assert!(error(&[("apache2.conf", &long)]).contains("4 MiB"));
    // Each time it is half as much again: not the depth but the number ends it.
    let many = "Include many/*.conf\n".repeat(600);
    let files = [("apache2.conf", many.as_str()), ("many/a.conf", ""), ("many/b.conf", "")];
    assert!(error(&files).contains("1,000 files"));
    assert!(error(&[("apache2.conf", "Timeout 5\n")]).contains("neither a DocumentRoot"));
    assert!(error(&[("other.conf", "")]).contains("No such file"));
    // What is put in for itself does not grow without end.
    let growing = format!("Define A xxxxxxxxxxxxxxxx\n{}DocumentRoot /w\n", "Define A ${A}${A}\n".repeat(40));
    assert!(import_text(&growing).0.len() < 1 << 20);
}

proptest::proptest! {
    #[test]
    fn whatever_is_written_is_read(
        lines in proptest::collection::vec(
            (0..14usize, "[ -~]{0,12}", "(/[a-z*%{}.]{0,4}){0,3}", "(http://|fcgi://|/)?[a-z:0-9/.*-]{0,12}"),
            0..12,
        ),
    ) {
        const NAMES: [&str; 14] = [
            "ServerName", "ServerAlias", "Alias", "ScriptAlias", "Redirect", "ProxyPass", "DirectoryIndex",
            "DocumentRoot", "ErrorDocument 404", "RedirectMatch", "CustomLog", "</VirtualHost>\n<VirtualHost",
            "SSLCertificateFile", "Listen",
        ];
        let mut text = "<VirtualHost *:80>\nDocumentRoot /w\n".to_owned();
        for (name, any, path, target) in lines {
            text += &match name {
                2..=5 => format!("{} \"{path}\" \"{target}\"\n", NAMES[name]),
                11 => format!("{} *:{}>\nDocumentRoot /v\n", NAMES[name], any.len()),
                _ => format!("{} {any}\n", NAMES[name]),
            };
        }
        let folder = folder(&[("apache2.conf", &text)]);
        match import(&folder.path().join("apache2.conf"), BTreeMap::new()) {
            Ok(imported) => drop(read_back(&folder, imported)),
            // A redirect to nowhere, say, in front of all else.
            Err(error) => proptest::prop_assert!(matches!(error, ImportError::Nothing(_)), "{error}"),
        }
    }
}
