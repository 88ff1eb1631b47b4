//! Sends clients elsewhere.

use std::borrow::Cow;

use cepa_core::{Ctx, Error, Handler, LocalBoxFuture, Result, location};
use http::StatusCode;
use serde::{
    Deserialize, Deserializer,
    de::{self, Error as _},
};

/// Where clients are sent; in a configuration a URL, or a table of these fields.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RedirectConfig {
    /// An absolute URL, or a path. `{host}` stands for the host that was asked for, without its port.
    pub to: String,
    /// The status, default 307, which clients do not remember: 301, 302, 303, 307 or 308.
    #[serde(default = "temporary")]
    pub status: u16,
    /// Whether what was asked for below the mount, with its query, is put behind the URL, default true.
    #[serde(default = "yes")]
    pub path: bool,
}

fn temporary() -> u16 {
    StatusCode::TEMPORARY_REDIRECT.as_u16()
}

fn yes() -> bool {
    true
}

impl RedirectConfig {
    /// To this URL, for this time only, with the path.
    pub fn new(to: impl Into<String>) -> Self {
        Self { to: to.into(), status: temporary(), path: true }
    }

    fn check(&self) -> std::result::Result<(), String> {
        let Self { to, status, path } = self;
        if !matches!(status, 301 | 302 | 303 | 307 | 308) {
            return Err(format!("status {status} is no redirect: write 301, 302, 303, 307 or 308"));
        }
        let shown = to.replace("{host}", "host.test");
        let is_url = ["http://", "https://"].iter().any(|scheme| shown.starts_with(scheme));
        let sound = is_url && location::normalise_location(&shown).is_ok() || location::is_local(&shown);
        if !sound || shown.contains(['{', '}']) {
            return Err(format!("to {to:?} is neither an http or https URL nor a path"));
        }
        if *path && to.contains(['?', '#']) {
            return Err("to has a query or a fragment, behind which no path can be put: say `path = false`"
                .to_owned());
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for RedirectConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let config = deserializer.deserialize_any(UrlOrTable)?;
        config.check().map_err(D::Error::custom)?;
        Ok(config)
    }
}

struct UrlOrTable;

impl<'de> de::Visitor<'de> for UrlOrTable {
    type Value = RedirectConfig;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a URL, or a table with `to`")
    }

    fn visit_str<E: de::Error>(self, to: &str) -> std::result::Result<RedirectConfig, E> {
        Ok(RedirectConfig::new(to))
    }

    fn visit_map<A: de::MapAccess<'de>>(self, table: A) -> std::result::Result<RedirectConfig, A::Error> {
        RedirectConfig::deserialize(de::value::MapAccessDeserializer::new(table))
    }
}

/// A handler that sends clients elsewhere.
#[derive(Debug)]
pub(crate) struct Redirect(pub(crate) RedirectConfig);

impl Redirect {
    fn location(&self, ctx: &Ctx) -> Result<String> {
        let mut to = Cow::Borrowed(&*self.0.to);
        if to.contains("{host}") {
            let host = ctx.hostname();
            if host.is_empty() {
                return Err(Error::status_only(400));
            }
            to = to.replace("{host}", host).into();
        }
        if !self.0.path {
            return Ok(to.into_owned());
        }
        // The path that was asked for below the mount; one slash between, so that a path stays one.
        let below = ctx.path().trim_start_matches('/');
        let slash = if below.is_empty() && !self.0.to.ends_with('/') && !is_bare(&to) { "" } else { "/" };
        Ok(format!("{}{slash}{below}{}", to.trim_end_matches('/'), ctx.search()))
    }

    fn answer(&self, ctx: &mut Ctx) -> Result {
        let to = self.location(ctx)?;
        // A path that a browser would read another host in.
        if to.starts_with('/') && !location::is_local(&to) {
            return Err(Error::status_only(400));
        }
        let status = StatusCode::from_u16(self.0.status)?;
        ctx.set_status(status)?;
        ctx.redirect(&to)
    }
}

/// Whether a URL has no path.
fn is_bare(url: &str) -> bool {
    url.split_once("://").is_some_and(|(_, rest)| !rest.contains('/'))
}

impl Handler<()> for Redirect {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move { self.answer(ctx) })
    }

    fn name(&self) -> Cow<'static, str> {
        format!("redirect {} {}", self.0.status, self.0.to).into()
    }
}

#[cfg(test)]
mod tests {
    use cepa_core::{App, test::block_on};

    use super::*;

    fn read(text: &str) -> std::result::Result<RedirectConfig, String> {
        #[derive(Deserialize)]
        struct Of {
            redirect: RedirectConfig,
        }
        toml::from_str::<Of>(text).map(|of| of.redirect).map_err(|error| error.message().to_owned())
    }

    #[test]
    fn what_was_asked_for_stays_behind_the_url() {
        for (redirect, asked, location) in [
            ("'https://a.test'", "/old", "https://a.test/"),
            ("'https://a.test'", "/old/x/y?q=1", "https://a.test/x/y?q=1"),
            ("'https://a.test/new'", "/old", "https://a.test/new"),
            ("'https://a.test/new'", "/old?q", "https://a.test/new?q"),
            ("'https://a.test/new/'", "/old/x", "https://a.test/new/x"),
            ("'https://{host}'", "/old/x", "https://shop.test/x"),
            ("'/new'", "/old/x", "/new/x"),
            ("'/'", "/old//evil.test", "/evil.test"),
            ("'/new'", "/old//evil.test", "/new/evil.test"),
            ("{ to = '/new', path = false, status = 308 }", "/old/x?q=1", "/new"),
            ("{ to = '/new?a=1', path = false }", "/old/x?q=1", "/new?a=1"),
        ] {
            let config = read(&format!("redirect = {redirect}")).unwrap();
            let status = config.status;
            let client = App::new().mount("/old", Redirect(config)).test();
            let answer = block_on(client.get(asked).header("host", "shop.test:8080"));
            assert_eq!((answer.status().as_u16(), answer.header("location")), (status, location), "{asked}");
        }
    }

    #[test]
    fn no_path_leads_to_another_host() {
        let client = App::new().mount("/", Redirect(RedirectConfig::new("/"))).test();
        for path in ["/\\evil.test", "//evil.test", "///evil.test", "/%5cevil.test", "/@evil.test"] {
            let answer = block_on(client.get(path));
            let to = answer.header("location");
            assert!(answer.status() == 400 || location::is_local(to), "{path}: {to}");
        }
    }

    #[test]
    fn what_leads_nowhere_is_refused() {
        for text in [
            "'ftp://a'",
            "'//a.test'",
            "'a.test'",
            "'https://'",
            "'https://u@a.test'",
            "'https://{name}'",
            "'https://a.test?x=1'",
            "{ to = '/a', status = 200 }",
            "{ to = '/a', state = 301 }",
            "{ status = 301 }",
            "3",
        ] {
            assert!(read(&format!("redirect = {text}")).is_err(), "{text}");
        }
    }
}
