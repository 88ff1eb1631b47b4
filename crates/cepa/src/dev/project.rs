//! The package that is developed, as cargo knows it: what is built of it, and from which files.

use std::{
    collections::{BTreeSet, HashMap},
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use serde::Deserialize;

/// The package that is developed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Project {
    /// The folder of the package.
    pub(super) folder: PathBuf,
    pub(super) package: String,
    /// The program that is built.
    pub(super) program: String,
    /// The folders of all packages that it is made of and that are no copies from a registry; the first is its own.
    pub(super) packages: Vec<PathBuf>,
    /// The folders that sources of these are in.
    pub(super) sources: BTreeSet<PathBuf>,
    /// The folder of the workspace.
    pub(super) workspace: PathBuf,
    /// Where cargo puts what it builds.
    pub(super) target: PathBuf,
}

/// Which package and program is meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) package: Option<String>,
    pub(crate) program: Option<String>,
    /// The program that was started, if it is one of the package's.
    pub(crate) own: Option<String>,
}

/// Why there is nothing to develop.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProjectError {
    #[error("cargo cannot be run: {0}")]
    Cargo(#[source] std::io::Error),
    #[error("cargo metadata has failed:\n{0}")]
    Failed(String),
    #[error("cargo metadata says what nobody understands: {0}")]
    Json(#[from] serde_json::Error),
    #[error("the workspace has several packages; name one with --package: {}", .0.join(", "))]
    WhichPackage(Vec<String>),
    #[error("there is no package {0} in the workspace")]
    NoPackage(String),
    #[error("the package {package} has no program{}", name.as_ref().map(|name| format!(" {name}")).unwrap_or_default())]
    NoProgram { package: String, name: Option<String> },
    #[error("the package has several programs; name one with --bin: {}", .0.join(", "))]
    WhichProgram(Vec<String>),
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_members: Vec<String>,
    resolve: Option<Resolve>,
    target_directory: PathBuf,
    workspace_root: PathBuf,
}

#[derive(Deserialize)]
struct Package {
    id: String,
    name: String,
    source: Option<String>,
    manifest_path: PathBuf,
    targets: Vec<Target>,
    default_run: Option<String>,
}

#[derive(Deserialize)]
struct Target {
    name: String,
    kind: Vec<String>,
    src_path: PathBuf,
}

#[derive(Deserialize)]
struct Resolve {
    root: Option<String>,
    nodes: Vec<Node>,
}

#[derive(Deserialize)]
struct Node {
    id: String,
    dependencies: Vec<String>,
}

/// The cargo that has started this program, else that of the path, for a child of `dev`.
pub(super) fn cargo() -> Command {
    let mut cargo = Command::new(env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo")));
    // What `cargo run` has told this program is about this program; a build script that looks at it would run anew.
    let told = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_CRATE_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in env::vars_os().filter(|(name, _)| name.to_str().is_some_and(told)) {
        cargo.env_remove(name);
    }
    cargo.stdin(Stdio::null());
    cargo
}

impl Project {
    /// Asks cargo about the package of a folder, the one above it if it is in one.
    pub(super) fn find(wanted: &Wanted, folder: &Path) -> Result<Self, ProjectError> {
        let mut cargo = cargo();
        let asked = cargo.args(["metadata", "--format-version", "1"]).current_dir(folder).output();
        let answer = asked.map_err(ProjectError::Cargo)?;
        if !answer.status.success() {
            return Err(ProjectError::Failed(String::from_utf8_lossy(&answer.stderr).trim_end().to_owned()));
        }
        Self::of(&serde_json::from_slice(&answer.stdout)?, wanted)
    }

    /// Whether cargo has made a file, rather than somebody who writes the app.
    pub(super) fn is_built(&self, path: &Path) -> bool {
        // The app may lie in the target folder of another, as those of tests do.
        let is_own = self.folder.starts_with(&self.target) && path.starts_with(&self.folder);
        path.starts_with(&self.target) && !is_own
    }

    fn of(metadata: &Metadata, wanted: &Wanted) -> Result<Self, ProjectError> {
        let package = metadata.package(wanted)?;
        let program = package.program(wanted)?.to_owned();
        let local = metadata.local(package);
        let sources = local.iter().flat_map(|package| package.sources()).collect();
        let packages = local.iter().map(|package| package.folder().to_owned()).collect();
        Ok(Self {
            folder: package.folder().to_owned(),
            package: package.name.clone(),
            program,
            packages,
            sources,
            workspace: metadata.workspace_root.clone(),
            target: metadata.target_directory.clone(),
        })
    }
}

impl Metadata {
    fn package(&self, wanted: &Wanted) -> Result<&Package, ProjectError> {
        let members = || self.packages.iter().filter(|package| self.workspace_members.contains(&package.id));
        if let Some(name) = &wanted.package {
            let found = members().find(|package| package.name == *name);
            return found.ok_or_else(|| ProjectError::NoPackage(name.clone()));
        }
        let root = self.resolve.as_ref().and_then(|resolve| resolve.root.as_ref());
        let candidates: Vec<_> = match root {
            Some(root) => self.packages.iter().filter(|package| package.id == *root).collect(),
            None => {
                let name = wanted.program.as_ref().or(wanted.own.as_ref());
                let has_it =
                    |package: &&Package| name.is_none_or(|name| package.programs().any(|own| own == name));
                members().filter(|package| package.programs().next().is_some()).filter(has_it).collect()
            }
        };
        match candidates[..] {
            [package] => Ok(package),
            _ => Err(ProjectError::WhichPackage(members().map(|package| package.name.clone()).collect())),
        }
    }

    /// A package and what it depends on, as far as it is no copy from a registry or repository.
    fn local<'a>(&'a self, package: &'a Package) -> Vec<&'a Package> {
        let nodes = self.resolve.iter().flat_map(|resolve| &resolve.nodes);
        let needs: HashMap<&str, &[String]> = nodes.map(|node| (&*node.id, &*node.dependencies)).collect();
        let by_id: HashMap<&str, &Package> =
            self.packages.iter().map(|package| (&*package.id, package)).collect();
        let (mut found, mut at) = (vec![package], 0);
        while at < found.len() {
            for id in needs.get(&*found[at].id).copied().unwrap_or_default() {
                if let Some(next) = by_id.get(&**id).filter(|next| next.source.is_none())
                    && !found.iter().any(|known| known.id == next.id)
                {
                    found.push(next);
                }
            }
            at += 1;
        }
        found
    }
}

impl Package {
    fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(&self.manifest_path)
    }

    fn programs(&self) -> impl Iterator<Item = &String> {
        let programs = self.targets.iter().filter(|target| target.kind.iter().any(|kind| kind == "bin"));
        programs.map(|target| &target.name)
    }

    fn program(&self, wanted: &Wanted) -> Result<&str, ProjectError> {
        let none = |name: Option<&String>| ProjectError::NoProgram {
            package: self.name.clone(),
            name: name.cloned(),
        };
        if let Some(name) = &wanted.program {
            return self
                .programs()
                .find(|own| *own == name)
                .map(|own| &**own)
                .ok_or_else(|| none(Some(name)));
        }
        let own = self.programs().find(|program| Some(*program) == wanted.own.as_ref());
        if let Some(name) = own.or(self.default_run.as_ref()) {
            return Ok(name);
        }
        match self.programs().collect::<Vec<_>>()[..] {
            [] => Err(none(None)),
            [program] => Ok(program),
            ref several => {
                Err(ProjectError::WhichProgram(several.iter().map(|&name| name.clone()).collect()))
            }
        }
    }

    /// The folders of what is compiled into others: not of tests, benches and examples.
    fn sources(&self) -> impl Iterator<Item = PathBuf> {
        let kinds = ["test", "bench", "example", "custom-build"];
        let built = self
            .targets
            .iter()
            .filter(move |target| !target.kind.iter().any(|kind| kinds.contains(&&**kind)));
        let folders = built.filter_map(|target| target.src_path.parent());
        // Whose sources lie beside its manifest has its tests there, and what it has built.
        folders.filter(|folder| *folder != self.folder()).map(Path::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn package(name: &str, source: Option<&str>, programs: &[&str]) -> Value {
        let folder = format!("/w/{name}");
        let target = |name: &str, kind: &str, path: &str| json!({ "name": name, "kind": [kind], "src_path": format!("{folder}/{path}") });
        let mut targets = vec![target(name, "lib", "src/lib.rs"), target("suite", "test", "tests/suite.rs")];
        targets.extend(programs.iter().map(|program| target(program, "bin", "src/main.rs")));
        json!({ "id": name, "name": name, "source": source, "manifest_path": format!("{folder}/Cargo.toml"),
            "targets": targets, "default_run": null })
    }

    fn project(root: Option<&str>, wanted: &Wanted) -> Result<Project, String> {
        let node = |id: &str, dependencies: &[&str]| json!({ "id": id, "dependencies": dependencies });
        let metadata = json!({
            "packages": [
                package("web", None, &["web"]), package("two", None, &["one", "two"]), package("core", None, &[]),
                package("serde", Some("registry"), &[]),
            ],
            "workspace_members": ["web", "two", "core"],
            "resolve": { "root": root, "nodes": [
                node("web", &["core", "serde"]), node("core", &["serde"]), node("two", &[]), node("serde", &[]),
            ] },
            "target_directory": "/w/target",
            "workspace_root": "/w",
        });
        Project::of(&serde_json::from_value(metadata).unwrap(), wanted).map_err(|error| error.to_string())
    }

    fn wanted(package: &str, program: &str, own: &str) -> Wanted {
        let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        Wanted { package: some(package), program: some(program), own: some(own) }
    }

    #[test]
    fn the_package_is_that_of_the_folder_or_the_one_that_is_named() {
        for (root, wanted, found) in [
            (Some("web"), wanted("", "", ""), Ok(("web", "web"))),
            (Some("web"), wanted("", "", "cepa"), Ok(("web", "web"))),
            (Some("web"), wanted("two", "one", ""), Ok(("two", "one"))),
            (Some("two"), wanted("", "", "two"), Ok(("two", "two"))),
            (None, wanted("", "", "one"), Ok(("two", "one"))),
            (
                Some("two"),
                wanted("", "", ""),
                Err("the package has several programs; name one with --bin: one, two"),
            ),
            (Some("web"), wanted("", "none", ""), Err("the package web has no program none")),
            (Some("core"), wanted("", "", ""), Err("the package core has no program")),
            (
                None,
                wanted("", "", ""),
                Err("the workspace has several packages; name one with --package: web, two, core"),
            ),
            (None, wanted("serde", "", ""), Err("there is no package serde in the workspace")),
        ] {
            let answer = project(root, &wanted);
            let answer =
                answer.as_ref().map(|found| (&*found.package, &*found.program)).map_err(|error| &**error);
            assert_eq!(answer, found);
        }
    }

    #[test]
    fn what_it_is_made_of_is_watched_and_copies_are_not() {
        let project = project(Some("web"), &Wanted::default()).unwrap();
        assert_eq!(project.packages, [PathBuf::from("/w/web"), "/w/core".into()]);
        assert_eq!(project.sources, ["/w/web/src", "/w/core/src"].map(PathBuf::from).into());
    }
}
