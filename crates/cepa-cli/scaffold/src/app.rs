//! The onion: what a request passes, and what answers it.

use cepa::{
    layers::{logger, on_error, secure_headers, static_files::static_files, views::views},
    prelude::*,
};

use crate::{
    controller::{greeting, home},
    middleware::powered_by::powered_by,
    schedule,
};

/// Builds the app.
///
/// # Errors
/// A configuration or template that cannot be used.
pub fn app(boot: &mut Boot) -> Result<App> {
    schedule::all(boot)?;
    Ok(App::new()
        .provide(views(boot.config("views")?)?)
        // From the outermost layer to the innermost.
        .with(logger(boot.config("logger")?))
        .with(on_error(boot.config("on_error")?))
        .with(secure_headers(boot.config("secure_headers")?)?)
        .with(powered_by)
        .with(static_files(boot.config("static_files")?)?)
        .get("/", home::index)
        .get("/api/greeting/{name}", greeting::show))
}
