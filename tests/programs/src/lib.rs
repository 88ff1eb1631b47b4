//! Programs made by others that tests drive: found, or the test says that it has not run.

use std::{
    env,
    io::{self, Write},
    path::PathBuf,
};

/// Where a program is; `None` where it is missing.
pub fn find(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path).map(|dir| dir.join(name)).find(|file| file.is_file())
}

/// Says that a test has not run, for what is missing, and how to get it.
///
/// # Panics
/// In runs that nobody watches (`CI` is set): there nothing is left out.
pub fn has_not_run(test: &str, missing: &str) {
    let nobody_watches = env::var_os("CI").is_some_and(|ci| !ci.is_empty() && ci != "0" && ci != "false");
    assert!(!nobody_watches, "{test}: {missing}");
    // What a test prints by the macros is not shown when it passes.
    let line = format!("\n*** {test} HAS NOT RUN: {missing}\n\n");
    io::stderr().write_all(line.as_bytes()).expect("there is a standard error");
}

/// Ends a test that has just begun where a program is missing, saying so, and in which package of Debian it is.
///
/// ```
/// fn a_shell_is_there() {
///     cepa_programs::needs!("sh", "dash");
/// }
/// # a_shell_is_there();
/// ```
#[macro_export]
macro_rules! needs {
    ($name:literal) => {
        $crate::needs!($name, $name)
    };
    ($name:literal, $package:literal) => {
        if $crate::find($name).is_none() {
            let test = ::std::thread::current().name().unwrap_or("a test").to_owned();
            return $crate::has_not_run(&test, concat!("no ", $name, "; apt-get install ", $package));
        }
    };
}
