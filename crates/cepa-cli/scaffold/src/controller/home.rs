//! The first page.

use cepa::{layers::ViewsExt, prelude::*};
use serde::Serialize;

use crate::service::greeting::Greeting;

/// What the template is rendered with.
#[derive(Serialize)]
struct Page {
    greeting: String,
}

/// `GET /`
pub(crate) async fn index(ctx: &mut Ctx) -> Result {
    let greeting = ctx.service::<Greeting>()?.of("onion");
    ctx.render("home.html", &Page { greeting })
}
