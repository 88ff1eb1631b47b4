//! Which files change, and what each change calls for.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use notify::{
    Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher,
    event::{AccessKind, AccessMode},
};
use tokio::{sync::mpsc, time::timeout};

use super::{config::DevConfig, project::Project};

/// What a change calls for; a later one includes those before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Change {
    /// Pages are loaded again.
    Reload,
    /// The program is started again.
    Restart,
    /// The program is built again.
    Rebuild,
}

/// Which files are looked at.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) project: Project,
    pub(super) config: DevConfig,
    /// The folder of the configuration.
    pub(super) settings: PathBuf,
    /// What the program was made from.
    pub(super) files: BTreeSet<PathBuf>,
}

impl Layout {
    /// What it calls for that a file has changed.
    pub(super) fn change(&self, path: &Path) -> Option<Change> {
        let name = path.file_name()?.to_str()?;
        // What editors put beside a file that they write.
        let is_passing =
            name.starts_with('.') || name.ends_with('~') || name.ends_with(".tmp") || name == "4913";
        if is_passing || self.project.is_built(path) {
            return None;
        }
        let source = path.extension().is_some_and(|extension| extension == "rs")
            && (self.project.sources.iter().any(|folder| path.starts_with(folder))
                || self.is_beside_manifest(path));
        let manifest = matches!(name, "Cargo.toml" | "Cargo.lock") && self.is_beside_manifest(path);
        if source || manifest || self.files.contains(path) || self.is_below(&self.config.rebuild, path) {
            return Some(Change::Rebuild);
        }
        let setting = path.parent() == Some(&self.settings) && name.ends_with(".toml");
        if setting || self.is_below(&self.config.restart, path) {
            return Some(Change::Restart);
        }
        self.is_below(&self.config.reload, path).then_some(Change::Reload)
    }

    fn is_below(&self, folders: &[PathBuf], path: &Path) -> bool {
        folders.iter().any(|folder| path.starts_with(self.project.folder.join(folder)))
    }

    fn is_beside_manifest(&self, path: &Path) -> bool {
        let folder = path.parent();
        folder == Some(&self.project.workspace) || self.project.packages.iter().any(|own| folder == Some(own))
    }

    /// The folders to be watched, and whether with all below them.
    fn folders(&self) -> BTreeMap<PathBuf, RecursiveMode> {
        let own = &self.project.folder;
        let DevConfig { reload, restart, rebuild, .. } = &self.config;
        let trees = [reload, restart, rebuild].into_iter().flatten().map(|folder| own.join(folder));
        let trees: BTreeSet<PathBuf> = trees.chain(self.project.sources.iter().cloned()).collect();
        let is_in_tree = |folder: &Path| trees.iter().any(|tree| folder.starts_with(tree));
        let outermost = trees.iter().filter(|tree| !tree.parent().is_some_and(is_in_tree));
        let mut folders: BTreeMap<_, _> =
            outermost.map(|tree| (tree.clone(), RecursiveMode::Recursive)).collect();
        let files = self.files.iter().filter_map(|file| file.parent()).map(Path::to_owned);
        let single = self.project.packages.iter().chain([&self.project.workspace, &self.settings]).cloned();
        for folder in single.chain(files).filter(|folder| !is_in_tree(folder)) {
            folders.entry(folder).or_insert(RecursiveMode::NonRecursive);
        }
        folders
    }
}

/// Watches the files of a layout.
pub(super) struct Watch {
    watcher: RecommendedWatcher,
    watched: BTreeMap<PathBuf, RecursiveMode>,
}

/// The paths that change, as they do.
pub(super) type Paths = mpsc::UnboundedReceiver<Vec<PathBuf>>;

impl Watch {
    pub(super) fn new() -> notify::Result<(Self, Paths)> {
        let (changed, paths) = mpsc::unbounded_channel();
        let watcher = notify::recommended_watcher(move |event: notify::Result<Event>| {
            // That some were lost is noticed at the next change.
            if let Ok(event) = event
                && is_change(event.kind)
            {
                // At the end nobody is interested.
                let _ = changed.send(event.paths);
            }
        })?;
        Ok((Self { watcher, watched: BTreeMap::new() }, paths))
    }

    /// Watches what there is of the layout, and no more.
    pub(super) fn follow(&mut self, layout: &Layout) -> notify::Result<()> {
        let folders: BTreeMap<_, _> =
            layout.folders().into_iter().filter(|(path, _)| path.is_dir()).collect();
        for path in self.watched.keys().filter(|path| folders.get(*path) != self.watched.get(*path)) {
            // It may be gone, and its watch with it.
            let _ = self.watcher.unwatch(path);
        }
        self.watched.retain(|path, mode| folders.get(path) == Some(mode));
        for (path, mode) in folders {
            if !self.watched.contains_key(&path) {
                self.watcher.watch(&path, mode)?;
                self.watched.insert(path, mode);
            }
        }
        Ok(())
    }

    /// Forgets what is gone: should it come back, it is something else.
    pub(super) fn forget(&mut self, paths: &[PathBuf]) {
        for path in paths.iter().filter(|path| !path.is_dir()) {
            if self.watched.remove(path).is_some() {
                let _ = self.watcher.unwatch(path);
            }
        }
    }
}

fn is_change(kind: EventKind) -> bool {
    // Reading a file is none.
    !matches!(kind, EventKind::Access(kind) if kind != AccessKind::Close(AccessMode::Write))
}

/// Waits for changes until there are no more for a while; all paths, and what they call for.
pub(super) async fn next(paths: &mut Paths, layout: &RefCell<Layout>) -> (Vec<PathBuf>, Option<Change>) {
    let quiet = layout.borrow().config.quiet;
    let Some(mut all) = paths.recv().await else { return std::future::pending().await };
    // Whatever goes on changing is not waited for.
    let _ = timeout(quiet * 20, async {
        while let Ok(Some(more)) = timeout(quiet, paths.recv()).await {
            all.extend(more);
        }
    })
    .await;
    let change = all.iter().filter_map(|path| layout.borrow().change(path)).max();
    (all, change)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn layout() -> Layout {
        Layout {
            project: Project {
                folder: "/w/web".into(),
                package: "web".to_owned(),
                program: "web".to_owned(),
                packages: vec!["/w/web".into(), "/w/core".into()],
                sources: ["/w/web/src", "/w/core/src"].map(PathBuf::from).into(),
                workspace: "/w".into(),
                target: "/w/web/target".into(),
            },
            config: DevConfig { rebuild: vec!["proto".into()], ..DevConfig::default() },
            settings: "/w/web/config".into(),
            files: ["/w/web/view/inside.html", "/w/web/src/query.sql", "/w/else/x.txt"]
                .map(PathBuf::from)
                .into(),
        }
    }

    #[test]
    fn each_file_calls_for_what_reads_it() {
        use Change::*;
        for (path, change) in [
            ("/w/web/src/app.rs", Some(Rebuild)),
            ("/w/web/src/deep/er/app.rs", Some(Rebuild)),
            ("/w/core/src/lib.rs", Some(Rebuild)),
            ("/w/web/build.rs", Some(Rebuild)),
            ("/w/web/Cargo.toml", Some(Rebuild)),
            ("/w/Cargo.lock", Some(Rebuild)),
            ("/w/web/src/query.sql", Some(Rebuild)),
            ("/w/web/view/inside.html", Some(Rebuild)),
            ("/w/else/x.txt", Some(Rebuild)),
            ("/w/web/proto/a.proto", Some(Rebuild)),
            ("/w/web/config/default.toml", Some(Restart)),
            ("/w/web/locales/de.toml", Some(Restart)),
            ("/w/web/view/home.html", Some(Reload)),
            ("/w/web/public/deep/style.css", Some(Reload)),
            ("/w/web/src/.app.rs.swp", None),
            ("/w/web/src/app.rs~", None),
            ("/w/web/src/notes.txt", None),
            ("/w/web/tests/app.rs", None),
            ("/w/web/target/debug/build/x/out/a.rs", None),
            ("/w/web/data/app.redb", None),
            ("/w/other/src/lib.rs", None),
            ("/", None),
        ] {
            assert_eq!(layout().change(Path::new(path)), change, "{path}");
        }
    }

    #[test]
    fn an_app_in_the_target_folder_of_another_is_an_app() {
        let mut layout = layout();
        layout.project.target = "/w".into();
        assert_eq!(layout.change(Path::new("/w/web/src/app.rs")), Some(Change::Rebuild));
        assert_eq!(layout.change(Path::new("/w/debug/build/x/Cargo.toml")), None);
    }

    #[test]
    fn no_folder_is_watched_twice_and_what_is_built_not_at_all() {
        let folders = layout().folders();
        let (trees, single): (Vec<_>, Vec<_>) =
            folders.iter().partition(|(_, mode)| **mode == RecursiveMode::Recursive);
        let names = |list: Vec<(&PathBuf, &RecursiveMode)>| {
            list.iter().map(|(path, _)| path.display().to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(
            names(trees),
            "/w/core/src /w/web/locales /w/web/proto /w/web/public /w/web/src /w/web/static /w/web/templates /w/web/view"
        );
        assert_eq!(names(single), "/w /w/core /w/else /w/web /w/web/config");
    }
}
