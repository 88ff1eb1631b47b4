//! `cargo xtask guide`: writes the guide's reference of the configuration from the comments at the fields it is read
//! into, so that it cannot say anything else than the source does.

mod reference;

use std::fs;

use crate::{Failure, process::root};

/// The page that is written.
const PAGE: &str = "docs/guide/src/reference.md";

/// The sources in which the types of the configuration are.
const SOURCES: [&str; 5] = [
    "crates/cepa-server/src/server.rs",
    "crates/cepa-server/src/listen/options.rs",
    "crates/cepa-server/src/tls/config.rs",
    "crates/cepa-server/src/limits.rs",
    "crates/cepa/src/log.rs",
];

/// The sections that Cepa itself reads, and the type of each.
const SECTIONS: [(&str, &str); 2] = [("server", "ServerConfig"), ("log", "LogConfig")];

/// `guide`
pub(crate) fn run(args: &[String]) -> Result<(), Failure> {
    if let Some(arg) = args.first() {
        return Err(Failure::Usage(format!("guide takes no {arg:?}")));
    }
    let written = page()
        .and_then(|text| fs::write(root().join(PAGE), text).map_err(|error| format!("{PAGE}: {error}")));
    written.map_err(|error| {
        println!("{error}");
        Failure::Failed
    })
}

/// The page as the sources say it.
fn page() -> Result<String, String> {
    let mut files = Vec::new();
    for path in SOURCES {
        let text = fs::read_to_string(root().join(path)).map_err(|error| format!("{path}: {error}"))?;
        files.push(syn::parse_file(&text).map_err(|error| format!("{path}: {error}"))?);
    }
    reference::page(&files, &SECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_is_what_the_sources_say() {
        let written = fs::read_to_string(root().join(PAGE)).unwrap();
        assert!(written == page().unwrap(), "{PAGE} is out of date; write it anew: cargo xtask guide");
    }
}
