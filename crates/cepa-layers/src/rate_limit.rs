//! Limits how many requests a client makes.
//!
//! It belongs outside of what it protects, such as a session or [`basic_auth`](crate::basic_auth()), and inside of
//! [`logger`](crate::logger()) and [`on_error`](crate::on_error()).

mod table;

use std::{
    hash::{BuildHasher, Hash, RandomState},
    net::IpAddr,
    time::Duration,
};

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, forwarded::Node, units};
use http::{HeaderName, HeaderValue, header::RETRY_AFTER};
use serde::Deserialize;
use tokio::time::Instant;

use self::table::{Rate, Table, Verdict};

/// How many requests, and of whom.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Requests in the time `per`, default 100.
    pub limit: u32,
    /// The time, default 1 min.
    #[serde(with = "units::duration")]
    pub per: Duration,
    /// Requests that may come at once after a pause, default as many as `limit`. After them they may come as fast as
    /// `limit` in `per`, evenly.
    pub burst: Option<u32>,
    /// Clients that are told apart, default 65,536, of about 32 bytes each, taken at start. With more, those are
    /// forgotten who have used least.
    pub keys: usize,
    /// Leading bits of an IPv6 address that make a client, default 64: a household has at least as many addresses.
    pub ipv6_prefix: u8,
    /// The name of the limit in the headers, default `default`: to be told apart from another one of the same app.
    pub name: String,
    /// Whether responses have `RateLimit` and `RateLimit-Policy` (draft-ietf-httpapi-ratelimit-headers-10), default
    /// yes.
    pub headers: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            limit: 100,
            per: Duration::from_secs(60),
            burst: None,
            keys: 1 << 16,
            ipv6_prefix: 64,
            name: "default".to_owned(),
            headers: true,
        }
    }
}

/// Options that are no limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OptionsError {
    /// No request at all, or more than one in a nanosecond; or a time that is too long to count.
    #[error("rate_limit: limit, burst and per must be above 0, and per at most 365 days")]
    Rate,
    /// Nobody to tell apart, or more than memory can be taken for.
    #[error("rate_limit: keys is {0}; it must be from 1 to 16,777,216")]
    Keys(usize),
    /// Longer than an address.
    #[error("rate_limit: ipv6_prefix is {0}; it must be from 1 to 128")]
    Prefix(u8),
    /// A name that cannot stand in a header.
    #[error("rate_limit: the name {0:?} must be printable ASCII without quotes and backslashes")]
    Name(String),
}

/// A layer that answers 429 with `Retry-After` when a client makes too many requests.
///
/// - Requests are counted by the generic cell rate algorithm (GCRA): a client may be as far ahead of an even flow as
///   `burst` says. There are no windows at whose borders twice as many pass.
/// - A client is the address of [`Ctx::client`], which believes only trusted proxies; or what [`RateLimit::by`] says.
///   Clients without an address, as on a Unix socket, are one.
/// - All worker threads count together; each process for itself.
/// - The memory is taken at start and does not grow; a request costs a lock that almost nobody else wants.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::rate_limit;
///
/// let limit = rate_limit::Options { limit: 2, ..Default::default() };
/// let app = App::new().with(rate_limit(limit)?).get("/", async |_: &mut Ctx| "Hello");
/// # cepa_core::test::block_on(async {
/// let client = app.test();
/// let answer = client.get("/").await;
/// assert_eq!(answer.header("ratelimit"), r#""default";r=1;t=30"#);
/// client.get("/").await;
/// let answer = client.get("/").await;
/// assert_eq!((answer.status().as_u16(), answer.header("retry-after")), (429, "30"));
/// # });
/// # Ok::<(), rate_limit::OptionsError>(())
/// ```
///
/// # Errors
/// Options that are no limit.
pub fn rate_limit(options: Options) -> Result<RateLimit, OptionsError> {
    let Options { limit, per, burst, keys, ipv6_prefix, name, headers } = options;
    let rate = Rate::new(limit, per, burst.unwrap_or(limit)).ok_or(OptionsError::Rate)?;
    if !(1..=1 << 24).contains(&keys) {
        return Err(OptionsError::Keys(keys));
    }
    if !(1..=128).contains(&ipv6_prefix) {
        return Err(OptionsError::Prefix(ipv6_prefix));
    }
    let is_plain = |byte: u8| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\';
    if name.is_empty() || !name.bytes().all(is_plain) {
        return Err(OptionsError::Name(name));
    }
    let policy = format!("\"{name}\";q={limit};w={}", seconds(per));
    let policy = HeaderValue::try_from(policy).map_err(|_| OptionsError::Name(name.clone()))?;
    Ok(RateLimit {
        table: Table::new(rate, keys),
        started: Instant::now(),
        hashers: Hashers(RandomState::new(), RandomState::new()),
        key: Box::new(move |ctx, hashers| Some(client(ctx, hashers, ipv6_prefix))),
        policy: headers.then_some(policy),
        name,
    })
}

/// See [`rate_limit()`].
pub struct RateLimit {
    table: Table,
    started: Instant,
    hashers: Hashers,
    key: Box<Key>,
    policy: Option<HeaderValue>,
    name: String,
}

type Key = dyn Fn(&Ctx, &Hashers) -> Option<u128> + Send + Sync;

/// Makes 128 bits of a key, by hashes that nobody outside can foresee.
struct Hashers(RandomState, RandomState);

impl Hashers {
    fn key(&self, of: &impl Hash) -> u128 {
        u128::from(self.0.hash_one(of)) << 64 | u128::from(self.1.hash_one(of))
    }
}

impl RateLimit {
    /// Tells requests apart by something else than the address, such as the user or a key of the API. `None` is not
    /// limited.
    ///
    /// ```
    /// use cepa_core::Ctx;
    /// use cepa_layers::{auth::User, rate_limit};
    ///
    /// let layer = rate_limit(Default::default())?
    ///     .by(|ctx: &Ctx| ctx.state::<User>().map(|user| user.name().to_owned()));
    /// # Ok::<(), rate_limit::OptionsError>(())
    /// ```
    #[must_use]
    pub fn by<K: Hash>(mut self, key: impl Fn(&Ctx) -> Option<K> + Send + Sync + 'static) -> Self {
        self.key = Box::new(move |ctx, hashers| key(ctx).map(|key| hashers.key(&key)));
        self
    }
}

impl Middleware for RateLimit {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        match self.check(ctx) {
            Ok(()) => next.run(ctx).boxed(),
            Err(error) => Box::pin(async { Err(error) }),
        }
    }
}

const RATE_LIMIT: HeaderName = HeaderName::from_static("ratelimit");
const RATE_LIMIT_POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");

impl RateLimit {
    fn check(&self, ctx: &mut Ctx) -> Result {
        let Some(key) = (self.key)(ctx, &self.hashers) else { return Ok(()) };
        let Verdict { remaining, reset, retry } = self.table.take(key, self.started.elapsed());
        if let Some(policy) = &self.policy {
            let state = format!("\"{}\";r={remaining};t={}", self.name, seconds(reset));
            let headers = ctx.response.headers_mut();
            // Another limit of the same app has a line of its own: the fields are lists.
            headers.append(RATE_LIMIT_POLICY, policy.clone());
            if let Ok(state) = HeaderValue::try_from(state) {
                headers.append(RATE_LIMIT, state);
            }
        }
        match retry {
            None => Ok(()),
            Some(after) => {
                Err(Error::status_only(429).with_header(RETRY_AFTER, HeaderValue::from(seconds(after))))
            }
        }
    }
}

/// The client of a request: its address, or the network of it, or the name that a proxy gives it.
fn client(ctx: &Ctx, hashers: &Hashers, ipv6_prefix: u8) -> u128 {
    match ctx.client() {
        Node::Ip(IpAddr::V4(ip)) => hashers.key(&(4u8, u128::from(ip.to_bits()))),
        Node::Ip(IpAddr::V6(ip)) => hashers.key(&(6u8, ip.to_bits() >> (128 - u32::from(ipv6_prefix)))),
        Node::Named(name) => hashers.key(&(0u8, name)),
        Node::Unknown => hashers.key(&(1u8, 0u128)),
    }
}

/// Whole seconds that are not shorter.
fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

impl std::fmt::Debug for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RateLimit").field("name", &self.name).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, forwarded::Trust, test::Client};

    fn options(limit: u32) -> Options {
        Options { limit, per: Duration::from_secs(10), ..Options::default() }
    }

    fn app(layer: RateLimit) -> App {
        App::new()
            .trust("loopback".parse::<Trust>().unwrap())
            .with(layer)
            .get("/", async |_: &mut Ctx| "a")
            .get("/fails", async |_: &mut Ctx| -> Result { Err(Error::status_only(500)) })
    }

    async fn status(client: &Client, from: &str) -> u16 {
        client.get("/").header("x-forwarded-for", from).await.status().as_u16()
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_too_often_is_told_when_to_come_back() {
        let client = app(rate_limit(options(2)).unwrap()).test();
        let answer = client.get("/fails").await;
        assert_eq!((answer.status().as_u16(), answer.header("ratelimit")), (500, r#""default";r=1;t=5"#));
        assert_eq!(answer.header("ratelimit-policy"), r#""default";q=2;w=10"#);
        assert_eq!(client.get("/").await.header("ratelimit"), r#""default";r=0;t=10"#);
        let answer = client.get("/").await;
        assert_eq!((answer.status().as_u16(), answer.header("retry-after")), (429, "5"));
        tokio::time::advance(Duration::from_secs(5)).await;
        assert_eq!(client.get("/").await.status(), 200);
        assert_eq!(client.get("/").await.status(), 429);
    }

    #[tokio::test(start_paused = true)]
    async fn clients_are_told_apart_by_what_they_cannot_choose() {
        let client = app(rate_limit(options(1)).unwrap()).test();
        for (from, expected) in [
            ("192.0.2.1", 200),
            ("192.0.2.1", 429),
            ("::ffff:192.0.2.1", 429),
            ("6.6.6.6, 192.0.2.1", 429),
            ("192.0.2.2", 200),
            ("2001:db8::1", 200),
            ("2001:db8::ffff:2", 429),
            ("2001:db8:0:1::1", 200),
            ("nonsense", 200),
            ("other nonsense", 429),
        ] {
            assert_eq!(status(&client, from).await, expected, "{from}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn by_something_else_and_two_at_once() {
        let by_path =
            rate_limit(Options { headers: false, ..options(1) }).unwrap().by(|ctx| match ctx.path() {
                "/" => Some("all"),
                _ => None,
            });
        let second = rate_limit(Options { name: "b".into(), ..options(9) }).unwrap();
        let third = rate_limit(Options { name: "c".into(), ..options(9) }).unwrap();
        let client = app(by_path).with(second).with(third).test();
        assert_eq!((status(&client, "1.1.1.1").await, status(&client, "2.2.2.2").await), (200, 429));
        for _ in 0..3 {
            let answer = client.get("/fails").await;
            assert_eq!(answer.headers().get_all("ratelimit").iter().count(), 2);
            assert_eq!(answer.status(), 500);
        }
    }

    #[test]
    fn options_that_are_no_limit_are_refused() {
        let day = Duration::from_secs(86_400);
        for options in [
            Options { limit: 0, ..options(1) },
            Options { burst: Some(0), ..options(1) },
            Options { per: Duration::ZERO, ..options(1) },
            Options { per: day * 366, ..options(1) },
            Options { per: day * 365, burst: Some(u32::MAX), ..options(1) },
            Options { per: Duration::from_nanos(1), ..options(2) },
            Options { keys: 0, ..options(1) },
            Options { keys: usize::MAX, ..options(1) },
            Options { ipv6_prefix: 0, ..options(1) },
            Options { ipv6_prefix: 129, ..options(1) },
            Options { name: "a\"".into(), ..options(1) },
            Options { name: String::new(), ..options(1) },
        ] {
            assert!(rate_limit(options.clone()).is_err(), "{options:?}");
        }
    }
}
