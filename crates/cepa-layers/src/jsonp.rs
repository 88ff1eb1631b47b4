//! Gives JSON to pages of other sites as a script (JSONP), for clients that cannot do CORS.
//!
//! It stands inwards of [`compress`](crate::compress()) and of [`etag`](crate::etag()), which are to see the script.
//!
//! A script is loaded with the cookies of its site and read by whoever loads it: for new clients allow
//! cross-origin requests instead.

use cepa_core::{Body, Ctx, Error, LocalBoxFuture, Middleware, Next, Result, location, media_type};
use http::{HeaderValue, Method, header};
use serde::Deserialize;

#[cfg(feature = "compress")]
use crate::compress::Compress;

/// For whom, and how it is asked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The keys of the query that name the callback, the first that is there counts. Default `_callback`, `callback`.
    pub callbacks: Vec<String>,
    /// Longest name of a callback in bytes, default 50.
    pub longest: usize,
    /// Hosts, besides the app's own, whose pages may load the scripts, by the `Referer` that browsers send. One that
    /// begins with a dot stands for all below it. `*` is every page, also those that do not say who they are: only
    /// where nothing depends on cookies. Default none.
    pub hosts: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            callbacks: vec!["_callback".to_owned(), "callback".to_owned()],
            longest: 50,
            hosts: Vec::new(),
        }
    }
}

/// A layer that wraps JSON into a call of the function that the query names.
///
/// - Only for GET, and bodies in memory of a JSON type. Everything else, and requests that name no callback, pass.
/// - The name may hold ASCII letters, digits, `_`, `$`, `.`, `[` and `]`; another one is a 400.
/// - A page that may not load it gets a 403; answers say `Vary: Referer`.
/// - The script begins with `/**/`, so that its first bytes are not the client's, and says `nosniff`.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::jsonp::{self, jsonp};
/// use serde_json::json;
///
/// let options = jsonp::Options { hosts: vec!["*".into()], ..Default::default() };
/// let app = App::new().with(jsonp(options)).get("/", async |_: &mut Ctx| json!({ "a": 1 }));
/// # cepa_core::test::block_on(async {
/// let answer = app.test().get("/?callback=show").await;
/// assert_eq!(answer.text(), r#"/**/ typeof show === 'function' && show({"a":1});"#);
/// # });
/// ```
pub fn jsonp(options: Options) -> Jsonp {
    Jsonp { options }
}

/// See [`jsonp()`].
#[derive(Clone, Debug)]
pub struct Jsonp {
    options: Options,
}

impl Middleware for Jsonp {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            if !self.is_for_all() {
                ctx.vary("Referer")?;
            }
            let Some(callback) = self.callback(ctx)? else { return next.run(ctx).await };
            next.run(ctx).await?;
            let is_json = media_type::type_is(ctx.content_type(), &["json", "+json"]).is_some();
            let Some(json) = ctx.response.body().and_then(Body::as_bytes).filter(|_| is_json) else {
                return Ok(());
            };
            let script = script(&callback, json);
            ctx.response.replace_body(script);
            ctx.set(header::CONTENT_TYPE, HeaderValue::from_static("text/javascript; charset=utf-8"))?;
            ctx.set(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"))
        })
    }

    #[cfg(feature = "compress")]
    fn order(&self) -> Vec<cepa_core::Order> {
        vec![cepa_core::Order::inside_of::<Compress>("it wraps JSON, and not what became of it")]
    }
}

impl Jsonp {
    /// The callback that the request names, if it may have one.
    fn callback(&self, ctx: &Ctx) -> Result<Option<String>> {
        if *ctx.method() != Method::GET {
            return Ok(None);
        }
        let Some(name) = self.options.callbacks.iter().find_map(|key| ctx.query_value(key)) else {
            return Ok(None);
        };
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_$.[]".contains(&byte);
        if name.is_empty() || name.len() > self.options.longest || !name.bytes().all(allowed) {
            return Err(Error::new(400, "this cannot be the name of a callback"));
        }
        match self.may_load(ctx) {
            true => Ok(Some(name.into_owned())),
            false => Err(Error::new(403, "this page may not load the script")),
        }
    }

    fn is_for_all(&self) -> bool {
        self.options.hosts.iter().any(|host| host == "*")
    }

    fn may_load(&self, ctx: &Ctx) -> bool {
        if self.is_for_all() {
            return true;
        }
        let Some(page) = ctx.get(header::REFERER) else { return false };
        let own = location::is_same_site(page, ctx.host());
        own || self.options.hosts.iter().any(|allowed| match host_of(page) {
            Some(host) if allowed.starts_with('.') => ends_with(host, allowed),
            Some(host) => host.eq_ignore_ascii_case(allowed),
            None => false,
        })
    }
}

/// The host of an absolute `http` or `https` URL, without its port.
fn host_of(url: &str) -> Option<&str> {
    let rest = url.strip_prefix("https://").or_else(|| url.strip_prefix("http://"))?;
    let authority = rest.split(['/', '?', '#', '\\']).next()?;
    (!authority.contains('@')).then(|| cepa_core::host::hostname(authority))
}

fn ends_with(host: &str, domain: &str) -> bool {
    let start = host.len().checked_sub(domain.len());
    start.and_then(|start| host.get(start..)).is_some_and(|end| end.eq_ignore_ascii_case(domain))
}

/// The call as a script. Two characters that JSON may hold end a line in scripts of old browsers.
fn script(callback: &str, json: &[u8]) -> Vec<u8> {
    const LINE_ENDS: [(&[u8], &[u8]); 2] =
        [("\u{2028}".as_bytes(), br"\u2028"), ("\u{2029}".as_bytes(), br"\u2029")];
    let mut out = Vec::with_capacity(json.len() + 2 * callback.len() + 40);
    for text in ["/**/ typeof ", callback, " === 'function' && ", callback, "("] {
        out.extend_from_slice(text.as_bytes());
    }
    let mut rest = json;
    while let [first, tail @ ..] = rest {
        match LINE_ENDS.iter().find(|(line_end, _)| rest.starts_with(line_end)) {
            Some((line_end, escaped)) => {
                out.extend_from_slice(escaped);
                rest = &rest[line_end.len()..];
            }
            None => {
                out.push(*first);
                rest = tail;
            }
        }
    }
    out.extend_from_slice(b");");
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, test::block_on};
    use serde_json::json;

    fn client(hosts: &[&str]) -> cepa_core::test::Client {
        let hosts = hosts.iter().map(|host| (*host).to_owned()).collect();
        App::new()
            .with(jsonp(Options { hosts, ..Options::default() }))
            .get("/", async |_: &mut Ctx| json!({ "a": "\u{2028}</script>" }))
            .get("/text", async |_: &mut Ctx| "text")
            .post("/", async |_: &mut Ctx| json!(1))
            .test()
    }

    #[test]
    fn json_is_wrapped_where_a_callback_is_named() {
        let client = client(&["*"]);
        block_on(async {
            let answer = client.get("/?callback=$.a_b[0]").await;
            let text = "/**/ typeof $.a_b[0] === 'function' && $.a_b[0]({\"a\":\"\\u2028</script>\"});";
            assert_eq!(answer.text(), text);
            assert_eq!(answer.header("content-type"), "text/javascript; charset=utf-8");
            assert_eq!(answer.header("x-content-type-options"), "nosniff");
            assert_eq!(client.get("/").await.header("content-type"), "application/json; charset=utf-8");
            assert_eq!(client.get("/text?callback=f").await.text(), "text");
            assert_eq!(client.post("/?callback=f").await.text(), "1");
            assert!(client.get("/?callback=f&_callback=g").await.text().contains("g("));
        });
    }

    #[test]
    fn a_callback_is_a_name_and_nothing_else() {
        let client = client(&["*"]);
        block_on(async {
            let long = "a".repeat(51);
            for name in
                ["", "alert(1)//", "a;b", "a%20b", "%3Cscript%3E", "a%0ab", "%C3%A9", "a-b", "a'b", &long]
            {
                let answer = client.get(&format!("/?callback={name}")).await;
                assert_eq!(answer.status(), 400, "{name}");
                assert!(!answer.text().contains(name) || name.is_empty());
            }
        });
    }

    #[test]
    fn other_sites_do_not_load_it_unless_allowed() {
        let client = client(&["partner.test", ".friends.test"]);
        block_on(async {
            for (page, status) in [
                ("", 403),
                ("http://localhost/page", 200),
                ("https://partner.test/x", 200),
                ("https://PARTNER.test:8443/x", 200),
                ("https://a.friends.test", 200),
                ("https://friends.test", 403),
                ("https://evilfriends.test", 403),
                ("https://partner.test.evil.test/", 403),
                ("https://evil.test/partner.test", 403),
                ("https://partner.test@evil.test/", 403),
                ("https://evil.test\\@partner.test/", 403),
                ("javascript://partner.test/", 403),
            ] {
                let answer = client.get("/?callback=f").header("referer", page).await;
                assert_eq!(answer.status(), status, "{page}");
            }
            let answer = client.get("/?callback=f").await;
            assert_eq!((answer.status().as_u16(), answer.header("vary")), (403, "Referer"));
        });
    }
}
