//! What is remembered of a visitor, in cookies: the name, and thanks that the next page owes.

use std::time::Duration;

use cepa::{
    cookie::{CookieOptions, SameSite},
    prelude::*,
};

/// Encrypted: whoever else uses the browser need not know.
const NAME: &str = "visitor";
/// Signed: nobody makes the page give thanks for what was not signed.
const THANKS: &str = "thanks";
const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

fn options() -> CookieOptions<'static> {
    CookieOptions { same_site: Some(SameSite::Lax), ..CookieOptions::default() }
}

/// The name that the visitor has signed with before.
pub(crate) fn name(ctx: &mut Ctx) -> Result<Option<String>> {
    let opened = ctx.cookies().get_encrypted(NAME)?;
    Ok(opened.and_then(|opened| String::from_utf8(opened.value).ok()))
}

/// Remembers a name for a year.
pub(crate) fn remember(ctx: &mut Ctx, name: &str) -> Result {
    let options = CookieOptions { max_age: Some(YEAR), ..options() };
    Ok(ctx.cookies().set_encrypted(NAME, name.as_bytes(), &options)?)
}

/// Has the next page give thanks for an entry.
pub(crate) fn owe_thanks(ctx: &mut Ctx, id: u64) -> Result {
    Ok(ctx.cookies().set(THANKS, &id.to_string(), &options())?)
}

/// The entry that thanks are owed for; given once.
pub(crate) fn take_thanks(ctx: &mut Ctx) -> Result<Option<u64>> {
    let mut cookies = ctx.cookies();
    let id = cookies.get_signed(THANKS)?.and_then(|id| id.parse().ok());
    if id.is_some() {
        cookies.remove(THANKS, &options())?;
    }
    Ok(id)
}
