//! The onion: what a request passes, and what answers it.

use std::path::PathBuf;

use cepa::{
    core::units,
    layers::{
        csrf,
        multipart::{self, multipart},
        secure_headers::{self, secure_headers},
        views::{self, views},
    },
    prelude::*,
    router::get,
};
use serde::Deserialize;

use crate::{pages, shelf::Shelf};

/// The section `[upload]` of the configuration.
#[derive(Deserialize)]
#[serde(default)]
struct Settings {
    /// Where files are kept.
    folder: PathBuf,
    /// Bytes of one form with all its files.
    #[serde(with = "units::size")]
    most: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { folder: "data/upload".into(), most: 100 << 20 }
    }
}

/// Nothing that was sent here may run in the browser of who gets it, whatever it is: not even this host is trusted.
const POLICY: &str = "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Builds the app.
///
/// # Errors
/// A configuration or a folder that cannot be used.
pub fn app(boot: &mut Boot) -> Result<App> {
    let settings: Settings = boot.config("upload")?;
    let shelf = Shelf::open(boot.root().join(settings.folder))?;
    let mut options: multipart::Options = boot.config("multipart")?;
    if options.folder == multipart::Options::default().folder {
        options.folder = shelf.folder().to_owned();
    }
    let templates: views::Options = boot.config("views")?;
    let templates = views::Options { dir: boot.root().join(&templates.dir), ..templates };
    let headers =
        secure_headers::Options { content_security_policy: POLICY.to_owned(), ..Default::default() };
    Ok(App::new()
        .provide(views(templates)?)
        .provide(shelf)
        .with(secure_headers(headers)?)
        // Outside of all that reads bodies: what another site's page sends is refused before it is read.
        .with(csrf(Default::default())?)
        .with(multipart(options)?)
        .route("/", get(pages::list).post(pages::take).body_limit(settings.most))
        .get("/files/{id}", pages::download))
}
