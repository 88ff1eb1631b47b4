//! Refuses paths that could be read as the path of another mount.

use std::borrow::Cow;

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, percent};

/// The paths of a host's mounts.
///
/// `/%61pi/users` or `//api/users` lie below `/` and not below `/api`, but whoever answers at `/` may take them for
/// `/api/users`: what a mount protects could be reached by another. They are answered 400.
#[derive(Debug)]
pub(crate) struct OneReading {
    /// The longest first, without slashes at their ends.
    mounts: Vec<String>,
}

impl OneReading {
    pub(crate) fn new<'p>(paths: impl Iterator<Item = &'p str>) -> Self {
        let mut mounts: Vec<String> = paths.map(|path| path.trim_end_matches('/').to_owned()).collect();
        mounts.sort_by_key(|path| std::cmp::Reverse(path.len()));
        Self { mounts }
    }

    /// The mount that a path lies below.
    fn mount(&self, path: &str) -> Option<&String> {
        self.mounts.iter().find(|mount| {
            path.strip_prefix(mount.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        })
    }

    fn is_one(&self, path: &str) -> bool {
        let plain = !path.contains(['%', '\\']) && !path.contains("//") && !path.contains("/.");
        plain || self.mount(path) == self.mount(&read(path))
    }
}

/// A path as the most lenient reader takes it: decoded, backslashes as slashes, without empty and dot segments.
fn read(path: &str) -> String {
    let decoded = percent::decode(path);
    let decoded = String::from_utf8_lossy(&decoded);
    let mut parts = Vec::new();
    for part in decoded.split(['/', '\\']) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    format!("/{}", parts.join("/"))
}

impl Middleware for OneReading {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if self.is_one(ctx.path()) {
            return next.run(ctx).boxed();
        }
        Box::pin(async { Err(Error::new(400, "the path can be read in two ways")) })
    }

    fn name(&self) -> Cow<'static, str> {
        "one_reading".into()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_with_two_readings_is_refused_where_they_differ_in_their_mount() {
        let mounts = OneReading::new(["/", "/api", "/api/admin"].into_iter());
        for (path, is_one) in [
            ("/", true),
            ("/api", true),
            ("/apiary", true),
            ("/a//b", true),
            ("/a%20b", true),
            ("/api/x%2Fy", true),
            ("/x/../y", true),
            ("*", true),
            ("/%61pi", false),
            ("//api", false),
            ("/./api/x", false),
            ("/x/../api", false),
            ("/x/%2e%2e/api", false),
            ("/\\api", false),
            ("/%5capi", false),
            ("/%2Fapi", false),
            ("/api/../x", false),
            ("/api/%61dmin", false),
            ("/api//admin/x", false),
            ("/api%2Fadmin", false),
        ] {
            assert_eq!(mounts.is_one(path), is_one, "{path}");
        }
        // Nothing to tell apart.
        assert!(OneReading::new(["/"].into_iter()).is_one("//%61pi/.."));
    }

    proptest! {
        #[test]
        fn a_path_is_read_once(path in "(/|[a-c.%]|%2f|%2e|%5c){0,20}") {
            let once = read(&path);
            prop_assert!(once.starts_with('/') && !once.contains("//"), "{}", once);
        }
    }
}
