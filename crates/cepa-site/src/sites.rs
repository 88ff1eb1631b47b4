//! Apps by the host that a request asks for.

use std::{borrow::Cow, sync::Arc};

use cepa_core::{App, BuildError, Ctx, Error, Handler, Hosts, LocalBoxFuture, Onion, Result};
use http::StatusCode;

use crate::{
    config::Unknown,
    names::{HostName, InvalidHostName},
    table::{At, Table},
};

/// Virtual hosts: apps by the host that a request asks for, and by the address that it came to.
///
/// - Those for the address and port go before those for the address, then for the port, then those for any. Among them an
///   exact name goes before `*.name`, a longer name of these before a shorter one, then come expressions in their order, and
///   `*` is for all others: see [`HostName`].
/// - The host is that of [`Ctx::hostname`], which believes trusted proxies alone. Neither case, nor the port, nor a dot at
///   the end counts.
/// - A host that nobody answers for is a 421, or a 404.
/// - Each app is built by itself: it has its own settings, and inherits nothing of an app around.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_site::Sites;
///
/// let shop = App::new().get("/", async |_: &mut Ctx| "shop");
/// let tenants = App::new().get("/", async |ctx: &mut Ctx| format!("tenant {}", ctx.subdomains().join(".")));
/// let app = Sites::new()
///     .host(["shop.test", "www.shop.test"], shop)?
///     .host(["*.tenants.test"], tenants)?
///     .into_app();
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// assert_eq!(client.get("/").header("host", "Shop.test.:8080").await.text(), "shop");
/// assert_eq!(client.get("/").header("host", "one.tenants.test").await.text(), "tenant one");
/// assert_eq!(client.get("/").header("host", "tenants.test").await.status(), 421);
/// # });
/// # Ok::<(), cepa_site::SitesError>(())
/// ```
#[derive(Debug, Default)]
pub struct Sites {
    /// The name that each is listed under, and its app.
    list: Vec<(String, Arc<Onion>)>,
    table: Table,
    unknown: Unknown,
}

/// Why a host cannot be added.
#[derive(Debug, thiserror::Error)]
pub enum SitesError {
    /// A name.
    #[error(transparent)]
    Name(#[from] InvalidHostName),
    /// A name that another host has, at the same address.
    #[error("{name} is a name of {of} already")]
    Taken {
        /// The name.
        name: String,
        /// The host, as it is listed.
        of: String,
    },
    /// No name at all.
    #[error("a host has one name at least")]
    NoName,
    /// The app.
    #[error(transparent)]
    Build(#[from] BuildError),
}

impl Sites {
    /// No hosts: every request is a 421.
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what a request gets that asks for none of the hosts.
    #[must_use]
    pub fn unknown(mut self, unknown: Unknown) -> Self {
        self.unknown = unknown;
        self
    }

    /// Adds a host by its names, written as [`HostName`] has it.
    ///
    /// # Errors
    /// A text that is no name, a name that another host has, an app that does not build.
    pub fn host<'n>(self, names: impl IntoIterator<Item = &'n str>, app: App) -> Result<Self, SitesError> {
        let names = names.into_iter().map(str::parse).collect::<Result<Vec<_>, _>>()?;
        self.host_at(&[], &names, app)
    }

    /// [`host`](Self::host) at some addresses of this machine only; at all, if there are none.
    ///
    /// # Errors
    /// As there.
    pub fn host_at(mut self, listen: &[At], names: &[HostName], app: App) -> Result<Self, SitesError> {
        let place = self.list.len();
        let first = names.first().ok_or(SitesError::NoName)?;
        let listed = match listen.first() {
            Some(at) => format!("{first} at {at}"),
            None => first.to_string(),
        };
        let everywhere = if listen.is_empty() { Some(None) } else { None };
        for at in listen.iter().copied().map(Some).chain(everywhere) {
            for name in names {
                self.table.add(at, name, place).map_err(|taken| SitesError::Taken {
                    name: name.to_string(),
                    of: self.list.get(taken).map_or_else(|| "the same host".to_owned(), |(of, _)| of.clone()),
                })?;
            }
        }
        self.list.push((listed, app.build()?));
        Ok(self)
    }

    /// The app that has them answer.
    pub fn into_app(self) -> App {
        let Self { list, table, unknown } = self;
        let table = Arc::new(table);
        let named = Arc::clone(&table);
        let hosts = Hosts::new(list, move |name| named.find_named(name));
        let status = match unknown {
            Unknown::Misdirected => StatusCode::MISDIRECTED_REQUEST,
            Unknown::NotFound => StatusCode::NOT_FOUND,
        };
        App::new().hosts(Arc::clone(&hosts)).fallback(Choose { hosts, table, unknown: status })
    }
}

/// Has the host answer that is asked for.
struct Choose {
    hosts: Arc<Hosts>,
    table: Arc<Table>,
    unknown: StatusCode,
}

impl Handler<()> for Choose {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            match self.table.find(ctx.hostname(), ctx.connection().local()) {
                Some(at) => self.hosts.enter(at, ctx).await,
                None => Err(Error::status_only(self.unknown)),
            }
        })
    }

    fn name(&self) -> Cow<'static, str> {
        "hosts".into()
    }
}

#[cfg(test)]
mod tests {
    use cepa_core::test::block_on;

    use super::*;

    fn app(name: &'static str) -> App {
        App::new().get("/", async move |ctx: &mut Ctx| format!("{name}{}", ctx.path()))
    }

    #[test]
    fn hosts_are_listed_and_explained() {
        let at = ["127.0.0.1:80".parse().unwrap()];
        let app = Sites::new()
            .host(["a.test", "*.a.test"], app("a").mount("/in", app("in")))
            .unwrap()
            .host_at(&at, &["*".parse().unwrap()], app("any"))
            .unwrap()
            .into_app();
        let onion = app.build().unwrap();
        let rows = onion.routes().into_iter();
        let rows: Vec<_> = rows.map(|route| (route.host.unwrap_or_default(), route.path)).collect();
        let expected = [("a.test", "/"), ("a.test", "/in/"), ("* at 127.0.0.1:80", "/")];
        assert_eq!(rows, expected.map(|(host, path)| (host.to_owned(), path.to_owned())));
        let explain = |host: &str| -> Vec<String> {
            let steps = onion.explain(&http::Method::GET, host, "/in/");
            steps.into_iter().map(|step| format!("{} {}", step.depth, step.name)).collect()
        };
        let way = explain("x.a.test");
        assert_eq!(way[..2], ["0 hosts", "0 host a.test"], "{way:?}");
        assert!(way.last().is_some_and(|last| last.starts_with("2 ")), "{way:?}");
        assert_eq!(explain("b.test"), ["0 hosts"]);
    }

    #[test]
    fn nobody_is_answered_as_it_is_said() {
        for (unknown, status) in [(Unknown::Misdirected, 421), (Unknown::NotFound, 404)] {
            let sites = Sites::new().unknown(unknown).host(["a.test"], app("a")).unwrap();
            let client = sites.into_app().test();
            for (host, status) in [("b.test", status), ("a.test:99999", status), ("a.test.:80", 200)] {
                assert_eq!(block_on(client.get("/").header("host", host)).status(), status, "{host}");
            }
        }
    }

    #[test]
    fn a_host_without_a_fault_is_added() {
        let told = |names: &[&str]| {
            let sites = Sites::new().host(["a.test"], app("a")).unwrap();
            sites.host(names.iter().copied(), app("b")).map(drop).map_err(|error| error.to_string())
        };
        assert_eq!(told(&["b.test"]), Ok(()));
        assert_eq!(told(&[]).unwrap_err(), "a host has one name at least");
        assert_eq!(told(&["b.test", "A.test"]).unwrap_err(), "a.test is a name of a.test already");
        assert_eq!(told(&["b.test", "b.test"]).unwrap_err(), "b.test is a name of the same host already");
        assert!(told(&["b.test:80"]).is_err());
    }
}
