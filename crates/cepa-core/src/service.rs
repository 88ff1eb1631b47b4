//! Services: what a request works with, made when it first asks.

use crate::{Ctx, Result};

/// What a request works with: made when it first asks, by [`Ctx::service`], and kept for the rest of the request.
///
/// The place for what several handlers do with the same things, such as a table of the database on behalf of the user
/// who is logged in. A service owns what it needs: it clones a handle that the app [provides](crate::App::provide), and
/// takes from the ctx what it wants to know.
///
/// - It need not be `Send`: it lives and ends with its request.
/// - It may ask for other services; two that ask for each other recurse without end.
/// - One that a layer or a test has [inserted](Ctx::insert) is used instead of a new one.
///
/// ```
/// use std::sync::Arc;
///
/// use cepa_core::{App, Ctx, Result, Service};
///
/// struct Greetings {
///     words: Arc<str>,
///     name: String,
/// }
///
/// impl Service for Greetings {
///     fn new(ctx: &mut Ctx) -> Result<Self> {
///         let name = ctx.get("x-user").unwrap_or("stranger").to_owned();
///         Ok(Self { words: ctx.provided::<Arc<str>>()?.clone(), name })
///     }
/// }
///
/// impl Greetings {
///     fn greeting(&self) -> String {
///         format!("{}, {}", self.words, self.name)
///     }
/// }
///
/// let app = App::new()
///     .provide::<Arc<str>>("Hello".into())
///     .get("/", async |ctx: &mut Ctx| -> Result<String> { Ok(ctx.service::<Greetings>()?.greeting()) });
/// # cepa_core::test::block_on(async {
/// assert_eq!(app.test().get("/").header("x-user", "Ada").await.text(), "Hello, Ada");
/// # });
/// ```
pub trait Service: Sized + 'static {
    /// Makes the service for this request.
    ///
    /// # Errors
    /// What the handler that asked fails with.
    fn new(ctx: &mut Ctx) -> Result<Self>;
}

#[cfg(test)]
mod tests {
    use std::sync::{
        Arc, OnceLock,
        atomic::{AtomicUsize, Ordering},
    };

    use super::*;
    use crate::{App, Next, Provided, test::block_on};

    struct Counted(usize);

    impl Service for Counted {
        fn new(ctx: &mut Ctx) -> Result<Self> {
            ctx.assert(ctx.get("x-no").is_none(), 403, "no")?;
            Ok(Self(ctx.provided::<AtomicUsize>()?.fetch_add(1, Ordering::Relaxed)))
        }
    }

    async fn show(ctx: &mut Ctx) -> Result<String> {
        let first = ctx.service::<Counted>()?.0;
        Ok(format!("{first} {}", ctx.service::<Counted>()?.0))
    }

    #[test]
    fn a_service_is_made_once_for_each_request() {
        let client = App::new().provide(AtomicUsize::new(5)).get("/", show).test();
        block_on(async {
            assert_eq!(client.get("/").await.text(), "5 5");
            assert_eq!(client.get("/").await.text(), "6 6");
            assert_eq!(client.get("/").header("x-no", "1").await.status(), 403);
        });
        let given = async |ctx: &mut Ctx, next: Next<'_>| {
            ctx.insert(Counted(42));
            next.run(ctx).await
        };
        let client = App::new().with(given).get("/", show).test();
        assert_eq!(block_on(client.get("/")).text(), "42 42");
    }

    #[test]
    fn what_is_provided_later_is_found_behind_the_rest_and_by_mounted_apps() {
        let later = Arc::new(OnceLock::new());
        let handler = async |ctx: &mut Ctx| -> Result<String> {
            Ok(format!("{} {}", ctx.provided::<u8>()?, ctx.provided::<u16>()?))
        };
        let inner = App::new().get("/", handler);
        let app = App::new().provide(1u8).provide_later(Arc::clone(&later)).mount("/in", inner);
        let client = app.get("/", handler).test();
        block_on(async {
            assert_eq!(client.get("/").await.status(), 500);
            let mut values = Provided::default();
            values.insert(7u8);
            values.insert(2u16);
            later.set(values).unwrap();
            assert_eq!(client.get("/").await.text(), "1 2");
            assert_eq!(client.get("/in").await.text(), "1 2");
        });
    }
}
