//! The app without a prefix (*main* in the recordings): exact paths, any method, one module for each theme.

mod body;
mod cookies;
mod errors;
mod flow;
mod headers;
mod negotiation;
mod redirects;
mod request;
mod status;

use cepa_core::{App, Ctx, router::Router};
use http::StatusCode;

use crate::keys;

/// See the module. Methods that no server knows are none of its business: what no route answers is a 404.
pub(crate) fn app() -> App {
    let themes = [
        request::routes(),
        negotiation::routes(),
        status::routes(),
        body::routes(),
        headers::routes(),
        redirects::routes(),
        errors::routes(),
        flow::routes(),
        cookies::routes(),
    ];
    let app = App::new().keys(keys()).fallback(async |_: &mut Ctx| StatusCode::NOT_FOUND);
    themes.into_iter().fold(app, |app, routes: Router| app.nest("/", routes))
}

/// The items of a comma list, without empty ones.
fn items(list: &str) -> Vec<&str> {
    list.split(',').filter(|item| !item.is_empty()).collect()
}
