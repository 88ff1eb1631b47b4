//! Lets HTML forms, which know GET and POST only, ask for PUT, PATCH and DELETE.
//!
//! It stands outwards of csrf protection and of everything else that looks at the method. Nothing is weakened: only a
//! POST is changed, and only into another method that is protected.

use bytes::Bytes;
use cepa_core::{Ctx, LocalBoxFuture, Middleware, Next, Order, Result, form, media_type, units};
use http::{Method, header};
use serde::Deserialize;

use crate::csrf::Csrf;

/// Where the method is looked for.
#[derive(Clone, Debug, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Options {
    /// A header that names it, default `x-http-method-override`; empty: none does.
    pub header: String,
    /// The field of a form that names it, default `_method`; empty: none does. Of a header and a field the header counts.
    pub field: String,
    /// The methods that may be named, in capitals, default PUT, PATCH and DELETE. GET and HEAD are never among them: a
    /// link of another site could not be told from a form then.
    pub methods: Vec<String>,
    /// Longer forms are not looked at, default `64 KiB`: to find the field the form is read here. Nor are those that do
    /// not say their length, and those in a content coding, also when a layer outwards has taken it off: browsers send
    /// neither, other clients have the header.
    #[serde(with = "units::size")]
    pub limit: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            header: "x-http-method-override".to_owned(),
            field: "_method".to_owned(),
            methods: ["PUT", "PATCH", "DELETE"].map(str::to_owned).into(),
            limit: 64 << 10,
        }
    }
}

/// A method that nobody may ask for by a form.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no method that a POST may become")]
pub struct MethodError(pub String);

/// The method that a request came with, left on the ctx where it was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OriginalMethod(pub Method);

/// The fields of a form that are looked through.
const MAX_FIELDS: usize = 1000;

/// A layer that gives a POST the method that its header or form names.
///
/// Another name than those [allowed](Options::methods) changes nothing. Handlers read the body as if nobody had.
///
/// ```
/// use cepa_core::{App, Ctx};
/// use cepa_layers::method_override;
///
/// let app = App::new()
///     .with(method_override(Default::default())?)
///     .delete("/posts/{id}", async |_: &mut Ctx| "gone");
/// # cepa_core::test::block_on(async {
/// assert_eq!(app.test().post("/posts/7").form(&[("_method", "delete")]).await.text(), "gone");
/// # });
/// # Ok::<(), method_override::MethodError>(())
/// ```
///
/// # Errors
/// One of the methods is safe (GET, HEAD, OPTIONS, TRACE), CONNECT, or no method at all.
pub fn method_override(options: Options) -> Result<MethodOverride, MethodError> {
    let method = |name: &String| match Method::from_bytes(name.as_bytes()) {
        Ok(method) if !method.is_safe() && method != Method::CONNECT => Ok(method),
        _ => Err(MethodError(name.clone())),
    };
    let methods = options.methods.iter().map(method).collect::<Result<_, _>>()?;
    Ok(MethodOverride { options, methods })
}

/// See [`method_override()`].
#[derive(Clone, Debug)]
pub struct MethodOverride {
    options: Options,
    methods: Vec<Method>,
}

impl Middleware for MethodOverride {
    fn call<'a>(&'a self, ctx: &'a mut Ctx, next: Next<'a>) -> LocalBoxFuture<'a, Result> {
        if *ctx.method() != Method::POST {
            return next.run(ctx).boxed();
        }
        Box::pin(async move {
            let wanted = match self.in_header(ctx) {
                Some(method) => Some(method),
                None => self.in_form(ctx).await?,
            };
            if let Some(method) = wanted {
                ctx.insert(OriginalMethod(ctx.method().clone()));
                ctx.set_method(method);
            }
            next.run(ctx).await
        })
    }

    fn order(&self) -> Vec<Order> {
        vec![Order::outside_of::<Csrf>("it is to see the method that counts")]
    }
}

impl MethodOverride {
    fn named(&self, name: &str) -> Option<Method> {
        self.methods.iter().find(|method| method.as_str().eq_ignore_ascii_case(name.trim())).cloned()
    }

    fn in_header(&self, ctx: &Ctx) -> Option<Method> {
        let header = Some(self.options.header.as_str()).filter(|header| !header.is_empty())?;
        self.named(ctx.get(header)?)
    }

    async fn in_form(&self, ctx: &mut Ctx) -> Result<Option<Method>> {
        let kind = ctx.get(header::CONTENT_TYPE).unwrap_or_default();
        let is_form = media_type::type_is(kind, &["urlencoded"]).is_some();
        let is_short = ctx.request.body().len().is_some_and(|len| len <= self.options.limit);
        let is_coded = ctx.request.fields().contains("content-encoding");
        if self.options.field.is_empty() || !is_form || !is_short || is_coded {
            return Ok(None);
        }
        let bytes: Bytes = ctx.bytes().await?;
        let method = std::str::from_utf8(&bytes).ok().and_then(|text| {
            let mut fields = form::parse(text, MAX_FIELDS);
            fields.find(|(name, _)| *name == self.options.field).and_then(|(_, value)| self.named(&value))
        });
        ctx.request.set_body(bytes);
        Ok(method)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, test::block_on};

    fn client(options: Options) -> cepa_core::test::Client {
        let echo = async |ctx: &mut Ctx| -> Result<String> {
            let original = ctx.state().map(|OriginalMethod(method)| method.to_string());
            let (method, body) = (ctx.method().clone(), ctx.text().await?);
            Ok(format!("{method} {} {body}", original.unwrap_or_default()))
        };
        App::new().with(method_override(options).unwrap()).all("/", echo).test()
    }

    #[test]
    fn a_form_or_a_header_names_the_method_of_a_post() {
        let client = client(Options::default());
        block_on(async {
            let answer = client.post("/").form(&[("a", "b c"), ("_method", "put")]).await;
            assert_eq!(answer.text(), "PUT POST a=b+c&_method=put");
            let answer = client.post("/").header("x-http-method-override", "DELETE").body("text").await;
            assert_eq!(answer.text(), "DELETE POST text");
            for name in ["get", "HEAD", "OPTIONS", "TRACE", "CONNECT", "POST", "LINK", "", "p ut"] {
                let answer = client.post("/").form(&[("_method", name)]).await;
                assert!(answer.text().starts_with("POST  "), "{name}: {}", answer.text());
            }
            for method in [Method::GET, Method::PUT] {
                let call = client.request(method.clone(), "/").header("x-http-method-override", "DELETE");
                assert!(call.await.text().starts_with(method.as_str()));
            }
            let answer =
                client.post("/?_method=put").header("content-type", "text/plain").body("_method=put").await;
            assert_eq!(answer.text(), "POST  _method=put");
        });
    }

    #[test]
    fn long_and_odd_forms_reach_the_handler_unread() {
        let client = client(Options { limit: 20, ..Options::default() });
        block_on(async {
            let long = "a".repeat(20);
            let answer = client.post("/").form(&[("_method", "put"), ("a", &long)]).await;
            assert!(answer.text().starts_with("POST  _method=put&a=aaa"));
            let kind = "application/x-www-form-urlencoded";
            let answer = client.post("/").header("content-type", kind).body(vec![0xff, b'=']).await;
            assert_eq!(answer.status(), 400);
        });
    }

    #[test]
    fn a_form_in_a_coding_is_not_looked_at() {
        let kind = "application/x-www-form-urlencoded";
        let client = client(Options::default());
        let call = client.post("/").header("content-type", kind).header("content-encoding", "x-own");
        assert_eq!(block_on(call.body("_method=put")).text(), "POST  _method=put");
    }

    #[cfg(feature = "inflate")]
    #[test]
    fn a_compressed_form_reaches_the_handler_from_either_side_of_inflate() {
        // `_method=put` in zlib's format, as one stored block.
        let zipped = b"\x78\x01\x01\x0b\x00\xf4\xff_method=put\x1a\x97\x04\x77";
        let echo = async |ctx: &mut Ctx| -> Result<String> {
            Ok(format!("{} {}", ctx.method().clone(), ctx.text().await?))
        };
        let overriding = || method_override(Options::default()).unwrap();
        let inflate = || crate::inflate(Default::default());
        for app in
            [App::new().with(overriding()).with(inflate()), App::new().with(inflate()).with(overriding())]
        {
            let client = app.all("/", echo).test();
            let call = client.post("/").header("content-type", "application/x-www-form-urlencoded");
            let answer = block_on(call.header("content-encoding", "deflate").body(zipped.to_vec()));
            assert_eq!(answer.text(), "POST _method=put");
        }
    }

    #[test]
    fn forgery_protection_sees_the_method_that_counts() {
        let overriding = || method_override(Options::default()).unwrap();
        let csrf = || crate::csrf(Default::default()).unwrap();
        assert!(App::new().with(overriding()).with(csrf()).get("/", async |_: &mut Ctx| "").build().is_ok());
        let error = App::new().with(csrf()).with(overriding()).get("/", async |_: &mut Ctx| "").build();
        assert!(error.unwrap_err().to_string().contains("the method that counts"));
    }

    #[test]
    fn a_safe_method_is_an_error_at_start() {
        for name in ["GET", "HEAD", "CONNECT", "", "a b"] {
            let options = Options { methods: vec![name.to_owned()], ..Options::default() };
            assert_eq!(method_override(options).unwrap_err(), MethodError(name.to_owned()));
        }
    }
}
