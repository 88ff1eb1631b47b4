//! `cargo xtask guide`: writes the guide's reference of the configuration from the comments at the fields it is read
//! into, so that it cannot say anything else than the source does.

mod reference;

use std::fs;

use crate::{Failure, process::root};

/// The page that is written.
const PAGE: &str = "docs/guide/src/reference.md";

/// The sources in which the types of the configuration are.
const SOURCES: [&str; 22] = [
    "crates/cepa-server/src/server.rs",
    "crates/cepa-server/src/listen/options.rs",
    "crates/cepa-server/src/tls/config.rs",
    "crates/cepa-acme/src/config.rs",
    "crates/cepa-server/src/limits.rs",
    "crates/cepa-bus/src/config.rs",
    "crates/cepa-server/src/proxy_protocol.rs",
    "crates/cepa-bus/src/limits.rs",
    "crates/cepa-cluster/src/config.rs",
    "crates/cepa-log/src/options.rs",
    "crates/cepa-log/src/options/appenders.rs",
    "crates/cepa-log/src/layout.rs",
    "crates/cepa/src/boot/lifecycle/config.rs",
    "crates/cepa/src/dev/config.rs",
    "crates/cepa-cluster/src/jobs/config.rs",
    "crates/cepa-site/src/config.rs",
    "crates/cepa-site/src/redirect.rs",
    "crates/cepa-layers/src/static_files.rs",
    "crates/cepa-layers/src/proxy.rs",
    "crates/cepa-layers/src/proxy/health.rs",
    "crates/cepa-layers/src/fastcgi_pass.rs",
    "crates/cepa-layers/src/cgi.rs",
];

/// The sections that Cepa itself reads, or has a type for, and the type of each.
const SECTIONS: [(&str, &str); 10] = [
    ("server", "ServerConfig"),
    ("acme", "AcmeConfig"),
    ("log", "LogConfig"),
    ("bus", "BusConfig"),
    ("cluster", "ClusterConfig"),
    ("lifecycle", "LifecycleConfig"),
    ("jobs", "JobsConfig"),
    ("dev", "DevConfig"),
    ("site", "SiteConfig"),
    ("hosts[]", "HostConfig"),
];

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
        let mut file = syn::parse_file(&text).map_err(|error| format!("{path}: {error}"))?;
        let module = path.rsplit('/').next().and_then(|name| name.strip_suffix(".rs")).unwrap_or(path);
        reference::qualify_options(&mut file, module);
        files.push(file);
    }
    reference::page(&files, &SECTIONS)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A page of the guide.
    fn read(name: &str) -> String {
        fs::read_to_string(root().join("docs/guide/src").join(name)).unwrap()
    }

    /// Where the links of a text lead, without fragments.
    fn links(text: &str) -> impl Iterator<Item = &str> {
        let ends = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
        ends.map(|(link, _)| link.split('#').next().unwrap_or_default()).filter(|link| !link.is_empty())
    }

    fn pages() -> Vec<String> {
        let entries = fs::read_dir(root().join("docs/guide/src")).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    }

    #[test]
    fn the_reference_is_what_the_sources_say() {
        let written = read("reference.md");
        assert!(written == page().unwrap(), "{PAGE} is out of date; write it anew: cargo xtask guide");
    }

    #[test]
    fn every_page_is_in_the_summary_and_its_code_is_compiled() {
        let summary = read("SUMMARY.md");
        let compiled = ["cepa", "cepa-site"].map(|name| format!("crates/{name}/src/guide.rs"));
        let compiled = compiled.map(|path| fs::read_to_string(root().join(path)).unwrap()).concat();
        for page in pages().iter().filter(|page| *page != "SUMMARY.md") {
            assert!(links(&summary).any(|link| link == page), "SUMMARY.md does not list {page}");
            let has_code = read(page).contains("```rust");
            assert_eq!(
                compiled.contains(&format!("/{page}\"")),
                has_code,
                "{page} in guide.rs of cepa or cepa-site"
            );
        }
    }

    /// Elsewhere than in the repository, as on a site, the book is alone: what is not part of it has no link, but a path.
    #[test]
    fn links_lead_to_pages_and_paths_to_files() {
        let known = pages();
        for page in &known {
            let text = read(page);
            for link in links(&text).filter(|link| !link.starts_with("http")) {
                assert!(known.iter().any(|page| page == link), "{page}: no such page: {link}");
            }
            let is_path = |text: &&str| {
                ["examples/", "docs/"].iter().any(|folder| text.starts_with(folder))
                    && !text.contains(char::is_whitespace)
            };
            for path in text.split('`').filter(is_path) {
                assert!(root().join(path).exists(), "{page}: no such file: {path}");
            }
        }
    }
}
