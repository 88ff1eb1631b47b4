//! The pages that people see, rendered from `templates/`.

use cepa::{
    layers::{
        ViewsExt,
        views::{Options, Views, ViewsError, views},
    },
    prelude::*,
};
use minijinja::{context, value::Serde};
use serde::Deserialize;

use crate::{
    book::Book,
    entry::{Draft, Invalid, MESSAGE_MOST, NAME_MOST},
    settings::Settings,
    visitor,
};

/// Entries on a page.
pub(crate) struct PageSize(pub(crate) usize);

/// Reads the templates, each with what all pages show. One that does not parse is noticed at start, not on its page.
pub(crate) fn templates(boot: &Boot, settings: &Settings) -> Result<Views, ViewsError> {
    let options = Options {
        dir: boot.root().join("templates"),
        reload: settings.reload_templates,
        ..Options::default()
    };
    Ok(views(options)?
        .global("title", &settings.title)
        .global("name_most", NAME_MOST)
        .global("message_most", MESSAGE_MOST))
}

#[derive(Deserialize)]
struct Place {
    before: Option<u64>,
}

/// `GET /`: the newest entries, or those `before` one, under the form to sign with.
pub(crate) async fn show(ctx: &mut Ctx) -> Result {
    let draft = Draft { name: visitor::name(ctx)?.unwrap_or_default(), ..Draft::default() };
    let thanks = visitor::take_thanks(ctx)?;
    let Place { before } = ctx.query()?;
    page(ctx, before, &draft, &Invalid::default(), thanks).await
}

/// `POST /`: signs the book and leads back to it, or shows the form again with what is wrong.
pub(crate) async fn sign(ctx: &mut Ctx) -> Result {
    let draft: Draft = ctx.form().await?;
    let words = match draft.check() {
        Ok(words) => words,
        Err(invalid) => {
            ctx.set_status(422)?;
            return page(ctx, None, &draft, &invalid, None).await;
        }
    };
    visitor::remember(ctx, &words.name)?;
    let book = ctx.provided::<Book>()?.clone();
    let entry = ctx.blocking(move || book.sign(words)).await?;
    visitor::owe_thanks(ctx, entry.id)?;
    // 303, so that reloading the page does not sign again.
    ctx.set_status(303)?;
    ctx.redirect("/")
}

async fn page(
    ctx: &mut Ctx,
    before: Option<u64>,
    draft: &Draft,
    invalid: &Invalid,
    thanks: Option<u64>,
) -> Result {
    let book = ctx.provided::<Book>()?.clone();
    let PageSize(size) = *ctx.provided()?;
    // One more than is shown tells whether there is more.
    let mut entries = ctx.blocking(move || book.before(before.unwrap_or(u64::MAX), size + 1)).await?;
    let is_more = entries.len() > size;
    entries.truncate(size);
    let older = entries.last().filter(|_| is_more).map(|entry| entry.id);
    // It may show what only this visitor should see.
    ctx.set_cache_control("no-store")?;
    let values = context! {
        entries => Serde(&entries),
        newest => entries.first().map_or(0, |entry| entry.id),
        is_first => before.is_none(),
        older,
        draft => Serde(draft),
        invalid => Serde(invalid),
        thanks,
    };
    ctx.render("book.html", &values)
}
