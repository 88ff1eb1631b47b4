//! The ways to an upstream, and how they are written down.

use std::{net::TcpListener, process::Command, time::Duration};

use cepa_core::Result;
use cepa_layers::{
    proxy,
    proxy::{Health, HostPolicy, Http, InvalidOptions, Options, Proxy},
};
use cepa_programs::needs;
use cepa_server::tls::{CertificateFiles, TlsConfig, self_signed};
use cepa_tests::{
    Serving,
    stats::eventually,
    wire::{Ended, Wire},
};

use crate::{SWITCH, front, get, text, to, upstream};

#[test]
fn upstreams_by_tls_http2_and_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let made = self_signed(&["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&cert, made.cert).unwrap();
    std::fs::write(&key, made.key).unwrap();
    let tls = TlsConfig::new(vec![CertificateFiles { cert: cert.clone(), key, names: Vec::new() }]);
    let encrypted = Serving::new(upstream()).tls(&tls).start().unwrap();
    let over_tls = |http| Options {
        upstreams: vec![format!("https://localhost:{}", encrypted.address().port())],
        ca_file: Some(cert.clone()),
        // A server that looks at both does not take another host than the one that TLS has named.
        host: HostPolicy::Upstream,
        http,
        ..Options::default()
    };
    let socket = folder.path().join("socket");
    let _unix = Serving::new(upstream()).unix(&socket).start().unwrap();
    let by_socket = Options { upstreams: vec![format!("unix:{}", socket.display())], ..Options::default() };
    for (options, version) in
        [(over_tls(Http::Auto), "HTTP/2.0"), (over_tls(Http::One), "HTTP/1.1"), (by_socket, "HTTP/1.1")]
    {
        let front = front(options);
        let seen = get(&front, "/headers", "Connection: x-gone\r\nX-Gone: 1\r\nTE: trailers\r\n").text();
        assert!(
            seen.starts_with(version)
                && seen.contains("x-forwarded-host: front.test")
                && !seen.contains("x-gone"),
            "{seen}"
        );
        let mut wire = Wire::open(
            front.address(),
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        wire.send("4\r\nbody\r\n0\r\n\r\n");
        assert_eq!(wire.response().text(), "body", "{version}");
        let mut wire = Wire::open(front.address(), format!("{SWITCH}Upgrade: websocket\r\n\r\nhi"));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(wire.read_exact(1).unwrap());
        }
        assert_eq!(wire.read_exact(2).unwrap(), b"hi", "{version}");
        let mut wire = Wire::open(front.address(), "GET /breaks HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(wire.rest().1, Ended::Reset, "{version}");
    }
}

#[test]
fn nginx_stands_behind() {
    needs!("nginx");
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = folder.path().display();
    let config = format!(
        "daemon off; master_process off; error_log stderr crit; pid {path}/pid; events {{}} http {{ access_log off; client_body_temp_path {path};
         proxy_temp_path {path}; fastcgi_temp_path {path}; uwsgi_temp_path {path}; scgi_temp_path {path};
         server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"$http_host $http_x_forwarded_for $uri\"; }}
         location /moved {{ return 301 http://127.0.0.1:{port}/here; }} }} }}"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut nginx = Command::new("nginx").arg("-c").arg(&file).arg("-p").arg(folder.path()).spawn().unwrap();
    let front = front(to(([127, 0, 0, 1], port).into()));
    eventually("nginx answers", || text(&front, "/").0 == 200);
    assert_eq!(text(&front, "/a").1, "front.test 127.0.0.1 /a");
    assert_eq!(get(&front, "/moved", "").all("location").next(), Some("/here"));
    nginx.kill().unwrap();
    nginx.wait().unwrap();
    assert_eq!(text(&front, "/").0, 502);
}

#[test]
fn options_that_are_wrong_are_told() {
    let wrong = |change: fn(&mut Options)| -> String {
        let mut options = Options { upstreams: vec!["http://a".into()], ..Options::default() };
        change(&mut options);
        let made: Result<Proxy, InvalidOptions> = proxy(options);
        made.unwrap_err().to_string()
    };
    for (change, expected) in [
        ((|options| options.upstreams.clear()) as fn(&mut Options), "`upstreams` is empty"),
        (|options| options.upstreams = vec!["a:80".into()], "a:80"),
        (|options| options.upstreams = vec!["http://u:p@a".into()], "user information"),
        (|options| options.strip = "api".into(), "`strip`"),
        (|options| options.strip = "/api/".into(), "`strip`"),
        (|options| options.via = "a b".into(), "`via`"),
        (|options| options.upgrades = vec!["h2c".into()], "`upgrades`"),
        (|options| options.upgrades = vec!["HTTP/2.0".into()], "`upgrades`"),
        (|options| options.head = Duration::ZERO, "`head` is 0"),
        (|options| options.requests = 0, "`requests` is 0"),
        (|options| options.health = Some(Health { path: "x".into(), ..Health::default() }), "`health.path`"),
        (|options| options.ca_file = Some("/no/such".into()), "/no/such"),
    ] {
        let text = wrong(change);
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
