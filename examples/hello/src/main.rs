//! The smallest app: one route, and everything a program needs around it.

use cepa::prelude::*;

fn app(_: &mut Boot) -> Result<App> {
    Ok(App::new().get("/", async |_: &mut Ctx| "Hello, onion"))
}

fn main() -> ExitCode {
    cepa::run(app)
}
