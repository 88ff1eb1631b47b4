//! What a ctx knows of other hosts.

use std::{panic::Location, sync::Arc};

use super::Ctx;
use crate::{Call, Host, Hosts, Onion, Result, call::Unanswered, hosts::Place};

impl Ctx {
    /// The hosts of this program, in the order in which they are listed; none where it does not choose by host.
    pub fn hosts(&self) -> &[Host] {
        self.known_hosts().map_or(&[], |hosts| hosts.list())
    }

    /// Asks the app of a host for something, in this process and without a network: a request in the making, which
    /// `.await` sends.
    ///
    /// - `host` is one of [`hosts`](Self::hosts), by any name it answers for. The empty text, and where a program does not
    ///   choose by host the name in this request, is the app that this request was made to.
    /// - `uri` is a path and maybe a query, `params` are pairs for the query, or for the form that is the body of a POST, PUT
    ///   or PATCH without another.
    /// - The app has a [`Ctx`] of its own, and none of this one's headers, cookies or state. It sees no client, unless this
    ///   one is [lent](Call::as_client) to it, but it sees whether this request came over TLS.
    /// - It runs within this handler: what ends this one, such as the time of its request or that its client has gone, ends
    ///   it too. For less time there is `tokio::time::timeout`. What it [defers](Self::defer) is done after this response.
    /// - Calls may be nested as deep as the server's `limits.call_depth` says, by default 8.
    ///
    /// The answer has any status; it is an error only where nobody was asked, see [`Unanswered`].
    ///
    /// ```
    /// use cepa_core::{App, Ctx, Result};
    ///
    /// let app = App::new()
    ///     .get("/price", async |ctx: &mut Ctx| match ctx.query_value("id").as_deref() {
    ///         Some("7") => Ok("12 onions"),
    ///         _ => Err(ctx.error(404, "no such thing")),
    ///     })
    ///     .get("/", async |ctx: &mut Ctx| -> Result<String> {
    ///         let price = ctx.call("", "/price", &[("id", "7")]).await?;
    ///         Ok(format!("{}: {}", price.status(), price.text().await?))
    ///     });
    /// # cepa_core::test::block_on(async {
    /// assert_eq!(app.test().get("/").await.text(), "200 OK: 12 onions");
    /// # });
    /// ```
    #[track_caller]
    pub fn call(&self, host: &str, uri: &str, params: &[(&str, &str)]) -> Call<'_> {
        Call::new(self, host, uri, params, Location::caller())
    }

    fn known_hosts(&self) -> Option<&Arc<Hosts>> {
        match &self.place {
            Place::Host(hosts, _) => Some(hosts),
            Place::Here | Place::Below(_) => self.onion.hosts.as_ref(),
        }
    }

    /// Who answers for a host, and whose the request is then.
    pub(crate) fn answers(&self, host: &str) -> Result<(Arc<Onion>, Place), Unanswered> {
        if let Some(hosts) = self.known_hosts().filter(|_| !host.is_empty()) {
            let at = hosts.find(host).ok_or_else(|| Unanswered::Host(host.to_owned()))?;
            return Ok((Arc::clone(hosts.list()[at].app()), Place::Host(Arc::clone(hosts), at)));
        }
        let is_own = |own: &str| host.eq_ignore_ascii_case(own);
        if !host.is_empty() && !is_own(self.hostname()) && !is_own(self.host()) {
            return Err(Unanswered::Host(host.to_owned()));
        }
        Ok(match &self.place {
            Place::Here => (Arc::clone(&self.onion), Place::Here),
            Place::Below(outermost) => (Arc::clone(outermost), Place::Here),
            Place::Host(hosts, at) => (Arc::clone(hosts.list()[*at].app()), self.place.clone()),
        })
    }
}
