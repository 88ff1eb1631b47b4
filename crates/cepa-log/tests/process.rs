//! The log of a process, as all of its threads see it.

use std::{fmt, fs, time::Duration};

use cepa_log::{AlreadyLogging, Log, LogConfig};
use tracing::{info, info_span};

/// A value that logs while it is written, and does not end.
struct Endless;

impl fmt::Display for Endless {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        info!("within");
        loop {
            f.write_str("for ever and ever ")?;
        }
    }
}

#[test]
fn a_log_is_that_of_the_process() {
    let folder = tempfile::tempdir().unwrap();
    let text = format!(
        "
        appenders.a = {{ type = 'file', filename = '{}/a.log', layout.type = 'message_pass_through' }}
        categories.default.appenders = ['a']
        ",
        folder.path().display()
    );
    let config: LogConfig = toml::from_str(&text).unwrap();
    let log = Log::start(&config).unwrap();
    log.install().unwrap();
    assert_eq!(log.install(), Err(AlreadyLogging));

    std::thread::scope(|scope| {
        for at in 0..4 {
            scope.spawn(move || info_span!("thread", at).in_scope(|| info!(at, "hello")));
        }
    });
    info!("{}", Endless);
    cepa_log::mark!("done");
    assert!(log.flush(Duration::from_secs(60)));

    let text = fs::read_to_string(folder.path().join("a.log")).unwrap();
    let mut lines: Vec<_> = text.lines().collect();
    lines[..4].sort_unstable();
    assert_eq!(lines[..5], ["hello at=0", "hello at=1", "hello at=2", "hello at=3", "within"]);
    assert_eq!((lines[5].len(), lines[6], lines.len()), (64 << 10, "done", 7));
    assert_eq!(log.lost(), 0);
}
