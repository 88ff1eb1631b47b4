//! Greetings for programs.

use cepa::prelude::*;
use serde::Serialize;

use crate::service::greeting::Greeting;

/// What is answered.
#[derive(Serialize)]
pub(crate) struct Answer {
    greeting: String,
}

/// `GET /api/greeting/{name}`
pub(crate) async fn show(ctx: &mut Ctx) -> Result<Json<Answer>> {
    let name: String = ctx.params()?;
    ctx.assert(
        name.chars().count() <= 60,
        422,
        "a name has at most 60 characters",
    )?;
    let greeting = ctx.service::<Greeting>()?.of(&name);
    Ok(Json(Answer { greeting }))
}
