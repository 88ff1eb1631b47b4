//! The cookies of one request and its response: what a handler reads and writes.

use super::{CookieError, CookieOptions, Keys, MAX_SET_COOKIE, Opened, parse, set_cookie};
use crate::Headers;
use http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use std::fmt;
use std::str;
use std::time::{SystemTime, UNIX_EPOCH};

const SIG: &str = ".sig";

/// The cookies of a request, and those its response sets.
///
/// It holds nothing itself: cookies are read from the request's `Cookie` headers, and every change is at once
/// a `Set-Cookie` header of the response. What is set is therefore not seen by `get`, as in Koa.
///
/// ```
/// # use cepa_core::cookie::{CookieOptions, Jar, Keys};
/// # use http::{HeaderMap, header};
/// # let request = cepa_core::Headers::new();
/// # let mut response = HeaderMap::new();
/// # let keys = Keys::new(["a secret"])?;
/// let mut jar = Jar {
///     request: &request,
///     response: &mut response,
///     keys: Some(&keys),
///     secure: true,
///     now: std::time::SystemTime::now(),
/// };
/// if jar.get_signed("user")?.is_none() {
///     jar.set("user", "tobi", &CookieOptions::default())?;
/// }
/// assert_eq!(response.get_all(header::SET_COOKIE).iter().count(), 2); // user and user.sig
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Jar<'a> {
    /// The request's headers.
    pub request: &'a Headers,
    /// The response's headers, which receive the `Set-Cookie` lines.
    pub response: &'a mut HeaderMap,
    /// The app's keys, for signed and encrypted cookies.
    pub keys: Option<&'a Keys>,
    /// Whether the client's connection is encrypted.
    pub secure: bool,
    /// The time `max_age` counts from.
    pub now: SystemTime,
}

impl<'a> Jar<'a> {
    /// The value of the first cookie called `name`, as the client sent it, unverified.
    ///
    /// `None` also for a value that is not UTF-8; [`cookie::get`](super::get) gives the bytes.
    pub fn get(&self, name: &str) -> Option<&'a str> {
        str::from_utf8(parse::get(self.request, name)?).ok()
    }

    /// How many cookies the request has by this name: more than one is suspect, see
    /// [`cookie::count`](super::count).
    pub fn count(&self, name: &str) -> usize {
        parse::count(self.request, name)
    }

    /// The value of the first cookie called `name`, if its signature in `name.sig` is one of ours.
    ///
    /// * Signed with an older key: the value is returned, and `name.sig` is sent again, signed with the first
    ///   key.
    /// * Signed with no key of the ring: `None`, and `name.sig` is deleted.
    /// * Without a signature or with an empty value, which is what a deleted cookie is: `None`.
    ///
    /// A response that has set `name.sig` already keeps it. Errors: [`CookieError::NoKeys`].
    pub fn get_signed(&mut self, name: &str) -> Result<Option<&'a str>, CookieError> {
        let keys = self.keys.ok_or(CookieError::NoKeys)?;
        let Some(value) = parse::get(self.request, name).filter(|value| !value.is_empty()) else {
            return Ok(None);
        };
        let Some(signature) = get_signature(self.request, name) else { return Ok(None) };
        let signed = [name.as_bytes(), b"=", value];
        match keys.verify_parts(&signed, signature) {
            Some(0) => {}
            Some(_) => self.repair_signature(name, &keys.sign_parts(&signed)),
            None => {
                self.repair_signature(name, "");
                return Ok(None);
            }
        }
        Ok(str::from_utf8(value).ok())
    }

    /// The value of the first cookie called `name`, if [`Jar::set_encrypted`] made it for this name.
    ///
    /// A [`key_index`](Opened::key_index) past 0 means that it should be set again. Errors:
    /// [`CookieError::NoKeys`].
    pub fn get_encrypted(&self, name: &str) -> Result<Option<Opened>, CookieError> {
        let keys = self.keys.ok_or(CookieError::NoKeys)?;
        let sealed = parse::get(self.request, name).filter(|sealed| sealed.len() <= MAX_SET_COOKIE);
        Ok(sealed.and_then(|sealed| keys.open(name, sealed)))
    }

    /// Sets a cookie, and its signature if `options.signed` says so. An empty value deletes the cookie.
    ///
    /// On error the response is as it was. Errors: see [`CookieError`].
    pub fn set(&mut self, name: &str, value: &str, options: &CookieOptions<'_>) -> Result<(), CookieError> {
        let line = self.line(name, value, options)?;
        if !options.signed.unwrap_or(self.keys.is_some()) {
            return self.push(name, line, options.overwrite);
        }
        let keys = self.keys.ok_or(CookieError::NoKeys)?;
        let mut options = *options;
        if value.is_empty() {
            // As Koa does it: the signature of nothing, which ends with what it signs.
            (options.max_age, options.expires) = (None, Some(UNIX_EPOCH));
        }
        let signature = keys.sign_parts(&[name.as_bytes(), b"=", value.as_bytes()]);
        let sig_name = [name, SIG].concat();
        let sig_line = self.line(&sig_name, &signature, &options)?;
        self.push(name, line, options.overwrite)?;
        self.push(&sig_name, sig_line, options.overwrite)
    }

    /// Deletes a cookie, and its signature if `options.signed` says so.
    ///
    /// `path` and `domain` must be those it was set with. Errors: see [`CookieError`].
    pub fn remove(&mut self, name: &str, options: &CookieOptions<'_>) -> Result<(), CookieError> {
        self.set(name, "", options)
    }

    /// Sets a cookie that only this app can read, bound to its name; `options.signed` is ignored.
    ///
    /// About 3000 bytes fit. To delete it, [`Jar::remove`] it with `signed: Some(false)`.
    /// Errors: see [`CookieError`].
    pub fn set_encrypted(
        &mut self,
        name: &str,
        value: &[u8],
        options: &CookieOptions<'_>,
    ) -> Result<(), CookieError> {
        let keys = self.keys.ok_or(CookieError::NoKeys)?;
        if value.len() > MAX_SET_COOKIE {
            return Err(CookieError::TooLong { name: name.into(), len: value.len() });
        }
        let line = self.line(name, &keys.seal(name, value)?, options)?;
        self.push(name, line, options.overwrite)
    }

    fn line(&self, name: &str, value: &str, options: &CookieOptions<'_>) -> Result<HeaderValue, CookieError> {
        set_cookie(name, value, options, self.secure, self.now)
    }

    /// Sends `name.sig` anew with default attributes, or deletes it if `signature` is empty.
    ///
    /// Not when the response sets it already: that one signs a newer value. A read does not fail because its
    /// repair cannot be written, as for a `__Host-` cookie that came in over plain HTTP.
    fn repair_signature(&mut self, name: &str, signature: &str) {
        let sig_name = [name, SIG].concat();
        if self.response.get_all(SET_COOKIE).iter().any(|line| sets(line, &sig_name)) {
            return;
        }
        if let Ok(line) = self.line(&sig_name, signature, &CookieOptions::default()) {
            let _full = self.push(&sig_name, line, false);
        }
    }

    fn push(&mut self, name: &str, line: HeaderValue, overwrite: bool) -> Result<(), CookieError> {
        if overwrite && self.response.get_all(SET_COOKIE).iter().any(|line| sets(line, name)) {
            let all = self.response.get_all(SET_COOKIE).iter();
            let kept: Vec<HeaderValue> = all.filter(|line| !sets(line, name)).cloned().collect();
            self.response.remove(SET_COOKIE);
            for line in kept {
                self.append(line)?;
            }
        }
        self.append(line)
    }

    fn append(&mut self, line: HeaderValue) -> Result<(), CookieError> {
        self.response.try_append(SET_COOKIE, line).map(drop).map_err(|_| CookieError::TooManyHeaders)
    }
}

impl fmt::Debug for Jar<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Values stay out of logs.
        f.debug_struct("Jar").field("keys", &self.keys).field("secure", &self.secure).finish_non_exhaustive()
    }
}

/// The value of `name.sig`, found without putting that name together.
fn get_signature<'a>(request: &'a Headers, name: &str) -> Option<&'a [u8]> {
    parse::cookies(request)
        .find(|cookie| cookie.name.strip_prefix(name.as_bytes()) == Some(SIG.as_bytes()))
        .map(|cookie| cookie.value)
}

/// Whether a `Set-Cookie` line sets the cookie `name`.
fn sets(line: &HeaderValue, name: &str) -> bool {
    line.as_bytes().strip_prefix(name.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'='))
}

#[cfg(test)]
mod tests;
