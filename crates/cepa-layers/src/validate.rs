//! Input that is checked before it is used, and answers that say field by field what is wrong.
//!
//! With the feature `validate`.
//!
//! Rules stand at the fields of a type, by [garde], or in the configuration, as [`Rules`] in the language of Egg's
//! validation. [`ValidateExt`] reads a part of the request and applies them; what does not hold becomes an error with status
//! 422 and an [`Invalid`] as its cause, which the layer [`validate()`], or else [`on_error`](crate::on_error()),
//! answers as problem details (RFC 9457):
//!
//! ```
//! use cepa_core::{App, Ctx, Result};
//! use cepa_layers::{ValidateExt, validate};
//! use serde::Deserialize;
//!
//! #[derive(Deserialize, garde::Validate)]
//! struct User {
//!     #[garde(length(chars, min = 1, max = 60))]
//!     name: String,
//!     #[garde(range(max = 150))]
//!     age: u8,
//! }
//!
//! let app = App::new().with(validate(Default::default())).post("/users", async |ctx: &mut Ctx| {
//!     let user: User = ctx.valid_json().await?;
//!     Result::Ok(format!("{} is {}", user.name, user.age))
//! });
//! # cepa_core::test::block_on(async {
//! let client = app.test();
//! let answer = client.post("/users").json(&serde_json::json!({ "name": "Ada", "age": 200 })).await;
//! assert_eq!((answer.status().as_u16(), answer.header("content-type")), (422, "application/problem+json"));
//! assert_eq!(answer.json::<serde_json::Value>()["errors"][0]["pointer"], "#/age");
//! # });
//! ```
//!
//! The findings name fields as garde does: where serde renames a field, `#[garde(rename = "…")]` does it for them. Give
//! lists a `length` of their own, since each of their items may be at fault.
//!
//! The layer is for those who have no [`on_error`](crate::on_error()), or want problem details for all, or a `type` of
//! their own. It belongs inside of the layer that answers all other errors, which gets what it lets pass: the errors of
//! a client that would rather have HTML.

mod finding;
mod form;
mod place;
pub mod rules;
#[cfg(test)]
mod tests;

use std::panic::Location;

use cepa_core::{Ctx, Error, LocalBoxFuture, Middleware, Next, Result, de, media_type};
use http::header;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

pub use self::{
    finding::{Finding, Invalid, Part, Step},
    form::Rejected,
    rules::{Rules, RulesError},
};

/// Forms are read up to this many fields; more are an error.
const MAX_FIELDS: usize = 1000;

/// To whom failed validation is told as problem details.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// Also to clients that would rather have HTML, default false: theirs is the page of an outer layer.
    pub always: bool,
    /// The URI reference that the member `type` names the problem by, default none: `about:blank`.
    #[serde(rename = "type")]
    pub kind: Option<String>,
}

/// A layer that answers failed validation with `application/problem+json`.
pub fn validate(options: Options) -> Validate {
    Validate { options }
}

/// See [`validate()`].
#[derive(Clone, Debug)]
pub struct Validate {
    options: Options,
}

impl Middleware for Validate {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        Box::pin(async move {
            let Err(error) = next.run(ctx).await else { return Ok(()) };
            let Some(invalid) = error.downcast_ref::<Invalid>() else { return Err(error) };
            if !self.options.always {
                ctx.vary("Accept")?;
                let offers = ["application/problem+json", "json", "html"];
                if ctx.accepts(&offers) == Some("html") {
                    return Err(error);
                }
            }
            ctx.fail(&error);
            ctx.set_type("application/problem+json")?;
            let problem = invalid.problem()?.kind(self.options.kind.as_deref().unwrap_or("about:blank"));
            ctx.set_json(&problem.object(error.status().as_u16(), "", Some(error.public_message())))
        })
    }
}

/// Reading a part of the request that must hold what the rules of its type say.
///
/// All fail with 422 and an [`Invalid`] when a value is missing, is not of its type or breaks a rule.
pub trait ValidateExt {
    /// The body as JSON.
    ///
    /// # Errors
    /// 422 as said above, and as [`Ctx::json`]: 415, and 400 where the text is no JSON.
    fn valid_json<T>(&mut self) -> impl Future<Output = Result<T>>
    where
        T: DeserializeOwned + garde::Validate<Context: Default>;

    /// The body as a form.
    ///
    /// # Errors
    /// 422 as said above, and as [`Ctx::form`]: 415, and 413 past 1,000 fields.
    fn valid_form<T>(&mut self) -> impl Future<Output = Result<T>>
    where
        T: DeserializeOwned + garde::Validate<Context: Default>;

    /// The body as a form that is shown again where it is wrong.
    ///
    /// ```
    /// # use cepa_core::{Ctx, Result};
    /// # use cepa_layers::{ValidateExt, ViewsExt};
    /// # #[derive(serde::Deserialize, garde::Validate)]
    /// # struct Entry { #[garde(skip)] name: String }
    /// async fn sign(ctx: &mut Ctx) -> Result {
    ///     let entry: Entry = match ctx.check_form().await? {
    ///         Ok(entry) => entry,
    ///         Err(rejected) => {
    ///             ctx.set_status(422)?;
    ///             return ctx.render("sign.html", &rejected);
    ///         }
    ///     };
    ///     # drop(entry.name);
    ///     ctx.redirect("/")
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`Ctx::form`]: 415, and 413 past 1,000 fields.
    fn check_form<T>(&mut self) -> impl Future<Output = Result<Result<T, Rejected>>>
    where
        T: DeserializeOwned + garde::Validate<Context: Default>;

    /// The query.
    ///
    /// # Errors
    /// 422 as said above.
    fn valid_query<T>(&self) -> Result<T>
    where
        T: DeserializeOwned + garde::Validate<Context: Default>;

    /// The parameters of the route.
    ///
    /// # Errors
    /// 422 where a rule is broken; as [`Ctx::params`] 404 where a value is not of its type.
    fn valid_params<T>(&self) -> Result<T>
    where
        T: DeserializeOwned + garde::Validate<Context: Default>;

    /// The body, JSON or form, by rules that are not known before the program runs.
    ///
    /// What the rules do not name is left out. The texts of a form are converted to what the rules want.
    ///
    /// # Errors
    /// 422 as said above, and 415, 400 and 413 as the others.
    fn valid_body(&mut self, rules: &Rules) -> impl Future<Output = Result<Value>>;
}

impl ValidateExt for Ctx {
    #[track_caller]
    fn valid_json<T>(&mut self) -> impl Future<Output = Result<T>>
    where
        T: DeserializeOwned + garde::Validate<Context: Default>,
    {
        let place = Location::caller();
        async move { read_json(self).await.map_err(|error| error.at(place)) }
    }

    #[track_caller]
    fn valid_form<T>(&mut self) -> impl Future<Output = Result<T>>
    where
        T: DeserializeOwned + garde::Validate<Context: Default>,
    {
        let place = Location::caller();
        async move {
            let checked = read_form(self).await.map_err(|error| error.at(place))?;
            checked.map_err(|rejected| rejected.invalid.into_error().at(place))
        }
    }

    #[track_caller]
    fn check_form<T>(&mut self) -> impl Future<Output = Result<Result<T, Rejected>>>
    where
        T: DeserializeOwned + garde::Validate<Context: Default>,
    {
        let place = Location::caller();
        async move { read_form(self).await.map_err(|error| error.at(place)) }
    }

    #[track_caller]
    fn valid_query<T>(&self) -> Result<T>
    where
        T: DeserializeOwned + garde::Validate<Context: Default>,
    {
        match from_pairs(self.query_pairs()).and_then(checked) {
            Ok(value) => Ok(value),
            Err(findings) => Err(Invalid::new(Part::Query, findings).into_error()),
        }
    }

    #[track_caller]
    fn valid_params<T>(&self) -> Result<T>
    where
        T: DeserializeOwned + garde::Validate<Context: Default>,
    {
        match checked(self.params()?) {
            Ok(value) => Ok(value),
            Err(findings) => Err(Invalid::new(Part::Path, findings).into_error()),
        }
    }

    #[track_caller]
    fn valid_body(&mut self, rules: &Rules) -> impl Future<Output = Result<Value>> {
        let place = Location::caller();
        async move { read_body(self, rules).await.map_err(|error| error.at(place)) }
    }
}

async fn read_json<T>(ctx: &mut Ctx) -> Result<T>
where
    T: DeserializeOwned + garde::Validate<Context: Default>,
{
    expect_type(ctx, &["json", "+json"])?;
    let bytes = ctx.bytes().await?;
    let value = serde_json::from_slice(&bytes).map_err(|error| match place::finding(&bytes, &error) {
        Some(finding) => Invalid::new(Part::Body, vec![finding]).into_error(),
        None => Error::new(400, format!("JSON body: {error}")),
    })?;
    checked(value).map_err(|findings| Invalid::new(Part::Body, findings).into_error())
}

async fn read_form<T>(ctx: &mut Ctx) -> Result<Result<T, Rejected>>
where
    T: DeserializeOwned + garde::Validate<Context: Default>,
{
    expect_type(ctx, &["urlencoded"])?;
    let text = ctx.text().await?;
    Ok(from_pairs(pairs(&text)?).and_then(checked).map_err(|findings| Rejected {
        values: cepa_core::form::to_json_map(cepa_core::form::parse(&text, MAX_FIELDS)),
        invalid: Invalid::new(Part::Body, findings),
    }))
}

async fn read_body(ctx: &mut Ctx, rules: &Rules) -> Result<Value> {
    let is_form = expect_type(ctx, &["json", "+json", "urlencoded"])? == "urlencoded";
    let mut value = if is_form {
        let text = ctx.text().await?;
        Value::Object(cepa_core::form::to_json_map(pairs(&text)?))
    } else {
        let bytes = ctx.bytes().await?;
        serde_json::from_slice(&bytes).map_err(|error| Error::new(400, format!("JSON body: {error}")))?
    };
    let findings = if is_form { rules.check_texts(&mut value) } else { rules.check(&mut value) };
    if !findings.is_empty() {
        return Err(Invalid::new(Part::Body, findings).into_error());
    }
    rules.retain_named(&mut value);
    Ok(value)
}

/// Which of the types the body has.
fn expect_type<'t>(ctx: &Ctx, types: &[&'t str]) -> Result<&'t str> {
    let kind = ctx.get(header::CONTENT_TYPE).unwrap_or_default();
    let found = types.iter().find(|wanted| media_type::type_is(kind, &[**wanted]).is_some());
    found.copied().ok_or_else(|| Error::new(415, format!("unsupported content type {kind:?}")))
}

/// All fields of a form.
fn pairs(text: &str) -> Result<cepa_core::form::Pairs<'_>> {
    let pairs = cepa_core::form::parse(text, MAX_FIELDS);
    let mut end = pairs.clone();
    end.by_ref().for_each(drop);
    if end.is_cut() { Err(Error::new(413, "too many form fields")) } else { Ok(pairs) }
}

type Pair<'a> = (std::borrow::Cow<'a, str>, std::borrow::Cow<'a, str>);

fn from_pairs<'a, T: DeserializeOwned>(pairs: impl Iterator<Item = Pair<'a>>) -> Result<T, Vec<Finding>> {
    de::from_pairs(pairs).map_err(|error| vec![Finding::of_pairs(&error)])
}

fn checked<T: garde::Validate<Context: Default>>(value: T) -> Result<T, Vec<Finding>> {
    let Err(report) = value.validate_with(&T::Context::default()) else { return Ok(value) };
    let found = report.iter().take(finding::MAX_FINDINGS);
    Err(found.map(|(path, error)| Finding::of_report(&path.to_string(), error.message())).collect())
}
