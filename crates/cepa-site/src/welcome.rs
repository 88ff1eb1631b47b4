//! What there is where there is nothing yet.

use std::{
    env,
    io::{self, Write},
    path::Path,
};

use cepa::Boot;
use cepa_core::{App, Ctx, Html, Result};
use http::header;

const PAGE: &str = include_str!("welcome.html");

/// The page has its style in it and runs nothing; the style is named by its SHA-256.
const POLICY: &str = "default-src 'none'; style-src 'sha256-Bh2NMGEHJ4BMBHiA/Xeje18R9h+HTPj/C1R4HK1kK8M='; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// An app that says what to put into the folder, on a page and at start on the terminal.
pub(crate) fn app(boot: &mut Boot) -> App {
    let folder = boot.root().to_owned();
    boot.server_did_ready(async move |_: &Boot| {
        // Of a cluster every worker would say so, to a log.
        if env::var_os("CEPA_ROLE").is_none() {
            // Nobody is left to be told that it cannot be said.
            let _ = io::stderr().write_all(told(&folder).as_bytes());
        }
        Ok(())
    });
    App::new().get("/", page)
}

async fn page(ctx: &mut Ctx) -> Result<Html<&'static str>> {
    ctx.set(header::CONTENT_SECURITY_POLICY, POLICY)?;
    ctx.set(header::X_CONTENT_TYPE_OPTIONS, "nosniff")?;
    ctx.set(header::REFERRER_POLICY, "no-referrer")?;
    ctx.set(header::CACHE_CONTROL, "no-store")?;
    Ok(Html(PAGE))
}

fn told(folder: &Path) -> String {
    let index = match folder.join("index.html").is_file() {
        true => "Its index.html is not served: what everybody may see goes into public/.\n",
        false => "",
    };
    format!(
        "
{} has nothing to serve yet, so that there is a welcome page.
{index}Put into it

  public/      files as they are; index.html is the first page
  cgi/         programs, each started for one request to /cgi-bin/NAME
  errors/      pages for errors: 404.html, 5xx.html
  cepa.toml    hosts, proxies, PHP, TLS, logs, limits

and start it again. An app in Rust begins with: cepa new NAME

",
        folder.display()
    )
}

#[cfg(test)]
mod tests {
    use std::fs;

    use base64::{Engine, engine::general_purpose::STANDARD};
    use sha2::{Digest, Sha256};

    use super::*;

    #[test]
    fn a_page_in_the_wrong_place_is_told_of() {
        let folder = tempfile::tempdir().unwrap();
        assert!(!told(folder.path()).contains("is not served"));
        fs::write(folder.path().join("index.html"), "home").unwrap();
        assert!(told(folder.path()).contains("index.html is not served"));
    }

    #[test]
    fn the_policy_allows_the_style_and_nothing_else() {
        let (_, rest) = PAGE.split_once("<style>").unwrap();
        let (style, rest) = rest.split_once("</style>").unwrap();
        let digest = STANDARD.encode(Sha256::digest(style));
        assert!(POLICY.contains(&format!("style-src 'sha256-{digest}'")), "it is {digest}");
        for outside in ["<script", "<link", "<style", " style=", " src=", " href=", " on", "url("] {
            let found = rest.find(outside).map(|at| &rest[at..(at + 20).min(rest.len())]);
            assert!(found.is_none_or(|found| found.starts_with(" one ")), "{outside}: {found:?}");
        }
    }
}
