use super::*;
use crate::{category::Rules, plan::Plan};

fn check(text: &str) -> Result<(), String> {
    let config: LogConfig = toml::from_str(text).map_err(|error| error.message().to_owned())?;
    config.check().map_err(|error| error.to_string())
}

const DEFAULT: &str = "categories.default.appenders = ['a']\n";

#[test]
fn the_simple_form_needs_nothing() {
    for text in [
        "",
        "level = 'off'",
        "level = 'info,a::b=trace'",
        "format = 'json'",
        "[categories.a]\nlevel = 'mark'",
    ] {
        check(text).unwrap();
        let plan = Plan::new(&toml::from_str(text).unwrap()).unwrap();
        assert_eq!(plan.targets.len(), 1, "{text}");
        assert!(plan.rules.iter().all(|rule| rule.appenders.len() == 1), "{text}");
    }
}

#[test]
fn all_appenders_and_layouts() {
    let text = "
        queue = '1 MiB'
        zone = 'utc'

        [appenders]
        a = { type = 'console' }
        b = { type = 'stderr', layout.type = 'coloured' }
        c = { type = 'file', filename = 'app.log', max_log_size = '10 MiB', backups = 3, compress = true,
              keep_file_ext = true, file_name_sep = '-', mode = '0640', layout.type = 'basic' }
        d = { type = 'date_file', filename = 'logs/app.log', pattern = 'yyyy-MM-dd-hh', num_backups = 24,
              max_days = 31, max_log_size = '1 GiB', always_include_pattern = true, layout.type = 'egg' }
        e = { type = 'multi_file', base = 'logs/users', property = 'user', extension = '.txt', max_files = 10,
              timeout = '5s', layout = { type = 'pattern', pattern = '%d %x{app} %m', tokens = { app = 'shop' } } }
        f = { type = 'log_level_filter', appender = 'a', level = 'warn' }
        g = { type = 'category_filter', appender = 'f', exclude = ['h2'] }
        h = { type = 'no_log_filter', appender = 'g', exclude = ['/health'], }
        i = { type = 'stdout', layout.type = 'json' }
        j = { type = 'stdout', layout.type = 'message_pass_through' }
        k = { type = 'stdout', layout.type = 'dummy' }
        l = { type = 'stdout', layout.type = 'text' }

        [categories]
        default = { appenders = ['b', 'h'], level = 'info' }
        'app.db' = { appenders = ['c', 'd', 'e'], level = 'all', inherit = false }
    ";
    check(text).unwrap();
    let plan = Plan::new(&toml::from_str(text).unwrap()).unwrap();
    let names: Vec<_> = plan.targets.iter().map(|target| target.name.as_str()).collect();
    assert_eq!(names, ["b", "a", "c", "d", "e"], "those that are used");
    assert_eq!(plan.rules.of("x").appenders[1].filters.len(), 3);
}

#[test]
fn what_is_wrong_is_named() {
    let file = "type = 'file', filename = 'a.log'";
    let date_file = "type = 'date_file', filename = 'a.log'";
    let many = "type = 'multi_file', base = 'a', property = 'level'";
    let a = |options: &str| check(&format!("{DEFAULT}appenders.a = {{ {options} }}")).unwrap_err();
    for (told, expected) in [
        (check("queue = 1").unwrap_err(), "queue is 1: it must be from 65536 to 1073741824"),
        (check("zone = 'Mars'").unwrap_err(), "a zone is local, utc, or a name that the time zone database"),
        (
            check("level = 'loud'").unwrap_err(),
            "the levels are all, trace, debug, info, warn, error, fatal, mark",
        ),
        (check(DEFAULT).unwrap_err(), "categories.default: there is no appender \"a\"; there are `console`"),
        (check("appenders.a.type = 'stdout'").unwrap_err(), "categories.default is missing"),
        (
            check(&format!("{DEFAULT}format = 'json'\nappenders.a.type = 'stdout'")).unwrap_err(),
            "format is for a log without appenders",
        ),
        (
            a("type = 'syslog'"),
            "unknown variant `syslog`, expected one of `console`, `stdout`, `stderr`, `file`",
        ),
        (a("type = 'stdout', filename = 'a'"), "unknown field `filename`"),
        (a("type = 'stdout', layout = { type = 'json', pattern = 'x' }"), "unknown field `pattern`"),
        (a("type = 'file'"), "missing field `filename`"),
        (a("type = 'file', filename = ''"), "appenders.a.filename must be the path of a file"),
        (a("type = 'file', filename = 'a/'"), "appenders.a.filename must be the path of a file"),
        (a("type = 'file', filename = '..'"), "appenders.a.filename must be the path of a file"),
        (a("type = 'file', filename = \"a\\u0000\""), "appenders.a.filename must be the path of a file"),
        (a(&format!("{file}, max_log_size = 0")), "appenders.a.max_log_size is 0: it must be from 1"),
        (a(&format!("{file}, file_name_sep = '/'")), "appenders.a.file_name_sep must not be empty"),
        (a(&format!("{file}, mode = 600")), "invalid type: integer `600`, expected permissions in octal"),
        (
            a(&format!("{file}, mode = '1777'")),
            "invalid value: string \"1777\", expected permissions in octal",
        ),
        (
            a(&format!("{date_file}, pattern = 'MM'")),
            "appenders.a.pattern: a pattern for files names its units",
        ),
        (
            a(&format!("{date_file}, layout = {{ type = 'pattern', pattern = '%q' }}")),
            "appenders.a.layout.pattern: %q",
        ),
        (a(&format!("{many}, extension = '.gz'")), "appenders.a.extension must be a dot"),
        (a(&format!("{many}, extension = '.part'")), "appenders.a.extension must be a dot"),
        (a(&format!("{many}, extension = '/x'")), "appenders.a.extension must be a dot"),
        (a(&format!("{many}, extension = '.1'")), "appenders.a.extension must be a dot"),
        (a(&format!("{many}, max_files = 0")), "appenders.a.max_files is 0: it must be from 1 to 100000"),
        (
            a("type = 'log_level_filter', appender = 'b', level = 'info'"),
            "appenders.a.appender: there is no appender \"b\"; there are `a`",
        ),
        (a("type = 'log_level_filter', appender = 'a', level = 'info'"), "appenders.a leads to itself"),
        (
            a("type = 'log_level_filter', appender = 'a', level = 'mark'"),
            "appenders.a.level is above its max_level",
        ),
        (
            check(&format!("{DEFAULT}appenders.a = {{ {file} }}\nappenders.b = {{ {date_file} }}"))
                .unwrap_err(),
            "appenders.b writes to the file of appenders.a",
        ),
        (
            check(&format!("{DEFAULT}appenders.a = {{ {file} }}\ncategories.x.inherit = false")).unwrap_err(),
            "categories.x has no appenders; name some, there are `a`",
        ),
    ] {
        assert!(told.starts_with(expected), "{told}\nis not\n{expected}");
    }
}

#[test]
fn two_appenders_never_write_one_file() {
    let file = |path: &str| format!("type = 'file', filename = '{path}'");
    let many = |base: &str, extension: &str| {
        format!("type = 'multi_file', base = '{base}', property = 'level', extension = '{extension}'")
    };
    for (one, other, is_refused) in [
        (file("logs/a.log"), file("./logs/a.log"), true),
        (file("logs/a.log"), many("logs", ".log"), true),
        (many("logs/", ".log"), many("logs", ".log"), true),
        (file("logs/a.log"), file("logs/b.log"), false),
        (file("logs/a.log"), many("logs", ".txt"), false),
        (many("logs", ".log"), many("logs/users", ".log"), false),
    ] {
        let config = format!("{DEFAULT}appenders.a = {{ {one} }}\nappenders.b = {{ {other} }}");
        assert_eq!(check(&config).is_err(), is_refused, "{config}");
    }
}

#[test]
fn rules_are_settled_before_anything_is_opened() {
    let config: LogConfig = toml::from_str("level = 'a=debug'").unwrap();
    let rules = Rules::new(&config.level, &config.categories).unwrap();
    assert_eq!((rules.of("a::b").level, rules.of("b").level), (Level::Debug, Level::Info));
}
