//! Lets pages of other origins read what this app answers (CORS): those that are listed, and no others.
//!
//! ```
//! use cepa_core::{App, Ctx};
//! use cepa_layers::cors::{self, cors};
//!
//! let options = cors::Options { origins: vec!["https://app.example.com".into()], ..Default::default() };
//! let app = App::new().with(cors(options)?).get("/", async |_: &mut Ctx| "a");
//! # cepa_core::test::block_on(async {
//! let answer = app.test().get("/").header("origin", "https://app.example.com").await;
//! assert_eq!(answer.header("access-control-allow-origin"), "https://app.example.com");
//! # });
//! # Ok::<(), cepa_layers::cors::OptionsError>(())
//! ```
//!
//! **Where it belongs**: outside of what answers errors, asks for a login or counts against limits, so that pages can
//! read those answers and preflights pass. Answers to errors have the headers too. `Vary: Origin` is on every answer that
//! depends on the origin, also where there was none, so that no cache gives one site's answer to another.
//!
//! CORS allows, it does not forbid: a request that needs no preflight is carried out, only its answer is kept from the
//! page. Against that there is [`csrf`](crate::csrf()).
//!
//! Source: the Fetch standard of the WHATWG, section "CORS protocol".

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use cepa_core::{Ctx, LocalBoxFuture, Middleware, Next, Result, units::duration};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};
use serde::Deserialize;

use crate::csrf::is_origin;

/// Who may read what.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The origins, none by default: `https://app.example.com`, `https://*.example.com` for all hosts below a domain,
    /// `null` for pages without one, or `*` for all.
    pub origins: Vec<String>,
    /// Lets browsers send cookies along and pages read the answer to that, off by default. Not with `*` and `null`:
    /// then any page could read whatever its visitor can.
    pub credentials: bool,
    /// Methods that pages may use, default GET, HEAD, PUT, POST, DELETE, PATCH.
    pub methods: Vec<String>,
    /// Headers that pages may send; by default those that they ask for.
    pub headers: Option<Vec<String>>,
    /// Headers that pages may read beside the few that they always may, none by default.
    pub expose: Vec<String>,
    /// How long a browser remembers the answer to a preflight, default 10 minutes; `"0s"` leaves it to the browser.
    #[serde(with = "duration")]
    pub max_age: Duration,
    /// Lets public pages reach this host in a private network (`Access-Control-Allow-Private-Network`), off by default.
    pub private_network: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            credentials: false,
            methods: ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH"].map(str::to_owned).into(),
            headers: None,
            expose: Vec::new(),
            max_age: Duration::from_secs(600),
            private_network: false,
        }
    }
}

/// Options that would be a hole, or no headers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// An origin is none.
    #[error("cors: {0:?} is no origin: write one like \"https://app.example.com\", without a path")]
    Origin(String),
    /// Any page could read what its visitor can.
    #[error("cors: credentials cannot be allowed to {0:?}: list the origins that may have them")]
    Credentials(String),
    /// A method or header has a name that is none.
    #[error("cors: {0:?} is no name of a method or a header")]
    Name(String),
}

/// A layer that lets pages of other origins read answers, and answers their preflights by itself.
///
/// # Errors
/// Options that would be a hole, or no headers.
#[expect(clippy::needless_pass_by_value, reason = "options are made for one layer")]
pub fn cors(options: Options) -> Result<Cors, OptionsError> {
    let rules = options.origins.iter().map(|origin| Rule::parse(origin)).collect::<Result<_, _>>()?;
    if options.credentials
        && let Some(open) = options.origins.iter().find(|origin| matches!(origin.as_str(), "*" | "null"))
    {
        return Err(OptionsError::Credentials(open.clone()));
    }
    Ok(Cors {
        rules,
        asked: None,
        credentials: options.credentials,
        methods: list(&options.methods)?,
        headers: options.headers.as_deref().map(list).transpose()?,
        expose: Some(list(&options.expose)?).filter(|value| !value.is_empty()),
        max_age: (!options.max_age.is_zero()).then(|| HeaderValue::from(options.max_age.as_secs())),
        private_network: options.private_network,
    })
}

/// See [`cors()`].
#[derive(Clone)]
pub struct Cors {
    rules: Vec<Rule>,
    asked: Option<Arc<Asked>>,
    credentials: bool,
    methods: HeaderValue,
    headers: Option<HeaderValue>,
    expose: Option<HeaderValue>,
    max_age: Option<HeaderValue>,
    private_network: bool,
}

/// Whether an origin may read the answer to a request.
type Asked = dyn Fn(&str, &Ctx) -> bool + Send + Sync;

/// An entry of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Rule {
    Any,
    Exactly(HeaderValue),
    /// `https://` and `.example.com`.
    Below(String, String),
}

impl Rule {
    fn parse(text: &str) -> Result<Self, OptionsError> {
        let error = || OptionsError::Origin(text.to_owned());
        match text {
            "*" => Ok(Self::Any),
            "null" => Ok(Self::Exactly(HeaderValue::from_static("null"))),
            _ => match text.split_once("*.") {
                Some((scheme, domain))
                    if is_origin(&format!("{scheme}{domain}")) && scheme.ends_with("://") =>
                {
                    Ok(Self::Below(scheme.to_owned(), format!(".{domain}")))
                }
                None if is_origin(text) => {
                    HeaderValue::from_str(text).map(Self::Exactly).map_err(|_| error())
                }
                _ => Err(error()),
            },
        }
    }

    fn allows(&self, origin: &str) -> bool {
        match self {
            Self::Any => true,
            Self::Exactly(allowed) => allowed == origin,
            Self::Below(scheme, domain) => {
                is_origin(origin)
                    && origin
                        .strip_prefix(scheme.as_str())
                        .and_then(|host| host.strip_suffix(domain.as_str()))
                        .is_some_and(|label| !label.is_empty())
            }
        }
    }
}

fn list(names: &[String]) -> Result<HeaderValue, OptionsError> {
    match names.iter().find(|name| HeaderName::from_bytes(name.as_bytes()).is_err()) {
        Some(name) => Err(OptionsError::Name(name.clone())),
        None => Ok(HeaderValue::try_from(names.join(", ")).expect("names are tokens, which are ASCII")),
    }
}

impl Cors {
    /// Asks also a function, for origins that are known at run time only: it is called with the origin for those that
    /// no entry of the list allows, and decides with all that `credentials` gives. Do not let it answer `true` to all.
    #[must_use]
    pub fn ask(self, may_read: impl Fn(&str, &Ctx) -> bool + Send + Sync + 'static) -> Self {
        Self { asked: Some(Arc::new(may_read)), ..self }
    }

    /// The value of `Access-Control-Allow-Origin`, if any.
    fn allowed(&self, ctx: &Ctx) -> Option<HeaderValue> {
        if self.is_open() {
            return Some(HeaderValue::from_static("*"));
        }
        let origin = ctx.origin()?;
        let asked = || self.asked.as_ref().is_some_and(|asked| asked(origin, ctx));
        let is_allowed = self.rules.iter().any(|rule| rule.allows(origin)) || asked();
        is_allowed.then(|| HeaderValue::from_str(origin).ok()).flatten()
    }

    /// Whether all origins get the same answer.
    fn is_open(&self) -> bool {
        self.rules.contains(&Rule::Any)
    }

    fn answer_preflight(&self, ctx: &mut Ctx, allowed: Option<HeaderValue>) -> Result {
        ctx.vary("Access-Control-Request-Method, Access-Control-Request-Headers")?;
        ctx.response.set_status(StatusCode::NO_CONTENT);
        let Some(origin) = allowed else { return Ok(()) };
        let asked = || ctx.request.headers().get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
        let headers = self.headers.clone().or_else(asked);
        let is_private = self.private_network
            && ctx.get("access-control-request-private-network").is_some_and(|value| value == "true");
        let response = ctx.response.headers_mut();
        response.insert(header::ACCESS_CONTROL_ALLOW_METHODS, self.methods.clone());
        headers.map(|headers| response.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, headers));
        self.max_age.clone().map(|age| response.insert(header::ACCESS_CONTROL_MAX_AGE, age));
        if is_private {
            let name = HeaderName::from_static("access-control-allow-private-network");
            response.insert(name, HeaderValue::from_static("true"));
        }
        self.allow(ctx, origin);
        Ok(())
    }

    fn allow(&self, ctx: &mut Ctx, origin: HeaderValue) {
        let response = ctx.response.headers_mut();
        response.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        if self.credentials {
            response.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
    }
}

impl Middleware for Cors {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            if !self.is_open() {
                ctx.vary("Origin")?;
            }
            let allowed = self.allowed(ctx);
            let is_preflight = ctx.method() == Method::OPTIONS
                && ctx.request.fields().contains("origin")
                && ctx.request.fields().contains("access-control-request-method");
            if is_preflight {
                return self.answer_preflight(ctx, allowed);
            }
            if let Some(origin) = allowed {
                self.allow(ctx, origin);
                if let Some(expose) = &self.expose {
                    ctx.response.headers_mut().insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, expose.clone());
                }
            }
            next.run(ctx).await
        })
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("cors")
    }
}

impl fmt::Debug for Cors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cors")
            .field("rules", &self.rules)
            .field("credentials", &self.credentials)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{
        App,
        test::{Answer, Client, block_on},
    };

    fn app(origins: &[&str], change: impl FnOnce(&mut Options)) -> Client {
        let origins = origins.iter().map(|&origin| origin.to_owned()).collect();
        let mut options = Options { origins, ..Options::default() };
        change(&mut options);
        App::new()
            .with(
                cors(options).unwrap().ask(|origin, ctx| origin == "https://asked.test" && ctx.path() == "/"),
            )
            .get("/", async |_: &mut Ctx| "a")
            .get("/fails", async |ctx: &mut Ctx| -> Result { Err(ctx.error(403, "no")) })
            .test()
    }

    fn allowed(answer: &Answer) -> &str {
        answer.header("access-control-allow-origin")
    }

    #[test]
    fn attack_an_origin_is_reflected_only_if_it_is_listed() {
        let client = app(&["https://a.test", "https://*.b.test", "http://c.test:8080"], |options| {
            options.credentials = true;
        });
        for (origin, is_allowed) in [
            ("https://a.test", true),
            ("https://asked.test", true),
            ("http://a.test", false),
            ("https://a.test:8443", false),
            ("https://a.test.evil.test", false),
            ("https://xa.test", false),
            ("https://x.a.test", false),
            ("https://x.b.test", true),
            ("https://x.y.b.test", true),
            ("https://b.test", false),
            ("https://.b.test", false),
            ("https://xb.test", false),
            ("https://evil.test/.b.test", false),
            ("https://evil.test?.b.test", false),
            ("https://evil.test#.b.test", false),
            ("https://evil.test@x.b.test", false),
            ("https://evil.test:1.b.test", false),
            ("https://[::1].b.test", false),
            ("http://c.test:8080", true),
            ("null", false),
            ("*", false),
        ] {
            let answer = block_on(client.get("/").header("origin", origin));
            assert_eq!(answer.text(), "a", "the page is kept from reading, not the server from answering");
            assert_eq!(allowed(&answer), if is_allowed { origin } else { "" }, "{origin}");
            let credentials = if is_allowed { "true" } else { "" };
            assert_eq!(answer.header("access-control-allow-credentials"), credentials, "{origin}");
            assert_eq!(answer.header("vary"), "Origin");
        }
        let answer = block_on(client.get("/"));
        assert_eq!((allowed(&answer), answer.header("vary")), ("", "Origin"));
    }

    #[test]
    fn errors_and_missing_pages_can_be_read_too() {
        let client = app(&["https://a.test"], |options| options.expose = vec!["x-id".into(), "etag".into()]);
        for path in ["/", "/fails", "/missing"] {
            let answer = block_on(client.get(path).header("origin", "https://a.test"));
            assert_eq!(allowed(&answer), "https://a.test", "{path}");
            assert_eq!(answer.header("access-control-expose-headers"), "x-id, etag");
            assert_eq!(answer.header("vary"), "Origin");
        }
    }

    #[test]
    fn preflights_are_answered() {
        let client = app(&["https://a.test"], |options| options.private_network = true);
        let preflight = |origin: &str| {
            client
                .request(Method::OPTIONS, "/")
                .header("origin", origin)
                .header("access-control-request-method", "PUT")
                .header("access-control-request-headers", "x-one, x-two")
                .header("access-control-request-private-network", "true")
        };
        let answer = block_on(preflight("https://a.test"));
        for (name, value) in [
            ("access-control-allow-origin", "https://a.test"),
            ("access-control-allow-methods", "GET, HEAD, PUT, POST, DELETE, PATCH"),
            ("access-control-allow-headers", "x-one, x-two"),
            ("access-control-max-age", "600"),
            ("access-control-allow-private-network", "true"),
            ("access-control-allow-credentials", ""),
            ("vary", "Origin, Access-Control-Request-Method, Access-Control-Request-Headers"),
        ] {
            assert_eq!(answer.header(name), value, "{name}");
        }
        assert_eq!(answer.status(), 204);
        let answer = block_on(preflight("https://evil.test"));
        assert_eq!((answer.status().as_u16(), allowed(&answer)), (204, ""));
        assert_eq!(answer.header("access-control-allow-methods"), "");
        // An OPTIONS that is no preflight is the app's.
        let answer = block_on(client.request(Method::OPTIONS, "/").header("origin", "https://a.test"));
        assert_eq!(answer.header("allow"), "HEAD, GET");
        let client = app(&["https://a.test"], |options| options.headers = Some(vec!["x-id".into()]));
        let call = client.request(Method::OPTIONS, "/").header("origin", "https://a.test");
        let answer = block_on(call.header("access-control-request-method", "PUT"));
        assert_eq!(answer.header("access-control-allow-headers"), "x-id");
    }

    #[test]
    fn all_origins_get_one_answer() {
        let client = app(&["*"], |_| {});
        for call in [client.get("/"), client.get("/").header("origin", "https://evil.test")] {
            let answer = block_on(call);
            assert_eq!((allowed(&answer), answer.header("vary")), ("*", ""));
        }
    }

    #[test]
    fn options_that_would_be_a_hole_are_refused() {
        for origin in [
            "",
            "a.test",
            "https://a.test/",
            "https://*",
            "https://*.",
            "*.a.test",
            "https://a.*.test",
            "https://A.test",
        ] {
            let options = Options { origins: vec![origin.to_owned()], ..Options::default() };
            assert_eq!(cors(options).unwrap_err(), OptionsError::Origin(origin.to_owned()));
        }
        for origin in ["*", "null"] {
            let options =
                Options { origins: vec![origin.to_owned()], credentials: true, ..Options::default() };
            assert_eq!(cors(options).unwrap_err(), OptionsError::Credentials(origin.to_owned()));
        }
        let options = Options { methods: vec!["A B".to_owned()], ..Options::default() };
        assert_eq!(cors(options).unwrap_err(), OptionsError::Name("A B".to_owned()));
        let options: Options = toml::from_str("origins = ['https://a.test']\nmax_age = '1d'").unwrap();
        assert_eq!(options.max_age, Duration::from_secs(86_400));
    }
}
