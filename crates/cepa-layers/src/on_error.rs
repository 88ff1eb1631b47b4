//! Answers errors in the form that the client asks for: problem details, a page, or text.
//!
//! It belongs inside of [`request_id`](crate::request_id()) and [`logger`](crate::logger()), and around all layers
//! whose errors it is to answer; the id then stands with the error in the log, and the status in the line.

mod page;
mod report;

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result};
use http::{HeaderValue, header};
use serde::Deserialize;

use self::report::Report;
#[cfg(feature = "validate")]
use crate::validate::Invalid;
use crate::{problem::Problem, request_id::RequestId};

/// How errors are answered.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Whether answers tell a developer all that is known: the causes, the line of the source, the layers, the
    /// request; default no. It is for the machine of a developer alone.
    pub development: bool,
    /// The form for clients that take any, default `problem`.
    pub prefer: Form,
}

/// The form of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// Problem details, `application/problem+json` (RFC 9457), also for those who ask for `application/json`.
    #[default]
    Problem,
    /// A page, `text/html`.
    Html,
    /// A line, `text/plain`.
    Text,
}

/// A layer that answers errors, and fills in answers that have an error's status and no body.
///
/// - Status, headers and public message are the error's, as [`Ctx::fail`] has them; with a 5xx status it is logged.
///   What layers have set on the response before stays.
/// - `Accept` decides about the form, and `Vary` says so. Who takes none of them gets text.
/// - A cause is never told, but for a [`Problem`] and for what [`validate`](mod@crate::validate) has found, which are
///   made to be.
///
/// ```
/// use cepa_core::{App, Ctx, Error, Result};
/// use cepa_layers::on_error;
///
/// let app = App::new().with(on_error(Default::default())).get("/", async |_: &mut Ctx| -> Result {
///     Err(Error::new(409, "taken"))
/// });
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// let answer = client.get("/").await;
/// assert_eq!(answer.header("content-type"), "application/problem+json");
/// assert_eq!(answer.text(), r#"{"title":"Conflict","status":409,"detail":"taken"}"#);
/// let answer = client.get("/").header("accept", "text/html").await;
/// assert!(answer.text().contains("<h1>409 Conflict</h1>"));
/// # });
/// ```
pub fn on_error(options: Options) -> OnError {
    OnError { options, page: Box::new(|_, failure| Ok(failure.plain_page())) }
}

/// See [`on_error()`].
pub struct OnError {
    options: Options,
    page: Box<Page>,
}

type Page = dyn Fn(&Ctx, &Failure<'_>) -> Result<String> + Send + Sync;

/// What a page is to tell of a failed request; all of it is public.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Failure<'a> {
    /// The status.
    pub status: u16,
    /// The text of the status.
    pub title: &'a str,
    /// The message, where it says more than the title.
    pub detail: Option<&'a str>,
    /// What validation has found; with the feature `validate`.
    #[cfg(feature = "validate")]
    pub invalid: Option<&'a Invalid>,
    /// The id of the request, see [`request_id`](crate::request_id()).
    pub id: Option<&'a str>,
}

impl<'a> Failure<'a> {
    /// The page that is sent where there is no other: what is told here, without a style.
    pub fn plain_page(&self) -> String {
        page::plain(self)
    }

    /// The field and the message of each finding of validation.
    fn findings(&self) -> impl Iterator<Item = (String, &'a str)> {
        #[cfg(feature = "validate")]
        let findings = self.invalid.iter().flat_map(|invalid| &invalid.findings);
        #[cfg(feature = "validate")]
        let findings = findings.map(|finding| (finding.field(), &*finding.message));
        #[cfg(not(feature = "validate"))]
        let findings = std::iter::empty();
        findings
    }
}

impl OnError {
    /// Makes pages by a function of one's own, whose HTML is sent as it is: it escapes what it puts in. Where it
    /// fails, that is logged and the plain page is sent.
    #[must_use]
    pub fn page(
        mut self,
        page: impl Fn(&Ctx, &Failure<'_>) -> Result<String> + Send + Sync + 'static,
    ) -> Self {
        self.page = Box::new(page);
        self
    }
}

impl std::fmt::Debug for OnError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OnError").field("options", &self.options).finish_non_exhaustive()
    }
}

impl Middleware for OnError {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            match next.run(ctx).await {
                Err(error) => {
                    ctx.fail(&error);
                    self.answer(ctx, Some(&error))
                }
                Ok(()) if is_to_be_told(ctx) => self.answer(ctx, None),
                Ok(()) => Ok(()),
            }
        })
    }
}

/// Whether the response has an error's status and no body: what no route answers, or a mounted service.
fn is_to_be_told(ctx: &Ctx) -> bool {
    let is_error = ctx.status().is_client_error() || ctx.status().is_server_error();
    is_error && ctx.response.body().is_none_or(cepa_core::Body::is_empty)
}

impl OnError {
    /// Puts the body of an error on a response that has its status and headers.
    fn answer(&self, ctx: &mut Ctx, error: Option<&Error>) -> Result {
        let status = ctx.status();
        // A 404 that nobody has chosen would become a 200 with the body that follows.
        ctx.response.set_status(status);
        ctx.vary("accept")?;
        ctx.response
            .headers_mut()
            .entry(header::X_CONTENT_TYPE_OPTIONS)
            .or_insert(HeaderValue::from_static("nosniff"));
        let title = status.canonical_reason().unwrap_or("Error");
        let detail = error.map(Error::public_message).filter(|message| !message.eq_ignore_ascii_case(title));
        let id = ctx.state::<RequestId>().cloned();
        let id = id.as_ref().map(RequestId::as_str);
        let failure = Failure {
            status: status.as_u16(),
            title,
            detail,
            #[cfg(feature = "validate")]
            invalid: error.and_then(Error::downcast_ref),
            id,
        };
        let report = self.options.development.then(|| Report::new(ctx, error));
        match form(ctx, self.options.prefer) {
            Form::Problem => problem(ctx, &failure, error, report.as_ref()),
            Form::Html => self.html(ctx, &failure, report.as_ref()),
            Form::Text => text(ctx, &failure, report.as_ref()),
        }
    }

    fn html(&self, ctx: &mut Ctx, failure: &Failure<'_>, report: Option<&Report>) -> Result {
        let text = match report {
            Some(report) => {
                // The page brings its style with it, and nothing else.
                ctx.set(header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'")?;
                page::development(failure, report)
            }
            None => (self.page)(ctx, failure).unwrap_or_else(|error| {
                tracing::error!(target: "cepa", place = %error.place(), "the page of an error: {error}");
                failure.plain_page()
            }),
        };
        ctx.set_type("html")?;
        ctx.set_body(text)
    }
}

fn problem(ctx: &mut Ctx, failure: &Failure<'_>, error: Option<&Error>, report: Option<&Report>) -> Result {
    let details = error.map(Problem::of).transpose()?.flatten().unwrap_or_default();
    let mut object = details.object(failure.status, failure.title, failure.detail);
    if let Some(report) = report {
        object.insert("development".to_owned(), serde_json::to_value(report)?);
    }
    ctx.set_type("application/problem+json")?;
    ctx.set_json(&object)
}

fn text(ctx: &mut Ctx, failure: &Failure<'_>, report: Option<&Report>) -> Result {
    let text = match report {
        Some(report) => report.to_string(),
        None => {
            let mut text = failure.detail.unwrap_or(failure.title).to_owned();
            for (field, message) in failure.findings() {
                text.extend(["\n", &field, ": ", message]);
            }
            text
        }
    };
    ctx.set_type("text")?;
    ctx.set_body(text)
}

fn form(ctx: &Ctx, prefer: Form) -> Form {
    const PROBLEM: [&str; 2] = ["application/problem+json", "application/json"];
    let [problem, json] = PROBLEM;
    let offers = match prefer {
        Form::Problem => [problem, json, "text/html", "text/plain"],
        Form::Html => ["text/html", problem, json, "text/plain"],
        Form::Text => ["text/plain", "text/html", problem, json],
    };
    match ctx.accepts(&offers) {
        Some("text/html") => Form::Html,
        Some(offer) if PROBLEM.contains(&offer) => Form::Problem,
        _ => Form::Text,
    }
}

#[cfg(test)]
mod tests;
