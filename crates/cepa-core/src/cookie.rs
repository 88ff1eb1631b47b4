//! Cookies: read from a request, written to a response, signed and encrypted with the app's keys.
//!
//! In reading order: [`parse()`] and its friends read `Cookie` headers, [`set_cookie()`] writes one `Set-Cookie`
//! line, [`Keys`] signs and encrypts, and [`Jar`] joins the three over the headers of one request and its
//! response. A cookie `name` is signed as Koa does it: by a second cookie `name.sig`.

mod jar;
mod keys;
mod options;
mod parse;
mod seal;
mod set_cookie;

pub use jar::Jar;
pub use keys::{Algorithm, Keys, KeysError};
pub use options::{CookieOptions, Priority, SameSite};
pub use parse::{Cookie, MAX_COOKIES, cookies, count, get, parse};
pub use seal::Opened;
pub use set_cookie::{MAX_SET_COOKIE, set_cookie};

/// Why a cookie was not written, or could not be verified. Messages name the cookie, never its value.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CookieError {
    /// The name is no token (RFC 6265, section 4.1.1); an empty name is none either.
    #[error("{0:?} is no cookie name: use letters, digits and !#$%&'*+-.^_`|~")]
    Name(String),
    /// The value holds a control character or `;`, or has spaces or quotes around it and so would not come
    /// back as it was sent.
    #[error("the value of cookie {0:?} cannot be sent as it is: encode it, for example as base64url")]
    Value(String),
    /// The path does not begin with `/`, or holds `;` or a byte that is not printable ASCII.
    #[error("the path of cookie {0:?} must begin with '/' and be printable ASCII without ';'")]
    Path(String),
    /// The domain is no dotted host name.
    #[error("the domain of cookie {0:?} must be a host name such as example.com")]
    Domain(String),
    /// Browsers would drop the cookie: its options break the promise its name makes.
    #[error("the name of cookie {name:?} demands that {rule}")]
    Prefix {
        /// The cookie's name.
        name: String,
        /// What the prefix demands.
        rule: &'static str,
    },
    /// The whole line would have more than [`MAX_SET_COOKIE`] bytes.
    #[error(
        "cookie {name:?} would need {len} bytes, browsers keep {MAX_SET_COOKIE}: use a store for the data"
    )]
    TooLong {
        /// The cookie's name.
        name: String,
        /// Bytes of the line, attributes included.
        len: usize,
    },
    /// `secure: Some(true)` on a connection that is not encrypted. The text is Koa's.
    #[error("Cannot send secure cookie over unencrypted connection")]
    Insecure,
    /// A signed or encrypted cookie was asked for, but the app has no keys.
    #[error("signed and encrypted cookies need keys: configure the app's keys")]
    NoKeys,
    /// The operating system gave no random bytes.
    #[error("the operating system gave no random bytes")]
    NoRandomness,
    /// The response holds as many headers as a header map can.
    #[error("the response has too many headers for another cookie")]
    TooManyHeaders,
}
