use cepa_core::{Ctx, Error};
use serde::Deserialize;

use super::*;

/// Performs `check` with these settings, and gives what the operator reads.
fn check(settings: &[&str], app: impl FnOnce(&mut Boot) -> Result<App>) -> String {
    performed(&Command::Check, settings, app)
}

fn performed(command: &Command, settings: &[&str], app: impl FnOnce(&mut Boot) -> Result<App>) -> String {
    let surroundings = Surroundings {
        folder: None,
        file: None,
        settle: None,
        name: "hello".to_owned(),
        env: Some("test".parse().unwrap()),
        dir: None,
        flags: settings.iter().map(|text| text.parse().unwrap()).collect(),
    };
    match perform(command, surroundings, Vec::new(), app) {
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
        folder: None,
        file: None,
        settle: None,
        name: String::new(),
        env: None,
        dir: Some("/no/such/folder".into()),
        flags: Vec::new(),
    };
    let error = perform(&Command::Check, surroundings, Vec::new(), plain).unwrap_err().to_string();
    assert_eq!(
        error,
        "/no/such/folder: no such folder; leave out --config, or name the folder of the configuration"
    );
}

#[test]
fn what_only_looks_opens_nothing() {
    let looked = check(&[], |boot| {
        boot.did_load(async |_: &mut Boot| Err(Error::new(500, "opened")));
        plain(boot)
    });
    assert_eq!(looked, "ok: environment test, no configuration file, 1 route\n");
}

#[test]
fn the_dump_says_what_holds_and_whence_and_no_secret() {
    #[derive(Deserialize)]
    struct Mail {
        #[allow(dead_code)]
        sender: crate::Secret<String>,
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("password");
    std::fs::write(&file, "hunter2\n").unwrap();
    let settings = [
        "server.workers=2",
        "server.limits.idle=30s",
        "mail.sender=hunter2",
        "mail.password=hunter2",
        "mail.api_key={ test = 'hunter2' }",
        "mail.tokens=['hunter2']",
        "mail.key_file=/etc/key",
        "mail.'odd key'=1",
        "mail.url=redis://me:hunter2@localhost/0",
        "mail.backups=[{ host = 'b', password = 'hunter2' }, 2.5, true]",
        "mail.retry={ times = 3 }",
        &format!("mail.smtp.password={{ file = '{}' }}", file.display()),
    ];
    let dump =
        performed(&Command::Dump, &settings, |boot| boot.config::<Mail>("mail").and_then(|_| plain(boot)));
    assert!(dump.starts_with("error: flag --set mail.'odd key'"), "{dump}");
    let used = |boot: &mut Boot| {
        boot.config::<serde::de::IgnoredAny>("mail")?;
        plain(boot)
    };
    let dump = performed(&Command::Dump, &settings, used);
    let dump = dump.replace(&*folder.path().to_string_lossy(), "/folder");
    // It is read as a secret below.
    let dump = dump.replace("sender = \"hunter2\"", "sender = SHOWN");
    assert!(!dump.contains("hunter2"), "{dump}");
    let _: toml::Table = dump.replace("SHOWN", "1").parse().unwrap();
    insta::assert_snapshot!(dump);

    let only = performed(&Command::Dump, &["mail.sender=hunter2"], |boot| {
        boot.config::<Mail>("mail").and_then(|_| plain(boot))
    });
    assert!(only.contains("sender = \"******\"  # flag --set mail.sender"), "{only}");
}

#[test]
fn a_text_may_stand_in_a_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("url").display().to_string();
    let setting = format!("database.url.file={path}");
    let missing = check(&[&setting], with_database).replace(&path, "/run/secrets/url");
    assert_eq!(
        missing,
        "error: flag --set database.url.file: `database.url`: /run/secrets/url: cannot be read: No such file or \
         directory (os error 2)\n"
    );
    for (text, read) in [("one\n", "one"), ("two\r\n", "two"), ("three\n\n", "three\n"), ("", "")] {
        std::fs::write(&path, text).unwrap();
        let seen = std::rc::Rc::default();
        let app = |boot: &mut Boot| {
            let database: Database = boot.config("database")?;
            *std::rc::Rc::<std::cell::RefCell<String>>::clone(&seen).borrow_mut() = database.url;
            plain(boot)
        };
        check(&[&setting], app);
        assert_eq!(*seen.borrow(), read);
    }
    std::fs::write(&path, vec![b'x'; 70_000]).unwrap();
    assert!(check(&[&setting], with_database).contains("larger than 64 KiB"));
}
