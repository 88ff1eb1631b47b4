//! The features of the layers: each of them builds alone, and without a warning.
//!
//! Tests and the other steps build all features at once, and would not see a layer that uses a crate, or another layer,
//! of a feature that is not its own.

use std::fs;

use crate::{
    outcome::Outcome,
    process::{cargo, root, succeeds},
};

/// The crates with features of this kind; the others have a few that exclude each other, and are built with their
/// defaults everywhere.
const CRATES: [&str; 2] = ["cepa-layers", "cepa"];

/// Checks each crate without features, with its defaults, and with each feature alone.
pub(crate) fn each(_: bool) -> Outcome {
    let mut counted = 0;
    let mut failed = Vec::new();
    for name in CRATES {
        let manifest = root().join("crates").join(name).join("Cargo.toml");
        let features = match fs::read_to_string(&manifest) {
            Ok(text) => names(&text),
            Err(error) => return Outcome::Failed(format!("{}: {error}", manifest.display())),
        };
        for features in std::iter::once("").chain(features.iter().map(String::as_str)) {
            counted += 1;
            if !is_clean(name, features) {
                failed.push(format!("{name} with {features:?}"));
            }
        }
    }
    match failed.as_slice() {
        [] => Outcome::Passed(format!("{counted} combinations")),
        _ => Outcome::Failed(failed.join(", ")),
    }
}

fn is_clean(name: &str, features: &str) -> bool {
    let args = ["clippy", "--quiet", "--package", name, "--no-default-features", "--features", features];
    succeeds(cargo(args).args(["--", "-D", "warnings"]))
}

/// The keys of the table `features` of a manifest.
fn names(manifest: &str) -> Vec<String> {
    let lines = manifest.lines().skip_while(|line| *line != "[features]").skip(1);
    // The lines of a long list are indented.
    let keys = lines.take_while(|line| !line.starts_with('[')).filter_map(|line| line.split_once(" = "));
    keys.map(|(key, _)| key.to_owned())
        .filter(|key| key.chars().all(|c| c.is_alphanumeric() || "-_".contains(c)))
        .collect()
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
