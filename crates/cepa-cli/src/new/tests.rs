use std::collections::BTreeSet;

use super::*;

fn new(name: &str, path: &Path) -> New {
    New { name: name.parse().unwrap(), path: Some(path.to_owned()), cepa: None }
}

/// The paths of all files below a folder.
fn files(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.insert(path.strip_prefix(folder).unwrap().to_owned());
            }
        }
    }
    found
}

#[test]
fn every_file_of_the_scaffold_is_written_and_has_the_name() {
    let scaffold = Path::new(env!("CARGO_MANIFEST_DIR")).join("scaffold");
    let renamed = |path: PathBuf| match path.to_str() {
        Some("manifest.toml") => "Cargo.toml".into(),
        Some("gitignore") => ".gitignore".into(),
        _ => path,
    };
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("deep/er");
    assert_eq!(new("ring-shop", &folder).make().unwrap(), folder);
    assert_eq!(files(&folder), files(&scaffold).into_iter().map(renamed).collect());
    for path in files(&folder) {
        let text = fs::read_to_string(folder.join(&path)).unwrap();
        assert!(!text.contains("my-app") && !text.contains("my_app"), "{}", path.display());
    }
    let main = fs::read_to_string(folder.join("src/main.rs")).unwrap();
    assert!(main.contains("ring_shop::app"), "{main}");
    // Nothing else is left beside it.
    assert_eq!(fs::read_dir(folder.parent().unwrap()).unwrap().count(), 1);
}

#[test]
fn what_is_there_stays() {
    let home = tempfile::tempdir().unwrap();
    let (folder, file) = (home.path().join("folder"), home.path().join("file"));
    fs::create_dir(&folder).unwrap();
    fs::write(&file, "mine").unwrap();
    std::os::unix::fs::symlink("nowhere", home.path().join("link")).unwrap();
    for name in ["folder", "file", "link"] {
        let error = new("app", &home.path().join(name)).make().unwrap_err();
        assert!(matches!(error, NewError::Exists(_)), "{error}");
    }
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "mine");
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 3);
}

#[test]
fn without_cepa_nothing_is_made() {
    let home = tempfile::tempdir().unwrap();
    let folder = home.path().join("app");
    let error = New { cepa: Some(home.path().to_owned()), ..new("app", &folder) }.make().unwrap_err();
    assert!(
        error.to_string().ends_with("no sources of Cepa; name the folder of a checkout with --cepa"),
        "{error}"
    );
    assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0);
    // The folder of the checkout will do, as will that of the crate.
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    New { cepa: Some(checkout), ..new("app", &folder) }.make().unwrap();
}

#[test]
fn an_app_within_a_workspace_stands_for_itself() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("Cargo.toml"), "[workspace]\nmembers = []\n").unwrap();
    let folder = home.path().join("apps/one");
    new("one", &folder).make().unwrap();
    assert!(fs::read_to_string(folder.join("Cargo.toml")).unwrap().ends_with("[workspace]\n"));
}
