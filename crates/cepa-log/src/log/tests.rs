use std::{fs, path::Path, sync::Mutex, time::UNIX_EPOCH};

use tempfile::TempDir;
use tracing::{debug, error, info, info_span, warn};

use super::*;

const PATIENCE: Duration = Duration::from_secs(60);

/// A clock that tests turn; it begins at 2026-11-20T07:08:09.042Z.
#[derive(Clone)]
struct Turned(Arc<Mutex<SystemTime>>);

impl Turned {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(UNIX_EPOCH + Duration::from_millis(1_795_158_489_042))))
    }

    fn clock(&self) -> Clock {
        let turned = self.clone();
        Arc::new(move || *turned.0.lock().unwrap())
    }

    fn turn(&self, by: Duration) {
        *self.0.lock().unwrap() += by;
    }
}

/// A log with files in a new folder, which stands where the text has `DIR`.
fn log(text: &str) -> (TempDir, Log, Turned) {
    let folder = TempDir::new().unwrap();
    let text = text.replace("DIR", folder.path().to_str().unwrap());
    let config = toml::from_str(&text).unwrap();
    let turned = Turned::new();
    let log = Log::start_with_clock(&config, turned.clock()).unwrap();
    (folder, log, turned)
}

/// Logs, and waits until it is written.
fn logging(log: &Log, logs: impl FnOnce()) {
    tracing::subscriber::with_default(registry().with(log.layer()), logs);
    assert!(log.flush(PATIENCE));
}

fn read(folder: &TempDir, name: impl AsRef<Path>) -> String {
    fs::read_to_string(folder.path().join(name)).unwrap()
}

const PATTERN: &str = "layout = { type = 'pattern', pattern = '%p %c %X{user}: %m' }";

#[test]
fn events_go_where_their_category_says() {
    let (folder, log, _) = log(&format!(
        "
        zone = 'utc'
        [appenders]
        all = {{ type = 'file', filename = 'DIR/all.log', {PATTERN} }}
        db = {{ type = 'file', filename = 'DIR/db.log', {PATTERN} }}
        errors = {{ type = 'file', filename = 'DIR/errors.log', {PATTERN} }}
        only_errors = {{ type = 'log_level_filter', appender = 'errors', level = 'error' }}
        quiet = {{ type = 'no_log_filter', appender = 'all', exclude = ['/health'] }}
        no_h2 = {{ type = 'category_filter', appender = 'quiet', exclude = ['h2'] }}
        [categories]
        default = {{ appenders = ['no_h2', 'only_errors'], level = 'info' }}
        'app.db' = {{ appenders = ['db'], level = 'debug', inherit = false }}
        'app.off' = {{ level = 'off' }}
        'app.fatal' = {{ level = 'fatal' }}
        "
    ));
    logging(&log, || {
        info!(target: "app::users", "GET /health");
        debug!(target: "app::users", "hidden");
        warn!(target: "app::users", rows = 3, ok = true, at = 0.5, by = %"x y", why = ?Some("z"), "seen");
        info!(target: "h2::frame", "hidden");
        debug!(target: "app::db::pool", "query");
        error!(target: "app::off", "hidden");
        crate::mark!(target: "app::off", "hidden");
        error!(target: "app::fatal", "hidden");
        crate::fatal!(target: "app::fatal", code = 7, "fatal {}", "end");
        crate::mark!(target: "app::fatal", "marked");
        let failed: &dyn std::error::Error = &LogError::Thread(io::Error::other("why\n"));
        error!(target: "app", error = failed);
    });
    let error = "ERROR app null: error=a thread for the log cannot be made: why\\n: why\\n\n";
    let all = "WARN app.users null: seen rows=3 ok=true at=0.5 by=x y why=Some(\"z\")\n\
               FATAL app.fatal null: fatal end code=7\nMARK app.fatal null: marked\n";
    assert_eq!(read(&folder, "all.log"), format!("{all}{error}"));
    assert_eq!(read(&folder, "db.log"), "DEBUG app.db.pool null: query\n");
    assert_eq!(read(&folder, "errors.log"), format!("FATAL app.fatal null: fatal end code=7\n{error}"));
    assert_eq!(log.lost(), 0);
}

#[test]
fn an_event_may_say_a_category_below_its_target() {
    let (folder, log, _) = log(&format!(
        "
        [appenders]
        all = {{ type = 'file', filename = 'DIR/all.log', {PATTERN} }}
        shop = {{ type = 'file', filename = 'DIR/shop.log', {PATTERN} }}
        [categories]
        default = {{ appenders = ['all'], level = 'warn' }}
        'access.shop' = {{ appenders = ['shop'], level = 'info', inherit = false }}
        'access.quiet' = {{ level = 'off' }}
        "
    ));
    let event = |category: Option<&str>| {
        info!(target: "access", category, "told");
        warn!(target: "access", category, "warned");
    };
    logging(&log, || {
        let categories = [None, Some("access.shop"), Some("access.shop.till"), Some("access.quiet")];
        categories.into_iter().for_each(event);
        // Fields of that name that mean something else.
        ["access", "access.", "accessible", "app.access", ""].into_iter().map(Some).for_each(event);
        warn!(target: "app", category = 7, "warned");
    });
    let shop = ["shop", "shop.till"]
        .map(|name| format!("INFO access.{name} null: told\nWARN access.{name} null: warned\n"));
    assert_eq!(read(&folder, "shop.log"), shop.concat());
    let others = r#"
        WARN access null: warned
        WARN access null: warned category="access"
        WARN access null: warned category="access."
        WARN access null: warned category="accessible"
        WARN access null: warned category="app.access"
        WARN access null: warned category=""
        WARN app null: warned category=7"#;
    let others: String = others.lines().skip(1).map(|line| format!("{}\n", line.trim_start())).collect();
    assert_eq!(read(&folder, "all.log"), others);
}

#[test]
fn spans_are_the_context() {
    let (folder, log, turned) = log("
        zone = 'utc'
        [appenders]
        egg = { type = 'date_file', filename = 'DIR/egg.log', layout.type = 'egg' }
        users = { type = 'multi_file', base = 'DIR/users', property = 'user_id', layout.type = 'basic' }
        [categories]
        default = { appenders = ['egg', 'users'] }
        ");
    logging(&log, || {
        let request = info_span!("request", method = "GET", url = "/a", user_id = tracing::field::Empty);
        let _entered = request.enter();
        info!(target: "web", "anonymous");
        request.record("user_id", "../tj");
        turned.turn(Duration::from_millis(12));
        let inner = info_span!("query", table = "posts");
        inner.in_scope(|| info!(target: "web", "known"));
        request.record("user_id", "jt");
        info!(target: "web", "another");
    });
    let pid = std::process::id();
    let expected = format!(
        "2026-11-20 07:08:09,042 INFO {pid} [-/-/-/0ms GET /a] anonymous\n\
         2026-11-20 07:08:09,054 INFO {pid} [../tj/-/-/12ms GET /a] known\n\
         2026-11-20 07:08:09,054 INFO {pid} [jt/-/-/12ms GET /a] another\n"
    );
    assert_eq!(read(&folder, "egg.log"), expected);
    assert_eq!(read(&folder, "users/%2e.%2ftj.log"), "[2026-11-20T07:08:09.054] [INFO] web - known\n");
    assert_eq!(read(&folder, "users/jt.log"), "[2026-11-20T07:08:09.054] [INFO] web - another\n");
}

#[test]
fn a_day_is_rolled_and_a_moved_file_is_left_alone() {
    let (folder, log, turned) = log("
        zone = 'utc'
        appenders.a = { type = 'date_file', filename = 'DIR/a.log', layout.type = 'dummy' }
        categories.default.appenders = ['a']
        ");
    logging(&log, || info!("today"));
    turned.turn(Duration::from_secs(24 * 3600));
    logging(&log, || info!("tomorrow"));
    assert_eq!(
        (read(&folder, "a.log.2026-11-20"), read(&folder, "a.log")),
        ("today\n".into(), "tomorrow\n".into())
    );

    fs::rename(folder.path().join("a.log"), folder.path().join("moved")).unwrap();
    log.reopen();
    logging(&log, || info!("again"));
    assert_eq!((read(&folder, "moved"), read(&folder, "a.log")), ("tomorrow\n".into(), "again\n".into()));
}

#[test]
fn levels_are_asked_for_as_far_as_they_are_wanted() {
    use tracing::level_filters::LevelFilter;
    for (levels, hint) in [
        ("off", LevelFilter::OFF),
        ("mark", LevelFilter::ERROR),
        ("warn", LevelFilter::WARN),
        ("warn,app::db=debug", LevelFilter::DEBUG),
        ("all", LevelFilter::TRACE),
    ] {
        let config = LogConfig { level: levels.parse().unwrap(), ..LogConfig::default() };
        let log = Log::start(&config).unwrap();
        let subscriber = registry().with(log.layer());
        assert_eq!(Subscriber::max_level_hint(&subscriber), Some(hint), "{levels}");
    }
}

#[test]
fn a_file_that_cannot_be_opened_is_an_error_at_the_start() {
    for (appender, path) in [
        ("{ type = 'file', filename = '/proc/none/a.log' }", "/proc/none/a.log"),
        ("{ type = 'multi_file', base = '/proc/none', property = 'level' }", "/proc/none"),
    ] {
        let text = format!("appenders.a = {appender}\ncategories.default.appenders = ['a']");
        let error = Log::start(&toml::from_str(&text).unwrap()).map(drop).unwrap_err().to_string();
        assert!(error.starts_with(&format!("appender a: {path} cannot be opened: ")), "{error}");
    }
}
