//! The one error that leaves a handler or a layer: a status, a public message, a private cause.

use std::{borrow::Cow, error::Error as StdError, fmt, panic::Location};

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode};

/// What handlers and layers return. With no type argument it is `Result<(), Error>`.
pub type Result<T = (), E = Error> = std::result::Result<T, E>;

/// A failed request: what the client is told, and what only the log may know.
///
/// - The **status** is 400–599; anything else becomes 500.
/// - The **message** is sent to the client when the error is *exposed*: by default for 4xx, never
///   for 5xx. An error that is not exposed sends the status's own text.
/// - The **cause** (any `std::error::Error`) never reaches a client. `?` turns every error type
///   into a 500 with that error as its cause.
/// - **Headers** of the error are added to the answer; headers that outer layers have set stay.
/// - The **place** is the source line where the error was made.
///
/// ```
/// use cepa_core::{Error, Result};
///
/// fn find(id: u32) -> Result<&'static str> {
///     if id == 7 { Ok("tobi") } else { Err(Error::new(404, "no such ferret")) }
/// }
/// assert_eq!(find(8).unwrap_err().status(), 404);
///
/// fn parse(text: &str) -> Result<u32> {
///     Ok(text.parse()?) // a 500 whose cause stays private
/// }
/// assert_eq!(parse("x").unwrap_err().public_message(), "Internal Server Error");
/// ```
pub struct Error(Box<Inner>);

struct Inner {
    status: StatusCode,
    message: Option<Cow<'static, str>>,
    expose: bool,
    headers: HeaderMap,
    cause: Option<Box<dyn StdError + Send + Sync>>,
    place: &'static Location<'static>,
}

impl Error {
    /// An error with a status and a message; the message is public for 4xx and private for 5xx.
    #[track_caller]
    pub fn new(status: impl ErrorStatus, message: impl Into<Cow<'static, str>>) -> Self {
        Self::build(status.error_status(), Some(message.into()), None)
    }

    /// An error whose message is the status's own text.
    #[track_caller]
    pub fn status_only(status: impl ErrorStatus) -> Self {
        Self::build(status.error_status(), None, None)
    }

    #[track_caller]
    fn build(
        status: StatusCode,
        message: Option<Cow<'static, str>>,
        cause: Option<Box<dyn StdError + Send + Sync>>,
    ) -> Self {
        let expose = status.is_client_error();
        let place = Location::caller();
        Self(Box::new(Inner { status, message, expose, headers: HeaderMap::new(), cause, place }))
    }

    /// Says whether the message may be sent to the client.
    #[must_use]
    pub fn expose(mut self, expose: bool) -> Self {
        self.0.expose = expose;
        self
    }

    /// Adds a header to the answer. Content-Type and Content-Length are the answer's own and ignored.
    #[must_use]
    pub fn with_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        if name != http::header::CONTENT_TYPE && name != http::header::CONTENT_LENGTH {
            self.0.headers.append(name, value);
        }
        self
    }

    /// Attaches what really went wrong, for the log alone.
    #[must_use]
    pub fn with_cause(mut self, cause: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        self.0.cause = Some(cause.into());
        self
    }

    /// Says that the error was made somewhere else, where its message is made on behalf of a caller.
    ///
    /// For functions that are `#[track_caller]` but make their errors in an `async` block, which knows no caller.
    #[must_use]
    pub fn at(mut self, place: &'static Location<'static>) -> Self {
        self.0.place = place;
        self
    }

    /// The status of the answer.
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The message given when the error was made, public or not.
    pub fn message(&self) -> &str {
        self.0.message.as_deref().unwrap_or_else(|| status_text(self.0.status))
    }

    /// What the client may read: the message if the error is exposed, otherwise the status text.
    pub fn public_message(&self) -> &str {
        if self.0.expose { self.message() } else { status_text(self.0.status) }
    }

    /// Whether the client may read the message.
    pub fn is_exposed(&self) -> bool {
        self.0.expose
    }

    /// Headers the answer gets.
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// What really went wrong, if anything was attached.
    pub fn cause(&self) -> Option<&(dyn StdError + Send + Sync + 'static)> {
        self.0.cause.as_deref()
    }

    /// The cause as a concrete type.
    pub fn downcast_ref<E: StdError + 'static>(&self) -> Option<&E> {
        self.0.cause.as_deref().and_then(|cause| cause.downcast_ref())
    }

    /// Where in the source the error was made.
    pub fn place(&self) -> &'static Location<'static> {
        self.0.place
    }
}

/// The text that HTTP gives to a status, `"unknown"` where it gives none.
pub(crate) fn status_text(status: StatusCode) -> &'static str {
    // The http crate leaves the hyphen of RFC 9110, section 15.3.4, out, and writes the teapot of Koa's table small.
    match status.as_u16() {
        203 => "Non-Authoritative Information",
        418 => "I'm a Teapot",
        _ => status.canonical_reason().unwrap_or("unknown"),
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.0.status.as_u16(), self.message())?;
        let mut cause = self.0.cause.as_deref().map(|cause| cause as &dyn StdError);
        while let Some(error) = cause {
            write!(f, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Error")
            .field("status", &self.0.status.as_u16())
            .field("message", &self.message())
            .field("expose", &self.0.expose)
            .field("cause", &self.0.cause)
            .field("place", &format_args!("{}", self.0.place))
            .finish()
    }
}

// `Error` itself does not implement `std::error::Error`, so that `?` can turn every error into one.
impl<E: StdError + Send + Sync + 'static> From<E> for Error {
    #[track_caller]
    fn from(cause: E) -> Self {
        Self::build(StatusCode::INTERNAL_SERVER_ERROR, None, Some(Box::new(cause)))
    }
}

impl From<Error> for Box<dyn StdError + Send + Sync> {
    /// For services and bodies that know only boxed errors.
    fn from(error: Error) -> Self {
        Box::new(Boxed(error))
    }
}

#[derive(Debug)]
struct Boxed(Error);

impl fmt::Display for Boxed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl StdError for Boxed {}

/// What [`Error::new`] takes as a status: a `StatusCode` or a number.
pub trait ErrorStatus {
    /// The status, 500 when it is not between 400 and 599.
    fn error_status(self) -> StatusCode;
}

impl ErrorStatus for StatusCode {
    fn error_status(self) -> StatusCode {
        let is_error = self.is_client_error() || self.is_server_error();
        if is_error { self } else { StatusCode::INTERNAL_SERVER_ERROR }
    }
}

impl ErrorStatus for u16 {
    fn error_status(self) -> StatusCode {
        StatusCode::from_u16(self).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR).error_status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_outside_the_error_range_become_500() {
        for (given, expected) in [(200, 500), (399, 500), (400, 400), (418, 418), (599, 599), (99, 500)] {
            assert_eq!(Error::status_only(given).status().as_u16(), expected, "{given}");
        }
    }

    #[test]
    fn only_client_errors_expose_their_message() {
        assert_eq!(Error::new(403, "access_denied").public_message(), "access_denied");
        assert_eq!(Error::new(500, "hidden").public_message(), "Internal Server Error");
        assert_eq!(Error::new(500, "shown").expose(true).public_message(), "shown");
        assert_eq!(Error::new(401, "who").expose(false).public_message(), "Unauthorized");
    }

    #[test]
    fn a_foreign_error_is_a_500_with_a_private_cause_and_a_place() {
        fn fails() -> Result<u32> {
            Ok("x".parse::<u32>()?)
        }
        let error = fails().unwrap_err();
        assert_eq!(error.status(), 500);
        assert!(error.downcast_ref::<std::num::ParseIntError>().is_some());
        assert!(error.place().file().ends_with("error.rs"));
        assert!(error.to_string().contains("invalid digit"));
    }

    #[test]
    fn an_error_is_one_pointer() {
        assert_eq!(size_of::<Result>(), size_of::<usize>());
    }
}
