//! Asks for a name and password by HTTP's Basic scheme (RFC 7617), and compares them with a file of bcrypt hashes.
//!
//! With the feature `basic_auth`.
//!
//! It belongs inside of [`logger`](crate::logger()), which writes the name, and of
//! [`rate_limit`](crate::rate_limit()), which slows those down who guess. The password travels with each request, so
//! use it over TLS alone.

mod credentials;
mod htpasswd;

use std::{
    path::PathBuf,
    sync::Arc,
    time::{Duration, Instant},
};

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, units};
use http::{HeaderValue, header};
use serde::Deserialize;

use self::{credentials::Credentials, htpasswd::Htpasswd};
use crate::{
    admission::Admission,
    auth::{AuthError, User, Watched, checked_realm, is_for_proxy},
};

/// Who is let in.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// What the client is told that the name and password are for, default `restricted`.
    pub realm: String,
    /// The file of users, default `htpasswd`. Each line is `name:hash`, as `htpasswd -B -C 10` makes it; empty lines
    /// and those that begin with `#` are passed over. At most 1 MiB. It is read again when it has changed.
    pub file: PathBuf,
    /// The least cost of a hash, default 10; a file with a lower one is refused. The most is 16.
    pub least_cost: u32,
    /// How long a name and password that were right are not hashed again, default 1 min; 0 hashes for each request.
    #[serde(with = "units::duration")]
    pub remember: Duration,
    /// Passwords that are hashed at the same time, default 4: each takes a processor for about 0.1 s.
    pub at_once: usize,
    /// Requests that wait to be among them, for at most 10 s, default 64; 503 when there are more.
    pub queue: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            realm: "restricted".to_owned(),
            file: "htpasswd".into(),
            least_cost: 10,
            remember: Duration::from_secs(60),
            at_once: 4,
            queue: 64,
        }
    }
}

/// The longest that a password waits to be hashed.
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// A layer that lets nobody in but the users of a file.
///
/// - Who is not let in gets 401 with a challenge, and 400 where the header is malformed. Whether a name is known does
///   not show, neither in the answer nor, where all hashes have the same cost, in its time.
/// - Hashes are those of bcrypt (`$2a$`, `$2b$`, `$2y$`), which takes no more than 72 bytes; a longer password is
///   wrong. MD5, SHA, crypt and plain passwords are refused at start.
/// - The name is left as [`User`].
///
/// ```no_run
/// use cepa_core::{App, Ctx};
/// use cepa_layers::{auth::User, basic_auth};
///
/// let admins = basic_auth::Options { file: "config/admins".into(), ..Default::default() };
/// let app = App::new()
///     .with(basic_auth(admins)?)
///     .get("/", async |ctx: &mut Ctx| ctx.state::<User>().map(|user| format!("Hello, {}", user.name())));
/// # Ok::<(), cepa_layers::auth::AuthError>(())
/// ```
///
/// # Errors
/// A file that cannot be read, or has a line that is none, or a hash that is weak; a realm that cannot be sent.
pub fn basic_auth(options: Options) -> Result<BasicAuth, AuthError> {
    let least_cost = options.least_cost;
    let users = Watched::open(options.file, move |path| Htpasswd::read(path, least_cost))?;
    Ok(BasicAuth {
        challenge: Challenge::new(options.realm)?,
        users,
        remembered: htpasswd::Remembered::new(options.remember),
        admission: Admission::new(options.at_once.max(1), options.queue, LONGEST_WAIT),
    })
}

/// See [`basic_auth()`].
#[derive(Debug)]
pub struct BasicAuth {
    challenge: Challenge,
    users: Watched<Htpasswd>,
    remembered: htpasswd::Remembered,
    admission: Admission,
}

impl Middleware for BasicAuth {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if !self.challenge.concerns(ctx) {
            return next.run(ctx).boxed();
        }
        Box::pin(async move {
            let credentials = self.challenge.credentials(ctx)?;
            let name = credentials.name.clone();
            if !self.is_right(credentials).await? {
                return Err(self.challenge.error());
            }
            ctx.insert(User::new(&name));
            next.run(ctx).await
        })
    }
}

impl BasicAuth {
    /// Asks those who use this server as a [proxy](mod@crate::forward_proxy), and nobody else: by 407, `Proxy-Authenticate` and
    /// `Proxy-Authorization` (RFC 9110, section 11.7).
    #[must_use]
    pub fn for_proxy(mut self) -> Self {
        self.challenge.for_proxy = true;
        self
    }

    async fn is_right(&self, credentials: Credentials) -> Result<bool> {
        let users = self.users.current().await;
        let seal = users.hash(&credentials.name).map(|hash| self.remembered.seal(&credentials, hash));
        if seal.is_some_and(|seal| self.remembered.knows(&seal, Instant::now())) {
            return Ok(true);
        }
        let Some(place) = self.admission.enter().await else {
            return Err(Error::new(503, "too many passwords to check")
                .with_header(header::RETRY_AFTER, HeaderValue::from_static("1")));
        };
        let checked = tokio::task::spawn_blocking(move || {
            let is_right = users.check(&credentials);
            // Only now is the place free: the work goes on also when the client has left.
            drop(place);
            is_right
        });
        let is_right = checked.await?;
        if let Some(seal) = seal.filter(|_| is_right) {
            self.remembered.add(seal, Instant::now());
        }
        Ok(is_right)
    }
}

/// A layer that asks a function whether a name and password are right.
///
/// The function should take as long for a name that is not known as for one that is, and leave hashing to a thread
/// apart.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::basic_auth;
///
/// let app = App::new()
///     .with(basic_auth::asking("staff", async |_: &mut Ctx, name: &str, password: &str| {
///         Ok(name == "ada" && password == "an example")
///     })?)
///     .get("/", async |_: &mut Ctx| "Hello, Ada");
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// assert_eq!(client.get("/").await.header("www-authenticate"), r#"Basic realm="staff", charset="UTF-8""#);
/// let answer = client.get("/").header("authorization", "Basic YWRhOmFuIGV4YW1wbGU=").await;
/// assert_eq!(answer.text(), "Hello, Ada");
/// # });
/// # Ok::<(), cepa_layers::auth::AuthError>(())
/// ```
///
/// # Errors
/// A realm that cannot be sent.
pub fn asking<F>(realm: impl Into<String>, check: F) -> Result<Asking<F>, AuthError>
where
    F: AsyncFn(&mut Ctx, &str, &str) -> Result<bool> + Send + Sync + 'static,
{
    Ok(Asking { challenge: Challenge::new(realm.into())?, check: Arc::new(check) })
}

/// See [`asking`].
#[derive(Debug)]
pub struct Asking<F> {
    challenge: Challenge,
    check: Arc<F>,
}

impl<F> Asking<F> {
    /// As [`BasicAuth::for_proxy`].
    #[must_use]
    pub fn for_proxy(mut self) -> Self {
        self.challenge.for_proxy = true;
        self
    }
}

impl<F> Middleware for Asking<F>
where
    F: AsyncFn(&mut Ctx, &str, &str) -> Result<bool> + Send + Sync + 'static,
{
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if !self.challenge.concerns(ctx) {
            return next.run(ctx).boxed();
        }
        Box::pin(async move {
            let Credentials { name, password } = self.challenge.credentials(ctx)?;
            if !(self.check)(ctx, &name, &password).await? {
                return Err(self.challenge.error());
            }
            ctx.insert(User::new(&name));
            next.run(ctx).await
        })
    }
}

/// What those are told who are not let in.
#[derive(Debug)]
struct Challenge {
    text: HeaderValue,
    /// Only those are asked who use this server as a proxy.
    for_proxy: bool,
}

impl Challenge {
    fn new(realm: String) -> Result<Self, AuthError> {
        let realm = checked_realm(realm)?;
        let text = HeaderValue::try_from(format!("Basic realm=\"{realm}\", charset=\"UTF-8\""));
        let text = text.map_err(|_| AuthError::Realm(realm))?;
        Ok(Self { text, for_proxy: false })
    }

    /// Whether a request is one of those that are asked.
    fn concerns(&self, ctx: &Ctx) -> bool {
        !self.for_proxy || is_for_proxy(ctx)
    }

    #[track_caller]
    fn error(&self) -> Error {
        let (status, header) = match self.for_proxy {
            true => (407, header::PROXY_AUTHENTICATE),
            false => (401, header::WWW_AUTHENTICATE),
        };
        Error::status_only(status).with_header(header, self.text.clone())
    }

    /// The name and password of a request.
    fn credentials(&self, ctx: &Ctx) -> Result<Credentials> {
        let name = if self.for_proxy { "proxy-authorization" } else { "authorization" };
        let mut headers = ctx.request.fields().get_all(name);
        let header = headers.next().ok_or_else(|| self.error())?;
        if headers.next().is_some() {
            return Err(Error::new(400, format!("more than one {name}")));
        }
        match Credentials::parse(header) {
            Ok(Some(credentials)) => Ok(credentials),
            Ok(None) => Err(self.error()),
            Err(malformed) => Err(Error::new(400, malformed.0)),
        }
    }
}

#[cfg(test)]
mod tests;
