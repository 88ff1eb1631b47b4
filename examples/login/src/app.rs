//! The onion: what a request passes, and what answers it.

use cepa::{
    cookie::Keys,
    layers::{
        csrf::{self, Tokens, csrf},
        secure_headers,
        session::{Memory, session},
        views::{self, views},
    },
    prelude::*,
    router::{get, post},
};
use serde::Deserialize;

use crate::{accounts::Accounts, pages, visitor};

/// The section `[login]` of the configuration.
#[derive(Deserialize)]
struct Settings {
    /// Secrets that cookies are signed with, the newest first; with none, a restart logs everybody out.
    #[serde(default)]
    keys: Vec<String>,
    /// The bcrypt hash of each account's password.
    accounts: std::collections::HashMap<String, String>,
}

/// Builds the app.
///
/// # Errors
/// A configuration or template that cannot be used.
pub fn app(boot: &mut Boot) -> Result<App> {
    let Settings { keys, accounts } = boot.config("login")?;
    let keys = if keys.is_empty() { Keys::random()? } else { Keys::new(&keys)? };
    let templates: views::Options = boot.config("views")?;
    let templates = views::Options { dir: boot.root().join(&templates.dir), ..templates };
    // What browsers say of a page is enough for all of them since 2020; tokens keep older ones out of trouble too.
    let csrf = csrf(csrf::Options { tokens: Some(Tokens::Koa), ..Default::default() })?;
    Ok(App::new()
        .keys(keys)
        .provide(Accounts::new(accounts)?)
        .provide(views(templates)?)
        .with(secure_headers(Default::default())?)
        // In a store, so that who logs out is out, whoever has a copy of the cookie.
        .with(session(boot.config("session")?)?.store(Memory::default()))
        .with(csrf)
        .route("/", get(pages::home).with(visitor::logged_in))
        .route("/login", get(pages::form).post(pages::log_in))
        .route("/logout", post(pages::log_out)))
}
