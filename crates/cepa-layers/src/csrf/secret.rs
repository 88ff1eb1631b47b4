//! The secret of a visitor, and the tokens that are made of it, in the forms of Koa and of Egg.
//!
//! A token is a salt, `-`, and the URL-safe base64 of the SHA-1 of salt, `-` and secret: it shows that its maker knew
//! the secret, looks different each time (so that compression tells nothing of it), and needs no key. SHA-1 is asked
//! for a preimage here, not for a collision.

use std::{hint::black_box, sync::Arc};

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD as BASE64};
use cepa_core::{
    Ctx, Error, Result,
    cookie::{CookieOptions, SameSite},
};
use sha1::{Digest as _, Sha1};

use super::Tokens;
use crate::SessionExt;

/// The name of the field that has the token.
pub(super) const FIELD: &str = "_csrf";
/// The name of the secret in the session, as in koa-csrf.
const SECRET: &str = "secret";
/// Secrets and tokens of clients are no longer.
const MAX_TOKEN: usize = 128;

/// What the layer leaves on a request.
pub(super) struct Given {
    tokens: Tokens,
    cookie: Arc<str>,
    /// Of the cookie of this request or response.
    secret: Option<String>,
    pub(super) token: Option<String>,
}

impl Given {
    pub(super) fn new(tokens: Tokens, cookie: Arc<str>, secret: Option<String>) -> Self {
        Self { tokens, cookie, secret, token: None }
    }
}

pub(super) fn missing() -> Error {
    Error::new(500, "there are no tokens here: add the layer `csrf` with `tokens` around this one")
}

/// The secret that the visitor has.
pub(super) fn known_secret(ctx: &mut Ctx) -> Result<Option<String>> {
    let given = ctx.state::<Given>().ok_or_else(missing)?;
    match given.tokens {
        // A value of another type is none.
        Tokens::Koa => Ok(ctx.session()?.get(SECRET).unwrap_or_default()),
        Tokens::Egg => Ok(given.secret.clone()),
    }
}

pub(super) fn new_secret() -> Result<String> {
    Ok(BASE64.encode(random::<18>()?))
}

/// Gives the visitor a secret. Tokens of another are void.
pub(super) fn set_secret(ctx: &mut Ctx, secret: String) -> Result<String> {
    let given = ctx.state_mut::<Given>().ok_or_else(missing)?;
    given.token = None;
    match given.tokens {
        Tokens::Koa => ctx.session()?.set(SECRET, &secret)?,
        Tokens::Egg => {
            let name = Arc::clone(&given.cookie);
            given.secret = Some(secret.clone());
            let options = CookieOptions {
                http_only: false,
                signed: Some(false),
                same_site: Some(SameSite::Lax),
                overwrite: true,
                ..CookieOptions::default()
            };
            ctx.cookies().set(&name, &secret, &options)?;
        }
    }
    Ok(secret)
}

/// The token of the secret that the visitor has, for the rest of the request.
pub(super) fn give(ctx: &mut Ctx, secret: &str) -> Result<String> {
    let token = make(&salt()?, secret);
    ctx.state_mut::<Given>().ok_or_else(missing)?.token = Some(token.clone());
    Ok(token)
}

/// Whether a client's cookie may be a secret.
pub(super) fn is_secret(text: &str) -> bool {
    (16..=MAX_TOKEN).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
}

/// The token of a secret, with this salt.
pub(super) fn make(salt: &str, secret: &str) -> String {
    let hash = Sha1::new().chain_update(salt).chain_update("-").chain_update(secret).finalize();
    format!("{salt}-{}", BASE64.encode(hash))
}

/// Whether a token was made of this secret.
pub(super) fn verify(secret: &str, token: &str) -> bool {
    token.len() <= MAX_TOKEN
        && token
            .split_once('-')
            .is_some_and(|(salt, _)| is_same(make(salt, secret).as_bytes(), token.as_bytes()))
}

/// Compares in the same time wherever the difference lies.
pub(super) fn is_same(a: &[u8], b: &[u8]) -> bool {
    a.len() == b.len() && black_box(a.iter().zip(b).fold(0, |sum, (a, b)| black_box(sum | (a ^ b)))) == 0
}

/// Eight letters and digits.
pub(super) fn salt() -> Result<String> {
    const LETTERS: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    Ok(random::<8>()?.iter().map(|byte| char::from(LETTERS[usize::from(byte % 32)])).collect())
}

fn random<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(|error| Error::new(503, "no random bytes").with_cause(error))?;
    Ok(bytes)
}
