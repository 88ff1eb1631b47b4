//! Without the feature `views`: there are no templates that would have anything of it.

use cepa_core::{Ctx, Result};

#[derive(Default)]
pub(super) struct Pages;

impl Pages {
    pub(super) fn withdraw(&self) {}
}

pub(super) fn give_token(_: &Ctx) {}

pub(super) fn give_none(_: &Ctx) {}

pub(super) fn accept_offer(_: &Ctx) -> Result<bool> {
    Ok(false)
}

pub(super) fn end(_: &Ctx, _: bool) -> Result {
    Ok(())
}
