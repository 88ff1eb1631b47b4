//! The pages that people see, rendered from `templates/`.

use cepa::{
    layers::{CsrfExt, NonceExt},
    prelude::*,
};
use minijinja::{Environment, UndefinedBehavior, context};
use serde::Deserialize;

use crate::{accounts::Accounts, visitor};

/// All templates. Their names end in `.html`, so that every value is escaped.
pub(crate) struct Pages(Environment<'static>);

impl Pages {
    pub(crate) fn new() -> Result<Self> {
        let mut templates = Environment::new();
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        templates.add_template("layout.html", include_str!("../templates/layout.html"))?;
        templates.add_template("home.html", include_str!("../templates/home.html"))?;
        templates.add_template("login.html", include_str!("../templates/login.html"))?;
        Ok(Self(templates))
    }
}

/// Renders a page for this visitor alone, with the token that its form sends back.
fn page(ctx: &mut Ctx, template: &str, account: &str, message: &str) -> Result {
    let (nonce, token) = (ctx.csp_nonce()?, ctx.csrf_token()?);
    ctx.set_cache_control("no-store")?;
    let Pages(templates) = ctx.provided()?;
    let text = templates.get_template(template)?.render(context! { nonce, token, account, message })?;
    ctx.set_body(Html(text))
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
