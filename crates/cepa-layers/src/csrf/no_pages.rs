//! Without the feature `views`: there are no templates that would have anything of it.

use cepa_core::{Ctx, Result};

pub(super) fn give_token(_: &Ctx) {}

pub(super) fn renew_token(_: &Ctx) {}

pub(super) fn give_none(_: &Ctx) {}

pub(super) fn accept_offer(_: &Ctx) -> Result<Option<String>> {
    Ok(None)
}

pub(super) fn end(_: &Ctx, _: bool) -> Result {
    Ok(())
}
