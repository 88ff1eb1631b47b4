//! Cookies, set and read as the query asks.

use std::time::{Duration, SystemTime};

use cepa_core::{
    Ctx, Error, Result,
    cookie::{CookieOptions, Priority, SameSite},
    date,
    router::Router,
};
use serde::{Deserialize, Deserializer, de::IntoDeserializer};
use serde_json::{Value, json};

pub(super) fn routes() -> Router {
    Router::new().all("/cookie/set", set).all("/cookie/multi", multi).all("/cookie/get", get)
}

#[derive(Deserialize)]
struct Set {
    name: String,
    value: Option<String>,
    /// [`Options`] as JSON.
    opts: Option<String>,
}

/// With options, even empty ones, a cookie is signed unless they say otherwise; without them it is not.
async fn set(ctx: &mut Ctx) -> Result<&'static str> {
    let Set { name, value, opts } = ctx.query()?;
    let options = match opts {
        Some(json) => serde_json::from_str(&json)?,
        None => Options { signed: Some(false), ..Default::default() },
    };
    // An empty value deletes the cookie, and so does none.
    ctx.cookies().set(&name, value.as_deref().unwrap_or_default(), &options.read()?)?;
    Ok("set")
}

async fn multi(ctx: &mut Ctx) -> Result<&'static str> {
    let unsigned = CookieOptions { signed: Some(false), ..Default::default() };
    for (name, value) in [("a", "1"), ("a", "2"), ("b", "3")] {
        ctx.cookies().set(name, value, &unsigned)?;
    }
    if ctx.query_value("ow").is_some_and(|ow| !ow.is_empty()) {
        ctx.cookies().set("a", "4", &CookieOptions { overwrite: true, ..unsigned })?;
    }
    Ok("set")
}

async fn get(ctx: &mut Ctx) -> Result<Value> {
    #[derive(Deserialize)]
    struct Get {
        name: String,
        signed: Option<String>,
    }

    let Get { name, signed } = ctx.query()?;
    let value = match signed.as_deref() {
        Some("true" | "opts") => ctx.cookies().get_signed(&name)?,
        _ => ctx.cookies().get(&name),
    };
    Ok(json!({ "value": value }))
}

/// Cookie options as JavaScript writes them.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Options {
    /// Absent is `/`; `null` and an empty text are none.
    #[serde(deserialize_with = "given")]
    path: Option<Option<String>>,
    domain: Option<String>,
    /// Milliseconds; 0 says nothing, less than 0 is in the past.
    max_age: Option<i64>,
    expires: Option<String>,
    http_only: Option<bool>,
    secure: Option<bool>,
    #[serde(deserialize_with = "same_site")]
    same_site: Option<SameSite>,
    #[serde(deserialize_with = "in_any_case")]
    priority: Option<Priority>,
    partitioned: bool,
    signed: Option<bool>,
    overwrite: bool,
}

impl Options {
    fn read(&self) -> Result<CookieOptions<'_>> {
        let mut expires = match &self.expires {
            Some(time) => Some(date::parse_iso(time).ok_or_else(|| Error::new(500, "expires is no date"))?),
            None => None,
        };
        let age = self.max_age.unwrap_or_default();
        if age < 0 {
            expires = SystemTime::now().checked_sub(Duration::from_millis(age.unsigned_abs()));
        }
        Ok(CookieOptions {
            path: match &self.path {
                None => Some("/"),
                Some(path) => path.as_deref().filter(|path| !path.is_empty()),
            },
            domain: self.domain.as_deref(),
            max_age: (age > 0).then(|| Duration::from_millis(age.unsigned_abs())),
            expires,
            http_only: self.http_only.unwrap_or(true),
            secure: self.secure,
            same_site: self.same_site,
            priority: self.priority,
            partitioned: self.partitioned,
            signed: self.signed,
            overwrite: self.overwrite,
        })
    }
}

/// A value that is there, be it `null`.
fn given<'de, D: Deserializer<'de>>(json: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(json).map(Some)
}

/// `true` is strict, `false` says nothing.
fn same_site<'de, D: Deserializer<'de>>(json: D) -> Result<Option<SameSite>, D::Error> {
    match Value::deserialize(json)? {
        Value::Bool(true) => Ok(Some(SameSite::Strict)),
        Value::Bool(false) => Ok(None),
        name => in_any_case(name).map_err(serde::de::Error::custom),
    }
}

/// A name whatever its case.
fn in_any_case<'de, D: Deserializer<'de>, T: Deserialize<'de>>(json: D) -> Result<Option<T>, D::Error> {
    let Some(name) = Option::<String>::deserialize(json)? else { return Ok(None) };
    T::deserialize(name.to_ascii_lowercase().into_deserializer()).map(Some)
}
