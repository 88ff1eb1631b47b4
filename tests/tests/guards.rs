//! The layers that ask for passwords, limit and log, over sockets, as curl meets them.

use cepa_programs::needs;
use std::{fs, process::Command, time::Duration};

use cepa_core::{App, Ctx, Result, router::get};
use cepa_layers::{auth::User, concurrency_limit, digest_auth, on_error, rate_limit, timeout};
use cepa_tests::{Served, Serving};

/// The status and the headers and body that curl gets.
fn curl(server: &Served, path: &str, flags: &[&str]) -> (String, String) {
    let url = format!("http://{}{path}", server.address());
    let format = ["-sS", "-i", "--noproxy", "*", "--max-time", "20", "--write-out", "\n%{http_code}"];
    let ran = Command::new("curl").args(format).args(flags).arg(url).output().expect("curl is installed");
    let text = String::from_utf8(ran.stdout).expect("these answers are text");
    let (answer, status) = text.rsplit_once('\n').expect("the status is written last");
    (status.to_owned(), answer.to_owned())
}

async fn name(ctx: &mut Ctx) -> String {
    ctx.state::<User>().map_or_else(String::new, |user| user.name().to_owned())
}

#[test]
fn curl_signs_in_with_sha_256() {
    needs!("curl");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("users");
    fs::write(&file, digest_auth::entry("ada", "staff only", "a \"secret\"")).unwrap();
    let options = digest_auth::Options { realm: "staff only".into(), file, ..Default::default() };
    let app = App::new().with(digest_auth(options).unwrap()).route("/{*path}", get(name).post(name));
    let server = Serving::new(app).workers(2).start().unwrap();

    let (status, answer) = curl(&server, "/a?b=c%20d,e", &["--digest", "-u", "ada:a \"secret\""]);
    assert_eq!(status, "200", "{answer}");
    assert!(answer.ends_with("ada") && answer.contains("authentication-info: rspauth="), "{answer}");
    let (status, _) = curl(&server, "/a", &["--digest", "-u", "ada:a \"secret\"", "-d", "body"]);
    assert_eq!(status, "200");
    for user in ["ada:wrong", "bob:a \"secret\""] {
        assert_eq!(curl(&server, "/a", &["--digest", "-u", user]).0, "401", "{user}");
    }
    assert_eq!(curl(&server, "/a", &["-u", "ada:a \"secret\""]).0, "401", "Basic");
}

#[test]
fn limits_hold_for_all_workers_together() {
    needs!("curl");
    let few = rate_limit::Options { limit: 4, per: Duration::from_secs(3600), ..Default::default() };
    let app = App::new().with(on_error(Default::default())).with(rate_limit(few).unwrap()).get("/", name);
    let server = Serving::new(app).workers(3).start().unwrap();
    let statuses: Vec<String> = (0..8).map(|_| curl(&server, "/", &[]).0).collect();
    assert_eq!(statuses, ["200", "200", "200", "200", "429", "429", "429", "429"]);
    let (_, answer) = curl(&server, "/", &[]);
    assert!(answer.contains("retry-after: ") && answer.contains("application/problem+json"), "{answer}");
}

#[test]
fn time_and_places_are_limited_under_a_server() {
    needs!("curl");
    let quick = timeout::Options { after: Duration::from_millis(50), status: 504 };
    let one = concurrency_limit::Options {
        at_once: 1,
        queue: 0,
        retry_after: Duration::from_secs(7),
        ..Default::default()
    };
    let app = App::new()
        .with(concurrency_limit(one).unwrap())
        .with(timeout(quick).unwrap())
        .get("/", name)
        .get("/hangs", async |_: &mut Ctx| -> Result { std::future::pending().await });
    let server = Serving::new(app).workers(2).start().unwrap();
    // The place is free again after each, whichever way it ended.
    for _ in 0..2 {
        assert_eq!(curl(&server, "/hangs", &[]).0, "504");
        assert_eq!(curl(&server, "/", &[]).0, "200");
    }
}
