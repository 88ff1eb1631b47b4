//! Writes a line to the log for each request: who asked for what, what was answered, how long it took.
//!
//! It belongs outermost, outside of [`on_error`](crate::on_error()), so that it sees what is really answered; only
//! [`request_id`](crate::request_id()) goes around it, if the line is to carry the id.

mod category;
mod format;
mod line;
mod stream;
mod value;
mod write;

use std::{cell::Cell, time::Instant};

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result};
use serde::Deserialize;

pub use self::{
    category::{Category, InvalidCategory},
    format::{Format, FormatError},
};
use self::{
    format::{Pattern, Style},
    line::{Facts, Line, Outcome, Sent},
    stream::Counted,
    write::Writer,
};

/// What is written, and how.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// The form of the line, default `common`.
    pub format: Format,
    /// Whether answers with 4xx are logged as warnings and those with 5xx as errors, default no: all are `info`.
    pub level_by_status: bool,
    /// Names of parameters, of a query or a fragment, whose values are written as `***`, in the URL, in the referrer, and in
    /// `Location` and `Content-Location` of the response, however a name is percent-encoded; default `access_token`, `api_key`, `code`, `password`, `secret`, `signature` and `token`.
    pub hidden: Vec<String>,
    /// The category of the log that the lines are in, default `access`; one below it, such as `access.shop`, may have a
    /// level and appenders of its own.
    pub category: Category,
}

impl Default for Options {
    fn default() -> Self {
        let hidden = ["access_token", "api_key", "code", "password", "secret", "signature", "token"];
        let hidden = hidden.map(str::to_owned).to_vec();
        Self { format: Format::default(), level_by_status: false, hidden, category: Category::default() }
    }
}

/// A layer that writes a line for each request, with `tracing`, under the target `access`; where another [`Category`] is
/// said, with a field `category`, which the log of Cepa takes for the target.
///
/// - The line is written when the response is known; of a streamed body when its last byte was taken, with the bytes
///   that were sent, or when the client left before.
/// - The status of an error that passes is the error's. Where the client left before there was an answer, it is 499.
/// - What a client has sent cannot begin a line, or end a field: control characters, quotes, backslashes and what is
///   not ASCII are written as `\xHH`.
/// - The address is that of [`Ctx::client`], which believes only trusted proxies.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::logger::{self, Format};
///
/// let short = logger::Options { format: Format::Dev, ..Default::default() };
/// let own = logger::Options { format: ":method :route :status :response-time".parse()?, ..Default::default() };
/// let app = App::new().with(logger::logger(short)).get("/", async |_: &mut Ctx| "Hello, onion");
/// # let _ = own;
/// # cepa_core::test::block_on(async { app.test().get("/").await });
/// # Ok::<(), logger::FormatError>(())
/// ```
pub fn logger(options: Options) -> Logger {
    let pattern = options.format.pattern();
    let Options { level_by_status, category, .. } = options;
    let writer = Writer { style: pattern.style, level_by_status, category };
    Logger { pattern, writer, hidden: options.hidden }
}

/// See [`logger()`].
#[derive(Clone, Debug)]
pub struct Logger {
    pattern: Pattern,
    writer: Writer,
    hidden: Vec<String>,
}

impl Middleware for Logger {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if !self.writer.is_heard() {
            return next.run(ctx).boxed();
        }
        Box::pin(async move {
            if self.pattern.style == Style::Dev {
                self.announce(ctx);
            }
            let mut entry = Entry { logger: self, ctx, started: Instant::now(), is_open: true };
            let result = next.run(entry.ctx).await;
            entry.close(&result);
            result
        })
    }
}

impl Logger {
    /// Writes that a request has come, as Koa's logger does while developing.
    fn announce(&self, ctx: &Ctx) {
        let mut text = TEXT.take();
        text.clear();
        text.push_str("<-- ");
        value::write_escaped(&mut text, ctx.method().as_str().as_bytes());
        text.push(' ');
        value::write_url(&mut text, ctx.original_url().as_bytes(), &self.hidden, Style::Dev);
        self.writer.announce(&text);
        TEXT.set(text);
    }
}

thread_local! {
    /// The text of the last line, for its memory.
    static TEXT: Cell<String> = const { Cell::new(String::new()) };
}

/// A request whose line is not written yet. Dropped so, the client has left.
struct Entry<'a> {
    logger: &'a Logger,
    ctx: &'a mut Ctx,
    started: Instant,
    is_open: bool,
}

impl Entry<'_> {
    /// Writes the line, or leaves that to the body.
    fn close(&mut self, result: &Result) {
        self.is_open = false;
        let error = result.as_ref().err();
        if error.is_none() && self.ctx.response.body().is_some_and(cepa_core::Body::is_stream) {
            let is_sent = *self.ctx.method() != http::Method::HEAD;
            if is_sent {
                return Counted::wrap(self.logger, self.started, self.ctx);
            }
        }
        let length = match error {
            Some(_) if *self.ctx.method() == http::Method::HEAD => Some(0),
            Some(error) => Some(error.public_message().len() as u64),
            None => self.ctx.response.outgoing_length(self.ctx.method()),
        };
        let outcome = if error.is_some() { Outcome::Failed } else { Outcome::Done };
        self.write(error.map_or_else(|| self.ctx.status(), Error::status).as_u16(), length, outcome);
    }

    fn write(&self, status: u16, length: Option<u64>, outcome: Outcome) {
        let sent = Sent { length, elapsed: self.started.elapsed(), outcome };
        let facts = Facts { ctx: self.ctx, status, hidden: &self.logger.hidden, sent: Some(sent) };
        let line = Line::new(&self.logger.pattern, &facts, TEXT.take());
        // There are no gaps in it: everything was known.
        self.logger.writer.write(status, line.text());
        TEXT.set(line.into_text());
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.is_open {
            self.write(499, Some(0), Outcome::Closed);
        }
    }
}

#[cfg(test)]
mod tests;
