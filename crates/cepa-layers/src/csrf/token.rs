//! Tokens of Koa's kind and of Egg's: for pages, and looked for in requests.

use std::sync::Arc;

use cepa_core::{Ctx, Error, Next, Result, cookie::CookieOptions, form};

use super::{
    Csrf, OptionsError, Tokens, is_harmless, pages,
    secret::{FIELD, Given, give, is_same, is_secret, known_secret, missing, new_secret, set_secret, verify},
};

const HEADERS: [&str; 4] = ["csrf-token", "xsrf-token", "x-csrf-token", "x-xsrf-token"];
/// Bodies are searched for a token up to this many bytes; larger ones send it in a header.
const MAX_BODY: u64 = 1 << 20;
/// Fields of a form that are searched.
const MAX_FIELDS: usize = 1000;

/// The token for the pages of a request, where a [`csrf()`](super::csrf()) layer with [`Tokens`] is around.
pub trait CsrfExt {
    /// A token for the forms and scripts of the page that is being made; the same for all of one request.
    ///
    /// The first one for a visitor sets the session, or the cookie, that it is checked with.
    ///
    /// # Errors
    /// 500 when no such layer is around; 503 when the operating system gives no random bytes.
    fn csrf_token(&mut self) -> Result<String>;

    /// Makes all tokens that were given to this visitor void, as should be done at login.
    ///
    /// # Errors
    /// As [`csrf_token`](Self::csrf_token).
    fn rotate_csrf(&mut self) -> Result;
}

impl CsrfExt for Ctx {
    #[track_caller]
    fn csrf_token(&mut self) -> Result<String> {
        let Some(given) = self.state::<Given>() else { return Err(missing()) };
        if let Some(token) = &given.token {
            return Ok(token.clone());
        }
        if let Some(token) = pages::accept_offer(self)? {
            return Ok(token);
        }
        let secret = match known_secret(self)? {
            Some(secret) => secret,
            None => set_secret(self, new_secret()?)?,
        };
        give(self, &secret)
    }

    #[track_caller]
    fn rotate_csrf(&mut self) -> Result {
        set_secret(self, new_secret()?)?;
        // A page that is rendered from now on needs another token than one before.
        pages::renew_token(self);
        Ok(())
    }
}

impl Csrf {
    pub(super) async fn with_tokens(&self, ctx: &mut Ctx, next: Next<'_>) -> Result {
        let Some(tokens) = self.options.tokens else { return next.run(ctx).await };
        let secret = match tokens {
            Tokens::Koa => None,
            Tokens::Egg => self.cookie_secret(ctx),
        };
        let is_known = secret.is_some();
        ctx.insert(Given::new(tokens, Arc::clone(&self.cookie), secret));
        if !is_harmless(ctx) {
            self.check_token(ctx, tokens).await?;
        }
        if tokens == Tokens::Egg && !is_known {
            // Scripts read the cookie; they do not wait for a page with a form.
            set_secret(ctx, new_secret()?)?;
        }
        pages::give_token(ctx);
        let result = next.run(ctx).await;
        pages::end(ctx, result.is_ok())?;
        result
    }

    async fn check_token(&self, ctx: &mut Ctx, tokens: Tokens) -> Result {
        let secret = known_secret(ctx)?;
        let sent = self.sent(ctx).await?;
        let is_good = secret.zip(sent.as_ref()).is_some_and(|(secret, sent)| {
            // Scripts of Egg's send the cookie as it is.
            verify(&secret, sent) || tokens == Tokens::Egg && is_same(secret.as_bytes(), sent.as_bytes())
        });
        if is_good { Ok(()) } else { Err(Error::new(403, self.refusal(sent.is_none()))) }
    }

    fn refusal(&self, is_missing: bool) -> &'static str {
        match (self.options.tokens, is_missing) {
            (Some(Tokens::Egg), true) => "missing csrf token",
            (Some(Tokens::Egg), false) => "invalid csrf token",
            _ => "Invalid CSRF token",
        }
    }

    /// The secret in the cookie, if there is exactly one.
    fn cookie_secret(&self, ctx: &mut Ctx) -> Option<String> {
        let name = &*self.cookie;
        let cookies = ctx.cookies();
        let secret = cookies.get(name).filter(|_| cookies.count(name) == 1)?;
        is_secret(secret).then(|| secret.to_owned())
    }

    /// The token that came with the request: in its body, its query, or a header.
    async fn sent(&self, ctx: &mut Ctx) -> Result<Option<String>> {
        if let Some(token) = in_body(ctx).await?.filter(|token| !token.is_empty()) {
            return Ok(Some(token));
        }
        let in_query = ctx.query_value(FIELD).filter(|token| self.options.query && !token.is_empty());
        Ok(in_query.map(|token| token.into_owned()).or_else(|| in_headers(ctx).map(str::to_owned)))
    }
}

fn in_headers(ctx: &Ctx) -> Option<&str> {
    HEADERS.iter().find_map(|name| ctx.get(*name).filter(|token| !token.is_empty()))
}

/// The token in a form or a JSON object. The body is put back for who reads it next.
async fn in_body(ctx: &mut Ctx) -> Result<Option<String>> {
    let kind = ctx.request.content_type();
    let is_form = kind.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let is_json = kind.eq_ignore_ascii_case("application/json");
    if !is_form && !is_json || ctx.request.body().is_empty() {
        return Ok(None);
    }
    // A body of unknown length that turns out to be longer is an error, so that it is not begun without need.
    let is_short =
        ctx.request.body().len().map_or_else(|| in_headers(ctx).is_none(), |length| length <= MAX_BODY);
    if !is_short {
        return Ok(None);
    }
    let bytes = ctx.request.body_mut().bytes(MAX_BODY).await?;
    let token = match is_form {
        true => std::str::from_utf8(&bytes).ok().and_then(|text| {
            form::parse(text, MAX_FIELDS).find(|(name, _)| name == FIELD).map(|(_, token)| token.into_owned())
        }),
        false => {
            #[derive(serde::Deserialize)]
            struct Body {
                #[serde(rename = "_csrf")]
                token: Option<String>,
            }
            serde_json::from_slice::<Body>(&bytes).ok().and_then(|body| body.token)
        }
    };
    ctx.request.set_body(bytes);
    Ok(token)
}

pub(super) fn check_cookie(name: &str) -> Result<(), OptionsError> {
    let options = CookieOptions::default();
    cepa_core::cookie::set_cookie(name, "x", &options, true, std::time::UNIX_EPOCH)
        .map(drop)
        .map_err(|_| OptionsError::Cookie(name.to_owned()))
}
