//! Greets the log on the mornings of working days.

use cepa::{prelude::*, tracing};

use crate::service::greeting::Greeting;

/// One worker of the machine runs this; `my-app run-schedule good_morning` does it now.
pub(crate) async fn run(job: &mut JobCtx) -> Result {
    let greeting = job.service::<Greeting>()?.of("onion");
    tracing::info!("{greeting}, good morning");
    Ok(())
}
