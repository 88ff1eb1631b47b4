//! The JSON API, below `/api`.

use cepa::{prelude::*, router::get};
use serde::Deserialize;
use serde_json::json;

use crate::{
    book::Book,
    entry::{Draft, Entry},
    settings::MOST_ENTRIES,
};

/// The routes, without the prefix they are nested below.
pub(crate) fn routes() -> Router {
    Router::new()
        .route("/entries", get(list).post(create).name("entries"))
        .route("/entries/{id}", get(show).name("entry"))
}

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Range {
    after: u64,
    limit: usize,
}

impl Default for Range {
    fn default() -> Self {
        Self { after: 0, limit: 20 }
    }
}

/// `GET /api/entries`: at most `limit` entries after the entry `after`, oldest first, and where the next ones are.
async fn list(ctx: &mut Ctx) -> Result {
    let Range { after, limit } = ctx.query()?;
    ctx.assert((1..=MOST_ENTRIES).contains(&limit), 400, "query: limit: from 1 to 100")?;
    let book = ctx.provided::<Book>()?.clone();
    let newest = ctx.blocking(move || book.newest()).await?;
    // Entries never change: what a URL shows depends on the newest one alone.
    if is_known(ctx, newest)? {
        return ctx.set_status(304);
    }
    let book = ctx.provided::<Book>()?.clone();
    let entries = ctx.blocking(move || book.after(after, limit)).await?;
    let next = match entries.last() {
        // The last page may be full; then an empty one follows. Asking what is newest would miss what came meanwhile.
        Some(last) if entries.len() == limit => {
            let query = [("after", &*last.id.to_string()), ("limit", &*limit.to_string())];
            Some(ctx.url_for("entries", &query)?)
        }
        _ => None,
    };
    ctx.set_json(&json!({ "entries": entries, "next": next }))
}

/// `GET /api/entries/{id}`
async fn show(ctx: &mut Ctx) -> Result {
    let id: u64 = ctx.params()?;
    let book = ctx.provided::<Book>()?.clone();
    let entry = ctx.blocking(move || book.entry(id)).await?;
    let entry = ctx.expect(entry, 404, "there is no such entry")?;
    if is_known(ctx, entry.id)? {
        return ctx.set_status(304);
    }
    ctx.set_json(&entry)
}

/// `POST /api/entries`
async fn create(ctx: &mut Ctx) -> Result<(StatusCode, Json<Entry>)> {
    let draft: Draft = ctx.json().await?;
    let words = draft.check().map_err(|invalid| ctx.error(422, invalid.to_string()).with_cause(invalid))?;
    let book = ctx.provided::<Book>()?.clone();
    let entry = ctx.blocking(move || book.sign(words)).await?;
    let url = ctx.url_for("entry", &[("id", &entry.id.to_string())])?;
    ctx.set(header::LOCATION, url)?;
    Ok((StatusCode::CREATED, Json(entry)))
}

/// Tags the answer by an entry; whether the client has that answer already.
fn is_known(ctx: &mut Ctx, id: u64) -> Result<bool> {
    // Weak: another version of this program may write the same entries in another way.
    ctx.set_etag(&format!("W/\"{id}\""))?;
    ctx.set_cache_control("no-cache")?;
    // A copy of an error is never fresh, and an answer that was not begun is a 404.
    ctx.set_status(200)?;
    Ok(ctx.fresh())
}
