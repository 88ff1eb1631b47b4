//! The onion: what a request passes, and what answers it.

use cepa::{prelude::*, router::get};
use tower_http::services::ServeDir;

use crate::{api, book::Book, errors, layers, live, origin, pages, settings::Settings};

/// Builds the guestbook.
///
/// # Errors
/// A configuration, store or template that cannot be used.
pub fn app(boot: &mut Boot) -> Result<App> {
    let settings = Settings::load(boot)?;
    let book = Book::open(&boot.root().join(&settings.path))?;
    let templates = pages::templates(boot, &settings)?;
    // A tower service mounts like any other handler.
    let files = ServeDir::new(boot.root().join("static"));
    Ok(App::new()
        .keys(settings.keys()?)
        .provide(book)
        .provide(templates)
        .provide(pages::PageSize(settings.page_size))
        .with(layers::log)
        .with(layers::response_time)
        .with(layers::security_headers)
        .with(errors::told)
        .with(origin::same_site_only)
        .route("/", get(pages::show).post(pages::sign))
        .get("/live", live::stream)
        .nest("/api", api::routes())
        .mount("/static", files))
}
