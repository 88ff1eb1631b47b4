//! Cookies and sessions that [Egg](https://www.eggjs.org) has encrypted, for the time in which an app moves.
//!
//! With the feature `egg`.
//!
//! With Egg's own `keys`, [`session()`] reads its `EGG_SESS` cookies, so that nobody is logged out, and writes them as
//! long as both systems serve the site; [`Keys`] does so with any other cookie.
//!
//! ```
//! use cepa_core::{App, Ctx, Result, cookie::{Algorithm, Keys}};
//! use cepa_layers::{SessionExt, egg, session};
//!
//! async fn hello(ctx: &mut Ctx) -> Result<String> {
//!     let user = ctx.session()?.get::<String>("user")?;
//!     Ok(format!("Hello, {}", user.as_deref().unwrap_or("stranger")))
//! }
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let secrets = ["secret-key"]; // `keys` in Egg's configuration, split at its commas
//! let app = App::new()
//!     .keys(Keys::with_algorithm(Algorithm::Sha256, secrets)?) // cookies that Egg has signed
//!     .with(egg::session(session::Options::egg(), egg::Keys::new(secrets)?)?) // and encrypted
//!     .get("/", hello);
//! # cepa_core::test::block_on(async {
//! let cookie = "EGG_SESS=a2L-nKrA0AOWEALQsKuBedm9nI_ZcKqeh8kC5fB97iXCTt_t4gmVLTqmcYalrzbYJW9Yqnyd\
//!               _odEbQfpYgrOcxIHxxZ52n0IHMSAIOStNJPDmQJEqtdytmvQ-jADd8TU";
//! assert_eq!(app.test().get("/").header("cookie", cookie).await.text(), "Hello, 吴彦祖");
//! # });
//! # Ok(())
//! # }
//! ```
//!
//! # The move
//!
//! 1. While both systems serve the site: [`Options::egg`](crate::session::Options::egg). Each reads what the other has
//!    written.
//! 2. When Egg is gone: the same with [`Protection::Encrypted`](crate::session::Protection::Encrypted). Egg's cookies
//!    are still read, and written anew as Cepa's own when they are.
//! 3. When the last of Egg's cookies has expired, after `max_age`: [`session`](crate::session()) instead of
//!    [`session()`]. Until then the next section holds.
//!
//! # What it does not protect
//!
//! Egg's encryption is AES-256-CBC with an IV that belongs to the key, and nothing that authenticates: Egg does not sign
//! what it encrypts. Therefore:
//!
//! * Nobody reads such a cookie without the key, but whoever can try often enough can **change** one without being
//!   noticed. Decoding is strict here, where Egg's skips what it cannot read, and the answer to a cookie does not tell
//!   why it was refused; this makes it harder, and no more. Rights that matter belong into a store during the move, or
//!   behind a look at the database.
//! * Equal values, and equal beginnings of values, give equal cookies.
//! * A value is not bound to its name: where an app encrypts text that a visitor chooses, the visitor has a cookie of that
//!   text to send under the name of another, that of the session too.
//!
//! The format: <https://github.com/eggjs/egg-cookies>; PKCS #7 padding (RFC 5652, section 6.3); the key and the IV are
//! OpenSSL's `EVP_BytesToKey` over a key of the ring with MD5, one round, no salt; the text is the URL-safe base64 with
//! its padding.

pub(crate) mod keys;
#[cfg(test)]
mod tests;

pub use keys::Keys;

use crate::session::{Layer, Options, OptionsError};

/// A [session layer](crate::session()) that reads the sessions of Egg.
///
/// Written they are as [`Options::protection`] says. With [`Layer::store`] Egg's cookie has the id of a session in the
/// store, as with its `app.sessionStore`.
///
/// # Errors
/// Options that contradict each other; `host_prefix`, which Egg's cookie has not; [`Protection::None`], under which
/// everybody could write what Egg has encrypted.
///
/// [`Protection::None`]: crate::session::Protection::None
pub fn session(options: Options, keys: Keys) -> Result<Layer, OptionsError> {
    Layer::with_egg(options, keys)
}
