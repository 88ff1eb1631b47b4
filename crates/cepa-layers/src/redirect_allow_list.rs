//! Redirects that leave the site only for hosts on a list (open redirects).

use std::borrow::Cow;

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, location};
use http::{HeaderValue, header::LOCATION};
use serde::Deserialize;

use crate::hosts::{Hosts, InvalidHostName};

/// Where redirects may lead.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Hosts of other sites: `example.com` is that host, `*.example.com` all below it, `.example.com` both. After a
    /// scheme, `https://example.com`, only by that. Default none.
    pub hosts: Vec<String>,
    /// What becomes of a redirect that may not be: the path it leads to instead, or, when empty, a 500; default empty.
    pub otherwise: String,
}

/// Why no list can be made of some options.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidOptions {
    /// An entry of `hosts` is none.
    #[error(transparent)]
    Host(#[from] InvalidHostName),
    /// `otherwise` is not a path of this site.
    #[error("`otherwise` {0:?} is no path of this site")]
    Otherwise(String),
}

/// A layer that stops redirects to other sites, except to hosts on a list.
///
/// It looks at the `Location` of every redirect on the way out, whoever has set it, so it belongs outside of all that
/// redirects. A path of this site and an absolute URL of this host may always be; `//evil.test`, `/\evil.test`,
/// `https:evil.test` and whatever else browsers take for another site may not.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::{redirect_allow_list, redirect_allow_list::Options};
///
/// let layer = redirect_allow_list(Options { hosts: vec![".example.com".into()], otherwise: "/".into() })?;
/// let app = App::new().with(layer).get("/go", async |ctx: &mut Ctx| {
///     let to = ctx.query_value("to").unwrap_or_default().into_owned();
///     ctx.redirect(&to)
/// });
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// assert_eq!(client.get("/go?to=https://login.example.com/").await.header("location"), "https://login.example.com/");
/// assert_eq!(client.get("/go?to=//evil.test").await.header("location"), "/");
/// # });
/// # Ok::<(), cepa_layers::redirect_allow_list::InvalidOptions>(())
/// ```
///
/// # Errors
/// What is wrong with the options.
pub fn redirect_allow_list(options: Options) -> Result<RedirectAllowList, InvalidOptions> {
    let Options { hosts, otherwise } = options;
    let with_scheme = |scheme: &str| {
        let entries = hosts.iter().filter_map(|entry| entry.strip_prefix(scheme));
        Hosts::new(entries.map(|entry| entry.strip_suffix('/').unwrap_or(entry)))
    };
    // Any other scheme is left in, and refused as part of the name.
    let plain = hosts.iter().filter(|entry| !entry.starts_with("http://") && !entry.starts_with("https://"));
    let otherwise = match otherwise.as_str() {
        "" => None,
        path if location::is_local(path) && location::encode_url(path) == path => {
            HeaderValue::from_str(path).ok()
        }
        _ => return Err(InvalidOptions::Otherwise(otherwise)),
    };
    Ok(RedirectAllowList {
        any: Hosts::new(plain.map(String::as_str))?,
        http: with_scheme("http://")?,
        https: with_scheme("https://")?,
        otherwise,
    })
}

/// See [`redirect_allow_list()`].
#[derive(Clone, Debug)]
pub struct RedirectAllowList {
    any: Hosts,
    http: Hosts,
    https: Hosts,
    otherwise: Option<HeaderValue>,
}

impl RedirectAllowList {
    /// Whether a redirect may lead to `url` from the site that is asked for as `host`, with its port if it has one.
    ///
    /// For handlers that want to know before: `let to = if list.allows(&to, ctx.host()) { &*to } else { "/" };`
    pub fn allows(&self, url: &str, host: &str) -> bool {
        if url.bytes().any(|byte| byte.is_ascii_control()) || url.contains('\\') {
            return false;
        }
        if location::is_same_site(url, host) {
            return true;
        }
        // What has neither a scheme nor a slash in front stays below the path that is asked for.
        let first = url.split(['/', '?', '#']).next().unwrap_or_default();
        if !first.contains(':') && !url.starts_with('/') {
            return !url.starts_with(char::is_whitespace);
        }
        let Ok(normal) = location::normalise_location(url) else { return false };
        let (hosts, rest) = match (normal.strip_prefix("http://"), normal.strip_prefix("https://")) {
            (Some(rest), _) => (&self.http, rest),
            (_, Some(rest)) => (&self.https, rest),
            _ => return false,
        };
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let name = cepa_core::host::hostname(authority);
        let name = name.trim_start_matches('[').trim_end_matches(']');
        !name.is_empty() && !name.contains('%') && (self.any.contains(name) || hosts.contains(name))
    }
}

impl Middleware for RedirectAllowList {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            next.run(ctx).await?;
            if !ctx.status().is_redirection() {
                return Ok(());
            }
            let Some(location) = ctx.response.headers().get(LOCATION) else { return Ok(()) };
            if std::str::from_utf8(location.as_bytes()).is_ok_and(|to| self.allows(to, ctx.host())) {
                return Ok(());
            }
            match &self.otherwise {
                Some(otherwise) => {
                    tracing::warn!(target: "cepa::redirect", path = ctx.path(), "a redirect to another site was stopped");
                    let otherwise = otherwise.clone();
                    ctx.response.replace_body("Redirecting.");
                    ctx.set("content-type", "text/plain; charset=utf-8")?;
                    ctx.set(LOCATION, otherwise)
                }
                None => Err(Error::new(500, "a redirect leads to a host that is not on the list")),
            }
        })
    }

    fn name(&self) -> Cow<'static, str> {
        "redirect_allow_list".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, test::block_on};
    use proptest::prelude::*;

    fn list(hosts: &[&str]) -> RedirectAllowList {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        redirect_allow_list(Options { hosts, otherwise: "/".to_owned() }).unwrap()
    }

    #[test]
    fn where_redirects_may_lead() {
        let list = list(&["good.test", "*.sub.test", "https://only.test"]);
        let allowed = [
            "/",
            "/a/b?c=//d#e",
            "a/b",
            "?a",
            "#a",
            "",
            "./a",
            "../a",
            "http://own.test/x",
            "https://OWN.test",
            "http://good.test",
            "https://good.test:8443/a",
            "HTTPS://GOOD.test./",
            "http://a.sub.test/",
            "https://only.test/",
        ];
        let refused = [
            // Other sites, by every spelling that browsers take for one.
            "//evil.test",
            "///evil.test",
            "////evil.test",
            "/\\evil.test",
            "\\\\evil.test",
            "\\/evil.test",
            "https:evil.test",
            "https:/evil.test",
            "https:///evil.test",
            "http:\\\\evil.test",
            "HTTPS:evil.test",
            "/\t/evil.test",
            "\t//evil.test",
            " //evil.test",
            " https://evil.test",
            "\nhttps://evil.test",
            "ht\ntps://evil.test",
            "/a\r\nSet-Cookie: a=b",
            "https://evil.test",
            "https://evil.test/good.test",
            // User information, look-alikes.
            "https://good.test@evil.test/",
            "https://good.test:x@evil.test/",
            "https://own.test%40evil.test",
            "https://good.test\\@evil.test",
            "https://good.test.evil.test/",
            "https://evilgood.test/",
            "https://good.test%2eevil.test/",
            "https://evil.test#good.test",
            "https://evil.test?good.test",
            "http://sub.test/",
            "http://only.test/",
            // Other schemes.
            "javascript:alert(1)",
            "JavaScript://good.test/%0aalert(1)",
            "data:text/html,x",
            "vbscript:x",
            "ftp://good.test/",
            "file:///etc/passwd",
        ];
        for url in allowed {
            assert!(list.allows(url, "own.test"), "{url:?}");
        }
        for url in refused {
            assert!(!list.allows(url, "own.test"), "{url:?}");
        }
    }

    #[test]
    fn as_egg_knows_safe_domains() {
        let path =
            concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/koa/vectors/egg_security_helpers.json");
        let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        let mut seen = 0;
        for vector in
            file["vectors"].as_array().unwrap().iter().filter(|vector| vector["helper"] == "isSafeDomain")
        {
            let hosts: Vec<&str> =
                vector["input"][1].as_array().unwrap().iter().map(|host| host.as_str().unwrap()).collect();
            let domain = vector["input"][0].as_str().unwrap();
            let url = if domain.contains("://") { domain.to_owned() } else { format!("http://{domain}/") };
            assert_eq!(
                list(&hosts).allows(&url, "own.test"),
                vector["output"].as_bool().unwrap(),
                "{vector}"
            );
            seen += 1;
        }
        assert_eq!(seen, 5);
    }

    #[test]
    fn a_redirect_is_stopped_whoever_has_made_it() {
        let app = |otherwise: &str| {
            let layer =
                redirect_allow_list(Options { hosts: Vec::new(), otherwise: otherwise.to_owned() }).unwrap();
            App::new()
                .with(layer)
                .get("/in", async |ctx: &mut Ctx| ctx.redirect("/path"))
                .get("/out", async |ctx: &mut Ctx| ctx.redirect("//evil.test"))
                .get("/raw", async |ctx: &mut Ctx| -> Result {
                    ctx.set_status(301)?;
                    ctx.set("location", "https://evil.test")
                })
                .get("/made", async |ctx: &mut Ctx| -> Result {
                    ctx.set_status(201)?;
                    ctx.set("location", "https://elsewhere.test/7")
                })
                .test()
        };
        block_on(async {
            let client = app("/home");
            for (path, status, location) in [
                ("/in", 302, "/path"),
                ("/out", 302, "/home"),
                ("/raw", 301, "/home"),
                ("/made", 201, "https://elsewhere.test/7"),
            ] {
                let answer = client.get(path).await;
                assert_eq!(
                    (answer.status().as_u16(), answer.header("location")),
                    (status, location),
                    "{path}"
                );
                assert!(!answer.text().contains("evil"), "{path}");
            }
            let strict = app("").get("/out").await;
            assert_eq!((strict.status().as_u16(), strict.header("location")), (500, ""));
        });
    }

    #[test]
    fn options_that_are_wrong_are_told() {
        let made = |hosts: &[&str], otherwise: &str| {
            let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
            redirect_allow_list(Options { hosts, otherwise: otherwise.to_owned() }).map(drop)
        };
        for host in ["", "a/b", "ftp://a", "https://", "https://a/b", "a b"] {
            assert!(matches!(made(&[host], ""), Err(InvalidOptions::Host(_))), "{host}");
        }
        for path in ["home", "//evil.test", "/\\evil.test", "https://a/", "/a b"] {
            assert!(matches!(made(&[], path), Err(InvalidOptions::Otherwise(_))), "{path}");
        }
    }

    proptest! {
        #[test]
        fn nothing_that_is_not_a_path_is_allowed_by_an_empty_list(url in r"[a-z:/\\.@?#%\t ]{0,20}") {
            let list = list(&[]);
            if list.allows(&url, "own.test") {
                prop_assert!(!url.starts_with("//") && !url.contains('\\'), "{url:?}");
            }
        }
    }
}
