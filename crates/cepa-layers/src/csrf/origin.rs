//! What the browser says of the page that has sent a request.

use cepa_core::Ctx;

/// Options that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// An origin is a scheme, `://`, a host and a port if it is not the usual one, and nothing else.
    #[error("csrf: {0:?} is no origin: write one like \"https://admin.example.com\", without a path")]
    Origin(String),
    /// The name of the cookie is no token.
    #[error("csrf: {0:?} is no name for a cookie")]
    Cookie(String),
    /// Neither the origin nor tokens are to be checked.
    #[error("csrf: with origin = false and no tokens, nothing is checked: leave the layer out instead")]
    NothingChecked,
}

/// Origins as browsers write them.
#[derive(Clone, Debug)]
pub(super) struct Origins(Vec<String>);

impl Origins {
    pub(super) fn parse(origins: &[String]) -> Result<Self, OptionsError> {
        match origins.iter().find(|origin| !is_origin(origin)) {
            Some(origin) => Err(OptionsError::Origin(origin.clone())),
            None => Ok(Self(origins.to_vec())),
        }
    }

    fn contains(&self, origin: &str) -> bool {
        self.0.iter().any(|trusted| trusted == origin)
    }
}

/// Whether a text is an origin in the one form that browsers send: lower case, no default port, nothing behind.
pub(crate) fn is_origin(text: &str) -> bool {
    let Some((scheme, authority)) = text.split_once("://") else { return false };
    let is_scheme =
        !scheme.is_empty() && scheme.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit());
    let is_plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._:[]".contains(&byte);
    is_scheme
        && !authority.is_empty()
        && authority.bytes().all(is_plain)
        && !cepa_core::host::hostname(authority).is_empty()
        && without_default_port(scheme, authority) == authority
}

/// Whether the request comes from a page of the host that was asked, of a trusted origin, or, unless `strict`, from
/// no page at all.
pub(super) fn is_own(ctx: &Ctx, trusted: &Origins, strict: bool) -> bool {
    let headers = ctx.request.fields();
    // A header that is not text is there all the same.
    let text = |name: &str| headers.get(name).map(|value| std::str::from_utf8(value).unwrap_or("?"));
    let origin = text("origin");
    let is_trusted = || origin.is_some_and(|origin| trusted.contains(origin));
    match (text("sec-fetch-site"), origin) {
        (Some("same-origin" | "none"), _) => true,
        (Some(_), _) => is_trusted(),
        (None, Some(origin)) => is_this_host(ctx, origin, true) || is_trusted(),
        (None, None) => match text("referer") {
            Some(page) => {
                is_this_host(ctx, page, false)
                    || origin_of(page).is_some_and(|origin| trusted.contains(origin))
            }
            None => !strict,
        },
    }
}

/// Whether an origin, or the URL of a page, names the host that was asked.
///
/// Where it is known that the visitor uses TLS, a plain page of the same host is another's: it can be forged on the
/// way. Behind a proxy that the app does not trust this is not known, and the scheme not compared.
fn is_this_host(ctx: &Ctx, url: &str, is_origin: bool) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    let authority = if is_origin { rest } else { rest.split(['/', '?', '#']).next().unwrap_or(rest) };
    let asked = without_default_port(scheme, ctx.host());
    !asked.is_empty()
        && matches!(scheme, "http" | "https")
        && without_default_port(scheme, authority).eq_ignore_ascii_case(asked)
        && !(ctx.secure() && scheme != "https")
}

/// The origin of a URL, for one without user information.
fn origin_of(url: &str) -> Option<&str> {
    let start = url.find("://")? + 3;
    let end = url[start..].find(['/', '?', '#']).map_or(url.len(), |length| start + length);
    Some(&url[..end])
}

fn without_default_port<'a>(scheme: &str, authority: &'a str) -> &'a str {
    let port = match scheme {
        "http" => ":80",
        "https" => ":443",
        _ => return authority,
    };
    authority.strip_suffix(port).unwrap_or(authority)
}
