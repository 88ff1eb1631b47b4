//! Work that blocks or computes for long, on a thread where it holds nobody up.

use std::{
    future::{Future, pending},
    panic::resume_unwind,
};

use cepa_core::Ctx;
use tokio::task::spawn_blocking;

/// Runs work that blocks or computes for long on a thread apart, and waits for it.
///
/// A worker serves all its connections from one thread: what holds that up for more than about a millisecond (the
/// file system, a database without an async client, hashing a password) belongs here.
///
/// - A panic of the work goes on in whoever waits, as if the work had been done there; in a handler it becomes a 500.
/// - The work starts when the future is first polled. From then on nothing interrupts it: if the future is dropped it
///   runs to its end, and nobody sees the result.
/// - There are at most 512 such threads for each worker; more work waits for one.
///
/// # Panics
/// When it is polled outside of a tokio runtime. Handlers and layers run inside of one.
pub async fn blocking<T, F>(work: F) -> T
where
    T: Send + 'static,
    F: FnOnce() -> T + Send + 'static,
{
    match spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            // The runtime is shutting down and has not begun the work: it will not poll this again.
            Err(_) => pending().await,
        },
    }
}

/// [`blocking()`] as a method of the ctx.
pub trait Blocking {
    /// Runs work that blocks or computes for long on a thread apart, see [`blocking()`].
    ///
    /// The work owns what it needs: it outlives the borrow of the ctx.
    ///
    /// ```
    /// use cepa_core::{App, Ctx, Result};
    /// use cepa_server::Blocking;
    ///
    /// let app = App::new().get("/hosts", async |ctx: &mut Ctx| -> Result<String> {
    ///     Ok(ctx.blocking(|| std::fs::read_to_string("/etc/hosts")).await?)
    /// });
    /// ```
    fn blocking<T, F>(&self, work: F) -> impl Future<Output = T> + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static;
}

impl Blocking for Ctx {
    fn blocking<T, F>(&self, work: F) -> impl Future<Output = T> + 'static
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        blocking(work)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cepa_core::{App, Result};
    use std::thread;
    use tokio::runtime::LocalRuntime;

    fn get(app: App) -> (u16, String) {
        let client = app.test();
        LocalRuntime::new().unwrap().block_on(async {
            let answer = client.get("/").await;
            (answer.status().as_u16(), answer.text().to_owned())
        })
    }

    #[test]
    fn work_runs_on_another_thread_and_its_error_is_the_handlers() {
        let here = thread::current().id();
        let apart = App::new().get("/", async move |ctx: &mut Ctx| {
            ctx.blocking(move || thread::current().id() != here).await.to_string()
        });
        assert_eq!(get(apart), (200, "true".to_owned()));

        let fails = App::new().get("/", async |ctx: &mut Ctx| -> Result<String> {
            Ok(ctx.blocking(|| std::fs::read_to_string("/no/such/file")).await?)
        });
        assert_eq!(get(fails).0, 500);
    }

    #[test]
    fn a_panic_is_the_waiters_own() {
        let app = App::new()
            .get("/", async |ctx: &mut Ctx| -> &'static str { ctx.blocking(|| panic!("private")).await });
        assert_eq!(get(app), (500, "Internal Server Error".to_owned()));
    }
}
