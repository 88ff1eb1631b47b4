use std::{
    collections::BTreeMap,
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use cepa_server::ServerConfig;
use proptest::prelude::*;
use serde::Deserialize;

use super::*;

/// A folder of configuration files, removed in the end.
struct Folder(PathBuf);

impl Folder {
    fn new(files: &[(&str, &str)]) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let name = format!("cepa-config-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = std::env::temp_dir().join(name);
        fs::create_dir(&folder).unwrap();
        for (name, text) in files {
            fs::write(folder.join(name), text).unwrap();
        }
        Self(folder)
    }

    fn load(&self, variables: &[(&str, &str)], flags: &[&str]) -> Result<Config, String> {
        let layers = Layers {
            file: None,
            dir: &self.0,
            env: "test",
            variables: variables.iter().map(|&(name, value)| (name.into(), value.into())).collect(),
            flags: flags.iter().map(|flag| flag.parse().unwrap()).collect(),
        };
        Config::load(layers).map_err(|error| self.told(&error))
    }

    /// The text of an error, with the name that the folder has for users.
    fn told(&self, error: &ConfigError) -> String {
        error.to_string().replace(&*self.0.to_string_lossy(), "config")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Reads one section of `default.toml`, or gives the error's text.
fn read<T: DeserializeOwned>(text: &str, section: &str) -> Result<T, String> {
    let folder = Folder::new(&[("default.toml", text)]);
    folder.load(&[], &[])?.section(section).map_err(|error| folder.told(&error))
}

/// A text and what is said about it, for a snapshot.
fn fault<T: DeserializeOwned>(text: &str, section: &str) -> String {
    let error = read::<T>(text, section).map(drop).unwrap_err();
    format!("{}\n=> {error}\n", text.trim_end())
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Mail {
    host: String,
    port: u16,
    password: String,
    to: Vec<String>,
    retry: Retry,
    format: Format,
    rates: BTreeMap<String, f64>,
    point: Option<(i32, i32)>,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(default)]
struct Retry {
    times: u8,
    wait: String,
}

#[derive(Debug, Default, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Format {
    #[default]
    Plain,
    Html,
    Custom {
        name: String,
    },
}

#[derive(Debug, Deserialize, PartialEq)]
#[serde(deny_unknown_fields)]
struct Session {
    secret: String,
    #[serde(default)]
    rolling: bool,
}

#[test]
fn a_later_layer_wins_and_tables_merge() {
    let folder = Folder::new(&[
        (
            "default.toml",
            "[mail]\nhost = 'a'\nport = 25\nto = ['x', 'y']\n[mail.retry]\ntimes = 1\nwait = '1s'\n",
        ),
        ("test.toml", "[mail]\nport = 26\nto = ['z']\nretry.times = 2\n[mail.rates]\nlow = 1\nhigh = 2.5\n"),
        ("production.toml", "[mail]\nhost = 'never'\n"),
    ]);
    let mail = |variables: &[_], flags: &[_]| -> Mail {
        folder.load(variables, flags).unwrap().section("mail").unwrap()
    };

    let files = Mail {
        host: "a".to_owned(),
        port: 26,
        to: vec!["z".to_owned()],
        retry: Retry { times: 2, wait: "1s".to_owned() },
        rates: [("low".to_owned(), 1.0), ("high".to_owned(), 2.5)].into(),
        ..Mail::default()
    };
    assert_eq!(mail(&[], &[]), files);

    let variables = [("CEPA__MAIL__PORT", "27"), ("CEPA__MAIL__RETRY__TIMES", "3"), ("PATH", "/bin")];
    let with_variables = Mail { port: 27, retry: Retry { times: 3, wait: "1s".to_owned() }, ..files };
    assert_eq!(mail(&variables, &[]), with_variables);

    let flags = ["mail.port=28", "mail.to=[]", "mail.port=29", "mail.format = \"html\""];
    let with_flags = Mail { port: 29, to: Vec::new(), format: Format::Plain, ..with_variables };
    assert_eq!(mail(&variables, &flags[..3]), with_flags);
    assert_eq!(folder.load(&[], &[]).unwrap().files().len(), 2);
}

#[test]
fn a_missing_folder_is_an_empty_configuration() {
    let layers = Layers {
        file: None,
        dir: Path::new("/no/such/folder"),
        env: "test",
        variables: Vec::new(),
        flags: Vec::new(),
    };
    let config = Config::load(layers).unwrap();
    assert!(config.files().is_empty());
    assert_eq!(config.section::<Mail>("mail").unwrap(), Mail::default());
    assert_eq!(config.section::<Option<Mail>>("mail").unwrap(), None);
    assert_eq!(config.section::<Vec<Mail>>("mails").unwrap(), []);
    assert_eq!(config.section::<ServerConfig>("server").unwrap().listen.len(), 1);
    for (error, told) in [
        (
            config.section::<Session>("session").map(drop),
            "`session.secret` is not set; write it into the configuration, or set CEPA__SESSION__SECRET",
        ),
        (
            config.section::<String>("name").map(drop),
            "`name` is not set; write it into the configuration, or set CEPA__NAME",
        ),
    ] {
        assert_eq!(error.unwrap_err().to_string(), told);
    }
    config.check_sections().unwrap();
}

#[test]
fn values_of_variables_are_toml_or_text() {
    let folder = Folder::new(&[]);
    let read =
        |value: &str| folder.load(&[("CEPA__MAIL__PASSWORD", value)], &[]).unwrap().section::<Mail>("mail");
    for (written, text) in [
        ("hunter2", "hunter2"),
        ("12345", "12345"),
        ("0012", "0012"),
        ("1_000", "1_000"),
        ("true", "true"),
        ("1e3", "1e3"),
        ("nan", "nan"),
        ("\"true\"", "true"),
        ("'a # b'", "a # b"),
        ("a # b", "a # b"),
        ("\"unclosed", "\"unclosed"),
        ("a = 1", "a = 1"),
        ("127.0.0.1:3000", "127.0.0.1:3000"),
        ("10 MiB", "10 MiB"),
        ("", ""),
        (" ", " "),
        ("2026-11-20", "2026-11-20"),
        ("line\nline", "line\nline"),
    ] {
        assert_eq!(read(written).unwrap().password, text, "{written:?}");
    }
    assert_eq!(
        read("['hunter2']").unwrap_err().to_string(),
        "environment variable CEPA__MAIL__PASSWORD: `mail.password`: expected text, found a list"
    );

    let variables = [
        ("CEPA__MAIL__TO", "['a', \"b\"]"),
        ("CEPA__MAIL__POINT", "[1, -2]"),
        ("CEPA__MAIL__FORMAT", "{ custom = { name = 'n' } }"),
        ("CEPA__MAIL__RATES", "{ a = 1.5 }"),
        ("CEPA__MAIL__RATES__B", "2"),
        ("CEPA__SERVER__LIMITS__BODY", "1 MiB"),
        ("CEPA__SERVER__LIMITS__HTTP2__STREAMS", "7"),
        ("CEPA__SERVER__LISTEN", "['127.0.0.1:1', {address = '[::1]:2'}]"),
    ];
    let config = folder.load(&variables, &[]).unwrap();
    let mail: Mail = config.section("mail").unwrap();
    assert_eq!(mail.to, ["a", "b"]);
    assert_eq!(mail.point, Some((1, -2)));
    assert_eq!(mail.format, Format::Custom { name: "n".to_owned() });
    assert_eq!(mail.rates, [("a".to_owned(), 1.5), ("b".to_owned(), 2.0)].into());
    let server: ServerConfig = config.section("server").unwrap();
    assert_eq!((server.limits.body, server.limits.http2.streams, server.listen.len()), (1 << 20, 7, 2));
}

#[test]
fn large_numbers_and_dates_arrive() {
    #[derive(Debug, Deserialize, PartialEq)]
    struct Numbers {
        big: u64,
        bigger: i128,
        hex: u32,
        float: f32,
        date: String,
    }
    let text = "[n]\nbig = 18446744073709551615\nbigger = 18446744073709551616\nhex = 0xff\nfloat = 2\ndate = 2026-11-20T10:00:00Z";
    let numbers = Numbers {
        big: u64::MAX,
        bigger: 1 << 64,
        hex: 255,
        float: 2.0,
        date: "2026-11-20T10:00:00Z".to_owned(),
    };
    assert_eq!(read::<Numbers>(text, "n"), Ok(numbers));
}

#[test]
fn an_error_names_the_file_the_line_and_the_key() {
    let faults = [
        fault::<Mail>("[mail]\nhost = 'a'\nprot = 25", "mail"),
        fault::<Mail>("[mail]\n\n# a comment\n[mail.retry]\nattempts = 3", "mail"),
        fault::<Mail>("mail.retry = { times = 1,\n  wiat = '2s' }", "mail"),
        fault::<Mail>("[mail]\nport = 'hunter2'", "mail"),
        fault::<Mail>("[mail]\nport = 70_000", "mail"),
        fault::<Mail>("[mail]\nto = [\n  'a',\n  2,\n]", "mail"),
        fault::<Mail>("[mail]\nto = 'a'", "mail"),
        fault::<Mail>("[mail]\nretry = 3", "mail"),
        fault::<Mail>("[mail]\npoint = [1]", "mail"),
        fault::<Mail>("[mail]\npoint = [1, 2, 3]", "mail"),
        fault::<Mail>("[mail]\nformat = 'htlm'", "mail"),
        fault::<Mail>("[mail]\nformat = { html = 1, plain = 2 }", "mail"),
        fault::<Mail>("[mail]\nformat = 7", "mail"),
        fault::<Mail>("[mail.format.custom]\nname = 'x'\nsize = 3", "mail"),
        fault::<Mail>("[mail.rates]\nlow = 1\nhigh = true", "mail"),
        fault::<Mail>("mail = 5", "mail"),
        fault::<Mail>("mail = ['a', 25]", "mail"),
        fault::<Session>("[sessoin]\nsecret = 's'", "session"),
        fault::<Session>("[session]\nrolling = true", "session"),
        fault::<Session>("[session]\nsecret = 's'\nsecrets = 't'", "session"),
        fault::<Vec<Session>>("[[users]]\nsecret = 's'\n[[users]]\nrolling = 1", "users"),
    ];
    insta::assert_snapshot!(faults.join("\n"));
}

#[test]
fn an_error_of_the_server_names_its_key() {
    let faults = [
        fault::<ServerConfig>("[server]\nlisten = ['3000']", "server"),
        fault::<ServerConfig>("[server]\nlisten = '127.0.0.1:3000'", "server"),
        fault::<ServerConfig>("[[server.listen]]\naddress = '127.0.0.1:1'\noption.backlog = 3", "server"),
        fault::<ServerConfig>("[[server.listen]]\noptions.mode = 660", "server"),
        fault::<ServerConfig>("[[server.listen]]\nadress = '127.0.0.1:1'", "server"),
        fault::<ServerConfig>("[server.limits]\nidle = 75", "server"),
        fault::<ServerConfig>("[server.limits]\nidle = '75 parsecs'", "server"),
        fault::<ServerConfig>("[server.limits]\nhedaers = 3", "server"),
        fault::<ServerConfig>("[server.limits]\nbody = '1 GiB'\nheaders = 0", "server"),
        fault::<ServerConfig>(
            "[server.limits]\nidle = '1s'\n[server.limits.http2]\nresets = 1\nstreams = 0",
            "server",
        ),
        fault::<ServerConfig>("[server]\nthreads = 3", "server"),
    ];
    insta::assert_snapshot!(faults.join("\n"));
}

#[test]
fn an_error_of_a_source_names_it() {
    let mut told = Vec::new();
    for text in ["[mail", "[mail]\nhost = a", "[mail]\nport = 1\n\nport = 2", "x = 1\n[x]", "a = 0x", "= 1"] {
        told.push(fault::<Mail>(text, "mail"));
    }
    let folder = Folder::new(&[("test.toml", "[log]\n")]);
    fs::create_dir(folder.0.join("default.toml")).unwrap();
    told.push(folder.load(&[], &[]).map(drop).unwrap_err());

    let folder = Folder::new(&[]);
    fs::write(folder.0.join("test.toml"), b"a = '\xff'").unwrap();
    told.push(folder.load(&[], &[]).map(drop).unwrap_err());
    fs::write(folder.0.join("test.toml"), "#".repeat((1 << 20) + 1)).unwrap();
    told.push(folder.load(&[], &[]).map(drop).unwrap_err());
    fs::remove_file(folder.0.join("test.toml")).unwrap();

    for name in ["CEPA__", "CEPA__MAIL____PORT", "CEPA__MAIL__"] {
        told.push(folder.load(&[(name, "1")], &[]).map(drop).unwrap_err());
    }
    let deep = format!("CEPA__{}", ["A"; 33].join("__"));
    told.push(folder.load(&[(&deep, "1")], &[]).map(drop).unwrap_err().replace(&deep, "CEPA__A__A…"));
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_section_that_nobody_reads_is_an_error() {
    let files =
        [("default.toml", "\n[mial]\nport = 1\n"), ("test.toml", "[mail]\nport = 2\n[mial]\nport = 3")];
    let folder = Folder::new(&files);
    let config = folder.load(&[], &[]).unwrap();
    config.section::<Mail>("mail").unwrap();
    config.section::<Option<Session>>("session").unwrap();
    let told = folder.told(&config.check_sections().unwrap_err());
    assert_eq!(told, "config/default.toml:2: unknown section `mial`; did you mean `mail`?");
    // Whoever does not want it says so.
    config.section::<serde::de::IgnoredAny>("mial").unwrap();
    config.check_sections().unwrap();

    let config = folder.load(&[("CEPA__SERVE__PORT", "1")], &["workers=3"]).unwrap();
    config.section::<Mail>("mail").unwrap();
    config.section::<Mail>("mial").unwrap();
    let told = folder.told(&config.check_sections().unwrap_err());
    assert_eq!(
        told,
        "environment variable CEPA__SERVE__PORT: unknown section `serve`; did you mean `server`?"
    );
    config.section::<Mail>("serve").unwrap();
    let told = folder.told(&config.check_sections().unwrap_err());
    assert_eq!(
        told,
        "flag --set workers: unknown key `workers`; the sections here are `cluster`, `dev`, `jobs`, `lifecycle`, `log`, `mail`, `mial`, `plugins`, `schedules`, `serve`, `server`"
    );
}

proptest! {
    #[test]
    fn no_text_is_a_panic(text in "\\PC*|[\\[\\]{}=.\"'#a-c0-9\\n ]*") {
        let _ = read::<Mail>(&text, "mail");
        let _ = read::<ServerConfig>(&format!("[server]\n{text}"), "server");
        let folder = Folder::new(&[]);
        if let Ok(config) = folder.load(&[("CEPA__SERVER", &text.replace('\0', ""))], &[]) {
            let _ = config.section::<ServerConfig>("server");
        }
        let _ = text.parse::<Setting>();
    }

    #[test]
    fn plain_words_are_what_was_written(text in "[A-Za-z0-9_./:+-]*") {
        let config = Folder::new(&[]).load(&[], &[&format!("mail.host={text}")]).unwrap();
        prop_assert_eq!(config.section::<Mail>("mail").unwrap().host, text);
    }
}
