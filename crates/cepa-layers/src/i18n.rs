//! The language of a request, and messages in it.
//!
//! With the feature `i18n`.
//!
//! A folder has a file for each locale, `en.toml`, `de.toml`, `zh-tw.json`, whose tables nest as one likes:
//!
//! ```toml
//! greeting = "Hello, {name}!"
//!
//! [cart.items]            # a message with plural forms: the categories of its language in CLDR
//! one = "{count} item"
//! other = "{count} items"
//! ```
//!
//! and [`I18nExt`] finds them, as does `{{ t("cart.items", count=3) }}` in a [template](mod@crate::views):
//!
//! ```no_run
//! use cepa_core::{App, Ctx, Result};
//! use cepa_layers::{I18nExt, i18n};
//!
//! # fn main() -> Result {
//! let app = App::new().with(i18n(Default::default())?).get("/", async |ctx: &mut Ctx| {
//!     let name = ctx.query_value("name").unwrap_or_default().into_owned();
//!     ctx.t("greeting").with("name", &name).to_string()
//! });
//! # Ok(())
//! # }
//! ```
//!
//! The locale of a request is the first that there is of: the one in the query, the one in the cookie, the best of
//! `Accept-Language`, the default. Names are compared without regard to case, `_` is `-`, and `zh-tw` is also served by
//! `zh`. Only names of files are ever chosen, so what a client sends gets neither into a header nor onto a page.
//!
//! A message that a locale lacks is looked for in the fallback that the options name for it, then in the locale without
//! its last part, at last in the default locale.
//!
//! It belongs outside of whatever makes text, the layer that answers errors too.

mod catalog;
mod message;
mod plural;
#[cfg(feature = "views")]
mod template;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, path::PathBuf, sync::Arc, time::Duration};

use cepa_core::{
    Ctx, LocalBoxFuture, Middleware, Next, Result,
    cookie::{self, CookieOptions, SameSite},
};
use http::header;
use serde::Deserialize;

use self::catalog::{Catalog, MAX_NAME, normalise};
pub use self::{
    catalog::I18nError,
    message::{Arg, Message},
    plural::Category,
};

/// Where messages are, and how a request's locale is found.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The folders of the files, default `["locales"]`. What a later one has wins.
    pub dirs: Vec<PathBuf>,
    /// The locale for clients that ask for none that there is, default `en`. It must have a file.
    pub default: String,
    /// The key of the query that names a locale, default `locale`; empty is none.
    pub query: String,
    /// The cookie that names a locale, default `locale`; empty is none.
    pub cookie: String,
    /// Whether `Accept-Language` is asked, default true.
    pub accept_language: bool,
    /// When the cookie is written, default `query`.
    pub remember: Remember,
    /// How long the cookie is kept, in days, default 365.
    pub cookie_days: u32,
    /// The domain of the cookie, default none: this host alone.
    pub cookie_domain: Option<String>,
    /// Where a locale's missing messages are looked for first, such as `{ "zh-tw" = "zh-hk" }`. Both must have a file.
    pub fallbacks: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            dirs: vec!["locales".into()],
            default: "en".to_owned(),
            query: "locale".to_owned(),
            cookie: "locale".to_owned(),
            accept_language: true,
            remember: Remember::Query,
            cookie_days: 365,
            cookie_domain: None,
            fallbacks: BTreeMap::new(),
        }
    }
}

/// When the cookie with the locale is written. It is never written with the locale that it has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Remember {
    /// When the query has chosen it: answers to all others can be cached.
    Query,
    /// Also when the header or the default has, as Egg does it.
    Always,
    /// Not at all.
    Never,
}

/// A layer that finds the locale of each request.
///
/// Answers that depend on cookie or header say so in `Vary`. The cookie is readable by scripts and not signed.
///
/// # Errors
/// Files that cannot be read or hold something else than text, a locale without a file, a name that no cookie has.
pub fn i18n(options: Options) -> Result<I18n, I18nError> {
    let catalog = Catalog::load(&options.dirs, &options.default, &options.fallbacks)?;
    let i18n = I18n { catalog: Arc::new(catalog), options };
    if !i18n.options.cookie.is_empty() {
        let name = &i18n.options.cookie;
        let line = cookie::set_cookie(name, "x", &i18n.cookie_options(), true, std::time::SystemTime::now());
        line.map_err(|error| I18nError::Option(error.to_string()))?;
    }
    Ok(i18n)
}

/// See [`i18n()`].
#[derive(Debug)]
pub struct I18n {
    catalog: Arc<Catalog>,
    options: Options,
}

/// The locale of a request, among those that there are.
#[derive(Clone)]
struct Chosen {
    catalog: Arc<Catalog>,
    place: usize,
}

impl Middleware for I18n {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        match self.enter(ctx) {
            Ok(()) => next.run(ctx).boxed(),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }
}

impl I18n {
    fn enter(&self, ctx: &mut Ctx) -> Result {
        let place = self.choose(ctx)?;
        set(ctx, Chosen { catalog: Arc::clone(&self.catalog), place });
        Ok(())
    }

    fn choose(&self, ctx: &mut Ctx) -> Result<usize> {
        let Options { query, cookie, remember, .. } = &self.options;
        let known = |name: &str| normalise(name).and_then(|name| self.catalog.nearest(&name));
        let sent = (!cookie.is_empty()).then(|| ctx.cookies().get(cookie)).flatten().and_then(known);
        let asked = (!query.is_empty()).then(|| ctx.query_value(query)).flatten();
        let asked = asked.filter(|name| name.len() <= MAX_NAME).and_then(|name| known(&name));
        let place = match asked {
            Some(place) => place,
            None => {
                if !cookie.is_empty() {
                    ctx.vary("Cookie")?;
                }
                sent.or_else(|| self.accepted(ctx)).unwrap_or_default()
            }
        };
        if asked.is_none() && sent.is_none() && self.options.accept_language {
            ctx.vary("Accept-Language")?;
        }
        let wanted = match remember {
            Remember::Query => asked.is_some(),
            Remember::Always => true,
            Remember::Never => false,
        };
        if wanted && !cookie.is_empty() && sent != Some(place) {
            ctx.cookies().set(cookie, self.catalog.name(place), &self.cookie_options())?;
        }
        Ok(place)
    }

    fn accepted(&self, ctx: &Ctx) -> Option<usize> {
        if !self.options.accept_language || !ctx.request.headers().contains_key(header::ACCEPT_LANGUAGE) {
            return None;
        }
        let names: Vec<&str> = self.catalog.names().collect();
        let best = ctx.accepts_languages(&names)?;
        self.catalog.nearest(best)
    }

    fn cookie_options(&self) -> CookieOptions<'_> {
        CookieOptions {
            max_age: Some(Duration::from_secs(u64::from(self.options.cookie_days) * 86_400)),
            domain: self.options.cookie_domain.as_deref(),
            http_only: false,
            same_site: Some(SameSite::Lax),
            signed: Some(false),
            ..CookieOptions::default()
        }
    }
}

/// Makes a locale that of the request, for handlers and for templates.
fn set(ctx: &mut Ctx, chosen: Chosen) {
    ctx.insert(chosen);
    #[cfg(feature = "views")]
    template::offer(ctx);
}

/// The locale of a request, for a ctx that has passed the layer.
pub trait I18nExt {
    /// The locale, in lower case, such as `zh-tw`; `und` where the layer has not run.
    fn locale(&self) -> &str;

    /// Changes the locale for the rest of this request; false, and nothing changes, where there is none of that name.
    fn set_locale(&mut self, name: &str) -> bool;

    /// A message in the request's language: `ctx.t("cart.items").with("count", 3).to_string()`.
    ///
    /// Where the layer has not run it is the key.
    fn t<'a>(&'a self, key: &'a str) -> Message<'a>;
}

impl I18nExt for Ctx {
    fn locale(&self) -> &str {
        self.state::<Chosen>().map_or("und", |chosen| chosen.catalog.name(chosen.place))
    }

    fn set_locale(&mut self, name: &str) -> bool {
        let Some(Chosen { catalog, .. }) = self.state() else { return false };
        let Some(place) = normalise(name).and_then(|name| catalog.nearest(&name)) else { return false };
        let catalog = Arc::clone(catalog);
        set(self, Chosen { catalog, place });
        true
    }

    fn t<'a>(&'a self, key: &'a str) -> Message<'a> {
        match self.state::<Chosen>() {
            Some(chosen) => chosen.catalog.message(chosen.place, key),
            None => Message::new(key, None),
        }
    }
}
