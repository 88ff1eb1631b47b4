//! What answers while no program can: a page that says why.

use cepa_core::{App, Ctx, Result};
use cepa_server::{Running, Server, ServerConfig, Stopper, listen::Socket};
use http::header;
use std::{io, thread, time::Duration};
use tokio::sync::watch;

use super::{
    line::{State, Trouble},
    page::{Pages, document},
    sockets::Sockets,
    terminal::plain,
};

pub(super) struct StandIn(Stopper);

impl StandIn {
    /// Serves on the sockets that the program would have.
    pub(super) fn start(
        config: ServerConfig,
        sockets: &Sockets,
        state: watch::Receiver<State>,
    ) -> io::Result<Self> {
        let told = state.clone();
        let app = App::new().fallback(async move |ctx: &mut Ctx| {
            let trouble = told.borrow().trouble.clone();
            tell(ctx, &trouble.unwrap_or_default())
        });
        let app = app.into_handler().map_err(io::Error::other)?;
        let onion = App::new().with(Pages { app, state }).build().map_err(io::Error::other)?;
        let config = ServerConfig { workers: 1, ..config };
        let server = Server::with_sockets(config, onion, |listen| {
            let socket = sockets.get(&listen.address).and_then(|socket| socket.descriptor().ok());
            socket.and_then(|socket| Socket::from_fd(socket).ok()).into_iter().collect()
        });
        let running = server.and_then(Server::start).map_err(io::Error::other)?;
        Ok(Self(running.stopper())).inspect(|_| join(running))
    }

    /// Ends it, and gives its clients so long.
    pub(super) fn end(self, grace: Duration) {
        self.0.drain();
        tokio::task::spawn_local(async move {
            tokio::time::sleep(grace).await;
            self.0.cut();
        });
    }
}

/// Waits for the end where nobody else has to.
fn join(running: Running) {
    // What it ends with is of no concern: it has only told of another end.
    thread::spawn(move || drop(running.join()));
}

fn tell(ctx: &mut Ctx, trouble: &Trouble) -> Result {
    ctx.set_status(503)?;
    ctx.set_cache_control("no-store")?;
    ctx.set(header::RETRY_AFTER, "1")?;
    let text = plain(&trouble.text);
    match ctx.accepts(&["text/plain", "text/html"]) {
        Some("text/html") => {
            ctx.set_type("html")?;
            ctx.set_body(document(&trouble.title, &text))
        }
        _ => ctx.set_body(format!("{}\n\n{text}\n", trouble.title)),
    }
}
