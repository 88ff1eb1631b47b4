//! Tells browsers what the pages of this app never do, so that an attack that has got in cannot do it either.
//!
//! ```
//! use cepa_core::{App, Ctx, Html, Result};
//! use cepa_layers::{NonceExt, secure_headers};
//!
//! async fn page(ctx: &mut Ctx) -> Result<Html<String>> {
//!     let nonce = ctx.csp_nonce()?;
//!     Ok(Html(format!("<script nonce=\"{nonce}\">console.log(1)</script>")))
//! }
//!
//! let app = App::new().with(secure_headers(Default::default())?).get("/", page);
//! # cepa_core::test::block_on(async {
//! let answer = app.test().get("/").await;
//! assert_eq!(answer.header("x-content-type-options"), "nosniff");
//! assert!(answer.header("content-security-policy").contains("'nonce-"));
//! # });
//! # Ok::<(), cepa_layers::secure_headers::OptionsError>(())
//! ```
//!
//! **Where it belongs**: outside of what makes pages, those of errors included. The answers to errors have the headers
//! too. What a handler or an inner layer sets itself stays as it has set it.
//!
//! Pages rendered with [`views`](crate::views()) know the nonce: `<script nonce="{{ nonce }}">`.
//!
//! Sources: [Content Security Policy 3](https://www.w3.org/TR/CSP3/), RFC 6797 (HSTS), RFC 7034 (X-Frame-Options), the
//! Fetch and HTML standards of the WHATWG for the rest.

use std::{borrow::Cow, time::Duration};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, units::duration};
use http::{HeaderName, HeaderValue, header};
use serde::Deserialize;

#[cfg(feature = "views")]
use crate::views::Locals;

/// What browsers are told. An empty text leaves a header out.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// `Content-Security-Policy`, in which `{nonce}` stands for the nonce of the response, and is left out with its
    /// quotes where no page asks for one. The default allows what comes from this host, images in `data:` URLs,
    /// scripts and styles with the nonce, and no plug-ins, no frames of others around the page, no `<base>`.
    pub content_security_policy: String,
    /// Sends the policy as `Content-Security-Policy-Report-Only`: browsers report and allow; off by default.
    pub report_only: bool,
    /// `Strict-Transport-Security`, over TLS alone.
    pub hsts: Hsts,
    /// `X-Frame-Options`, default `SAMEORIGIN`, for browsers that do not know `frame-ancestors`.
    pub frame_options: String,
    /// `X-Content-Type-Options: nosniff`, on by default: no script and no style of another type.
    pub nosniff: bool,
    /// `Referrer-Policy`, default `same-origin`: other sites do not learn where a visitor came from.
    pub referrer_policy: String,
    /// `Cross-Origin-Opener-Policy`, default `same-origin`: no window of another site has a handle on this one.
    pub opener_policy: String,
    /// `Cross-Origin-Resource-Policy`, default `same-origin`: no page of another site includes what is here. For what
    /// others shall include, such as a public API or images, set `cross-origin` on the response.
    pub resource_policy: String,
    /// `Cross-Origin-Embedder-Policy`, none by default.
    pub embedder_policy: String,
    /// `Permissions-Policy`, none by default: `camera=(), geolocation=()` switches both off.
    pub permissions_policy: String,
    /// `X-Permitted-Cross-Domain-Policies`, default `none`.
    pub cross_domain_policies: String,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            content_security_policy: "default-src 'self'; base-uri 'none'; form-action 'self'; \
                frame-ancestors 'self'; img-src 'self' data:; object-src 'none'; \
                script-src 'self' 'nonce-{nonce}'; style-src 'self' 'nonce-{nonce}'"
                .to_owned(),
            report_only: false,
            hsts: Hsts::default(),
            frame_options: "SAMEORIGIN".to_owned(),
            nosniff: true,
            referrer_policy: "same-origin".to_owned(),
            opener_policy: "same-origin".to_owned(),
            resource_policy: "same-origin".to_owned(),
            embedder_policy: String::new(),
            permissions_policy: String::new(),
            cross_domain_policies: "none".to_owned(),
        }
    }
}

/// For how long browsers use nothing but TLS for this host.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Hsts {
    /// Default 180 days; `"0s"` leaves the header out.
    #[serde(with = "duration")]
    pub max_age: Duration,
    /// Also for all subdomains, off by default: they must all have TLS.
    pub subdomains: bool,
    /// Agrees to be on the list that browsers ship with, off by default: hard to take back. Needs `subdomains` and a
    /// `max_age` of a year.
    pub preload: bool,
}

impl Default for Hsts {
    fn default() -> Self {
        Self { max_age: Duration::from_secs(180 * 24 * 60 * 60), subdomains: false, preload: false }
    }
}

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Options that no header can be made of.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// A text holds a control character or is not ASCII.
    #[error("secure_headers: {0} holds what no header can")]
    Header(&'static str),
    /// The list of browsers wants more.
    #[error("secure_headers: hsts.preload needs hsts.subdomains and a hsts.max_age of at least 365d")]
    Preload,
    /// The nonce is not where a policy has one.
    #[error("secure_headers: content_security_policy must have {{nonce}} only as 'nonce-{{nonce}}'")]
    Nonce,
}

/// A layer that sets headers for the protection of visitors.
///
/// # Errors
/// Options that no header can be made of.
#[expect(clippy::needless_pass_by_value, reason = "options are made for one layer")]
pub fn secure_headers(options: Options) -> Result<SecureHeaders, OptionsError> {
    let Options { hsts, .. } = &options;
    let mut headers = Vec::new();
    let mut add = |name: &'static str, value: &str| {
        if !value.is_empty() {
            let value = HeaderValue::from_str(value).map_err(|_| OptionsError::Header(name))?;
            headers.push((HeaderName::from_static(name), value));
        }
        Ok(())
    };
    add("x-content-type-options", if options.nosniff { "nosniff" } else { "" })?;
    add("x-frame-options", &options.frame_options)?;
    add("referrer-policy", &options.referrer_policy)?;
    add("cross-origin-opener-policy", &options.opener_policy)?;
    add("cross-origin-resource-policy", &options.resource_policy)?;
    add("cross-origin-embedder-policy", &options.embedder_policy)?;
    add("permissions-policy", &options.permissions_policy)?;
    add("x-permitted-cross-domain-policies", &options.cross_domain_policies)?;
    if hsts.preload && !(hsts.subdomains && hsts.max_age >= YEAR) {
        return Err(OptionsError::Preload);
    }
    let name = match options.report_only {
        true => header::CONTENT_SECURITY_POLICY_REPORT_ONLY,
        false => header::CONTENT_SECURITY_POLICY,
    };
    let policy = Policy::new(name, &options.content_security_policy)?;
    Ok(SecureHeaders { headers, hsts: hsts.value(), policy })
}

/// See [`secure_headers()`].
#[derive(Clone, Debug)]
pub struct SecureHeaders {
    headers: Vec<(HeaderName, HeaderValue)>,
    hsts: Option<HeaderValue>,
    policy: Option<Policy>,
}

impl Middleware for SecureHeaders {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        let hsts = self.hsts.as_ref().filter(|_| ctx.secure());
        let response = ctx.response.headers_mut();
        for (name, value) in &self.headers {
            response.insert(name, value.clone());
        }
        if let Some(hsts) = hsts {
            response.insert(header::STRICT_TRANSPORT_SECURITY, hsts.clone());
        }
        // Also without a policy: templates are not to depend on it.
        #[cfg(feature = "views")]
        Locals::of(ctx).later(|ctx| {
            let nonce = ctx.csp_nonce()?;
            Locals::of(ctx).set("nonce", nonce);
            Ok(())
        });
        let Some(policy) = &self.policy else { return next.run(ctx).boxed() };
        Box::pin(async move {
            // On the way out, since only then it is known whether a page has asked for a nonce.
            let result = next.run(ctx).await;
            if !ctx.has(&policy.name) {
                let value = policy.value(ctx.state::<Nonce>());
                ctx.response.headers_mut().insert(&policy.name, value);
            }
            result
        })
    }

    fn name(&self) -> Cow<'static, str> {
        Cow::Borrowed("secure_headers")
    }
}

/// The nonce of a response, for the scripts and styles of its page.
pub trait NonceExt {
    /// The text for the attribute `nonce`: 128 random bits, the same for all of one response.
    ///
    /// To be asked for on the way in to the layer's answer: a layer outside of it comes too late.
    ///
    /// # Errors
    /// 503 when the operating system gives no random bytes.
    fn csp_nonce(&mut self) -> Result<String>;
}

impl NonceExt for Ctx {
    #[track_caller]
    fn csp_nonce(&mut self) -> Result<String> {
        if let Some(Nonce(nonce)) = self.state() {
            return Ok(nonce.clone());
        }
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes)
            .map_err(|error| Error::new(503, "no random bytes for a nonce").with_cause(error))?;
        // No character that a template would escape.
        let nonce = BASE64.encode(bytes);
        self.insert(Nonce(nonce.clone()));
        Ok(nonce)
    }
}

struct Nonce(String);

/// A content security policy, cut where the nonce goes.
#[derive(Clone, Debug)]
struct Policy {
    name: HeaderName,
    /// Between two pieces stands a nonce.
    pieces: Vec<String>,
    without: HeaderValue,
}

impl Policy {
    const SOURCE: &str = "'nonce-{nonce}'";

    fn new(name: HeaderName, text: &str) -> Result<Option<Self>, OptionsError> {
        if text.is_empty() {
            return Ok(None);
        }
        let pieces: Vec<String> = text.split(Self::SOURCE).map(str::to_owned).collect();
        if pieces.iter().any(|piece| piece.contains("{nonce}")) {
            return Err(OptionsError::Nonce);
        }
        // A list of sources that the nonce alone made is to allow nothing, not everything.
        let without = without_nonce(text);
        let without =
            HeaderValue::from_str(&without).map_err(|_| OptionsError::Header("content_security_policy"))?;
        Ok(Some(Self { name, pieces, without }))
    }

    fn value(&self, nonce: Option<&Nonce>) -> HeaderValue {
        let Some(Nonce(nonce)) = nonce else { return self.without.clone() };
        let text = self.pieces.join(&format!("'nonce-{nonce}'"));
        HeaderValue::try_from(text).expect("the pieces were a header, and base64 is text")
    }
}

/// The policy without its nonces: a directive that has nothing else becomes `'none'`.
fn without_nonce(text: &str) -> String {
    let directives = text.split(';').map(|directive| {
        if !directive.contains(Policy::SOURCE) {
            return directive.trim().to_owned();
        }
        let words: Vec<&str> = directive.split_whitespace().filter(|word| *word != Policy::SOURCE).collect();
        if words.len() == 1 { format!("{} 'none'", words[0]) } else { words.join(" ") }
    });
    directives.filter(|directive| !directive.is_empty()).collect::<Vec<_>>().join("; ")
}

impl Hsts {
    fn value(&self) -> Option<HeaderValue> {
        if self.max_age.is_zero() {
            return None;
        }
        let subdomains = if self.subdomains { "; includeSubDomains" } else { "" };
        let preload = if self.preload { "; preload" } else { "" };
        let text = format!("max-age={}{subdomains}{preload}", self.max_age.as_secs());
        HeaderValue::try_from(text).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ViewsExt,
        views::{self, views},
    };
    use cepa_core::{App, test::block_on};

    fn app(options: Options) -> App {
        App::new()
            .with(secure_headers(options).unwrap())
            .get("/", async |_: &mut Ctx| "a")
            .get("/nonce", async |ctx: &mut Ctx| -> Result<String> {
                assert_eq!(ctx.csp_nonce()?, ctx.csp_nonce()?);
                ctx.csp_nonce()
            })
            .get("/own", async |ctx: &mut Ctx| {
                ctx.set("content-security-policy", "default-src *")?;
                ctx.set("cross-origin-resource-policy", "cross-origin")
            })
            .get("/fails", async |ctx: &mut Ctx| -> Result { Err(ctx.error(403, "no")) })
    }

    #[test]
    fn answers_errors_and_missing_pages_have_the_headers() {
        let client = app(Options::default()).test();
        let policy = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'; \
            img-src 'self' data:; object-src 'none'; script-src 'self'; style-src 'self'";
        for path in ["/", "/fails", "/missing"] {
            let answer = block_on(client.get(path));
            for (name, value) in [
                ("content-security-policy", policy),
                ("x-content-type-options", "nosniff"),
                ("x-frame-options", "SAMEORIGIN"),
                ("referrer-policy", "same-origin"),
                ("cross-origin-opener-policy", "same-origin"),
                ("cross-origin-resource-policy", "same-origin"),
                ("x-permitted-cross-domain-policies", "none"),
                ("strict-transport-security", ""),
                ("permissions-policy", ""),
            ] {
                assert_eq!(answer.header(name), value, "{path} {name}");
            }
        }
    }

    #[test]
    fn a_nonce_is_in_the_policy_of_its_response_alone() {
        let client = app(Options::default()).test();
        let (first, second) = block_on(async { (client.get("/nonce").await, client.get("/nonce").await) });
        assert_ne!(first.text(), second.text());
        assert_eq!(first.text().len(), 22);
        let source = format!("script-src 'self' 'nonce-{}'; style-src", first.text());
        assert!(first.header("content-security-policy").contains(&source));
    }

    #[test]
    fn pages_know_the_nonce() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.html"), "{{ nonce }}").unwrap();
        let templates = views(views::Options { dir: dir.path().to_owned(), ..Default::default() }).unwrap();
        let client = app(Options::default())
            .provide(templates)
            .get("/page", async |ctx: &mut Ctx| ctx.render("a.html", &()))
            .test();
        let answer = block_on(client.get("/page"));
        let nonce = answer.text();
        assert_eq!(nonce.len(), 22);
        assert!(answer.header("content-security-policy").contains(&format!("'nonce-{nonce}'")));
        assert!(!block_on(client.get("/")).header("content-security-policy").contains("nonce"));
    }

    #[test]
    fn hsts_is_for_tls_alone() {
        let hsts = Hsts { max_age: YEAR, subdomains: true, preload: true };
        for (hsts, expected) in [
            (Hsts::default(), "max-age=15552000"),
            (hsts, "max-age=31536000; includeSubDomains; preload"),
            (Hsts { max_age: Duration::ZERO, ..Hsts::default() }, ""),
        ] {
            let client = app(Options { hsts, ..Options::default() }).test().over_tls();
            assert_eq!(block_on(client.get("/")).header("strict-transport-security"), expected);
        }
    }

    #[test]
    fn what_a_handler_says_stays() {
        let answer = block_on(app(Options::default()).test().get("/own"));
        assert_eq!(answer.header("content-security-policy"), "default-src *");
        assert_eq!(answer.header("cross-origin-resource-policy"), "cross-origin");
    }

    #[test]
    fn options_are_read_and_checked() {
        let options: Options = toml::from_str(
            "content_security_policy = \"script-src 'nonce-{nonce}'\"\nreport_only = true\nframe_options = ''",
        )
        .unwrap();
        let answer = block_on(app(options).test().get("/"));
        assert_eq!(answer.header("content-security-policy-report-only"), "script-src 'none'");
        assert_eq!((answer.header("content-security-policy"), answer.header("x-frame-options")), ("", ""));

        let refused = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            secure_headers(options).unwrap_err()
        };
        assert_eq!(refused(|o| o.content_security_policy = "script-src {nonce}".into()), OptionsError::Nonce);
        assert_eq!(refused(|o| o.frame_options = "a\nb".into()), OptionsError::Header("x-frame-options"));
        let error = refused(|o| o.content_security_policy = "a\nb".into());
        assert_eq!(error, OptionsError::Header("content_security_policy"));
        assert_eq!(refused(|o| o.hsts.preload = true), OptionsError::Preload);
        let options = Options { content_security_policy: String::new(), ..Options::default() };
        assert_eq!(block_on(app(options).test().get("/")).header("content-security-policy"), "");
    }
}
