//! Asks for a name and password by HTTP's Digest scheme with SHA-256 (RFC 7616), in which no password travels.
//!
//! It belongs inside of [`logger`](crate::logger()), which writes the name. Behind a proxy that changes paths it
//! refuses everybody, since the path is part of the digest.

mod digest;
mod header;
mod htdigest;
mod nonce;

use std::{path::PathBuf, time::Duration};

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, units};
use http::{HeaderName, HeaderValue, header::WWW_AUTHENTICATE};
use serde::Deserialize;

pub use self::htdigest::entry;
use self::{
    digest::{Asked, Digest},
    header::{Authorization, Malformed},
    htdigest::Htdigest,
    nonce::{Freshness, Nonces},
};
use crate::auth::{AuthError, User, Watched, checked_realm};

/// Who is let in.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What the client is told that the name and password are for, default `restricted`. It is part of the hashes.
    pub realm: String,
    /// The file of users, default `htdigest`. Each line is `name:realm:hash`, as [`entry`] makes it; lines of other
    /// realms, empty ones, and those that begin with `#` are passed over. At most 1 MiB. It is read again when it has
    /// changed.
    pub file: PathBuf,
    /// How long a nonce can be used, default 5 min; then the client gets another, without asking its user.
    #[serde(with = "units::duration")]
    pub nonce_life: Duration,
    /// Nonces in use at the same time, default 10,000, of about 50 bytes each; with more the oldest end early.
    pub nonces: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            realm: "restricted".to_owned(),
            file: "htdigest".into(),
            nonce_life: Duration::from_secs(300),
            nonces: 10_000,
        }
    }
}

/// A layer that lets nobody in but the users of a file.
///
/// - Who is not let in gets 401 with a challenge; 400 where the header is malformed or is for another path. Whether a
///   name is known does not show.
/// - Each request has its own number, and none is taken twice; numbers may come out of order by up to 64. A nonce
///   that has ended, that another process has made, or a number that was used, is answered `stale=true`, upon which a
///   client tries again by itself.
/// - The algorithm is SHA-256 with `qop=auth`. MD5 is refused, also in the file.
/// - The name is left as [`User`]. The response says in `Authentication-Info` that the server knows the password, too.
///
/// ```no_run
/// use cepa_core::{App, Ctx};
/// use cepa_layers::digest_auth;
///
/// let staff = digest_auth::Options { realm: "staff".into(), file: "config/staff".into(), ..Default::default() };
/// let app = App::new().with(digest_auth(staff)?).get("/", async |_: &mut Ctx| "Hello, staff");
/// # Ok::<(), cepa_layers::auth::AuthError>(())
/// ```
///
/// # Errors
/// A file that cannot be read, or has a line that is none, or a hash of MD5; a realm that cannot be sent.
pub fn digest_auth(options: Options) -> Result<DigestAuth, AuthError> {
    let realm = checked_realm(options.realm)?;
    let of = realm.clone();
    let users = Watched::open(options.file, move |path| Htdigest::read(path, &of))?;
    Ok(DigestAuth { realm, users, nonces: Nonces::new(options.nonce_life, options.nonces) })
}

/// See [`digest_auth()`].
#[derive(Debug)]
pub struct DigestAuth {
    realm: String,
    users: Watched<Htdigest>,
    nonces: Nonces,
}

const AUTHENTICATION_INFO: HeaderName = HeaderName::from_static("authentication-info");

impl Middleware for DigestAuth {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let users = self.users.current().await;
            let (name, info) = self.check(ctx, &users)?;
            ctx.insert(User::new(&name));
            ctx.response.headers_mut().insert(AUTHENTICATION_INFO, info);
            next.run(ctx).await
        })
    }
}

impl DigestAuth {
    /// The name of who may come in, and what proves the server to them.
    fn check(&self, ctx: &Ctx, users: &Htdigest) -> Result<(String, HeaderValue)> {
        let mut headers = ctx.request.fields().get_all("authorization");
        let header = headers.next().ok_or_else(|| self.challenge(false))?;
        if headers.next().is_some() {
            return Err(Error::new(400, "more than one Authorization"));
        }
        let given = match Authorization::parse(header) {
            Ok(Some(given)) => given,
            Ok(None) => return Err(self.challenge(false)),
            Err(Malformed(why)) => return Err(Error::new(400, why)),
        };
        if given.realm != self.realm {
            return Err(self.challenge(false));
        }
        if !is_for(ctx, &given.uri) {
            return Err(Error::new(400, "the digest is for another URI"));
        }
        let digest = Digest::new(users.hash(&given.username), &given);
        let proof = Asked { method: ctx.method().as_str(), uri: &given.uri };
        if !digest.is_right(&proof, &given.response) || !users.knows(&given.username) {
            return Err(self.challenge(false));
        }
        // Only who knows the password uses up numbers.
        if self.nonces.take(&given.nonce, given.count) == Freshness::Stale {
            return Err(self.challenge(true));
        }
        let info = digest.info(&given);
        let info = HeaderValue::try_from(info).map_err(|_| Error::new(400, "cnonce cannot be sent back"))?;
        Ok((given.username, info))
    }

    fn challenge(&self, is_stale: bool) -> Error {
        let nonce = self.nonces.make();
        let stale = if is_stale { ", stale=true" } else { "" };
        let text = format!(
            "Digest realm=\"{}\", qop=\"auth\", algorithm=SHA-256, nonce=\"{nonce}\", charset=UTF-8{stale}",
            self.realm
        );
        let error = Error::status_only(401);
        match HeaderValue::try_from(text) {
            Ok(challenge) => error.with_header(WWW_AUTHENTICATE, challenge),
            Err(_) => error,
        }
    }
}

/// Whether a URI is that of the request, apart from the origin that one of the two may name.
fn is_for(ctx: &Ctx, uri: &str) -> bool {
    let target = ctx.request.original_target();
    let asked = target.as_str();
    asked == uri
        || target.is_absolute() && {
            let path = target.path();
            uri.strip_prefix(path) == Some(target.search())
        }
}

#[cfg(test)]
mod tests;
