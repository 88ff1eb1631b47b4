//! What the templates of `views` have of it: `csrf_token` and `csrf_field()`.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use cepa_core::{Ctx, Result};
use minijinja::Value;

use super::secret::{FIELD, Given, give, known_secret, make, missing, new_secret, salt, set_secret};
use crate::views::Locals;

/// The names that templates know.
const TOKEN: &str = "csrf_token";
const FUNCTION: &str = "csrf_field";

/// What pages have to do with a request, left on it once some may have a token.
#[derive(Default)]
struct Pages {
    offer: Option<Offer>,
    /// Whether the request is on its way out: what it needs a secret for comes too late.
    is_over: bool,
}

/// A token for a visitor who has no secret yet, and gets one only if the page that is rendered takes the token.
struct Offer {
    secret: String,
    token: String,
    is_taken: Arc<AtomicBool>,
}

/// Lets the pages that are rendered from now on have a token.
pub(super) fn give_token(ctx: &mut Ctx) {
    ctx.insert(Pages::default());
    Locals::of(ctx).later(fill);
}

/// Lets them have another one, since the secret is another. A token that was on offer is void.
pub(super) fn renew_token(ctx: &mut Ctx) {
    if let Some(pages) = ctx.state_mut::<Pages>() {
        pages.offer = None;
    }
    Locals::of(ctx).later(fill);
}

/// The same where requests need no token, so that templates do not depend on it.
pub(super) fn give_none(ctx: &mut Ctx) {
    Locals::of(ctx).later(|ctx| {
        let field = || Value::from_safe_string(String::new());
        Locals::of(ctx).set(TOKEN, "").set_function(FUNCTION, field);
        Ok(())
    });
}

/// The token on offer, if there is one: the visitor is given its secret.
pub(super) fn accept_offer(ctx: &mut Ctx) -> Result<Option<String>> {
    let Some(offer) = ctx.state_mut::<Pages>().and_then(|pages| pages.offer.take()) else { return Ok(None) };
    set_secret(ctx, offer.secret)?;
    ctx.state_mut::<Given>().ok_or_else(missing)?.token = Some(offer.token.clone());
    Ok(Some(offer.token))
}

/// Gives templates `csrf_token` and `csrf_field()`, before the first page of a request is rendered.
fn fill(ctx: &mut Ctx) -> Result {
    let given = ctx.state::<Given>().ok_or_else(missing)?;
    if let Some(token) = given.token.clone() {
        put_in_pages(ctx, token, Arc::default());
        return Ok(());
    }
    if ctx.state::<Pages>().is_none_or(|pages| pages.is_over) {
        return Ok(());
    }
    // A page for which the session layer does not run can still be rendered, as long as it shows no token.
    let Ok(known) = known_secret(ctx) else { return Ok(()) };
    match known {
        Some(secret) => {
            let token = give(ctx, &secret)?;
            put_in_pages(ctx, token, Arc::default());
        }
        None => {
            let secret = new_secret()?;
            let offer = Offer { token: make(&salt()?, &secret), secret, is_taken: Arc::default() };
            put_in_pages(ctx, offer.token.clone(), Arc::clone(&offer.is_taken));
            ctx.state_mut::<Pages>().ok_or_else(missing)?.offer = Some(offer);
        }
    }
    Ok(())
}

fn put_in_pages(ctx: &mut Ctx, token: String, is_taken: Arc<AtomicBool>) {
    let field = format!(r#"<input type="hidden" name="{FIELD}" value="{token}">"#);
    let also_taken = Arc::clone(&is_taken);
    let token = move || {
        is_taken.store(true, Ordering::Relaxed);
        token.clone()
    };
    let field = move || {
        also_taken.store(true, Ordering::Relaxed);
        Value::from_safe_string(field.clone())
    };
    Locals::of(ctx).set_with(TOKEN, token).set_function(FUNCTION, field);
}

/// On the way out: what was offered and taken is kept.
pub(super) fn end(ctx: &mut Ctx, is_ok: bool) -> Result {
    let pages = ctx.state_mut::<Pages>().ok_or_else(missing)?;
    pages.is_over = true;
    if let Some(offer) = &pages.offer {
        if is_ok && offer.is_taken.load(Ordering::Relaxed) {
            accept_offer(ctx)?;
        } else {
            // A page further out must not show a token that nothing is kept for.
            Locals::of(ctx).remove(TOKEN).remove(FUNCTION);
        }
    }
    Ok(())
}
