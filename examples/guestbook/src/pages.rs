//! The pages that people see, rendered from `templates/`.

use cepa::prelude::*;
use minijinja::{Environment, UndefinedBehavior, Value, context, syntax::SyntaxConfig, value::Serde};
use serde::Deserialize;

use crate::{
    book::Book,
    entry::{Draft, Invalid, MESSAGE_MOST, NAME_MOST},
    settings::Settings,
    visitor,
};

/// All templates. Their names end in `.html`, so that every value is escaped.
pub(crate) struct Pages {
    templates: Environment<'static>,
    page_size: usize,
}

impl Pages {
    /// Reads the templates, which are compiled in: one that does not parse is noticed at start, not on its page.
    pub(crate) fn new(settings: &Settings) -> Result<Self> {
        let mut templates = Environment::new();
        // A misspelt name is an error and not an empty place on the page.
        templates.set_undefined_behavior(UndefinedBehavior::Strict);
        // A line that holds nothing but a tag leaves no line.
        templates.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
        templates.add_global("title", &*settings.title);
        templates.add_global("name_most", NAME_MOST);
        templates.add_global("message_most", MESSAGE_MOST);
        templates.add_template("layout.html", include_str!("../templates/layout.html"))?;
        templates.add_template("entry.html", include_str!("../templates/entry.html"))?;
        templates.add_template("book.html", include_str!("../templates/book.html"))?;
        templates.add_template("error.html", include_str!("../templates/error.html"))?;
        Ok(Self { templates, page_size: settings.page_size })
    }

    pub(crate) fn render(&self, template: &str, values: Value) -> Result<Html<String>> {
        Ok(Html(self.templates.get_template(template)?.render(values)?))
    }
}

#[derive(Deserialize)]
struct Place {
    before: Option<u64>,
}

/// `GET /`: the newest entries, or those `before` one, under the form to sign with.
pub(crate) async fn show(ctx: &mut Ctx) -> Result<Html<String>> {
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
            let page = page(ctx, None, &draft, &invalid, None).await?;
            return ctx.set_body(page);
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
) -> Result<Html<String>> {
    let book = ctx.provided::<Book>()?.clone();
    let size = ctx.provided::<Pages>()?.page_size;
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
    ctx.provided::<Pages>()?.render("book.html", values)
}
