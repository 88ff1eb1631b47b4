//! The layer that shows over HTTP what the authority wants to see: http-01 (RFC 8555, section 8.3).

use std::{
    borrow::Cow,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use cepa_core::{Ctx, LocalBoxFuture, Middleware, Next, Result};
use cepa_server::{blocking, tls::TlsFolder};
use http::Method;

/// Where the authority asks; RFC 8555, section 8.3.
const PREFIX: &str = "/.well-known/acme-challenge/";

/// More than any answer has: two times the longest token.
const LONGEST: u64 = 1024;

/// Answers the requests of the authority, and leaves all others to the app; it belongs around everything else.
#[derive(Clone, Debug)]
pub struct HttpChallenges {
    folder: TlsFolder,
}

impl HttpChallenges {
    /// With what is to be shown from this folder.
    pub fn new(folder: TlsFolder) -> Self {
        Self { folder }
    }

    /// Where the answer to a request would be.
    fn file(&self, ctx: &Ctx) -> Option<PathBuf> {
        let token = ctx.path().strip_prefix(PREFIX)?;
        let is_asked = matches!(*ctx.method(), Method::GET | Method::HEAD);
        is_asked.then(|| self.folder.http_challenge(token)).flatten()
    }
}

impl Middleware for HttpChallenges {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        let Some(file) = self.file(ctx) else { return next.run(ctx).boxed() };
        Box::pin(async move {
            // Whatever keeps it from being read, there is nothing to show.
            match blocking(move || read(&file)).await {
                Some(text) => {
                    ctx.set_type("application/octet-stream")?;
                    ctx.set_body(text)
                }
                None => next.run(ctx).await,
            }
        })
    }

    fn name(&self) -> Cow<'static, str> {
        "acme".into()
    }
}

fn read(file: &Path) -> Option<Vec<u8>> {
    let mut text = Vec::new();
    File::open(file).ok()?.take(LONGEST).read_to_end(&mut text).ok()?;
    Some(text)
}

#[cfg(test)]
mod tests {
    use cepa_core::{App, test::Answer};

    use super::*;

    #[tokio::test]
    async fn tokens_are_answered_and_the_app_has_the_rest() {
        let scratch = tempfile::tempdir().unwrap();
        let folder = TlsFolder::new(scratch.path());
        let outside = scratch.path().join("secret");
        std::fs::write(&outside, "secret").unwrap();
        TlsFolder::write(&folder.http_challenge("to-ken_1").unwrap(), b"to-ken_1.thumb").unwrap();
        let app = App::new()
            .with(HttpChallenges::new(folder))
            .fallback(async |ctx: &mut Ctx| format!("app {}", ctx.path()));
        let client = app.test();
        let said = |answer: Answer| (answer.status().as_u16(), answer.text().to_owned());
        let answer = client.get("/.well-known/acme-challenge/to-ken_1").await;
        assert_eq!(answer.header("content-type"), "application/octet-stream");
        assert_eq!(said(answer), (200, "to-ken_1.thumb".to_owned()));
        for path in [
            "/.well-known/acme-challenge/other",
            "/.well-known/acme-challenge/",
            "/.well-known/acme-challenge/../../secret",
            "/.well-known/acme-challenge/to-ken_1/",
            "/.well-known/acme-challenge/to-ken%5f1",
            "/.well-known/acme-challengeX",
            "/",
        ] {
            assert_eq!(said(client.get(path).await), (200, format!("app {path}")));
        }
        let posted = client.request(Method::POST, "/.well-known/acme-challenge/to-ken_1").await;
        assert!(said(posted).1.starts_with("app "));
    }
}
