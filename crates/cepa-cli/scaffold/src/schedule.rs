//! What happens at times instead of requests.

mod good_morning;

use cepa::prelude::*;

/// Says what happens when.
pub(crate) fn all(boot: &mut Boot) -> Result {
    let mornings = Schedule::cron("0 7 * * MON-FRI")?;
    boot.schedule("good_morning", mornings, good_morning::run)
}
