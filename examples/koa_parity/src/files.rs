//! Static files: what `koa-static` does.

use std::{fs, io, path::Path, time::Duration};

use cepa::layers::static_files::{self, static_files};
use cepa_core::{App, Ctx, date};

const PUBLIC: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/koa/public");

/// `/st`, over `public/st`. Without entity tags, which koa-static has not.
pub(crate) fn st() -> App {
    let options = static_files::Options {
        root: PUBLIC.into(),
        extensions: vec!["html".to_owned()],
        max_age: Duration::from_secs(60),
        etag: false,
        ..Default::default()
    };
    let files = static_files(options).expect("the files are a part of the source");
    App::new()
        .with(files)
        .get("/st/fallthrough", async |_: &mut Ctx| "dynamic")
        .fallback(async |_: &mut Ctx| http::StatusCode::NOT_FOUND)
}

/// Dates the static files as those that were recorded: a checkout dates them anew.
///
/// # Errors
/// The files cannot be written to.
pub fn date_static_files() -> io::Result<()> {
    date_all(Path::new(PUBLIC))
}

fn date_all(directory: &Path) -> io::Result<()> {
    let recorded = date::parse_iso("2020-01-02T03:04:05Z").expect("this is a date");
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        match entry.file_type()?.is_dir() {
            true => date_all(&entry.path())?,
            false => fs::File::options().append(true).open(entry.path())?.set_modified(recorded)?,
        }
    }
    Ok(())
}
