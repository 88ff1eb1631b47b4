//! Who is logged in.

use cepa::{layers::SessionExt, prelude::*};

/// The name of the account in the session.
const ACCOUNT: &str = "account";

/// The account that the visitor has logged in to.
pub(crate) fn account(ctx: &mut Ctx) -> Result<Option<String>> {
    ctx.session()?.get(ACCOUNT)
}

/// Remembers that the visitor has proved to be this account's.
pub(crate) fn log_in(ctx: &mut Ctx, account: &str) -> Result {
    let session = ctx.session()?;
    // What was in the session before is not this account's, and its id may be known to others.
    session.destroy();
    session.set(ACCOUNT, account)
}

/// Forgets the visitor.
pub(crate) fn log_out(ctx: &mut Ctx) -> Result {
    ctx.session()?.destroy();
    Ok(())
}

/// A layer that leads everybody to the form who is not logged in.
pub(crate) async fn logged_in(ctx: &mut Ctx, next: Next<'_>) -> Result {
    match account(ctx)? {
        Some(_) => next.run(ctx).await,
        None => ctx.redirect("/login"),
    }
}
