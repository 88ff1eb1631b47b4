//! What `dev` adds to the pages of an app: a script that reloads them and shows what is wrong with the sources.

mod csp;

use std::{borrow::Cow, time::Duration};

use bytes::Bytes;
use cepa_core::{
    AppHandler, Body, Ctx, Error, Handler, LocalBoxFuture, Middleware, Next, Result, location::html_escape,
};
use http::{HeaderValue, Method, StatusCode, header};
use tokio::{sync::watch, time::timeout};

use super::line::State;

/// Where the events are told.
const EVENTS: &str = "/__dev/events";
const SCRIPT: &str = "/__dev/script.js";
const SCRIPT_TEXT: &str = include_str!("page/script.js");
/// A line is sent now and then, so that a client that has gone is noticed.
const ALIVE: Duration = Duration::from_secs(20);

/// The app with what `dev` adds: around all of its layers, and answering for it below `/__dev/`.
pub(super) struct Pages {
    pub(super) app: AppHandler,
    pub(super) state: watch::Receiver<State>,
}

impl Middleware for Pages {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, _: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            match ctx.path() {
                EVENTS => events(ctx, self.state.clone()),
                SCRIPT => script(ctx, &self.state.borrow().page),
                _ => self.page(ctx).await,
            }
        })
    }

    fn name(&self) -> Cow<'static, str> {
        "dev".into()
    }
}

impl Pages {
    async fn page(&self, ctx: &mut Ctx) -> Result {
        // Nothing can be added to what is compressed.
        ctx.request.headers_mut().remove(header::ACCEPT_ENCODING);
        // Before the app runs: what it makes the page of is at least so new.
        let page = self.state.borrow().page.clone();
        if let Err(error) = self.app.call(ctx).await {
            if !is_shown(ctx) {
                return Err(error);
            }
            ctx.fail(&error);
        }
        show_error(ctx)?;
        if !is_page(ctx) {
            return Ok(());
        }
        ctx.append("server-timing", format!("cepa-dev;desc=\"{page}\""))?;
        let nonce = allow(ctx)?;
        let nonce = nonce.map(|nonce| format!(" nonce=\"{nonce}\"")).unwrap_or_default();
        let tag = format!("<script src=\"{SCRIPT}\"{nonce} defer></script>\n");
        if let Some(body) = ctx.response.take_body() {
            ctx.response.replace_body(with_tag(body, tag));
        }
        Ok(())
    }
}

/// Whether a person is to see the answer as a page of its own.
fn is_shown(ctx: &Ctx) -> bool {
    match ctx.get("sec-fetch-dest") {
        Some(destination) => matches!(destination, "document" | "iframe" | "frame"),
        None => ctx.get(header::ACCEPT).is_some_and(|accept| accept.contains("text/html")),
    }
}

/// Makes a page of an error that has none: the script is to be in it, so that it goes when the sources are mended.
fn show_error(ctx: &mut Ctx) -> Result {
    let is_error = ctx.status().is_client_error() || ctx.status().is_server_error();
    if !is_error || !is_shown(ctx) || *ctx.method() == Method::HEAD {
        return Ok(());
    }
    let text = match ctx.response.body() {
        None => ctx.status().to_string(),
        Some(body) if ctx.content_type().starts_with("text/plain") => match body.as_bytes() {
            Some(bytes) => String::from_utf8_lossy(bytes).into_owned(),
            None => return Ok(()),
        },
        Some(_) => return Ok(()),
    };
    ctx.set_type("html")?;
    ctx.response.replace_body(document(&ctx.status().to_string(), &text));
    Ok(())
}

/// A page that says something.
pub(super) fn document(title: &str, text: &str) -> String {
    let (title, text) = (html_escape(title), html_escape(text));
    format!(
        "<!DOCTYPE html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n<h1>{title}</h1>\n<pre>{text}</pre>\n"
    )
}

/// Whether the answer is a page that a script can be added to.
fn is_page(ctx: &Ctx) -> bool {
    let kind = ctx.content_type().split(';').next().unwrap_or_default().trim();
    let headers = ctx.response.headers();
    kind.eq_ignore_ascii_case("text/html")
        && *ctx.method() != Method::HEAD
        && ctx.status() != StatusCode::PARTIAL_CONTENT
        && !headers.contains_key(header::CONTENT_ENCODING)
        && ctx.response.body().is_some()
        // What a script has asked for is a piece of a page, not one.
        && ctx.get("sec-fetch-dest") != Some("empty")
}

/// Has the page's policy allow the script; the nonce that it has to have.
fn allow(ctx: &mut Ctx) -> Result<Option<String>> {
    let host = ctx.request.get(header::HOST).unwrap_or_default();
    let source = if host.is_empty() { "'self'".to_owned() } else { format!("{host}/__dev/") };
    let policies = ctx.response.headers().get_all(header::CONTENT_SECURITY_POLICY);
    let policies: Vec<_> =
        policies.iter().filter_map(|policy| policy.to_str().ok()).map(str::to_owned).collect();
    if policies.is_empty() {
        return Ok(None);
    }
    ctx.remove(header::CONTENT_SECURITY_POLICY);
    for policy in &policies {
        let allowed = HeaderValue::try_from(csp::allowing(policy, &source))
            .map_err(|error| Error::new(500, "policy").with_cause(error))?;
        ctx.append(header::CONTENT_SECURITY_POLICY, allowed)?;
    }
    Ok(policies.iter().find_map(|policy| csp::nonce(policy)).map(str::to_owned))
}

/// A page with the tag: before the end of its body, or behind all of it, where parsers put it into the body as well.
fn with_tag(body: Body, tag: String) -> Body {
    match body.try_into_bytes() {
        Ok(bytes) => {
            let end = bytes.windows(6).rposition(|window| window.eq_ignore_ascii_case(b"</body"));
            let (before, behind) = bytes.split_at(end.unwrap_or(bytes.len()));
            Body::from([before, tag.as_bytes(), behind].concat())
        }
        Err(mut stream) => Body::from_async(async move |mut writer| {
            while let Some(piece) = stream.chunk().await {
                writer.write(piece?).await;
            }
            writer.write(tag).await;
            Ok(())
        }),
    }
}

fn script(ctx: &mut Ctx, page: &str) -> Result {
    ctx.set_type("js")?;
    ctx.set_cache_control("no-store")?;
    ctx.set_body(SCRIPT_TEXT.replace("PAGE", page))
}

/// Tells the state, and each change of it, until the server is to end: then the browser asks the next one.
fn events(ctx: &mut Ctx, mut state: watch::Receiver<State>) -> Result {
    ctx.set_type("text/event-stream")?;
    ctx.set_cache_control("no-store")?;
    let draining = ctx.draining();
    ctx.set_body(Body::from_async(async move |mut writer| {
        let mut draining = std::pin::pin!(draining);
        writer.write("retry: 200\n\n").await;
        loop {
            let event = event(&state.borrow_and_update());
            writer.write(event).await;
            loop {
                let changed = tokio::select! {
                    changed = timeout(ALIVE, state.changed()) => changed,
                    () = &mut draining => return Ok(()),
                };
                match changed {
                    Ok(Ok(())) => break,
                    // Nobody is left to change it.
                    Ok(Err(_)) => return Ok(()),
                    Err(_) => writer.write(":\n\n").await,
                }
            }
        }
    }))
}

fn event(state: &State) -> Bytes {
    // JSON has no line ends but escaped ones.
    let json = serde_json::to_string(state).expect("a state has nothing that JSON lacks");
    format!("data: {json}\n\n").into()
}

#[cfg(test)]
mod tests;
