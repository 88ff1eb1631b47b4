//! Prefixes that are mounted and unmounted while the server runs; the longest answers.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, PoisonError, RwLock},
};

use cepa_core::{App, BuildError, Ctx, Handler, LocalBoxFuture, Middleware, Next, Result};

use crate::erased::{AnyHandler, erase};

/// A table of prefixes and what answers below each, which may change at any time. WEBrick's mounts.
///
/// What is known at start belongs to [`App::mount`]: it is checked there, shown by `routes`, and inherits settings.
///
/// - The longest prefix at or below which a path lies answers; `/api` is not a prefix of `/apiary`.
/// - It sees the path without the prefix, which is found again in [`Ctx::mount_path`].
/// - A request that is at hand ends where it began, whatever is unmounted meanwhile.
/// - As a layer it lets what it does not know pass inwards, as a handler it answers 404.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::mount_table;
///
/// let table = mount_table();
/// let app = App::new().with(table.clone());
/// table.mount("/plugins/hello", async |ctx: &mut Ctx| format!("hello from {}", ctx.mount_path()))?;
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// assert_eq!(client.get("/plugins/hello").await.text(), "hello from /plugins/hello");
/// table.unmount("/plugins/hello");
/// assert_eq!(client.get("/plugins/hello").await.status(), 404);
/// # });
/// # Ok::<(), cepa_layers::mount_table::MountError>(())
/// ```
pub fn mount_table() -> MountTable {
    MountTable::default()
}

/// See [`mount_table()`]; a clone is the same table.
#[derive(Clone, Default)]
pub struct MountTable(Arc<RwLock<Arc<[Entry]>>>);

#[derive(Clone)]
struct Entry {
    /// Without a slash at its end.
    prefix: Box<str>,
    handler: AnyHandler,
}

/// Why something cannot be mounted.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// The prefix is no path.
    #[error("{0:?} does not begin with a slash, or holds a query, a fragment or an empty segment")]
    Prefix(String),
    /// The app does not build.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl MountTable {
    /// Mounts a handler at a prefix, in place of what was there.
    ///
    /// # Errors
    /// When the prefix is no path.
    pub fn mount<R: 'static>(&self, prefix: &str, handler: impl Handler<R>) -> Result<(), MountError> {
        let trimmed = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_path = trimmed.is_empty() || trimmed.starts_with('/') && !trimmed.ends_with('/');
        if prefix.is_empty() || !is_path || trimmed.contains("//") || trimmed.contains(['?', '#']) {
            return Err(MountError::Prefix(prefix.to_owned()));
        }
        let entry = Entry { prefix: trimmed.into(), handler: erase(handler) };
        self.change(|entries| {
            entries.retain(|known| known.prefix != entry.prefix);
            entries.push(entry);
            entries.sort_by_key(|entry| std::cmp::Reverse(entry.prefix.len()));
        });
        Ok(())
    }

    /// Mounts an app at a prefix, in place of what was there. It keeps its own settings and inherits none.
    ///
    /// # Errors
    /// When the prefix is no path or the app does not build.
    pub fn mount_app(&self, prefix: &str, app: App) -> Result<(), MountError> {
        self.mount(prefix, app.into_handler()?)
    }

    /// Takes away what is mounted at a prefix; whether there was something.
    pub fn unmount(&self, prefix: &str) -> bool {
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        self.change(|entries| {
            let before = entries.len();
            entries.retain(|entry| *entry.prefix != *prefix);
            entries.len() < before
        })
    }

    /// What is mounted, the longest prefix first.
    pub fn prefixes(&self) -> Vec<String> {
        let shown =
            |entry: &Entry| if entry.prefix.is_empty() { "/".to_owned() } else { entry.prefix.to_string() };
        self.entries().iter().map(shown).collect()
    }

    fn entries(&self) -> Arc<[Entry]> {
        // Nothing panics while the lock is held, so a poisoned table is still whole.
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Vec<Entry>) -> T) -> T {
        let mut table = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut entries = table.to_vec();
        let result = change(&mut entries);
        *table = entries.into();
        result
    }

    /// What answers at a path, and below which prefix.
    fn find(&self, path: &str) -> Option<Entry> {
        let is_below = |entry: &&Entry| {
            let rest = path.strip_prefix(&*entry.prefix);
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        self.entries().iter().find(is_below).cloned()
    }
}

impl Middleware for MountTable {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        let Some(entry) = self.find(ctx.path()) else { return next.run(ctx).boxed() };
        Box::pin(async move { ctx.run_below(&entry.prefix, &*entry.handler).await.map(drop) })
    }

    fn name(&self) -> Cow<'static, str> {
        "mount_table".into()
    }
}

impl Handler<()> for MountTable {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            if let Some(entry) = self.find(ctx.path()) {
                ctx.run_below(&entry.prefix, &*entry.handler).await?;
            }
            Ok(())
        })
    }

    fn name(&self) -> Cow<'static, str> {
        "mount_table".into()
    }
}

impl fmt::Debug for MountTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("MountTable").field(&self.prefixes()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::test::block_on;

    async fn whoami(ctx: &mut Ctx) -> String {
        format!("{}|{}", ctx.mount_path(), ctx.path())
    }

    #[test]
    fn the_longest_prefix_answers_while_it_is_mounted() {
        let table = mount_table();
        for prefix in ["/a", "/a/b/", "/c"] {
            table.mount(prefix, whoami).unwrap();
        }
        table.mount_app("/app", App::new().get("/users/{id}", whoami)).unwrap();
        assert_eq!(table.prefixes(), ["/a/b", "/app", "/a", "/c"]);
        let client = App::new().with(table.clone()).get("/{*rest}", async |_: &mut Ctx| "inwards").test();
        block_on(async {
            for (path, text) in [
                ("/a", "/a|/"),
                ("/a/", "/a|/"),
                ("/a/x?y", "/a|/x"),
                ("/a/b", "/a/b|/"),
                ("/a/b/c/d", "/a/b|/c/d"),
                ("/a/bc", "/a|/bc"),
                ("/ab", "inwards"),
                ("/app/users/7", "/app|/users/7"),
                ("/app/none", "Not Found"),
            ] {
                assert_eq!(client.get(path).await.text(), text, "{path}");
            }
            assert!(table.unmount("/a/b/") && !table.unmount("/a/b"));
            assert_eq!(client.get("/a/b").await.text(), "/a|/b");
            table.mount("/a", async |_: &mut Ctx| "replaced").unwrap();
            assert_eq!(client.get("/a/b").await.text(), "replaced");
            table.mount("/", async |_: &mut Ctx| "all else").unwrap();
            assert_eq!(client.get("/ab").await.text(), "all else");
        });
    }

    #[test]
    fn as_a_handler_it_answers_404_and_prefixes_are_paths() {
        let table = mount_table();
        let client = App::new().mount("/outer", table.clone()).test();
        table.mount("/in", whoami).unwrap();
        block_on(async {
            assert_eq!(client.get("/outer/in/x").await.text(), "/outer/in|/x");
            assert_eq!(client.get("/outer/none").await.status(), 404);
        });
        for bad in ["", "a", "a/", "/a//", "//", "/a//b", "/a?b", "/a#b"] {
            assert!(table.mount(bad, whoami).is_err(), "{bad}");
        }
    }
}
