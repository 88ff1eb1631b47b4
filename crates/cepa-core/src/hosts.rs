//! The hosts of a program: which app answers for which name, for those who choose by it and those who call by it.

use std::{borrow::Cow, fmt, sync::Arc};

use http::Method;

use crate::{Ctx, Onion, Result, Statistics, host, statistics::Began};

/// The hosts of a program, in the order in which they are listed, and who answers for a name.
///
/// They are made once at start. Who answers for a name is for the maker to say, exactly, by pattern or by default. A handler
/// chooses one and has it [answer](Self::enter); from then on [`Ctx::call`] and [`Ctx::hosts`] know them.
/// [`App::hosts`](crate::App::hosts) tells the app around them, so that it knows them as well, and so do those who ask for
/// its statistics.
///
/// ```
/// use std::sync::Arc;
///
/// use cepa_core::{App, Ctx, Hosts, Result};
///
/// let shop = App::new().get("/price", async |_: &mut Ctx| "7").build()?;
/// let blog = App::new()
///     .get("/", async |ctx: &mut Ctx| -> Result<String> {
///         let price = ctx.call("shop.test", "/price", &[]).await?.text().await?;
///         Ok(format!("it costs {price}"))
///     })
///     .build()?;
/// let hosts = Hosts::new([("shop.test".into(), shop), ("blog.test".into(), blog)], |name| match name {
///     "shop.test" => Some(0),
///     _ if name.ends_with("blog.test") => Some(1),
///     _ => None,
/// });
///
/// let app = App::new().hosts(Arc::clone(&hosts)).fallback(async move |ctx: &mut Ctx| match hosts.find(ctx.host()) {
///     Some(at) => hosts.enter(at, ctx).await,
///     None => Err(ctx.error(421, "no such host")),
/// });
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// assert_eq!(client.get("/").header("host", "www.blog.test").await.text(), "it costs 7");
/// assert_eq!(client.get("/").header("host", "other.test").await.status(), 421);
/// # });
/// # Ok::<(), cepa_core::BuildError>(())
/// ```
pub struct Hosts {
    list: Box<[Host]>,
    find: Box<Find>,
}

/// Gives the place of the host for a name.
type Find = dyn Fn(&str) -> Option<usize> + Send + Sync;

/// One of the [`Hosts`].
#[derive(Debug)]
pub struct Host {
    name: Box<str>,
    app: Arc<Onion>,
}

/// Whose a request is.
#[derive(Clone, Default)]
pub(crate) enum Place {
    /// That of the app that runs.
    #[default]
    Here,
    /// That of this app, in which the one that runs is mounted.
    Below(Arc<Onion>),
    /// That of the host at this place.
    Host(Arc<Hosts>, usize),
}

impl Hosts {
    /// Hosts by the name they are listed under, each with its app, and what finds the place in this list for a name.
    ///
    /// `find` gets names in small letters, without a port and without a dot at the end; an IPv6 address is in its brackets.
    /// A place beyond the list is nobody's. Figures are kept for each app, so that two hosts with one app have one set of
    /// them.
    pub fn new(
        hosts: impl IntoIterator<Item = (String, Arc<Onion>)>,
        find: impl Fn(&str) -> Option<usize> + Send + Sync + 'static,
    ) -> Arc<Self> {
        let list = hosts.into_iter().map(|(name, app)| Host { name: name.into(), app }).collect();
        Arc::new(Self { list, find: Box::new(find) })
    }

    /// The hosts in their order.
    pub fn list(&self) -> &[Host] {
        &self.list
    }

    /// The place of the host that answers for an authority such as `Shop.Test.:8080`; of none, where that is malformed.
    pub fn find(&self, authority: &str) -> Option<usize> {
        let name = host::hostname(authority);
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.is_empty() {
            return None;
        }
        let name = match name.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(name.to_ascii_lowercase()),
            false => Cow::Borrowed(name),
        };
        (self.find)(&name).filter(|at| *at < self.list.len())
    }

    /// Has the host at this place answer a request: it passes the layers of the host's app, with its path as it is.
    ///
    /// Nothing of the app around it is inherited, as by [`App::into_handler`](crate::App::into_handler).
    ///
    /// # Panics
    /// When there is no such place; those from [`find`](Self::find) are.
    pub async fn enter(self: &Arc<Self>, at: usize, ctx: &mut Ctx) -> Result {
        let app = &self.list[at].app;
        let began = Began::now();
        let below = ctx.descend_to(self, at);
        let result = app.tally.watch(app.run(below.ctx)).await;
        let ctx = &mut *below.ctx;
        match &result {
            Err(error) => app.tally.end(began, error.status().is_server_error(), 0),
            // It is as good as finished.
            Ok(()) if *ctx.request.method() == Method::HEAD => {
                app.tally.end(began, ctx.status().is_server_error(), 0);
            }
            Ok(()) => ctx.response.count(app, began),
        }
        result
    }
}

impl Host {
    /// The name it is listed under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its app.
    pub fn app(&self) -> &Arc<Onion> {
        &self.app
    }

    /// What its app has done in this process.
    pub fn statistics(&self) -> Statistics {
        self.app.statistics()
    }
}

impl fmt::Debug for Hosts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.list.iter().map(|host| &host.name)).finish()
    }
}
