//! The pages that people see, rendered from `templates/`.

use cepa::{layers::ViewsExt, prelude::*};
use minijinja::context;
use serde::Deserialize;

use crate::{accounts::Accounts, visitor};

/// Renders a page for this visitor alone. What its form and its style need, the layers have left to the template.
fn page(ctx: &mut Ctx, template: &str, account: &str, message: &str) -> Result {
    ctx.set_cache_control("no-store")?;
    ctx.render(template, &context! { account, message })
}

/// `GET /`: for those who are logged in.
pub(crate) async fn home(ctx: &mut Ctx) -> Result {
    let account = visitor::account(ctx)?.unwrap_or_default();
    page(ctx, "home.html", &account, "")
}

/// `GET /login`: the form.
pub(crate) async fn form(ctx: &mut Ctx) -> Result {
    page(ctx, "login.html", "", "")
}

#[derive(Deserialize)]
struct Credentials {
    account: String,
    password: String,
}

/// `POST /login`: leads to the page, or shows the form again.
pub(crate) async fn log_in(ctx: &mut Ctx) -> Result {
    let Credentials { account, password } = ctx.form().await?;
    let accounts: Accounts = ctx.provided::<Accounts>()?.clone();
    let name = account.clone();
    // bcrypt is slow by intention: not on a thread that serves.
    if !ctx.blocking(move || Ok::<_, Error>(accounts.verify(&name, &password))).await? {
        ctx.set_status(403)?;
        return page(ctx, "login.html", &account, "No such account, or another password.");
    }
    visitor::log_in(ctx, &account)?;
    see_other(ctx, "/")
}

/// `POST /logout`.
pub(crate) async fn log_out(ctx: &mut Ctx) -> Result {
    visitor::log_out(ctx)?;
    see_other(ctx, "/login")
}

/// 303, so that reloading the page does not send the form again.
fn see_other(ctx: &mut Ctx, url: &str) -> Result {
    ctx.set_status(303)?;
    ctx.redirect(url)
}
