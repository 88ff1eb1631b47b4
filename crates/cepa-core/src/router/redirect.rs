//! Routes that lead elsewhere, with the parameters of the path filled in.

use std::{fmt, future::ready};

use http::StatusCode;

use super::Pattern;
use crate::{
    Ctx, Error, LocalBoxFuture, Result,
    location::{InvalidLocation, is_local, normalise_location},
    middleware::Core,
    percent,
    response::is_redirect,
};

/// A redirect as it was added.
#[derive(Debug)]
pub(crate) struct Redirect {
    to: String,
    status: StatusCode,
}

/// Why a redirect cannot be a route.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum RedirectFault {
    #[error("{0} is no status of a redirect: use 301, 302, 303, 307 or 308")]
    Status(StatusCode),
    #[error("the target {to:?} of a redirect needs a parameter {name:?}, which {pattern:?} does not have")]
    Unknown { to: String, name: String, pattern: String },
    #[error("the target {to:?} of a redirect leads nowhere: {error}")]
    Url { to: String, error: InvalidLocation },
    #[error(
        "the target {to:?} of a redirect holds a single brace: write {{name}} for a parameter, {{{{ and }}}} for braces"
    )]
    Brace { to: String },
}

/// A redirect whose target was understood.
#[derive(Debug)]
pub(crate) struct ReadyRedirect {
    to: String,
    parts: Vec<Part>,
    status: StatusCode,
    /// Whether it stays on this site.
    local: bool,
}

#[derive(Debug)]
enum Part {
    Text(String),
    Param { name: String, keep_slash: bool },
}

impl Redirect {
    pub(crate) fn new(to: &str, status: StatusCode) -> Self {
        Self { to: to.to_owned(), status }
    }

    /// Reads the target of a redirect from paths of this pattern.
    pub(crate) fn resolve(self, pattern: &Pattern) -> Result<ReadyRedirect, RedirectFault> {
        let Self { to, status } = self;
        if !is_redirect(status) {
            return Err(RedirectFault::Status(status));
        }
        let brace = || RedirectFault::Brace { to: to.clone() };
        let (mut parts, mut text) = (Vec::new(), String::new());
        let mut rest = &*to;
        while let Some(at) = rest.find(['{', '}']) {
            text.push_str(&rest[..at]);
            rest = &rest[at..];
            if let Some((doubled, after)) = rest.split_at_checked(2)
                && matches!(doubled, "{{" | "}}")
            {
                text.push_str(&doubled[1..]);
                rest = after;
                continue;
            }
            let (name, after) =
                rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).ok_or_else(brace)?;
            let (name, keep_slash) = name.strip_prefix('*').map_or((name, false), |name| (name, true));
            if !pattern.names().iter().any(|known| **known == *name) {
                let (name, pattern) = (name.to_owned(), pattern.as_str().to_owned());
                return Err(RedirectFault::Unknown { to, name, pattern });
            }
            parts.push(Part::Text(std::mem::take(&mut text)));
            parts.push(Part::Param { name: name.to_owned(), keep_slash });
            rest = after;
        }
        text.push_str(rest);
        if parts.is_empty() {
            normalise_location(&text).map_err(|error| RedirectFault::Url { to: to.clone(), error })?;
        }
        parts.push(Part::Text(text));
        Ok(ReadyRedirect { local: is_local(&to), to, parts, status })
    }
}

impl ReadyRedirect {
    fn go(&self, ctx: &mut Ctx) -> Result {
        let mut url = String::with_capacity(2 * self.to.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Param { name, keep_slash } => {
                    let value = ctx.param(name).unwrap_or_default();
                    percent::push_component(&mut url, &value, *keep_slash);
                }
            }
        }
        // A path such as `//evil.test` in a parameter must not lead to another site.
        if self.local && !is_local(&url) {
            return Err(Error::status_only(StatusCode::NOT_FOUND));
        }
        ctx.response.set_status(self.status);
        ctx.redirect(&url).map_err(|error| Error::status_only(StatusCode::NOT_FOUND).with_cause(error))
    }
}

impl Core for ReadyRedirect {
    fn call<'a>(&'a self, ctx: &'a mut Ctx) -> LocalBoxFuture<'a, Result> {
        Box::pin(ready(self.go(ctx)))
    }
}

impl fmt::Display for ReadyRedirect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} to {}", self.status.as_u16(), self.to)
    }
}
