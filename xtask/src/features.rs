//! The features of the layers: each of them builds alone, and without a warning.
//!
//! Tests and the other steps build all features at once, and would not see a layer that uses a crate, or another layer,
//! of a feature that is not its own.

use std::fs;

use crate::{
    outcome::Outcome,
    process::{cargo, root, succeeds},
};

/// The crate whose features are independent of each other.
const LAYERS: &str = "cepa-layers";
/// The facade without layers, under either cryptography, and with the features that have code of their own. That it
/// forwards their features cargo checks by itself.
const FACADE: [(&str, &str); 5] = [
    ("cepa", "aws-lc-rs"),
    ("cepa", "ring"),
    ("cepa", "ring,dev"),
    ("cepa", "ring,acme"),
    ("cepa", "aws-lc-rs,acme,cluster"),
];
/// Certificates by ACME, under either cryptography.
const ACME: [(&str, &str); 2] = [("cepa-acme", "aws-lc-rs"), ("cepa-acme", "ring")];
/// The bus, in memory only and with a file.
const BUS: [(&str, &str); 2] = [("cepa-bus", ""), ("cepa-bus", "durable")];

/// What others bring with them is not there when each is built by itself.
const BELOW: [(&str, &str); 5] = [
    ("cepa-core", ""),
    ("cepa-log", ""),
    ("cepa-websocket", "deflate"),
    ("cepa-server", "ring"),
    ("cepa-cluster", "ring"),
];

/// Checks the layers without features and with each feature alone, the facade without layers, and what both stand on.
pub(crate) fn each(_: bool) -> Outcome {
    let manifest = root().join("crates").join(LAYERS).join("Cargo.toml");
    let features = match fs::read_to_string(&manifest) {
        Ok(text) => names(&text),
        Err(error) => return Outcome::Failed(format!("{}: {error}", manifest.display())),
    };
    let alone = features.iter().map(|feature| (LAYERS, feature.as_str()));
    let others = FACADE.into_iter().chain(ACME).chain(BUS).chain(BELOW);
    let all: Vec<_> = std::iter::once((LAYERS, "")).chain(alone).chain(others).collect();
    let failed: Vec<_> = all.iter().filter(|(name, features)| !is_clean(name, features)).collect();
    match failed.as_slice() {
        [] => Outcome::Passed(format!("{} combinations", all.len())),
        _ => Outcome::Failed(format!("{failed:?}")),
    }
}

fn is_clean(name: &str, features: &str) -> bool {
    // The features that need cryptography do not say which.
    let features = if name == LAYERS { format!("aws-lc-rs,{features}") } else { features.to_owned() };
    let args = ["clippy", "--quiet", "--package", name, "--no-default-features", "--features", &features];
    succeeds(cargo(args).args(["--", "-D", "warnings"]))
}

/// The keys of the table `features` of a manifest.
fn names(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| *line != "[features]").skip(1);
    // The lines of a long list are indented, and those of comments begin with #.
    let is_key = |line: &&str| line.starts_with(|first: char| first.is_ascii_alphanumeric());
    let keys = lines.take_while(|line| !line.starts_with('[')).filter(is_key);
    keys.filter_map(|line| Some(line.split_once(" = ")?.0.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_keys_of_one_table_are_the_features() {
        let manifest = "\
[package]
name = \"x\"

[features]
# A = comment
default = [\"a-b\"]
a-b = [
    \"dep:c\",
    \"c?/d = e\",
]
redis = [\"dep:redis\"]

[dependencies]
serde = \"1\"
";
        assert_eq!(names(manifest), ["default", "a-b", "redis"]);
        assert_eq!(names("[package]\n"), [""; 0]);
    }
}
