//! Says in each response what has made it.

use cepa::prelude::*;

/// A layer: what stands before `next` happens on the way in, what stands behind it on the way out.
pub(crate) async fn powered_by(ctx: &mut Ctx, next: Next<'_>) -> Result {
    ctx.set("x-powered-by", "Cepa")?;
    next.run(ctx).await
}
