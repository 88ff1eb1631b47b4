//! The onion: what a request passes, and what answers it.

use std::path::PathBuf;

use cepa::{
    core::units,
    layers::multipart::{self, multipart},
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
    Ok(App::new()
        .provide(pages::templates()?)
        .provide(shelf)
        .with(harmless)
        .with(multipart(options)?)
        .route("/", get(pages::list).post(pages::take).body_limit(settings.most))
        .get("/files/{id}", pages::download))
}

/// Nothing that was sent here may run in the browser of who gets it, whatever it is.
async fn harmless(ctx: &mut Ctx, next: Next<'_>) -> Result {
    ctx.set(
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
    )?;
    ctx.set(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    next.run(ctx).await
}
