//! What answers: the page with its form and its list, and the files.

use std::io::Read;

use cepa::{
    layers::{MultipartExt, ViewsExt},
    prelude::*,
    server::blocking,
};
use minijinja::{context, value::Serde};

use crate::shelf::Shelf;

/// Bytes of a file that are read at a time.
const PIECE: u64 = 64 << 10;

/// `GET /`: the form, and what there is.
pub(crate) async fn list(ctx: &mut Ctx) -> Result {
    let shelf = ctx.provided::<Shelf>()?.clone();
    let files = ctx.blocking(move || shelf.list()).await?;
    ctx.render("list.html", &context! { files => Serde(files) })
}

/// `POST /`: keeps the files of the form, and leads back to the page.
pub(crate) async fn take(ctx: &mut Ctx) -> Result {
    let upload = ctx.upload().await?;
    let note = upload.field("note").unwrap_or_default().to_owned();
    let shelf = ctx.provided::<Shelf>()?.clone();
    ctx.assert(!upload.files().is_empty(), 400, "choose a file first")?;
    for file in upload.into_files() {
        shelf.keep(file, &note).await?;
    }
    ctx.set_status(StatusCode::SEE_OTHER)?;
    ctx.redirect("/")
}

/// `GET /files/{id}`: a file as a download under the name it came with, read no faster than the client takes it.
pub(crate) async fn download(ctx: &mut Ctx) -> Result<Option<Body>> {
    let shelf = ctx.provided::<Shelf>()?.clone();
    let id = ctx.param("id").unwrap_or_default().into_owned();
    let Some((entry, mut file)) = ctx.blocking(move || shelf.find(&id)).await? else { return Ok(None) };
    ctx.set_type("application/octet-stream")?;
    ctx.attachment(&*entry.name)?;
    ctx.set_length(entry.size);
    Ok(Some(Body::from_async(async move |mut out| {
        loop {
            let read = blocking(move || {
                let mut piece = Vec::new();
                let read = (&mut file).take(PIECE).read_to_end(&mut piece);
                read.map(|_| (file, piece))
            });
            let (same, piece) = read.await?;
            if piece.is_empty() {
                return Ok(());
            }
            file = same;
            out.write(piece).await;
        }
    })))
}
