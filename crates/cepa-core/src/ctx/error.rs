//! Failing a request.

use std::{borrow::Cow, panic::Location};

use super::Ctx;
use crate::{Error, Result, error::ErrorStatus};

impl Ctx {
    /// An error to return: `return Err(ctx.error(403, "access_denied"))`. Koa's `ctx.throw`.
    #[track_caller]
    pub fn error(&self, status: impl ErrorStatus, message: impl Into<Cow<'static, str>>) -> Error {
        Error::new(status, message)
    }

    /// Fails unless a condition holds: `ctx.assert(user.is_admin, 403, "admins only")?`.
    ///
    /// # Errors
    /// The status and message given, when the condition does not hold.
    #[track_caller]
    pub fn assert(
        &self,
        condition: bool,
        status: impl ErrorStatus,
        message: impl Into<Cow<'static, str>>,
    ) -> Result {
        if condition { Ok(()) } else { Err(Error::new(status, message)) }
    }

    /// The value, or an error where there is none: `let user = ctx.expect(user, 401, "log in first")?`.
    ///
    /// # Errors
    /// The status and message given, when there is no value.
    #[track_caller]
    pub fn expect<T>(
        &self,
        value: Option<T>,
        status: impl ErrorStatus,
        message: impl Into<Cow<'static, str>>,
    ) -> Result<T> {
        let place = Location::caller();
        value.ok_or_else(|| Error::new(status, message).at(place))
    }
}
