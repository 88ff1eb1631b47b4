use cepa_core::Ctx;
use serde::Deserialize;

use super::*;

/// Performs `check` with these settings, and gives what the operator reads.
fn check(settings: &[&str], app: impl FnOnce(&mut Boot) -> Result<App>) -> String {
    let surroundings = Surroundings {
        name: "hello".to_owned(),
        env: Some("test".parse().unwrap()),
        dir: None,
        flags: settings.iter().map(|text| text.parse().unwrap()).collect(),
    };
    match perform(&Command::Check, surroundings, app) {
        Ok(text) => text,
        Err(failure) => format!("error: {failure}\n"),
    }
}

fn plain(_: &mut Boot) -> Result<App> {
    Ok(App::new().get("/", async |_: &mut Ctx| "Hello"))
}

#[derive(Deserialize)]
struct Database {
    #[allow(dead_code)]
    url: String,
}

fn with_database(boot: &mut Boot) -> Result<App> {
    boot.config::<Database>("database")?;
    plain(boot)
}

fn failing(_: &mut Boot) -> Result<App> {
    Ok(App::new().get("/", async |_: &mut Ctx| "Hello").subdomain_offset("many".parse()?))
}

fn refusing(_: &mut Boot) -> Result<App> {
    Err(Error::new(500, "the moon is full").with_cause(io::Error::other("tides")))
}

fn conflicting(_: &mut Boot) -> Result<App> {
    let app = App::new().get("/{id}", async |_: &mut Ctx| "first");
    Ok(app.get("/{name}", async |_: &mut Ctx| "second"))
}

#[test]
fn the_operator_reads_what_is_at_fault_and_where() {
    let no_certificate =
        "server.listen=[{address='127.0.0.1:0', tls.certificates=[{cert='/no/cert', key='/no/key'}]}]";
    let told = [
        check(&[], plain),
        check(&["database.url=sqlite:app.db"], with_database),
        check(&["databse.url=sqlite:app.db"], with_database),
        check(&["databse.url=sqlite:app.db", "database.url=sqlite:app.db"], with_database),
        check(&["server.worker=2"], plain),
        check(&["log.level=loud"], plain),
        check(&["log.format=xml"], plain),
        check(&["log.queue=1"], plain),
        check(&["log.appenders.app={type='file', filename='a.log', max_size=3}"], plain),
        check(&["log.appenders.app={type='file', filename='a.log'}"], plain),
        check(&["log.appenders.app={type='date_file', filename='a.log', mode=600}"], plain),
        check(
            &[
                "log.appenders.app={type='date_file', filename='a.log', pattern='MM'}",
                "log.categories.default.appenders=['app']",
            ],
            plain,
        ),
        check(&["log.categories.default.appenders=['file']"], plain),
        check(&[no_certificate], plain),
        check(&[], failing),
        check(&[], refusing),
        check(&[], conflicting),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_folder_that_was_asked_for_must_be_there() {
    let surroundings = Surroundings {
        name: String::new(),
        env: None,
        dir: Some("/no/such/folder".into()),
        flags: Vec::new(),
    };
    let error = perform(&Command::Check, surroundings, plain).unwrap_err().to_string();
    assert_eq!(
        error,
        "/no/such/folder: no such folder; leave out --config, or name the folder of the configuration"
    );
}

#[test]
fn an_endpoint_is_shown_as_what_a_browser_takes() {
    for (endpoint, shown) in [
        (Endpoint::Tcp(([127, 0, 0, 1], 80).into()), "https://127.0.0.1:80"),
        (Endpoint::Tcp("[::1]:3000".parse().unwrap()), "https://[::1]:3000"),
        (Endpoint::Unix(Some(std::path::Path::new("/run/app.sock").into())), "unix:/run/app.sock"),
    ] {
        assert_eq!(url("https", &endpoint), shown);
    }
}
